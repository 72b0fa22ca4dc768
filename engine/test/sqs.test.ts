import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  type ReceiveMessageCommandInput,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../src/engine/clock';
import { Sqs } from '../src/services/sqs/service';
import { ServedContext } from './support/served-context';

const clock = new ManualClock(Date.parse('2026-11-23T12:00:00Z'));
const arn = (name: string) => `arn:aws:sqs:eu-west-1:111122223333:${name}`;
let context: ServedContext;
let sqs: Sqs;
let client: SQSClient;
let QueueUrl: string;

beforeEach(async () => {
  context = new ServedContext({ clock });
  sqs = new Sqs(context);
  sqs.load([
    queue('work', {
      VisibilityTimeout: 60,
      RedrivePolicy: { deadLetterTargetArn: arn('dead'), maxReceiveCount: 2 },
    }),
    queue('dead'),
    queue('line.fifo', { FifoQueue: true, ContentBasedDeduplication: true }),
  ]);
  await context.serve(sqs);
  client = new SQSClient(context.client);
  QueueUrl = `${context.url()}/111122223333/work`;
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

function queue(name: string, properties: object = {}) {
  const where = { stack: 'App', logicalId: name, path: `App/${name}`, physicalId: `http://x/111122223333/${name}` };
  return { ...where, type: 'AWS::SQS::Queue', arn: arn(name), properties };
}

const send = (MessageBody: string, rest: Partial<SendMessageCommandInput> = {}) =>
  client.send(new SendMessageCommand({ QueueUrl, MessageBody, ...rest }));

async function receive(rest: Partial<ReceiveMessageCommandInput> = {}) {
  const { Messages } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, ...rest }));
  return Messages ?? [];
}

describe('messages', () => {
  test('come with what the sender and SQS added', async () => {
    const sent = await send('hello', { MessageAttributes: { kind: { DataType: 'String', StringValue: 'greeting' } } });
    const [message] = await receive({ MessageSystemAttributeNames: ['All'], MessageAttributeNames: ['All'] });
    expect(message).toMatchObject({
      MessageId: sent.MessageId,
      Body: 'hello',
      MD5OfBody: '5d41402abc4b2a76b9719d911017c592',
      MessageAttributes: { kind: { DataType: 'String', StringValue: 'greeting' } },
      MD5OfMessageAttributes: sent.MD5OfMessageAttributes,
      Attributes: { ApproximateReceiveCount: '1', SentTimestamp: String(clock.now()), SenderId: '111122223333' },
    });
  });

  test('are hidden while in flight, and come back when the visibility timeout is over', async () => {
    await send('once');
    expect(await receive()).toHaveLength(1);
    expect(await receive()).toHaveLength(0);
    await clock.advance(60_000);
    const [again] = await receive({ AttributeNames: ['All'] });
    expect(again.Attributes?.ApproximateReceiveCount).toBe('2');
  });

  test('are gone once deleted, and a second delete succeeds', async () => {
    await send('x');
    const [{ ReceiptHandle }] = await receive();
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    await clock.advance(60_000);
    expect(await receive()).toEqual([]);
  });

  test('come back at once when their visibility is set to 0', async () => {
    await send('x');
    const [{ ReceiptHandle }] = await receive();
    await client.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
    expect(await receive()).toHaveLength(1);
  });

  test('with a delay are not there before', async () => {
    await send('later', { DelaySeconds: 10 });
    expect(await receive()).toEqual([]);
    await clock.advance(10_000);
    expect(await receive()).toHaveLength(1);
  });

  test('that were received too often go to the dead-letter queue', async () => {
    await send('poison');
    for (let i = 0; i < 2; i++) {
      expect(await receive()).toHaveLength(1);
      await clock.advance(60_000);
    }
    expect(await receive()).toEqual([]);
    const [dead] = await receive({ QueueUrl: `${context.url()}/111122223333/dead`, AttributeNames: ['All'] });
    expect(dead).toMatchObject({ Body: 'poison', Attributes: { DeadLetterQueueSourceArn: arn('work') } });
  });

  test('older than the retention are gone', async () => {
    await send('old');
    await clock.advance(345_600_000 + 1);
    expect(await receive()).toEqual([]);
  });

  test('in batches fail one by one', async () => {
    const Entries = [
      { Id: 'a', MessageBody: 'one' },
      { Id: 'b', MessageBody: '' },
    ];
    const sent = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    expect(sent.Successful).toMatchObject([{ Id: 'a' }]);
    expect(sent.Failed).toMatchObject([{ Id: 'b', Code: 'MissingParameter' }]);
    const [{ ReceiptHandle }] = await receive();
    const removed = await client.send(
      new DeleteMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'x', ReceiptHandle }] }),
    );
    expect(removed.Successful).toEqual([{ Id: 'x' }]);
  });
});

describe('long polls', () => {
  test('end with the first message', async () => {
    const waiting = receive({ WaitTimeSeconds: 20 });
    await send('news');
    expect(await waiting).toMatchObject([{ Body: 'news' }]);
  });

  test('end empty when their time is over', async () => {
    const waiting = receive({ WaitTimeSeconds: 20 });
    await until(() => context.calls.some(({ operation }) => operation === 'ReceiveMessage'));
    await clock.advance(20_000);
    expect(await waiting).toEqual([]);
  });

  test('end when the engine stops', async () => {
    const waiting = receive({ WaitTimeSeconds: 20 });
    await until(() => context.calls.some(({ operation }) => operation === 'ReceiveMessage'));
    context.stopping.abort();
    expect(await waiting).toEqual([]);
  });
});

describe('a consumer of the engine', () => {
  test('waits without polling, and keeps the engine busy until its queue is empty', async () => {
    const stop = new AbortController();
    const waiting = sqs.waitForMessages(arn('work'), stop.signal);
    expect(context.work).toHaveLength(0);
    await send('task');
    await waiting;
    expect(context.work).toHaveLength(1);
    let idle = false;
    void context.work[0].then(() => {
      idle = true;
    });
    const [{ ReceiptHandle }] = await receive();
    expect(idle).toBe(false);
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    expect(idle).toBe(true);
  });

  test('wakes when a message that was in flight comes back', async () => {
    await send('again');
    await receive();
    let woken = false;
    const waiting = sqs.waitForMessages(arn('work'), new AbortController().signal).then(() => {
      woken = true;
    });
    await clock.advance(59_000);
    expect(woken).toBe(false);
    await clock.advance(1000);
    await waiting;
  });

  test('keeps what it works on, however far time runs ahead', async () => {
    await send('slow');
    const [{ ReceiptHandle = '' }] = await receive();
    const release = sqs.hold(arn('work'), [ReceiptHandle]);
    await clock.advance(3_600_000);
    expect(await receive()).toEqual([]);
    release();
    expect(await receive()).toHaveLength(1);
  });

  test('stops waiting when told', async () => {
    const stop = new AbortController();
    const waiting = sqs.waitForMessages(arn('work'), stop.signal);
    stop.abort();
    await waiting;
  });
});

test('unkind delivery gives every message more than once, in another order', async () => {
  context.delivery = { copies: 2, shuffle: true };
  let state = 7;
  context.random = () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  for (const body of ['1', '2', '3', '4']) await send(body);
  const bodies = (await receive()).map(({ Body }) => `${Body}`);
  expect([...bodies].sort()).toEqual(['1', '1', '2', '2', '3', '3', '4', '4']);
  expect(bodies).not.toEqual([...bodies].sort());
});

describe('FIFO queues', () => {
  test('keep the order of a group and drop duplicates', async () => {
    QueueUrl = `${context.url()}/111122223333/line.fifo`;
    const first = await send('a', { MessageGroupId: 'g' });
    const same = await send('a', { MessageGroupId: 'g' });
    expect(same.MessageId).toBe(first.MessageId);
    await send('b', { MessageGroupId: 'g' });
    await send('c', { MessageGroupId: 'other' });
    const [one] = await receive({ MaxNumberOfMessages: 1 });
    expect(one.Body).toBe('a');
    expect((await receive()).map(({ Body }) => Body)).toEqual(['c']);
    await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: one.ReceiptHandle }));
    expect((await receive()).map(({ Body }) => Body)).toEqual(['b']);
  });
});

describe('queues', () => {
  test('are found, listed, described, purged', async () => {
    const found = await client.send(new GetQueueUrlCommand({ QueueName: 'work' }));
    expect(found.QueueUrl).toBe(QueueUrl);
    await client.send(new CreateQueueCommand({ QueueName: 'extra' }));
    const listed = await client.send(new ListQueuesCommand({}));
    expect(listed.QueueUrls).toHaveLength(4);
    await send('x');
    await send('y');
    await receive({ MaxNumberOfMessages: 1 });
    const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
    expect(Attributes).toMatchObject({
      QueueArn: arn('work'),
      ApproximateNumberOfMessages: '1',
      ApproximateNumberOfMessagesNotVisible: '1',
      VisibilityTimeout: '60',
    });
    await client.send(new PurgeQueueCommand({ QueueUrl }));
    await clock.advance(60_000);
    expect(await receive()).toEqual([]);
  });

  test('that do not exist are named', async () => {
    const url = { QueueUrl: `${context.url()}/111122223333/none` };
    const error = await client.send(new ReceiveMessageCommand(url)).catch((caught) => caught);
    expect(error.name).toBe('QueueDoesNotExist');
    expect(error.message).toContain("'none'");
  });

  test('ask for permissions on their ARN', async () => {
    await send('x');
    expect(context.asked).toEqual([{ action: 'sqs:SendMessage', resource: arn('work') }]);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
}
