import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Queues, Resource, Shape } from '../src/service';
import { Lambda } from '../src/services/lambda/service';
import { FakeContext, ROLE } from './support/fake-context';

const QUEUE = 'arn:aws:sqs:eu-west-1:111122223333:work';

/** A queue in memory: what is received is gone, what is deleted is remembered. */
class FakeQueue implements Queues {
  readonly deleted: string[] = [];
  readonly held = new Set<string>();
  private readonly messages: Shape[] = [];
  private readonly waiting: (() => void)[] = [];
  private sent = 0;

  send(...bodies: unknown[]): void {
    for (const body of bodies) {
      const id = `m${++this.sent}`;
      this.messages.push({
        MessageId: id,
        ReceiptHandle: `r-${id}`,
        Body: typeof body === 'string' ? body : JSON.stringify(body),
        MD5OfBody: 'x',
        Attributes: { ApproximateReceiveCount: '1' },
        MessageAttributes: { kind: { DataType: 'String', StringValue: 'test' } },
      });
    }
    for (const wake of this.waiting.splice(0)) wake();
  }

  receive(input: Shape): Shape {
    return { Messages: this.messages.splice(0, input.MaxNumberOfMessages) };
  }

  hold(_arn: string, receiptHandles: readonly string[]): () => void {
    for (const handle of receiptHandles) this.held.add(handle);
    return () => {
      for (const handle of receiptHandles) this.held.delete(handle);
    };
  }

  async waitForMessages(_arn: string, signal: AbortSignal): Promise<void> {
    if (this.messages.length > 0) return;
    await new Promise<void>((resolve) => {
      this.waiting.push(resolve);
      signal.addEventListener('abort', () => resolve());
    });
  }
}

let context: FakeContext;
let lambda: Lambda;
let queue: FakeQueue;

beforeEach(() => {
  context = new FakeContext();
  queue = new FakeQueue();
  context.answers['sqs:ReceiveMessage'] = (input) => queue.receive(input);
  context.answers['sqs:DeleteMessage'] = ({ ReceiptHandle }) => {
    queue.deleted.push(ReceiptHandle);
    return {};
  };
  lambda = new Lambda(context, {}, queue);
  context.services.lambda = lambda;
});
afterEach(() => lambda.stop());

function feed(code: string, mapping: Shape): void {
  const folder = mkdtempSync(join(tmpdir(), 'code-'));
  writeFileSync(join(folder, 'index.mjs'), code);
  context.assets['assets/code.zip'] = folder;
  const base = {
    stack: 'App',
    logicalId: 'X',
    path: 'App/X',
    arn: 'arn:aws:lambda:eu-west-1:111122223333:function:fn',
  };
  const resources: Resource[] = [
    {
      ...base,
      type: 'AWS::Lambda::EventSourceMapping',
      physicalId: 'mapping',
      properties: { EventSourceArn: QUEUE, FunctionName: 'fn', ...mapping },
    },
    {
      ...base,
      type: 'AWS::Lambda::Function',
      physicalId: 'fn',
      properties: {
        Runtime: 'nodejs24.x',
        Handler: 'index.handler',
        Role: ROLE,
        MemorySize: 256,
        Code: { S3Bucket: 'assets', S3Key: 'code.zip' },
      },
    },
  ];
  lambda.load(resources);
}

/** A handler that logs each batch's bodies, and then does as told. */
const handler = (then: string) => `export const handler = async ({ Records }) => {
  console.log('batch ' + JSON.stringify(Records.map(({ body }) => body))); ${then} };`;

const batches = () =>
  context.lines.filter((line) => line.startsWith('batch ')).map((line) => JSON.parse(line.slice('batch '.length)));

async function settled(): Promise<void> {
  await new Promise((done) => setTimeout(done, 20));
  await context.idle();
}

test('a batch that the function handled is deleted, as the function’s role', async () => {
  feed(handler(`console.log(JSON.stringify(Records[0]));`), {});
  queue.send('a', 'b');
  await settled();
  expect(batches().flat().sort()).toEqual(['a', 'b']);
  expect(queue.deleted.sort()).toEqual(['r-m1', 'r-m2']);
  const used = context.calls.filter(({ service }) => service === 'sqs');
  expect(used.every(({ caller }) => caller.kind === 'role' && caller.roleArn === ROLE)).toBe(true);
  const record = context.lines.find((line) => line.startsWith('{"messageId"'));
  expect(JSON.parse(record ?? '')).toMatchObject({
    messageId: 'm1',
    eventSource: 'aws:sqs',
    eventSourceARN: QUEUE,
    awsRegion: 'eu-west-1',
    messageAttributes: { kind: { stringValue: 'test', dataType: 'String' } },
  });
});

test('a batch that failed is left in the queue, hidden only while the function ran', async () => {
  feed(handler(`await new Promise((done) => setTimeout(done, 200)); throw new Error('no');`), {});
  queue.send('a');
  await new Promise((done) => setTimeout(done, 100));
  expect([...queue.held]).toEqual(['r-m1']);
  await settled();
  expect(queue.held.size).toBe(0);
  expect(batches()).toEqual([['a']]);
  expect(queue.deleted).toEqual([]);
});

test('only the messages that are not reported as failed are deleted', async () => {
  feed(handler(`return { batchItemFailures: [{ itemIdentifier: 'm2' }] };`), {
    FunctionResponseTypes: ['ReportBatchItemFailures'],
    MaximumBatchingWindowInSeconds: 1,
  });
  queue.send('a', 'b', 'c');
  await settled();
  expect(queue.deleted.sort()).toEqual(['r-m1', 'r-m3']);
});

test('an answer that names unknown messages counts as a failure of all', async () => {
  feed(handler(`return { batchItemFailures: [{ itemIdentifier: 'other' }] };`), {
    FunctionResponseTypes: ['ReportBatchItemFailures'],
  });
  queue.send('a');
  await settled();
  expect(queue.deleted).toEqual([]);
});

test('no batch is larger than the batch size', async () => {
  feed(handler(''), { BatchSize: 2 });
  queue.send('a', 'b', 'c', 'd', 'e');
  await settled();
  expect(Math.max(...batches().map(({ length }) => length))).toBeLessThanOrEqual(2);
  expect(batches().flat().sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
});

test('a batching window gathers what comes within it', async () => {
  let over: () => void = () => undefined;
  context.clock.sleep = (_, signal) =>
    new Promise((resolve) => {
      over = resolve;
      signal?.addEventListener('abort', () => resolve());
    });
  const start = context.clock.now();
  let now = start;
  context.clock.now = () => now;
  feed(handler(''), { BatchSize: 100, MaximumBatchingWindowInSeconds: 60, ScalingConfig: { MaximumConcurrency: 1 } });
  queue.send('a');
  await new Promise((done) => setTimeout(done, 20));
  queue.send('b', 'c');
  await new Promise((done) => setTimeout(done, 20));
  expect(batches()).toEqual([]);
  now = start + 60_000;
  over();
  await settled();
  expect(batches()).toEqual([['a', 'b', 'c']]);
});

test('messages that no filter accepts are deleted unseen', async () => {
  feed(handler(''), { FilterCriteria: { Filters: [{ Pattern: '{"body":{"kind":["wanted"]}}' }] } });
  queue.send({ kind: 'wanted' }, { kind: 'other' }, 'no json');
  await settled();
  expect(batches().flat()).toEqual(['{"kind":"wanted"}']);
  expect(queue.deleted.sort()).toEqual(['r-m1', 'r-m2', 'r-m3']);
});

test('a disabled mapping takes nothing', async () => {
  feed(handler(''), { Enabled: false });
  queue.send('a');
  await settled();
  expect(context.calls).toEqual([]);
});

test('a role that may not read the queue is reported, and tried again', async () => {
  let denied = 2;
  const receive = context.answers['sqs:ReceiveMessage'] as (input: Shape) => unknown;
  context.answers['sqs:ReceiveMessage'] = (input) => {
    if (denied-- > 0) throw new Error('not authorized to perform sqs:ReceiveMessage');
    return receive(input);
  };
  feed(handler(''), {});
  queue.send('a');
  await settled();
  expect(context.lines.some((line) => /cannot read .*sqs:ReceiveMessage/.test(line))).toBe(true);
  expect(queue.deleted).toEqual(['r-m1']);
});
