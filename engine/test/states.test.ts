import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { ScaledClock } from '../src/engine/clock';
import { ApiError, type Objects, type Shape, type StoredObject } from '../src/service';
import { StepFunctions } from '../src/services/states/service';
import { FakeContext, PLACE, ROLE } from './support/fake-context';

const MACHINE = 'arn:aws:states:eu-west-1:111122223333:stateMachine:machine';
const caller = { kind: 'root' } as const;

let context: FakeContext;
let states: StepFunctions;
let stored: Map<string, string>;

const objects: Objects = {
  list: async (_bucket, prefix) =>
    [...stored]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, body]): StoredObject => ({ key, size: body.length, etag: 'e', lastModified: new Date(0) })),
  file: async (_bucket, key) => {
    const body = stored.get(key);
    if (body === undefined) throw new ApiError('NoSuchKey', 'The specified key does not exist.', 404);
    const file = join(mkdtempSync(join(tmpdir(), 'object-')), 'body');
    writeFileSync(file, body);
    return file;
  },
  put: async (_bucket, key, body) => {
    stored.set(key, String(body));
    return { key, size: 0, etag: 'e', lastModified: new Date(0) };
  },
};

function load(definition: Shape, type = 'STANDARD'): void {
  states = new StepFunctions(context, objects);
  context.services.states = states;
  states.load([
    {
      stack: 'App',
      logicalId: 'Machine',
      path: 'App/Machine',
      type: 'AWS::StepFunctions::StateMachine',
      physicalId: MACHINE,
      arn: MACHINE,
      properties: {
        DefinitionString: JSON.stringify({ QueryLanguage: 'JSONata', ...definition }),
        RoleArn: ROLE,
        StateMachineType: type,
      },
    },
  ]);
}

const call = (operation: string, input: Shape): Promise<Shape> => context.call('states', operation, input, caller);

async function begin(input: unknown = {}, name?: string): Promise<string> {
  const given = { stateMachineArn: MACHINE, input: JSON.stringify(input), ...(name !== undefined && { name }) };
  return (await call('StartExecution', given)).executionArn;
}

async function describeExecution(executionArn: string): Promise<Shape> {
  const described = await call('DescribeExecution', { executionArn });
  return { ...described, value: described.output === undefined ? undefined : JSON.parse(described.output) };
}

async function run(definition: Shape, input: unknown = {}): Promise<Shape> {
  load(definition);
  const executionArn = await begin(input);
  await context.idle();
  return await describeExecution(executionArn);
}

/** A machine of one state. */
const one = (state: Shape, name = 'It'): Shape => ({ StartAt: name, States: { [name]: { End: true, ...state } } });
const task = (resource: string, given: Shape, more: Shape = {}): Shape =>
  one({
    Type: 'Task',
    Resource: `arn:aws:states:::${resource}`,
    Arguments: { ...REQUIRED[resource.replace(/^aws-sdk:|\.[\w:]+$/g, '')], ...given },
    ...more,
  });

/** The fields without which Step Functions refuses a Task. */
const REQUIRED: Readonly<Record<string, Shape>> = {
  'dynamodb:putItem': { TableName: 't', Item: {} },
  'lambda:invoke': { FunctionName: 'f' },
  's3:getObject': { Bucket: 'b', Key: 'k' },
  'sagemaker:createModel': { ModelName: 'm' },
  'sagemaker:createTrainingJob': { TrainingJobName: 'j', RoleArn: ROLE, OutputDataConfig: { S3OutputPath: 's3://b' } },
  'sagemaker:describeEndpoint': { EndpointName: 'e' },
  'sagemaker:updateEndpoint': { EndpointName: 'e', EndpointConfigName: 'c' },
  'sqs:sendMessage': { QueueUrl: 'http://q', MessageBody: 'b' },
};

async function events(executionArn: string): Promise<string[]> {
  const { events: found } = await call('GetExecutionHistory', { executionArn, maxResults: 1000 });
  return found.map(({ type }: Shape) => type);
}

beforeEach(() => {
  context = new FakeContext();
  stored = new Map();
});

describe('executions', () => {
  test('with the same name and input are the same while they run, and refused otherwise', async () => {
    load(task('lambda:invoke.waitForTaskToken', {}));
    context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, Payload: 'null' });
    const first = await begin({ a: 1 }, 'run');
    expect(await begin({ a: 1 }, 'run')).toBe(first);
    await expect(begin({ a: 2 }, 'run')).rejects.toMatchObject({ code: 'ExecutionAlreadyExists' });
    await call('StopExecution', { executionArn: first });
    await expect(begin({ a: 1 }, 'run')).rejects.toMatchObject({ code: 'ExecutionAlreadyExists' });
  });

  test('tell the bus and the metrics how they go', async () => {
    const done = await run(one({ Type: 'Pass', Output: 7 }), { x: 1 });
    expect(context.events.map(({ detail }) => detail.status)).toEqual(['RUNNING', 'SUCCEEDED']);
    expect(context.events[1]).toMatchObject({
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      resources: [done.executionArn],
      detail: { stateMachineArn: MACHINE, input: '{"x":1}', output: '7', stopDate: expect.any(Number) },
    });
    expect(context.metrics.map(({ name }) => name)).toEqual([
      'ExecutionsStarted',
      'ExecutionsSucceeded',
      'ExecutionTime',
    ]);
  });

  test('that are stopped end where they are, also in a wait', async () => {
    load(one({ Type: 'Wait', Seconds: 9999 }));
    context.clock.sleep = async (_, signal) => new Promise((done) => signal?.addEventListener('abort', () => done()));
    const executionArn = await begin();
    await call('StopExecution', { executionArn, error: 'Enough', cause: 'by hand' });
    expect(await describeExecution(executionArn)).toMatchObject({
      status: 'ABORTED',
      error: 'Enough',
      cause: 'by hand',
    });
    const { events: found } = await call('GetExecutionHistory', { executionArn });
    expect(found.map(({ type, previousEventId }: Shape) => [type, previousEventId])).toEqual([
      ['ExecutionStarted', 0],
      ['WaitStateEntered', 0],
      ['ExecutionAborted', 0],
    ]);
  });

  test('that are stopped between two attempts make no further one', async () => {
    load(task('sqs:sendMessage', {}, { Retry: [{ ErrorEquals: ['States.ALL'] }] }));
    context.clock.sleep = async (_, signal) => new Promise((done) => signal?.addEventListener('abort', () => done()));
    context.answers['sqs:SendMessage'] = () => {
      throw new ApiError('Busy', 'later');
    };
    const executionArn = await begin();
    await new Promise((done) => setTimeout(done, 20));
    await call('StopExecution', { executionArn });
    expect(context.calls.filter(({ operation }) => operation === 'SendMessage')).toHaveLength(1);
    expect((await events(executionArn)).slice(-2)).toEqual(['TaskFailed', 'ExecutionAborted']);
  });

  test('are listed newest first, by status and in pages', async () => {
    load(one({ Type: 'Pass' }));
    for (const name of ['a', 'b', 'c']) await begin({}, name);
    await context.idle();
    const first = await call('ListExecutions', { stateMachineArn: MACHINE, maxResults: 2, statusFilter: 'SUCCEEDED' });
    expect(first.executions.map(({ name }: Shape) => name)).toEqual(['c', 'b']);
    const rest = await call('ListExecutions', { stateMachineArn: MACHINE, nextToken: first.nextToken });
    expect(rest.executions.map(({ name }: Shape) => name)).toEqual(['a']);
    expect(rest.nextToken).toBeUndefined();
  });

  test('time out in real time, whatever the clock does', async () => {
    context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, Payload: 'null' });
    const { status, executionArn, ...rest } = await run({
      TimeoutSeconds: 1,
      StartAt: 'A',
      States: {
        A: { Type: 'Wait', Seconds: 50_000, Next: 'B' },
        B: task('lambda:invoke.waitForTaskToken', {}).States.It,
      },
    });
    expect(status).toBe('TIMED_OUT');
    // the wait of 50,000 seconds did not count
    expect(context.calls.some(({ operation }) => operation === 'Invoke')).toBe(true);
    // as AWS tells it: the event alone has an error, and it follows none
    expect(rest).not.toHaveProperty('error');
    const { events: found } = await call('GetExecutionHistory', { executionArn, reverseOrder: true });
    expect(found[0]).toMatchObject({
      type: 'ExecutionTimedOut',
      previousEventId: 0,
      executionTimedOutEventDetails: { error: 'States.Timeout' },
    });
  });

  test('are still known to the next engine; what ran then on another definition is aborted', async () => {
    await run(one({ Type: 'Pass', Output: 'kept' }));
    context.clock.sleep = () => new Promise(() => undefined);
    load(one({ Type: 'Wait', Seconds: 9 }));
    const running = await begin({}, 'running');
    context = new FakeContext(new ScaledClock(0), context.stateDir);
    load(one({ Type: 'Pass' }));
    const { executions } = await call('ListExecutions', { stateMachineArn: MACHINE });
    const outputs = await Promise.all(executions.map(({ executionArn }: Shape) => describeExecution(executionArn)));
    expect(outputs.map(({ status }) => status).sort()).toEqual(['ABORTED', 'SUCCEEDED']);
    expect(outputs.find(({ status }) => status === 'SUCCEEDED')?.value).toBe('kept');
    expect((await events(running)).at(-1)).toBe('ExecutionAborted');
  });

  test('that failed can be redriven from the state that failed', async () => {
    let well = false;
    context.answers['sqs:SendMessage'] = () => {
      if (!well) throw new ApiError('QueueDoesNotExist', 'no queue');
      return { MessageId: 'm' };
    };
    const failed = await run(
      {
        StartAt: 'First',
        States: {
          First: { Type: 'Pass', Assign: { kept: '{% $states.input.a %}' }, Next: 'Send' },
          Send: {
            Type: 'Task',
            Resource: 'arn:aws:states:::sqs:sendMessage',
            Arguments: { QueueUrl: 'q', MessageBody: '{% $string($states.context.Execution.RedriveCount) %}' },
            Output: '{% $kept %}',
            End: true,
          },
        },
      },
      { a: 5 },
    );
    expect(failed).toMatchObject({
      status: 'FAILED',
      error: 'SQS.QueueDoesNotExistException',
      redriveStatus: 'REDRIVABLE',
    });
    well = true;
    await call('RedriveExecution', { executionArn: failed.executionArn });
    await context.idle();
    expect(await describeExecution(failed.executionArn)).toMatchObject({
      status: 'SUCCEEDED',
      value: 5,
      redriveCount: 1,
    });
    expect(context.calls.at(-2)?.input.MessageBody).toBe('1');
    await expect(call('RedriveExecution', { executionArn: failed.executionArn })).rejects.toMatchObject({
      code: 'ExecutionNotRedrivable',
    });
  });

  test('need JSON, a lawful name and a machine that exists', async () => {
    load(one({ Type: 'Pass' }));
    const start = (input: Shape) => call('StartExecution', { stateMachineArn: MACHINE, ...input });
    await expect(start({ input: '{' })).rejects.toMatchObject({ code: 'InvalidExecutionInput' });
    await expect(start({ name: 'a b' })).rejects.toMatchObject({ code: 'InvalidName' });
    await expect(start({ input: JSON.stringify('x'.repeat(262_144)) })).rejects.toMatchObject({
      code: 'ValidationException',
    });
    await expect(start({ stateMachineArn: `${MACHINE}2` })).rejects.toMatchObject({ code: 'StateMachineDoesNotExist' });
  });
});

test('states of JSONPath without a path run beside those of JSONata', async () => {
  const done = await run(
    {
      QueryLanguage: 'JSONPath',
      StartAt: 'Keep',
      States: {
        Keep: { Type: 'Pass', Assign: { kept: [1] }, Next: 'Give' },
        Give: { Type: 'Pass', Result: { a: 2 }, Next: 'Read' },
        Read: { Type: 'Pass', QueryLanguage: 'JSONata', Output: '{% [$kept, $states.input.a] %}', Next: 'Done' },
        Done: { Type: 'Succeed' },
      },
    },
    { a: 1 },
  );
  expect(done).toMatchObject({ status: 'SUCCEEDED', value: [1, 2] });
});

describe('a definition is refused at load', () => {
  test('by stack, state machine, state, field, what is there and what may be', () => {
    expect(() => load(one({ Type: 'Pass', Output: { v: '{% phone %}' } }))).toThrow(
      'state machine App/Machine cannot run:\n  UNSUPPORTED_JSONATA_EXPRESSION: Reference to \'phone\' at the top level is not supported. at /States/It/Output/v (got "{% phone %}"; allowed: $states.input, $states.context, variables and functions)',
    );
  });

  test('where an EXPRESS machine may not what others may', () => {
    const waiting = task('sqs:sendMessage.waitForTaskToken', {});
    expect(() => load(waiting)).not.toThrow();
    expect(() => load(waiting, 'EXPRESS')).toThrow("Express state machine does not support '.waitForTaskToken'");
  });

  test('beyond 1 MiB', () => {
    expect(() => load(one({ Type: 'Pass', Comment: 'x'.repeat(2 ** 20) }))).toThrow(
      /its definition must have at most 1,048,576 characters, got 1,048,\d+/,
    );
  });

  test('when its role may not have the rule that reports the end of its jobs', () => {
    context.denied.add('events:PutRule');
    expect(() => load(task('sagemaker:createTrainingJob.sync', {}))).toThrow(
      /'arn:aws:iam::111122223333:role\/Role' is not authorized to create managed-rule.*StepFunctionsGetEventsForSageMakerTrainingJobsRule/,
    );
  });
});

describe('a training job with .sync', () => {
  const job = task('sagemaker:createTrainingJob.sync', { TrainingJobName: 'job-1' });
  let status: string;
  beforeEach(() => {
    status = 'InProgress';
    context.answers['sagemaker:CreateTrainingJob'] = () => ({ TrainingJobArn: 'arn:job' });
    context.answers['sagemaker:StopTrainingJob'] = () => ({});
    context.answers['sagemaker:DescribeTrainingJob'] = () => ({
      TrainingJobStatus: status,
      CreationTime: new Date(1000),
      FailureReason: 'AlgorithmError: x',
    });
  });

  test('gives its description, times as milliseconds, and is tagged as started by Step Functions', async () => {
    setTimeout(() => {
      status = 'Completed';
    }, 150);
    const done = await run(job);
    expect(done.value).toMatchObject({ TrainingJobStatus: 'Completed', CreationTime: 1000 });
    expect(context.calls.find(({ operation }) => operation === 'CreateTrainingJob')).toMatchObject({
      input: { Tags: [{ Key: 'MANAGED_BY_AWS', Value: 'STARTED_BY_STEP_FUNCTIONS' }] },
      caller: { kind: 'role', roleArn: ROLE },
    });
    expect(await events(done.executionArn)).toEqual([
      'ExecutionStarted',
      'TaskStateEntered',
      'TaskScheduled',
      'TaskStarted',
      'TaskSubmitted',
      'TaskSucceeded',
      'TaskStateExited',
      'ExecutionSucceeded',
    ]);
    expect(context.calls.some(({ operation }) => operation === 'StopTrainingJob')).toBe(false);
  });

  test.each(['Failed', 'Stopped'])('that ends %s fails with its description as the cause', async (end) => {
    status = end;
    const { error, cause } = await run(job);
    expect(error).toBe('States.TaskFailed');
    expect(JSON.parse(cause)).toMatchObject({ TrainingJobStatus: end, FailureReason: 'AlgorithmError: x' });
  });

  test('is stopped with its execution', async () => {
    load(job);
    const executionArn = await begin();
    await new Promise((done) => setTimeout(done, 50));
    await call('StopExecution', { executionArn });
    await context.idle();
    expect(context.calls.at(-1)).toMatchObject({ operation: 'StopTrainingJob', input: { TrainingJobName: 'job-1' } });
  });

  test('is stopped when its time is over', async () => {
    const { error } = await run(
      task('sagemaker:createTrainingJob.sync', { TrainingJobName: 'job-1' }, { TimeoutSeconds: 1 }),
    );
    expect(error).toBe('States.Timeout');
    expect(context.calls.some(({ operation }) => operation === 'StopTrainingJob')).toBe(true);
  });

  test('fails where the role may not tag it', async () => {
    context.denied.add('sagemaker:AddTags');
    const { error, cause } = await run(job);
    expect(error).toBe('SageMaker.AmazonSageMakerException');
    expect(cause).toMatch(/sagemaker:AddTags.*Error Code: AccessDeniedException/);
  });
});

describe('service errors', () => {
  test.each([
    [
      'sagemaker:createModel',
      'sagemaker:CreateModel',
      'ResourceLimitExceeded',
      'SageMaker.ResourceLimitExceededException',
    ],
    ['sagemaker:createModel', 'sagemaker:CreateModel', 'ValidationException', 'SageMaker.AmazonSageMakerException'],
    [
      'aws-sdk:sagemaker:describeEndpoint',
      'sagemaker:DescribeEndpoint',
      'ValidationException',
      'SageMaker.SageMakerException',
    ],
    ['aws-sdk:sagemaker:createModel', 'sagemaker:CreateModel', 'ResourceInUse', 'SageMaker.ResourceInUseException'],
    ['aws-sdk:s3:getObject', 's3:GetObject', 'NoSuchKey', 'S3.NoSuchKeyException'],
    [
      'aws-sdk:sfn:startExecution',
      'states:StartExecution',
      'StateMachineDoesNotExist',
      'Sfn.StateMachineDoesNotExistException',
    ],
    [
      'dynamodb:putItem',
      'dynamodb:PutItem',
      'ConditionalCheckFailedException',
      'DynamoDB.ConditionalCheckFailedException',
    ],
    ['aws-sdk:dynamodb:putItem', 'dynamodb:PutItem', 'ValidationException', 'DynamoDb.DynamoDbException'],
    ['lambda:invoke', 'lambda:Invoke', 'TooManyRequestsException', 'Lambda.TooManyRequestsException'],
    ['lambda:invoke', 'lambda:Invoke', 'AccessDeniedException', 'Lambda.AWSLambdaException'],
  ])('of %s (%s: %s) are %s', async (resource, operation, code, name) => {
    context.answers[operation] = () => {
      throw new ApiError(code, 'no');
    };
    const given = resource.includes('sfn') ? { StateMachineArn: 'arn:x' } : {};
    expect((await run(task(resource, given))).error).toBe(name);
  });
});

describe('integrations', () => {
  test('lambda:invoke gives the payload as a value; a function error has the error type as its name', async () => {
    context.answers['lambda:Invoke'] = ({ Payload }) => ({ StatusCode: 200, Payload });
    const done = await run(task('lambda:invoke', { FunctionName: 'f', Payload: { a: '{% $states.input.b %}' } }), {
      b: 2,
    });
    expect(done.value).toMatchObject({ Payload: { a: 2 }, StatusCode: 200, ExecutedVersion: '$LATEST' });
    const payload = '{"errorType":"Data.Bad","errorMessage":"x"}';
    context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, FunctionError: 'Unhandled', Payload: payload });
    expect(await run(task('lambda:invoke', { FunctionName: 'f' }))).toMatchObject({
      error: 'Data.Bad',
      cause: payload,
    });
  });

  test('aws-sdk gives times as text, and Step Functions its members with capitals', async () => {
    context.answers['sagemaker:DescribeEndpoint'] = () => ({ CreationTime: new Date(0) });
    expect((await run(task('aws-sdk:sagemaker:describeEndpoint', {}))).value).toEqual({
      CreationTime: '1970-01-01T00:00:00.000Z',
    });
    context.answers['monitoring:DescribeAlarms'] = () => ({ MetricAlarms: [] });
    expect((await run(task('aws-sdk:cloudwatch:describeAlarms', {}))).value).toEqual({ MetricAlarms: [] });
    const listed = await run(task('aws-sdk:sfn:listExecutions', { StateMachineArn: MACHINE }));
    expect(listed.value.Executions[0]).toMatchObject({ StateMachineArn: MACHINE, Status: 'RUNNING' });
  });

  test('optimized SageMaker refuses fields that Step Functions does not know', async () => {
    const unknown = { EndpointName: 'e', DeploymentConfig: {} };
    const message = 'The field "DeploymentConfig" is not supported by Step Functions';
    expect(() => load(task('sagemaker:updateEndpoint', unknown))).toThrow(message);
    const Arguments = `{% ${JSON.stringify(unknown)} %}`;
    const { error, cause } = await run(task('sagemaker:updateEndpoint', {}, { Arguments }));
    expect(error).toBe('States.Runtime');
    expect(cause).toContain(message);
  });

  test('events:putEvents fails where an entry failed', async () => {
    context.answers['events:PutEvents'] = () => ({ FailedEntryCount: 1, Entries: [{ ErrorCode: 'X' }] });
    expect((await run(task('events:putEvents', { Entries: [{ Detail: { a: 1 } }] }))).error).toBe(
      'EventBridge.FailedEntry',
    );
    const sent = context.calls.find(({ operation }) => operation === 'PutEvents');
    expect(sent?.input.Entries[0].Detail).toBe('{"a":1}');
  });

  test('what does not exist here says what does', async () => {
    const { error, cause } = await run(task('ecs:runTask.sync', {}));
    expect(error).toBe('States.Runtime');
    expect(cause).toMatch(/no integration arn:aws:states:::ecs:runTask.sync\. It has aws-sdk/);
  });

  test('states:startExecution.sync:2 gives the output of the other execution as a value', async () => {
    const resource = 'states:startExecution.sync:2';
    const done = await run(
      {
        StartAt: 'Which',
        States: {
          Which: {
            Type: 'Choice',
            Choices: [{ Condition: '{% $states.input.inner %}', Next: 'Inner' }],
            Default: 'Outer',
          },
          Inner: { Type: 'Pass', Output: { answer: 42 }, End: true },
          Outer: {
            ...task(resource, { StateMachineArn: MACHINE, Input: { inner: true } }).States.It,
            Output: '{% $states.result.Output %}',
          },
        },
      },
      { inner: false },
    );
    expect(done.value).toEqual({ answer: 42 });
  });

  test('Credentials need sts:AssumeRole and then call as that role', async () => {
    const RoleArn = 'arn:aws:iam::111122223333:role/Other';
    context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, Payload: '1' });
    await run(task('lambda:invoke', { FunctionName: 'f' }, { Credentials: { RoleArn } }));
    expect(context.asked).toContainEqual({ action: 'sts:AssumeRole', resource: RoleArn });
    expect(context.calls.find(({ operation }) => operation === 'Invoke')?.caller).toMatchObject({ roleArn: RoleArn });
  });
});

describe('a task token', () => {
  const waiting = (more: Shape = {}) =>
    task('sqs:sendMessage.waitForTaskToken', { MessageBody: { token: '{% $states.context.Task.Token %}' } }, more);
  const token = () =>
    JSON.parse(context.calls.find(({ operation }) => operation === 'SendMessage')?.input.MessageBody).token;
  beforeEach(() => {
    context.answers['sqs:SendMessage'] = () => ({ MessageId: 'm' });
  });
  const started = async (more: Shape = {}) => {
    load(waiting(more));
    const executionArn = await begin();
    await new Promise((done) => setTimeout(done, 20));
    return executionArn;
  };

  test('brings the result, once', async () => {
    const executionArn = await started();
    await call('SendTaskSuccess', { taskToken: token(), output: '{"yes":true}' });
    await context.idle();
    expect((await describeExecution(executionArn)).value).toEqual({ yes: true });
    await expect(call('SendTaskSuccess', { taskToken: token(), output: '1' })).rejects.toMatchObject({
      code: 'TaskTimedOut',
    });
  });

  test('brings the failure', async () => {
    const executionArn = await started();
    await call('SendTaskFailure', { taskToken: token(), error: 'Refused', cause: 'by Ann' });
    await context.idle();
    expect(await describeExecution(executionArn)).toMatchObject({ error: 'Refused', cause: 'by Ann' });
  });

  test('is lost without heartbeats', async () => {
    const executionArn = await started({ HeartbeatSeconds: 1 });
    const since = Date.now();
    await new Promise((done) => setTimeout(done, 700));
    await call('SendTaskHeartbeat', { taskToken: token() });
    await context.idle();
    const described = await describeExecution(executionArn);
    expect(described.error).toBe('States.Timeout');
    expect(described).not.toHaveProperty('cause');
    expect(Date.now() - since).toBeGreaterThan(1600);
    const { events: found } = await call('GetExecutionHistory', { executionArn });
    expect(found.find(({ type }: Shape) => type === 'TaskTimedOut').taskTimedOutEventDetails).toEqual({
      resourceType: 'sqs',
      resource: 'sendMessage.waitForTaskToken',
      error: 'States.Timeout',
    });
  });

  test('that is lost without heartbeats can be caught by that name, and by the one that history gives', async () => {
    for (const name of ['States.HeartbeatTimeout', 'States.Timeout']) {
      const { StartAt, States } = waiting({
        HeartbeatSeconds: 1,
        Catch: [
          { ErrorEquals: ['States.TaskFailed'], Output: 'failed', Next: 'Caught' },
          { ErrorEquals: [name], Output: '{% $states.errorOutput.Error %}', Next: 'Caught' },
        ],
      });
      load({ StartAt, States: { ...States, Caught: { Type: 'Pass', End: true } } });
      const executionArn = await begin();
      await context.idle();
      expect((await describeExecution(executionArn)).value).toBe('States.Timeout');
    }
  });
});

describe('a Distributed Map', () => {
  const map = (more: Shape) =>
    one({
      Type: 'Map',
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
        ...one({ Type: 'Pass' }, 'Item'),
      },
      ...more,
    });
  const reader = (given: Shape, config: Shape, action = 'getObject') => ({
    ItemReader: {
      Resource: `arn:aws:states:::s3:${action}`,
      Arguments: { Bucket: 'b', ...given },
      ReaderConfig: config,
    },
  });

  test('reads CSV with quoted fields', async () => {
    stored.set('a.csv', 'id,text\r\n1,"a ""b"", c\nd"\r\n2,e\r\n');
    const { value } = await run(map(reader({ Key: 'a.csv' }, { InputType: 'CSV', CSVHeaderLocation: 'FIRST_ROW' })));
    expect(value).toEqual([
      { id: '1', text: 'a "b", c\nd' },
      { id: '2', text: 'e' },
    ]);
  });

  test('reads JSON from a pointer, as far as MaxItems, and lists of objects', async () => {
    stored.set('a.json', '{"rows":[1,2,3]}');
    const json = reader({ Key: 'a.json' }, { InputType: 'JSON', ItemsPointer: '/rows', MaxItems: 2 });
    expect((await run(map(json))).value).toEqual([1, 2]);
    const listed = await run(map(reader({ Prefix: 'a' }, {}, 'listObjectsV2')));
    expect(listed.value).toMatchObject([{ Key: 'a.json', Size: 16 }]);
  });

  test('batches by count and by bytes, with the batch input', async () => {
    const batched = (batcher: Shape) =>
      run(map({ Items: [1, 2, 3], ItemBatcher: { BatchInput: { run: '{% $states.input.run %}' }, ...batcher } }), {
        run: 'r',
      });
    expect((await batched({ MaxItemsPerBatch: 2 })).value).toEqual([
      { BatchInput: { run: 'r' }, Items: [1, 2] },
      { BatchInput: { run: 'r' }, Items: [3] },
    ]);
    expect((await batched({ MaxInputBytesPerBatch: 42 })).value).toHaveLength(2);
  });

  const failing = (more: Shape) =>
    map({
      Items: [1, 2, 3, 4],
      ItemProcessor: {
        ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' },
        StartAt: 'Odd?',
        States: {
          'Odd?': { Type: 'Choice', Choices: [{ Condition: '{% $states.input = 3 %}', Next: 'No' }], Default: 'Yes' },
          No: { Type: 'Fail', Error: 'Odd' },
          Yes: { Type: 'Succeed' },
        },
      },
      ...more,
    });

  test('fails beyond the failures that it tolerates, and not before', async () => {
    expect(await run(failing({}))).toMatchObject({ status: 'FAILED', error: 'States.ExceedToleratedFailureThreshold' });
    expect((await run(failing({ ToleratedFailureCount: 1 }))).value).toEqual([1, 2, 4]);
    expect((await run(failing({ ToleratedFailurePercentage: 25 }))).value).toEqual([1, 2, 4]);
    expect((await run(failing({ ToleratedFailurePercentage: 24 }))).status).toBe('FAILED');
  });

  test('writes its results with a manifest', async () => {
    const writer = {
      ResultWriter: { Resource: 'arn:aws:states:::s3:putObject', Arguments: { Bucket: 'b', Prefix: 'out' } },
    };
    const { value } = await run(failing({ ToleratedFailureCount: 1, ...writer }));
    const { Bucket, Key } = value.ResultWriterDetails;
    expect(Bucket).toBe('b');
    const manifest = JSON.parse(stored.get(Key) ?? '');
    const [{ Key: failed }] = manifest.ResultFiles.FAILED;
    expect(JSON.parse(stored.get(failed) ?? '')).toEqual([{ Input: '3', Error: 'Odd', Status: 'FAILED' }]);
  });

  test('needs states:StartExecution, and a file that exists', async () => {
    expect((await run(map(reader({ Key: 'gone' }, { InputType: 'JSON' })))).error).toBe('States.ItemReaderFailed');
    context.denied.add('states:StartExecution');
    load(map({ Items: [1] }));
    context.denied.delete('states:StartExecution');
    const executionArn = await begin();
    context.denied.add('states:StartExecution');
    await context.idle();
    expect((await describeExecution(executionArn)).error).toBe('StepFunctions.AWSStepFunctionsException');
  });
});

test('a state machine of a template in another region names that region in its history', async () => {
  context.answers['lambda:Invoke'] = () => ({ StatusCode: 200, Payload: '1' });
  const { executionArn } = await run(task('lambda:invoke', { FunctionName: 'f' }));
  const { events: found } = await call('GetExecutionHistory', { executionArn });
  expect(found.find(({ type }: Shape) => type === 'TaskScheduled').taskScheduledEventDetails).toMatchObject({
    resourceType: 'lambda',
    resource: 'invoke',
    region: PLACE.region,
  });
});
