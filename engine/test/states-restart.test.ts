import { existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Clock, ManualClock, ScaledClock } from '../src/engine/clock';
import { ApiError, type Objects, type Shape } from '../src/service';
import { StepFunctions } from '../src/services/states/service';
import { killedNow } from './support/crash';
import { FakeContext, ROLE } from './support/fake-context';

const MACHINE = 'arn:aws:states:eu-west-1:111122223333:stateMachine:machine';
const caller = { kind: 'root' } as const;
const objects = {} as Objects; // no state here reads or writes any

let context: FakeContext;
let states: StepFunctions;

function load(definition: Shape, name = 'machine', type = 'STANDARD'): void {
  states = new StepFunctions(context, objects);
  context.services.states = states;
  const arn = MACHINE.replace(/machine$/, name);
  const DefinitionString = JSON.stringify({ QueryLanguage: 'JSONata', ...definition });
  const properties = { DefinitionString, RoleArn: ROLE, StateMachineType: type };
  const where = { stack: 'App', logicalId: 'Machine', path: 'App/Machine' };
  states.load([{ ...where, type: 'AWS::StepFunctions::StateMachine', physicalId: arn, arn, properties }]);
}

beforeEach(() => {
  context = new FakeContext();
});

/** Ends the engine, and makes the world of the next one, as if this one's process had been killed or had ended in order. */
type End = (clock?: Clock) => Promise<void>;
const KILLED: End = async (clock = new ScaledClock(0)) => {
  const { answers } = context;
  context = new FakeContext(clock, killedNow(context.stateDir));
  Object.assign(context.answers, answers);
};
const STOPPED: End = async (clock = new ScaledClock(0)) => {
  const { answers, stateDir } = context;
  context.end();
  await states.stop();
  context.store.close();
  context = new FakeContext(clock, stateDir);
  Object.assign(context.answers, answers);
};

const call = (operation: string, input: Shape): Promise<Shape> => context.call('states', operation, input, caller);

async function begin(name = 'run', input: unknown = {}): Promise<string> {
  const { executionArn } = await call('StartExecution', {
    stateMachineArn: MACHINE,
    name,
    input: JSON.stringify(input),
  });
  return executionArn;
}

const described = (name = 'run') =>
  call('DescribeExecution', { executionArn: `${MACHINE.replace(':stateMachine:', ':execution:')}:${name}` });

async function history(name = 'run'): Promise<Shape[]> {
  const { executionArn } = await described(name);
  return (await call('GetExecutionHistory', { executionArn, maxResults: 1000 })).events;
}

const announced = () =>
  context.events
    .filter((event) => event['detail-type'] === 'Step Functions Execution Status Change')
    .map(({ detail }) => [detail.name, detail.status]);

async function until(holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error('it did not come to that in 10 s');
    await sleep(5);
  }
}

const called = (operation: string) => context.calls.filter((one) => one.operation === operation).length;
const never = () => new Promise<never>(() => {});
/** A wait that only its signal ends. */
const asleep: Clock['sleep'] = async (_, signal) => {
  if (!signal?.aborted) await new Promise((done) => signal?.addEventListener('abort', done));
};
const one = (state: Shape): Shape => ({ StartAt: 'It', States: { It: { End: true, ...state } } });
const task = (resource: string, given: Shape = {}, more: Shape = {}): Shape =>
  one({ Type: 'Task', Resource: `arn:aws:states:::${resource}`, Arguments: given, ...more });
const MESSAGE = { QueueUrl: 'https://sqs.eu-west-1.amazonaws.com/111122223333/queue', MessageBody: 'x' };
const TRAINING = {
  TrainingJobName: 'Job',
  RoleArn: ROLE,
  OutputDataConfig: { S3OutputPath: 's3://bucket/out' },
  AlgorithmSpecification: {},
  ResourceConfig: {},
  StoppingCondition: {},
};
const LAMBDA = task('lambda:invoke', { FunctionName: 'fn' });

describe.each([
  ['killed', KILLED],
  ['stopped', STOPPED],
])('an execution that ran when the engine was %s', (_, end) => {
  test('waits on for as long as is left', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    context = new FakeContext(clock);
    load(one({ Type: 'Wait', Seconds: 3600 }));
    await begin();
    await sleep(20);
    await clock.advance(1_000_000);
    await end(clock);
    load(one({ Type: 'Wait', Seconds: 3600 }));
    expect(context.recoveries).toEqual(["the execution run of machine goes on at the state 'It'"]);
    await clock.advance(2_590_000);
    expect(await described()).toMatchObject({ status: 'RUNNING' });
    await clock.advance(20_000);
    await context.idle();
    expect(await described()).toMatchObject({ status: 'SUCCEEDED' });
  });

  test('goes on with its variables, its context and its history, and tells of its end', async () => {
    const definition = {
      StartAt: 'First',
      States: {
        First: { Type: 'Pass', Assign: { kept: '{% $states.input.a %}' }, Output: { b: 2 }, Next: 'Wait' },
        Wait: {
          Type: 'Wait',
          Seconds: 99,
          Output: '{% [$states.context.State.EnteredTime, $states.context.Execution.Name] %}',
          Next: 'Last',
        },
        Last: { Type: 'Pass', Output: '{% {"kept": $kept, "input": $states.input} %}', End: true },
      },
    };
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    context = new FakeContext(clock);
    load(definition);
    await begin('run', { a: 1 });
    await sleep(20);
    await end(clock);
    load(definition);
    await clock.advance(100_000);
    await context.idle();
    const { status, output } = await described();
    expect(status).toBe('SUCCEEDED');
    expect(JSON.parse(output)).toEqual({ kept: 1, input: ['2026-01-01T00:00:00.000Z', 'run'] });
    const events = await history();
    expect(events.map(({ type }) => type)).toEqual([
      ...['ExecutionStarted', 'PassStateEntered', 'PassStateExited', 'WaitStateEntered', 'WaitStateExited'],
      ...['PassStateEntered', 'PassStateExited', 'ExecutionSucceeded'],
    ]);
    expect(events.map(({ id }) => id)).toEqual(events.map((_event, index) => index + 1));
    expect(announced()).toEqual([['run', 'SUCCEEDED']]);
  });

  test('that had only just begun begins, once', async () => {
    load({ StartAt: 'A', States: { A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Wait', Seconds: 1, End: true } } });
    context.clock.sleep = asleep;
    await begin();
    await end();
    load({ StartAt: 'A', States: { A: { Type: 'Pass', Next: 'B' }, B: { Type: 'Wait', Seconds: 1, End: true } } });
    await context.idle();
    const types = (await history()).map(({ type }) => type);
    expect(types.filter((type) => type === 'ExecutionStarted')).toHaveLength(1);
    expect(types.at(-1)).toBe('ExecutionSucceeded');
  });

  test('waits on for the job that it has started, and starts no other', async () => {
    const job = task('sagemaker:createTrainingJob.sync', TRAINING);
    context.answers['sagemaker:CreateTrainingJob'] = () => ({ TrainingJobArn: 'arn:job' });
    context.answers['sagemaker:DescribeTrainingJob'] = () => ({ TrainingJobStatus: 'InProgress' });
    load(job);
    await begin();
    await until(() => called('DescribeTrainingJob') > 0);
    await end();
    context.answers['sagemaker:DescribeTrainingJob'] = ({ TrainingJobName }) => ({
      TrainingJobName,
      TrainingJobStatus: 'Completed',
    });
    load(job);
    await context.idle();
    expect(called('CreateTrainingJob')).toBe(0);
    expect(called('StopTrainingJob')).toBe(0);
    const { status, output } = await described();
    expect([status, JSON.parse(output)]).toEqual([
      'SUCCEEDED',
      { TrainingJobName: 'Job', TrainingJobStatus: 'Completed' },
    ]);
    expect((await history()).map(({ type }) => type)).toEqual([
      ...['ExecutionStarted', 'TaskStateEntered', 'TaskScheduled', 'TaskStarted', 'TaskSubmitted', 'TaskSucceeded'],
      ...['TaskStateExited', 'ExecutionSucceeded'],
    ]);
  });

  test('fails with its job, if that has failed meanwhile', async () => {
    const job = task('sagemaker:createTrainingJob.sync', TRAINING);
    context.answers['sagemaker:CreateTrainingJob'] = () => ({ TrainingJobArn: 'arn:job' });
    context.answers['sagemaker:DescribeTrainingJob'] = () => ({ TrainingJobStatus: 'InProgress' });
    load(job);
    await begin();
    await until(() => called('DescribeTrainingJob') > 0);
    await end();
    const failed = { TrainingJobStatus: 'Failed', FailureReason: 'InternalServerError: the engine ended' };
    context.answers['sagemaker:DescribeTrainingJob'] = () => failed;
    load(job);
    await context.idle();
    const { status, error, cause } = await described();
    expect([status, error, JSON.parse(cause)]).toEqual(['FAILED', 'States.TaskFailed', failed]);
    expect(announced()).toEqual([['run', 'FAILED']]);
  });

  test('waits on for the execution that it has started', async () => {
    const definition = {
      StartAt: 'Which?',
      States: {
        'Which?': {
          Type: 'Choice',
          Choices: [{ Condition: '{% $states.input.child = true %}', Next: 'Wait' }],
          Default: 'Child',
        },
        Child: {
          Type: 'Task',
          Resource: 'arn:aws:states:::states:startExecution.sync:2',
          Arguments: { StateMachineArn: MACHINE, Name: 'child', Input: { child: true } },
          Output: '{% $states.result.Output %}',
          End: true,
        },
        Wait: { Type: 'Wait', Seconds: 100, Output: 'done', End: true },
      },
    };
    context.clock.sleep = asleep;
    load(definition);
    await begin();
    await until(() => called('StartExecution') === 2);
    await sleep(20);
    await end();
    load(definition);
    await context.idle();
    expect(await described('run')).toMatchObject({ status: 'SUCCEEDED', output: '"done"' });
    expect(await described('child')).toMatchObject({ status: 'SUCCEEDED' });
    expect(called('StartExecution') + called('StopExecution')).toBe(0);
  });

  test('waits on for its task token', async () => {
    const definition = task('sqs:sendMessage.waitForTaskToken', {
      ...MESSAGE,
      MessageBody: '{% $states.context.Task.Token %}',
    });
    context.answers['sqs:SendMessage'] = () => ({ MessageId: 'm' });
    load(definition);
    await begin();
    await until(() => called('SendMessage') === 1);
    await sleep(20);
    const taskToken = context.calls.find(({ operation }) => operation === 'SendMessage')?.input.MessageBody;
    await end();
    load(definition);
    await call('SendTaskSuccess', { taskToken, output: '{"kept":1}' });
    await context.idle();
    expect(await described()).toMatchObject({ status: 'SUCCEEDED', output: '{"kept":1}' });
    expect(called('SendMessage')).toBe(0);
    await expect(call('SendTaskSuccess', { taskToken, output: '1' })).rejects.toMatchObject({ code: 'TaskTimedOut' });
  });

  test('counts a call as failed of which nobody knows whether it was done: its Retry decides', async () => {
    const retry = { Retry: [{ ErrorEquals: ['Lambda.SdkClientException'], MaxAttempts: 1 }] };
    const definition = task('lambda:invoke', { FunctionName: 'fn' }, retry);
    context.answers['lambda:Invoke'] = never;
    load(definition);
    await begin();
    await until(() => called('Invoke') === 1);
    await end();
    context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, Payload: '7' });
    load(definition);
    expect(context.recoveries).toEqual([
      "the execution run of machine goes on at the state 'It', whose work counts as failed: how far it had come is not known",
    ]);
    await context.idle();
    expect(JSON.parse((await described()).output)).toMatchObject({ Payload: 7 });
    expect(called('Invoke')).toBe(1);
    expect((await history()).map(({ type }) => type)).toEqual([
      ...['ExecutionStarted', 'TaskStateEntered', 'TaskScheduled', 'TaskStarted', 'TaskFailed'],
      ...['TaskScheduled', 'TaskStarted', 'TaskSucceeded', 'TaskStateExited', 'ExecutionSucceeded'],
    ]);
  });

  test('fails where no Retry and no Catch knows what to do about that, and tells why', async () => {
    context.answers['lambda:Invoke'] = never;
    load(LAMBDA);
    await begin();
    await until(() => called('Invoke') === 1);
    await end();
    load(LAMBDA);
    await context.idle();
    expect(await described()).toMatchObject({
      status: 'FAILED',
      error: 'Lambda.SdkClientException',
      cause: 'The local engine ended while the state was at work; how far what it asked for had come is not known.',
    });
    expect(announced()).toEqual([['run', 'FAILED']]);
  });

  test('counts the branches of a Parallel and the iterations of a Map as failed: their Catch decides', async () => {
    const inner = { StartAt: 'W', States: { W: { Type: 'Wait', Seconds: 99, End: true } } };
    const Catch = [{ ErrorEquals: ['States.ALL'], Output: '{% $states.errorOutput.Error %}', Next: 'Caught' }];
    const machine = (state: Shape) => ({
      StartAt: 'It',
      States: { It: { ...state, Catch, End: true }, Caught: { Type: 'Succeed' } },
    });
    for (const [name, state, error] of [
      ['parallel', { Type: 'Parallel', Branches: [inner] }, 'States.BranchFailed'],
      ['map', { Type: 'Map', Items: [1], ItemProcessor: inner }, 'States.TaskFailed'],
    ] as const) {
      context = new FakeContext();
      context.clock.sleep = asleep;
      load(machine(state));
      await begin(name);
      await sleep(20);
      await end();
      load(machine(state));
      await context.idle();
      expect(await described(name)).toMatchObject({ status: 'SUCCEEDED', output: JSON.stringify(error) });
    }
  });

  test('makes no more attempts than its Retry allows, and waits before the next for as long as is left', async () => {
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    context = new FakeContext(clock);
    const retry = { Retry: [{ ErrorEquals: ['States.ALL'], MaxAttempts: 3, IntervalSeconds: 100, BackoffRate: 1 }] };
    const definition = task('sqs:sendMessage', MESSAGE, retry);
    context.answers['sqs:SendMessage'] = () => {
      throw new ApiError('Busy', 'later');
    };
    let tried = 0;
    for (let start = 0; start < 8; start++) {
      load(definition);
      if (start === 0) await begin();
      await sleep(20);
      await clock.advance(60_000); // the wait of 100 s is over at every second start
      await sleep(20);
      tried += called('SendMessage');
      await end(clock);
    }
    load(definition);
    await context.idle();
    expect(tried).toBe(4);
    expect(await described()).toMatchObject({ status: 'FAILED' });
  });

  test('is ended as aborted, and tells so, where its machine says something else by now', async () => {
    context.clock.sleep = asleep;
    load(one({ Type: 'Wait', Seconds: 9 }));
    await begin();
    await end();
    load(one({ Type: 'Wait', Seconds: 10 }));
    const cause = 'The state machine was changed while the local engine was off, so this execution cannot go on.';
    expect(await described()).toMatchObject({ status: 'ABORTED', cause });
    expect((await history()).at(-1)).toMatchObject({ type: 'ExecutionAborted' });
    expect(announced()).toEqual([['run', 'ABORTED']]);
    expect(context.recoveries).toEqual([`the execution run of machine was ended as ABORTED: ${cause}`]);
  });

  test('is set aside where its machine is there no more', async () => {
    context.clock.sleep = asleep;
    load(one({ Type: 'Wait', Seconds: 9 }));
    await begin();
    await end();
    load(one({ Type: 'Pass' }), 'another');
    expect(context.store.aside.told).toEqual([
      expect.stringMatching(/^states\/executions\/.+:machine:run is set aside in .+: State Machine Does Not Exist/),
    ]);
  });

  test('is forgotten where it is an express one', async () => {
    context.clock.sleep = asleep;
    load(one({ Type: 'Wait', Seconds: 9 }), 'machine', 'EXPRESS');
    await begin();
    await end();
    load(one({ Type: 'Wait', Seconds: 9 }), 'machine', 'EXPRESS');
    await expect(described()).rejects.toMatchObject({ code: 'ExecutionDoesNotExist' });
  });
});

describe('when the engine is killed in the very moment', () => {
  test.each([
    ['SendTaskSuccess', { output: '"heard"' }, { status: 'SUCCEEDED', output: '"heard"' }],
    ['SendTaskFailure', { error: 'Own', cause: 'why' }, { status: 'FAILED', error: 'Own', cause: 'why' }],
  ])('in which %s is answered, the report is not lost', async (operation, input, expected) => {
    const definition = task('sqs:sendMessage.waitForTaskToken', {
      ...MESSAGE,
      MessageBody: '{% $states.context.Task.Token %}',
    });
    context.answers['sqs:SendMessage'] = () => ({ MessageId: 'm' });
    load(definition);
    await begin();
    await until(() => called('SendMessage') === 1);
    await sleep(20);
    const taskToken = context.calls.find((one) => one.operation === 'SendMessage')?.input.MessageBody;
    states.operations[operation]?.run({ taskToken, ...input }, caller);
    await KILLED();
    load(definition);
    await context.idle();
    expect(await described()).toMatchObject(expected);
  });

  test('in which StartExecution is answered, the execution is there', async () => {
    load(one({ Type: 'Pass', Output: 'done' }));
    states.operations.StartExecution?.run({ stateMachineArn: MACHINE, name: 'run' }, caller);
    await KILLED();
    load(one({ Type: 'Pass', Output: 'done' }));
    await context.idle();
    expect(await described()).toMatchObject({ status: 'SUCCEEDED', output: '"done"' });
  });
});

describe('executions on the disk', () => {
  const folder = () => join(context.stateDir, 'states', 'machine');

  test('that have ended are told with all that has happened, and can be redriven, after a restart', async () => {
    context.answers['sqs:SendMessage'] = () => {
      throw new ApiError('Busy', 'later');
    };
    load(task('sqs:sendMessage', MESSAGE));
    await begin();
    await context.idle();
    const before = await history();
    await STOPPED();
    context.answers['sqs:SendMessage'] = () => ({ MessageId: 'm' });
    load(task('sqs:sendMessage', MESSAGE));
    expect(await history()).toEqual(before);
    const { executionArn, redriveStatus } = await described();
    expect(redriveStatus).toBe('REDRIVABLE');
    await call('RedriveExecution', { executionArn });
    await context.idle();
    expect(await described()).toMatchObject({ status: 'SUCCEEDED', redriveCount: 1 });
    await STOPPED();
    load(task('sqs:sendMessage', MESSAGE));
    expect((await history()).slice(0, before.length)).toEqual(before);
  });

  test('whose history is torn are there without it; what is foreign is set aside', async () => {
    load(one({ Type: 'Pass' }));
    for (const name of ['torn', 'whole', 'gone']) await begin(name);
    await context.idle();
    truncateSync(join(folder(), 'torn.json'), 20);
    writeFileSync(join(folder(), 'notes.txt'), 'mine');
    writeFileSync(join(folder(), 'data-1.json'), '{"name":"data-1","inp');
    mkdirSync(join(context.stateDir, 'states', 'elsewhere'));
    writeFileSync(join(context.stateDir, 'states', 'elsewhere', 'a.json'), '');
    await STOPPED();
    load(one({ Type: 'Pass' }));
    const told = context.store.aside.told.map((line) => line.replace(/ is set aside in .+: /, ': ')).sort();
    expect(told).toEqual([
      'states/elsewhere/a.json: it is the history of no execution',
      'states/machine/data-1.json: it is the history of no execution',
      'states/machine/notes.txt: it is the history of no execution',
      expect.stringMatching(/^states\/machine\/torn\.json: the history must have \d+ bytes, got 20$/),
    ]);
    expect(readdirSync(folder()).sort()).toEqual(['gone.json', 'whole.json']);
    expect(await described('torn')).toMatchObject({ status: 'SUCCEEDED' });
    expect(await history('torn')).toEqual([]);
    expect(await history('whole')).toHaveLength(4);
    expect(context.recoveries).toEqual(['the history of the execution torn is gone']);
  });

  test('have names that no file may have', async () => {
    load(one({ Type: 'Pass' }));
    const name = 'é'.repeat(80);
    await begin(name);
    await context.idle();
    expect(await history(name)).toHaveLength(4);
  });

  test('are bounded: of a machine, the newest that have ended are kept', async () => {
    load(one({ Type: 'Pass' }));
    for (let i = 0; i < 1010; i++) {
      await begin(`run-${i}`);
      if (i % 100 === 0) await context.idle();
    }
    await context.idle();
    await expect(described('run-9')).rejects.toMatchObject({ code: 'ExecutionDoesNotExist' });
    expect(await described('run-10')).toMatchObject({ status: 'SUCCEEDED' });
    expect(readdirSync(folder())).toHaveLength(1000);
    expect(existsSync(join(folder(), 'run-9.json'))).toBe(false);
  });
});
