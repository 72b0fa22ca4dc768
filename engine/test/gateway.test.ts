import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetTopicAttributesCommand, ListTagsForResourceCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { notImplemented } from '../src/gateway/gateway';
import { fromForm } from '../src/gateway/protocols';
import { ApiError, type Caller, type Service, type Shape } from '../src/service';
import { Door } from './support/door';
import { signed, type Unsigned } from './support/signed';

const ROLE = 'arn:aws:iam::000000000000:role/worker';

/** What the services were asked, newest last. */
const asked: { service: string; operation: string; input: Shape; caller: Caller }[] = [];
/** What they answer, by operation. */
const answers: Record<string, Shape | (() => never)> = {};
const failures: unknown[] = [];

const rest: Service = {
  name: 'lambda',
  operations: {},
  handle: async (request, response, url, { caller, body }) => {
    if (url.pathname === '/missing') return false;
    if (url.pathname === '/bad') throw new ApiError('ResourceNotFoundException', 'no such function', 404);
    if (url.pathname === '/broken') throw new TypeError('a bug');
    response.end(JSON.stringify({ path: url.pathname, method: request.method, caller, body: body.toString() }));
    return true;
  },
};
const services = new Map<string, Service>([['lambda', rest]]);
for (const name of ['events', 'states', 'sns', 'monitoring', 's3']) services.set(name, { name, operations: {} });

const emulator = createServer((request, response) => {
  request.pipe(response.setHeader('x-seen-target', String(request.headers['x-amz-target'])));
});
let door: Door;

beforeAll(async () => {
  await new Promise<void>((done) => emulator.listen(0, '127.0.0.1', done));
  door = new Door({
    services,
    call: async (service, operation, input, caller) => {
      asked.push({ service, operation, input, caller });
      const answer = answers[operation];
      if (answer === undefined) throw notImplemented(service, operation);
      return typeof answer === 'function' ? answer() : answer;
    },
    delegates: { kinesis: `http://127.0.0.1:${(emulator.address() as AddressInfo).port}` },
    failed: (_, error) => failures.push(error),
  });
  await door.gateway.listen(0);
});

afterAll(async () => {
  await door.gateway.close();
  emulator.closeAllConnections();
  emulator.close();
});

/** A signed request. */
async function raw(path: string, service: string, request: Unsigned = {}, keys = door.keys.root): Promise<Response> {
  return fetch(...(await signed(door.clientWith(keys), service, { path, ...request })));
}

const json = { 'x-amz-target': 'Some.DoIt', 'content-type': 'application/x-amz-json-1.1' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

describe('JSON services', () => {
  test('get their input and answer the unmodified SDK', async () => {
    answers.PutEvents = { FailedEntryCount: 0, Entries: [{ EventId: 'e' }] };
    const Time = new Date('2026-01-02T03:04:05Z');
    const reply = await new EventBridgeClient(door.client).send(
      new PutEventsCommand({ Entries: [{ Source: 's', Time }] }),
    );
    expect(reply.Entries).toEqual([{ EventId: 'e' }]);
    expect(reply.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(asked.at(-1)).toEqual({
      service: 'events',
      operation: 'PutEvents',
      input: { Entries: [{ Source: 's', Time: Time.getTime() / 1000 }] },
      caller: { kind: 'root' },
    });
  });

  test('send times as dates', async () => {
    const startDate = new Date('2026-01-02T03:04:05.678Z');
    answers.DescribeExecution = { startDate };
    const reply = await new SFNClient(door.client).send(new DescribeExecutionCommand({ executionArn: 'arn' }));
    expect(reply.startDate).toEqual(startDate);
  });

  test('send errors that the SDK knows', async () => {
    answers.DescribeExecution = () => {
      throw new ApiError('ExecutionDoesNotExist', 'no such execution');
    };
    const sent = new SFNClient(door.client).send(new DescribeExecutionCommand({ executionArn: 'arn' }));
    await expect(sent).rejects.toMatchObject({
      name: 'ExecutionDoesNotExist',
      message: 'no such execution',
      $metadata: { httpStatusCode: 400 },
    });
  });

  test('write bytes in base64', async () => {
    answers.DoIt = { blob: Buffer.from('hi'), nested: [{ at: new Date(1500) }] };
    const reply = await raw('/', 'events', { method: 'POST', headers: json, body: '{}' });
    expect(await reply.json()).toEqual({ blob: 'aGk=', nested: [{ at: 1.5 }] });
  });

  test('refuse a body that is not JSON', async () => {
    const reply = await raw('/', 'events', { method: 'POST', headers: json, body: '{' });
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({ __type: 'SerializationException' });
  });

  test('include CloudWatch, as the pinned SDK speaks to it', async () => {
    answers.PutMetricData = {};
    const MetricData = [{ MetricName: 'm', Value: 1.5, Dimensions: [{ Name: 'd', Value: 'v' }] }];
    await new CloudWatchClient(door.client).send(new PutMetricDataCommand({ Namespace: 'n', MetricData }));
    expect(asked.at(-1)).toMatchObject({ service: 'monitoring', input: { Namespace: 'n', MetricData } });
  });
});

describe('query services', () => {
  test('get nested input and answer the unmodified SDK', async () => {
    answers.Publish = { MessageId: 'm' };
    const MessageAttributes = { kind: { DataType: 'String', StringValue: 'drift' } };
    const reply = await new SNSClient(door.client).send(
      new PublishCommand({ TopicArn: 'arn', Message: 'a <b> & "c"', MessageAttributes }),
    );
    expect(reply.MessageId).toBe('m');
    expect(reply.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(asked.at(-1)?.input).toEqual({ TopicArn: 'arn', Message: 'a <b> & "c"', MessageAttributes });
  });

  test('send maps and lists', async () => {
    const sns = new SNSClient(door.client);
    answers.GetTopicAttributes = { Attributes: { TopicArn: 'arn', Policy: '{"a":"<&>"}' } };
    answers.ListTagsForResource = {
      Tags: [
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: '2' },
      ],
    };
    const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn: 'arn' }));
    const { Tags } = await sns.send(new ListTagsForResourceCommand({ ResourceArn: 'arn' }));
    expect(Attributes).toEqual({ TopicArn: 'arn', Policy: '{"a":"<&>"}' });
    expect(Tags).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '2' },
    ]);
  });

  test('send errors that the SDK knows', async () => {
    answers.Publish = () => {
      throw new ApiError('NotFound', 'Topic does not exist', 404);
    };
    const sent = new SNSClient(door.client).send(new PublishCommand({ TopicArn: 'arn', Message: 'm' }));
    await expect(sent).rejects.toMatchObject({ name: 'NotFoundException', message: 'Topic does not exist' });
  });

  test('cannot be used to reach into prototypes', () => {
    expect(fromForm('__proto__.polluted=yes&A=1').A).toBe('1');
    expect(({} as Shape).polluted).toBeUndefined();
  });

  test.each([
    ['A.member.1.B=x&A.member.2.B=y', { A: [{ B: 'x' }, { B: 'y' }] }],
    ['A.member.2=b&A.member.10=c&A.member.1=a', { A: ['a', 'b', 'c'] }],
    ['A.entry.1.key=k&A.entry.1.value=v', { A: { k: 'v' } }],
    ['A.1.Name=x', { A: [{ Name: 'x' }] }],
    ['A.B.C=x', { A: { B: { C: 'x' } } }],
  ])('%s', (text, expected) => {
    expect(fromForm(text)).toEqual(expected);
  });
});

describe('REST services', () => {
  test('handle their requests themselves', async () => {
    expect(await (await raw('/a/b', 'lambda', { method: 'PUT', query: { c: 'd' } })).json()).toMatchObject({
      path: '/a/b',
      method: 'PUT',
    });
  });

  test('send errors in the header and the body', async () => {
    const reply = await raw('/bad', 'lambda');
    expect([reply.status, reply.headers.get('x-amzn-errortype')]).toEqual([404, 'ResourceNotFoundException']);
    expect(await reply.json()).toMatchObject({ message: 'no such function' });
  });

  test('that fail answer 500, and the engine is told', async () => {
    const reply = await raw('/broken', 'lambda');
    expect(reply.status).toBe(500);
    expect(failures.at(-1)).toMatchObject({ message: 'a bug' });
  });
});

describe('what the engine does not do', () => {
  test.each([
    [
      'an operation',
      () =>
        raw('/', 'events', {
          method: 'POST',
          headers: { ...json, 'x-amz-target': 'AWSEvents.CreateArchive' },
          body: '{}',
        }),
      'events:CreateArchive',
    ],
    [
      'a service',
      () => raw('/', 'glue', { method: 'POST', headers: json, body: '{}' }),
      'the local engine does not do glue:DoIt (its services: lambda, events,',
    ],
    ['a path', () => raw('/missing', 'lambda'), 'lambda:GET /missing'],
    [
      'a query operation',
      () => raw('/', 'sns', { method: 'POST', headers: form, body: 'Action=Unheard' }),
      'sns:Unheard',
    ],
  ])('%s answers 501, names itself and says how to go on', async (_, send, name) => {
    const reply = await send();
    const text = await reply.text();
    expect(reply.status).toBe(501);
    expect(text).toContain(name);
    expect(text).toContain('NotImplemented');
    expect(text).toContain('delegates: {');
  });

  test('goes to another emulator if there is one', async () => {
    const reply = await raw('/', 'kinesis', {
      method: 'POST',
      headers: { ...json, 'x-amz-target': 'Kinesis.PutRecord' },
      body: 'as is',
    });
    expect(reply.headers.get('x-seen-target')).toBe('Kinesis.PutRecord');
    expect(await reply.text()).toBe('as is');
  });
});

describe('the caller', () => {
  const callerOf = async (keys = door.keys.root) =>
    ((await (await raw('/who', 'lambda', {}, keys)).json()) as { caller: Caller }).caller;

  test('is the person at the keyboard, or the role whose keys signed, in its session', async () => {
    expect(await callerOf()).toEqual({ kind: 'root' });
    expect(await callerOf(door.keys.issue(ROLE, 'fn'))).toMatchObject({ kind: 'role', roleArn: ROLE, session: 'fn' });
  });
});

test('a port that is in use is named', async () => {
  const port = Number(new URL(door.gateway.url).port);
  const second = new Door({ services, call: async () => ({}) });
  await expect(second.gateway.listen(port)).rejects.toThrow(
    `port ${port} is in use: choose another, or 0 for any free one`,
  );
});
