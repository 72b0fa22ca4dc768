import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CloudWatchClient, PutMetricDataCommand } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { DescribeExecutionCommand, SFNClient } from '@aws-sdk/client-sfn';
import { GetTopicAttributesCommand, ListTagsForResourceCommand, PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessKeyOf, Gateway, notImplemented, sessionToken } from '../../lib/local/gateway';
import { fromForm } from '../../lib/local/protocols';
import { ApiError, type Caller, type Service, type Shape } from '../../lib/local/service';

const ROLE = 'arn:aws:iam::000000000000:role/worker';

/** What the services were asked, newest last. */
const asked: { service: string; operation: string; input: Shape; caller: Caller }[] = [];
/** What they answer, by operation. */
const answers: Record<string, Shape | (() => never)> = {};
const failures: unknown[] = [];

const rest: Service = {
  name: 'lambda',
  operations: {},
  unsigned: /^\/secret\//,
  handle: async (request, response, url, caller) => {
    if (url.pathname === '/missing') return false;
    if (url.pathname === '/bad') throw new ApiError('ResourceNotFoundException', 'no such function', 404);
    if (url.pathname === '/broken') throw new TypeError('a bug');
    response.end(JSON.stringify({ path: url.pathname, method: request.method, caller }));
    return true;
  },
};
const services = new Map<string, Service>([['lambda', rest]]);
for (const name of ['events', 'states', 'sns', 'monitoring', 's3']) services.set(name, { name, operations: {} });

const emulator = createServer((request, response) => {
  request.pipe(response.setHeader('x-seen-target', String(request.headers['x-amz-target'])));
});
let gateway: Gateway;

beforeAll(async () => {
  await new Promise<void>((done) => emulator.listen(0, '127.0.0.1', done));
  gateway = new Gateway({
    services,
    call: async (service, operation, input, caller) => {
      asked.push({ service, operation, input, caller });
      const answer = answers[operation];
      if (answer === undefined) throw notImplemented(service, operation);
      return typeof answer === 'function' ? answer() : answer;
    },
    roles: () => [ROLE],
    delegates: { kinesis: `http://127.0.0.1:${(emulator.address() as AddressInfo).port}` },
    failed: (_, error) => failures.push(error),
  });
  await gateway.listen(0);
});

afterAll(async () => {
  await gateway.close();
  emulator.closeAllConnections();
  emulator.close();
});

const config = (credentials = { accessKeyId: 'any', secretAccessKey: 'any' }) => ({
  endpoint: gateway.url,
  region: 'us-east-1',
  credentials,
  maxAttempts: 1,
});

/** A raw request, signed for a service as far as the gateway looks. */
function raw(path: string, service: string, init: RequestInit = {}, key = 'any'): Promise<Response> {
  const authorization = `AWS4-HMAC-SHA256 Credential=${key}/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`;
  return fetch(gateway.url + path, { ...init, headers: { authorization, ...init.headers } });
}

const json = { 'x-amz-target': 'Some.DoIt', 'content-type': 'application/x-amz-json-1.1' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

describe('JSON services', () => {
  test('get their input and answer the unmodified SDK', async () => {
    answers.PutEvents = { FailedEntryCount: 0, Entries: [{ EventId: 'e' }] };
    const Time = new Date('2026-01-02T03:04:05Z');
    const reply = await new EventBridgeClient(config()).send(
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
    const reply = await new SFNClient(config()).send(new DescribeExecutionCommand({ executionArn: 'arn' }));
    expect(reply.startDate).toEqual(startDate);
  });

  test('send errors that the SDK knows', async () => {
    answers.DescribeExecution = () => {
      throw new ApiError('ExecutionDoesNotExist', 'no such execution');
    };
    const sent = new SFNClient(config()).send(new DescribeExecutionCommand({ executionArn: 'arn' }));
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
    await new CloudWatchClient(config()).send(new PutMetricDataCommand({ Namespace: 'n', MetricData }));
    expect(asked.at(-1)).toMatchObject({ service: 'monitoring', input: { Namespace: 'n', MetricData } });
  });
});

describe('query services', () => {
  test('get nested input and answer the unmodified SDK', async () => {
    answers.Publish = { MessageId: 'm' };
    const MessageAttributes = { kind: { DataType: 'String', StringValue: 'drift' } };
    const reply = await new SNSClient(config()).send(
      new PublishCommand({ TopicArn: 'arn', Message: 'a <b> & "c"', MessageAttributes }),
    );
    expect(reply.MessageId).toBe('m');
    expect(reply.$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(asked.at(-1)?.input).toEqual({ TopicArn: 'arn', Message: 'a <b> & "c"', MessageAttributes });
  });

  test('send maps and lists', async () => {
    const sns = new SNSClient(config());
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
    const sent = new SNSClient(config()).send(new PublishCommand({ TopicArn: 'arn', Message: 'm' }));
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
    expect(await (await raw('/a/b?c=d', 'lambda', { method: 'PUT' })).json()).toMatchObject({
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
  const callerOf = async (key: string, headers = {}) =>
    ((await (await raw('/who', 'lambda', { headers }, key)).json()) as { caller: Caller }).caller;

  test('is the role whose key signed, in its session', async () => {
    expect(await callerOf(accessKeyOf(ROLE), { 'x-amz-security-token': sessionToken('fn name') })).toEqual({
      kind: 'role',
      roleArn: ROLE,
      session: 'fn-name',
    });
  });

  test('is the person at the keyboard for any other key', async () => {
    expect(await callerOf('AKIAEXAMPLE')).toEqual({ kind: 'root' });
  });

  test('may not have the key of a role that is not there', async () => {
    expect((await raw('/who', 'lambda', {}, accessKeyOf(`${ROLE}x`))).status).toBe(403);
  });

  test('must sign', async () => {
    const reply = await fetch(`${gateway.url}/who`);
    expect(reply.status).toBe(403);
    expect(await reply.text()).toContain('the request is not signed');
  });

  test('need not sign where a service says so', async () => {
    expect((await fetch(`${gateway.url}/secret/next`)).status).toBe(200);
  });

  test('may sign in the URL, until that expires', async () => {
    const at = (date: Date) => date.toISOString().replace(/[-:]|\.\d+/g, '');
    const signed = (date: Date) =>
      fetch(
        `${gateway.url}/who?X-Amz-Credential=any%2F20260101%2Fus-east-1%2Flambda%2Faws4_request&X-Amz-Date=${at(date)}&X-Amz-Expires=60`,
      );
    expect((await signed(new Date())).status).toBe(200);
    const late = await signed(new Date(Date.now() - 61_000));
    expect([late.status, await late.text()]).toEqual([403, expect.stringContaining('Request has expired')]);
  });
});

test('a port that is in use is named', async () => {
  const port = Number(new URL(gateway.url).port);
  const second = new Gateway({ services, call: async () => ({}), roles: () => [], delegates: {}, failed: () => {} });
  await expect(second.listen(port)).rejects.toThrow(`port ${port} is in use: choose another, or 0 for any free one`);
});
