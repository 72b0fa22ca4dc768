import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiError, type Caller, type Resource, type Shape } from '../src/service';
import { EventBridge } from '../src/services/events/service';
import { RecordingContext } from './support/recording-context';

const QUEUE = 'arn:aws:sqs:eu-west-1:111111111111:jobs';
const DEAD = 'arn:aws:sqs:eu-west-1:111111111111:dead';
const MACHINE = 'arn:aws:states:eu-west-1:111111111111:stateMachine:train';
const ROLE = 'arn:aws:iam::111111111111:role/start';
const ROOT: Caller = { kind: 'root' };
const UPLOAD = {
  source: 'aws.s3',
  'detail-type': 'Object Created',
  detail: { object: { key: 'incoming/a.csv', size: 7 } },
};

let context: RecordingContext;
let bridge: EventBridge;

beforeEach(() => {
  context = new RecordingContext();
  bridge = new EventBridge(context);
});
afterEach(() => {
  context.stop();
  bridge.stop();
});

function rule(properties: Shape, name = 'uploads'): Resource {
  const bus = properties.EventBusName === undefined ? '' : `${properties.EventBusName}/`;
  return {
    stack: 'Stack',
    logicalId: 'Rule',
    path: 'Stack/Rule',
    type: 'AWS::Events::Rule',
    physicalId: name,
    arn: `arn:aws:events:eu-west-1:111111111111:rule/${bus}${name}`,
    properties,
  };
}

/** Loads one rule on uploads with this target, and publishes an upload. */
async function upload(target: Shape): Promise<void> {
  bridge.load([rule({ EventPattern: { source: ['aws.s3'] }, Targets: [{ Id: 'T', ...target }] })]);
  bridge.accept(UPLOAD);
  await context.idle();
}

const run = (operation: string, input: Shape) => bridge.operations[operation]?.run(input, ROOT);

/** Runs what is in the background while time passes. */
async function passes(milliseconds: number): Promise<void> {
  await new Promise(setImmediate); // what runs comes to its first wait
  await context.clock.advance(milliseconds);
  await context.idle();
}

describe('a rule with a pattern', () => {
  test('gives its targets the whole event, in the name of the rule', async () => {
    await upload({ Arn: QUEUE });

    const [call] = context.calls;
    expect(call).toMatchObject({
      service: 'sqs',
      operation: 'SendMessage',
      input: { QueueUrl: 'http://127.0.0.1:4566/111111111111/jobs' },
      caller: { kind: 'service', principal: 'events.amazonaws.com', sourceArn: rule({}).arn },
    });
    expect(JSON.parse(call?.input.MessageBody)).toEqual({
      version: '0',
      id: expect.stringMatching(/^[\da-f-]{36}$/),
      account: '111111111111',
      region: 'eu-west-1',
      time: '2026-01-01T00:00:00Z',
      resources: [],
      ...UPLOAD,
    });
  });

  test('starts a state machine under the role of the target', async () => {
    await upload({ Arn: MACHINE, RoleArn: ROLE, InputPath: '$.detail.object' });
    expect(context.calls).toEqual([
      {
        service: 'states',
        operation: 'StartExecution',
        input: { stateMachineArn: MACHINE, input: '{"key":"incoming/a.csv","size":7}' },
        caller: { kind: 'role', roleArn: ROLE },
      },
    ]);
  });

  test('calls functions and topics', async () => {
    const resources = rule({
      EventPattern: { source: ['aws.s3'] },
      Targets: [
        { Id: 'F', Arn: 'arn:aws:lambda:eu-west-1:111111111111:function:f', Input: '{"fixed":1}' },
        { Id: 'T', Arn: 'arn:aws:sns:eu-west-1:111111111111:t', InputPath: '$.detail.object.key' },
      ],
    });
    bridge.load([resources]);
    bridge.accept(UPLOAD);
    await context.idle();
    expect(context.calls.map(({ operation, input }) => [operation, input.Payload ?? input.Message])).toEqual([
      ['Invoke', '{"fixed":1}'],
      ['Publish', '"incoming/a.csv"'],
    ]);
  });

  test('forwards to another bus, whose rules then see the event', async () => {
    const bus = 'arn:aws:events:eu-west-1:111111111111:event-bus/own';
    bridge.load([
      rule({ EventPattern: { source: ['aws.s3'] }, Targets: [{ Id: 'B', Arn: bus, RoleArn: ROLE }] }),
      rule({ EventBusName: 'own', EventPattern: { source: ['aws.s3'] }, Targets: [{ Id: 'Q', Arn: QUEUE }] }, 'inner'),
    ]);
    bridge.accept(UPLOAD);
    await context.idle();
    expect(context.calls).toHaveLength(1);
    expect(bridge.events.map(({ bus, rules }) => [bus, rules])).toEqual([
      ['default', ['uploads']],
      ['own', ['inner']],
    ]);
  });

  test('stays quiet when it does not match or is disabled', async () => {
    const Targets = [{ Id: 'Q', Arn: QUEUE }];
    bridge.load([
      rule({ EventPattern: { source: ['aws.ec2'] }, Targets }),
      rule({ EventPattern: { source: ['aws.s3'] }, State: 'DISABLED', Targets }, 'off'),
    ]);
    bridge.accept(UPLOAD);
    await context.idle();
    expect(context.calls).toEqual([]);
    expect(bridge.events).toMatchObject([{ bus: 'default', rules: [] }]);
  });

  test('delivers every event several times when asked to, always with the same id', async () => {
    context.delivery = { copies: 3, shuffle: true };
    await upload({ Arn: QUEUE });
    const ids = context.calls.map(({ input }) => JSON.parse(input.MessageBody).id);
    expect(ids).toHaveLength(3);
    expect(new Set(ids).size).toBe(1);
  });

  test('delivers out of order when asked to', async () => {
    context.delivery = { copies: 1, shuffle: true };
    bridge.load([
      rule({ EventPattern: { source: ['x'] }, Targets: [{ Id: 'Q', Arn: QUEUE, InputPath: '$.detail.n' }] }),
    ]);
    for (const n of [1, 2, 3]) bridge.accept({ source: 'x', 'detail-type': 'x', detail: { n } });
    await context.idle();
    expect(context.calls.map(({ input }) => input.MessageBody)).toEqual(['2', '3', '1']); // delays 45, 5, 25 ms
  });
});

describe('an input transformer', () => {
  const transformed = async (InputTemplate: string, event: Shape = UPLOAD) => {
    const InputPathsMap = {
      key: '$.detail.object.key',
      size: '$.detail.object.size',
      object: '$.detail.object',
      no: '$.detail.no',
    };
    bridge.load([
      rule({
        EventPattern: { source: ['aws.s3'] },
        Targets: [{ Id: 'Q', Arn: QUEUE, InputTransformer: { InputPathsMap, InputTemplate } }],
      }),
    ]);
    bridge.accept(event);
    await context.idle();
    return context.calls[0]?.input.MessageBody;
  };

  test('keeps the JSON type of a value that stands by itself', async () => {
    expect(JSON.parse(await transformed('{"key":<key>,"size":<size>,"object":<object>}'))).toEqual({
      key: 'incoming/a.csv',
      size: 7,
      object: { key: 'incoming/a.csv', size: 7 },
    });
  });

  test('writes values into strings without quotes', async () => {
    expect(await transformed('{"text":"<key> has <size>: <object>"}')).toBe(
      '{"text":"incoming/a.csv has 7: {key:incoming/a.csv,size:7}"}',
    );
    expect(JSON.parse(await transformed('{"text":"<key>"}'))).toEqual({ text: expect.any(String) });
  });

  test('fills a template that is one string', async () => {
    expect(await transformed('"<key> arrived"')).toBe('"incoming/a.csv arrived"');
  });

  test('makes an empty string of what the event lacks', async () => {
    expect(await transformed('{"no":<no>,"text":"[<no>]","unknown":<unknown>}')).toBe(
      '{"no":"","text":"[]","unknown":""}',
    );
  });

  test('knows the rule and the event', async () => {
    const text = await transformed(
      '{"rule":<aws.events.rule-arn>,"name":"<aws.events.rule-name>","event":<aws.events.event.json>}',
    );
    expect(JSON.parse(text)).toMatchObject({ rule: rule({}).arn, name: 'uploads', event: UPLOAD });
  });

  test('keeps a JSON template whole when a value has quotes', async () => {
    const event = { ...UPLOAD, detail: { object: { key: 'a "b".csv' } } };
    expect(JSON.parse(await transformed('{"text":"<key>","key":<key>}', event))).toEqual({
      text: 'a "b".csv',
      key: 'a "b".csv',
    });
  });
});

describe('a delivery that fails', () => {
  const failing = (error: Error, times = Number.POSITIVE_INFINITY) => {
    let left = times;
    context.answer = ({ input }) => {
      if (input.QueueUrl.endsWith('/jobs') && left-- > 0) throw error;
      return {};
    };
  };
  const attributes = () => {
    const letter = context.calls.find(({ input }) => input.QueueUrl.endsWith('/dead'));
    return Object.fromEntries(
      Object.entries<Shape>(letter?.input.MessageAttributes ?? {}).map(([name, { StringValue }]) => [
        name,
        StringValue,
      ]),
    );
  };
  const target = { Arn: QUEUE, DeadLetterConfig: { Arn: DEAD } };

  test('goes straight to the dead-letter queue for want of permission', async () => {
    failing(new ApiError('AccessDenied', 'not allowed', 403));
    await upload(target);
    expect(context.calls).toHaveLength(2);
    expect(attributes()).toEqual({
      RULE_ARN: rule({}).arn,
      TARGET_ARN: QUEUE,
      ERROR_CODE: 'NO_PERMISSIONS',
      ERROR_MESSAGE: 'not allowed',
      RETRY_ATTEMPTS: '0',
    });
    expect(JSON.parse(context.calls[1]?.input.MessageBody)).toMatchObject(UPLOAD);
  });

  test('goes there too when the role does not trust EventBridge', async () => {
    await upload({
      Arn: MACHINE,
      RoleArn: 'arn:aws:iam::111111111111:role/untrusting',
      DeadLetterConfig: { Arn: DEAD },
    });
    expect(attributes()).toMatchObject({ ERROR_CODE: 'NO_PERMISSIONS', TARGET_ARN: MACHINE });
  });

  test('is tried again after growing waits', async () => {
    failing(new ApiError('ServiceUnavailable', 'later', 503), 3);
    bridge.load([rule({ EventPattern: { source: ['aws.s3'] }, Targets: [{ Id: 'T', ...target }] })]);
    bridge.accept(UPLOAD);
    await passes(60_000);
    expect(context.calls.map(({ input }) => input.QueueUrl.split('/').at(-1))).toEqual([
      'jobs',
      'jobs',
      'jobs',
      'jobs',
    ]);
  });

  test('is given up after the attempts that the target allows', async () => {
    failing(new ApiError('Throttling', 'slow down'));
    bridge.load([
      rule({
        EventPattern: { source: ['aws.s3'] },
        Targets: [{ Id: 'T', ...target, RetryPolicy: { MaximumRetryAttempts: 2 } }],
      }),
    ]);
    bridge.accept(UPLOAD);
    await passes(60_000);
    expect(context.calls).toHaveLength(4);
    expect(attributes()).toMatchObject({
      ERROR_CODE: 'THROTTLING',
      RETRY_ATTEMPTS: '2',
      EXHAUSTED_RETRY_CONDITION: 'MaximumRetryAttempts',
    });
  });

  test('is given up when the event has grown too old', async () => {
    failing(new Error('no answer'));
    bridge.load([
      rule({
        EventPattern: { source: ['aws.s3'] },
        Targets: [{ Id: 'T', ...target, RetryPolicy: { MaximumEventAgeInSeconds: 60 } }],
      }),
    ]);
    bridge.accept(UPLOAD);
    await passes(120_000);
    expect(attributes()).toMatchObject({ EXHAUSTED_RETRY_CONDITION: 'MaximumEventAgeInSeconds' });
  });

  test('is not tried again when the target is gone or refuses the request, and says so in the log', async () => {
    failing(new ApiError('QueueDoesNotExist', 'no such queue'));
    await upload({ Arn: QUEUE });
    expect(context.calls).toHaveLength(1);
    expect(context.logged).toEqual([expect.stringContaining('no such queue')]);
  });

  test('to a kind of target that the engine lacks names those it has', async () => {
    await upload({ Arn: 'arn:aws:kinesis:eu-west-1:111111111111:stream/s' });
    expect(context.logged).toEqual([
      expect.stringContaining('queues, topics, functions, state machines and event buses'),
    ]);
  });
});

describe('a rule with a schedule', () => {
  test('fires on the clock', async () => {
    bridge.load([rule({ ScheduleExpression: 'rate(5 minutes)', Targets: [{ Id: 'Q', Arn: QUEUE }] })]);
    await passes(11 * 60_000);
    expect(context.calls.map(({ input }) => JSON.parse(input.MessageBody))).toMatchObject([
      {
        source: 'aws.events',
        'detail-type': 'Scheduled Event',
        time: '2026-01-01T00:05:00Z',
        resources: [rule({}).arn],
      },
      { time: '2026-01-01T00:10:00Z' },
    ]);
  });

  test('stops with the engine', async () => {
    bridge.load([rule({ ScheduleExpression: 'rate(1 minute)', Targets: [{ Id: 'Q', Arn: QUEUE }] })]);
    bridge.stop();
    await passes(600_000);
    expect(context.calls).toEqual([]);
  });
});

describe('PutEvents', () => {
  const entry = { Source: 'perennial', DetailType: 'Asked', Detail: '{"by":"me"}' };

  test('takes events to the rules and answers with their ids', async () => {
    bridge.load([rule({ EventPattern: { source: ['perennial'] }, Targets: [{ Id: 'Q', Arn: QUEUE }] })]);
    const answer = await run('PutEvents', { Entries: [entry] });
    await context.idle();
    expect(answer).toEqual({ FailedEntryCount: 0, Entries: [{ EventId: expect.any(String) }] });
    expect(JSON.parse(context.calls[0]?.input.MessageBody)).toMatchObject({
      id: answer.Entries[0].EventId,
      detail: { by: 'me' },
    });
  });

  test.each([
    ['a detail that is not JSON', { Detail: '{' }, 'MalformedDetail'],
    ['a detail that is a list', { Detail: '[]' }, 'MalformedDetail'],
    ['no source', { Source: undefined }, 'InvalidArgument'],
    ['no detail type', { DetailType: '' }, 'InvalidArgument'],
    ['the source of a service', { Source: 'aws.s3' }, 'NotAuthorizedForSourceException'],
  ])('refuses the one entry with %s', async (_, change, code) => {
    const answer = await run('PutEvents', { Entries: [entry, { ...entry, ...change }] });
    expect(answer).toMatchObject({
      FailedEntryCount: 1,
      Entries: [{ EventId: expect.any(String) }, { ErrorCode: code }],
    });
    expect(bridge.events).toHaveLength(1);
  });

  test('refuses more than ten entries, none, and more than a mebibyte', () => {
    const put = (Entries: Shape[]) => () => run('PutEvents', { Entries });
    const big = { ...entry, Detail: JSON.stringify({ text: 'x'.repeat(2 ** 20) }) };
    for (const entries of [Array(11).fill(entry), [], [big]]) {
      expect(put(entries)).toThrow(expect.objectContaining({ name: 'ValidationException' }));
    }
  });

  test('needs permission on the bus of each entry, for its source and kind', () => {
    const conditions = { 'events:source': 'perennial', 'events:detail-type': 'Asked' };
    expect(bridge.operations.PutEvents?.needs({ Entries: [entry, { ...entry, EventBusName: 'own' }] }, ROOT)).toEqual([
      { action: 'events:PutEvents', resource: 'arn:aws:events:eu-west-1:111111111111:event-bus/default', conditions },
      { action: 'events:PutEvents', resource: 'arn:aws:events:eu-west-1:111111111111:event-bus/own', conditions },
    ]);
  });
});

describe('the rules API', () => {
  test('makes a rule that works', async () => {
    await run('PutRule', { Name: 'made', EventPattern: '{"source":["aws.s3"]}' });
    await run('PutTargets', { Rule: 'made', Targets: [{ Id: 'Q', Arn: QUEUE }] });
    bridge.accept(UPLOAD);
    await context.idle();
    expect(context.calls).toHaveLength(1);
    expect(run('DescribeRule', { Name: 'made' })).toMatchObject({
      Name: 'made',
      State: 'ENABLED',
      EventBusName: 'default',
    });
    expect(run('ListRules', {})).toMatchObject({ Rules: [{ Name: 'made' }] });
  });

  test('keeps the targets when a rule is put again, and does not delete a rule with targets', async () => {
    run('PutRule', { Name: 'made', EventPattern: '{"source":["a"]}' });
    run('PutTargets', { Rule: 'made', Targets: [{ Id: 'Q', Arn: QUEUE }] });
    run('PutRule', { Name: 'made', EventPattern: '{"source":["b"]}' });
    expect(run('ListTargetsByRule', { Rule: 'made' })).toEqual({ Targets: [{ Id: 'Q', Arn: QUEUE }] });
    expect(() => run('DeleteRule', { Name: 'made' })).toThrow("Rule can't be deleted since it has targets.");
    run('RemoveTargets', { Rule: 'made', Ids: ['Q'] });
    run('DeleteRule', { Name: 'made' });
    expect(() => run('DescribeRule', { Name: 'made' })).toThrow('Rule made does not exist on EventBus default.');
  });

  test('refuses a pattern, a schedule and a name that are wrong', () => {
    expect(() => run('PutRule', { Name: 'made', EventPattern: '{"a":1}' })).toThrow('must be an object or an array');
    expect(() => run('PutRule', { Name: 'made', ScheduleExpression: 'rate(1 minutes)' })).toThrow('rate(1 minutes)');
    expect(() => run('PutRule', { Name: 'a name', EventPattern: '{"a":[1]}' })).toThrow('got a name');
    expect(() => run('PutRule', { Name: 'made' })).toThrow('EventPattern or ScheduleExpression');
  });

  test('tests a pattern', () => {
    const input = { EventPattern: '{"source":["aws.s3"]}', Event: JSON.stringify(UPLOAD) };
    expect(run('TestEventPattern', input)).toEqual({ Result: true });
  });
});
