import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Shape } from '../src/service';
import { Sqs } from '../src/services/sqs/service';
import { ServedContext } from './support/served-context';

const caller = { kind: 'root' } as const;
const context = new ServedContext();
const call = (operation: string, input: Shape) => context.call('sqs', operation, input, caller) as Promise<Shape>;

let url: string;
let fifo: string;
beforeAll(async () => {
  await context.serve(new Sqs(context));
  url = (await call('CreateQueue', { QueueName: 'q', Attributes: { DelaySeconds: '0' } })).QueueUrl;
  fifo = (await call('CreateQueue', { QueueName: 'q.fifo', Attributes: { FifoQueue: 'true' } })).QueueUrl;
});
afterAll(() => context.close());

async function refusal(operation: string, input: Shape): Promise<string> {
  try {
    await call(operation, input);
    return '';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code}: ${message}`;
  }
}

const wrong = (value: unknown, name: string, reason: string) =>
  `InvalidParameterValue: Value ${value} for parameter ${name} is invalid. Reason: ${reason}`;

async function received(): Promise<string> {
  await call('SendMessage', { QueueUrl: url, MessageBody: 'm' });
  const { Messages } = await call('ReceiveMessage', { QueueUrl: url, VisibilityTimeout: 600 });
  return Messages[0].ReceiptHandle;
}

describe('a receipt handle', () => {
  test('that was never given is refused', async () => {
    const given = await received();
    const other = (await call('CreateQueue', { QueueName: 'other' })).QueueUrl;
    for (const [QueueUrl, ReceiptHandle] of [
      [url, 'nope'],
      [url, ''],
      [url, `${given}x`],
      [url, given.slice(0, -4)],
      [url, `A${given.slice(1)}` === given ? `B${given.slice(1)}` : `A${given.slice(1)}`],
      [other, given],
    ]) {
      const expected = `ReceiptHandleIsInvalid: The input receipt handle "${ReceiptHandle}" is not a valid receipt handle.`;
      expect(await refusal('DeleteMessage', { QueueUrl, ReceiptHandle })).toBe(expected);
      expect(await refusal('ChangeMessageVisibility', { QueueUrl, ReceiptHandle, VisibilityTimeout: 0 })).toBe(
        expected,
      );
    }
    const { Failed } = await call('DeleteMessageBatch', {
      QueueUrl: url,
      Entries: [{ Id: 'a', ReceiptHandle: 'nope' }],
    });
    expect(Failed).toMatchObject([{ Id: 'a', Code: 'ReceiptHandleIsInvalid', SenderFault: true }]);
    expect(await refusal('DeleteMessage', { QueueUrl: url })).toBe(
      'MissingParameter: The request must contain the parameter ReceiptHandle.',
    );
  });

  test('of a message that is gone deletes nothing, and hides nothing', async () => {
    const ReceiptHandle = await received();
    const input = { QueueUrl: url, ReceiptHandle };
    expect(await refusal('DeleteMessage', input)).toBe('');
    expect(await refusal('DeleteMessage', input)).toBe('');
    expect(await refusal('ChangeMessageVisibility', { ...input, VisibilityTimeout: 1 })).toBe(
      wrong(
        ReceiptHandle,
        'ReceiptHandle',
        'Message does not exist or is not available for visibility timeout change.',
      ),
    );
  });

  test('is one of its queue also in a later start', async () => {
    const own = new ServedContext();
    const start = async () => {
      const sqs = new Sqs(own);
      sqs.load([]);
      await own.serve(sqs);
    };
    const ask = (operation: string, input: Shape) => own.call('sqs', operation, input, caller) as Promise<Shape>;
    await start();
    const { QueueUrl } = await ask('CreateQueue', { QueueName: 'q' });
    await ask('SendMessage', { QueueUrl, MessageBody: 'm' });
    const { Messages } = await ask('ReceiveMessage', { QueueUrl });
    own.restart();
    await start();
    const { ReceiptHandle } = Messages[0];
    expect(await ask('DeleteMessage', { QueueUrl, ReceiptHandle })).toEqual({});
    expect((await ask('ReceiveMessage', { QueueUrl })).Messages).toBeUndefined();
    await own.close();
  });
});

describe('a message', () => {
  const send = (more: Shape, QueueUrl = url) => refusal('SendMessage', { QueueUrl, MessageBody: 'm', ...more });
  const attributes = (MessageAttributes: Shape) => send({ MessageAttributes });
  const text = { DataType: 'String', StringValue: 'x' };
  const tooLong =
    'InvalidParameterValue: One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.';

  test('is at most 1 MiB, its attributes included', async () => {
    expect(await send({ MessageBody: 'x'.repeat(1_048_576) })).toBe('');
    expect(await send({ MessageBody: 'x'.repeat(1_048_577) })).toBe(tooLong);
    expect(await send({ MessageBody: 'ä'.repeat(524_289) })).toBe(tooLong);
    const body = { MessageBody: 'x'.repeat(1_048_576 - 8) };
    expect(await send({ ...body, MessageAttributes: { a: text } })).toBe('');
    expect(await send({ ...body, MessageAttributes: { ab: text } })).toBe(tooLong);
    const three = { DataType: 'Binary', BinaryValue: 'YWJj' };
    expect(await send({ MessageBody: 'x'.repeat(1_048_576 - 10), MessageAttributes: { a: three } })).toBe('');
  });

  test.each([
    [{ MessageBody: '' }, 'MissingParameter: The request must contain the parameter MessageBody.'],
    [
      { MessageBody: 'a\u0000' },
      /^InvalidMessageContents: Invalid characters found\. Valid unicode characters are .*got #x0$/,
    ],
    [{ MessageBody: 'a\ufffe' }, /got #xFFFE$/],
    [{ DelaySeconds: 901 }, wrong(901, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.')],
    [{ DelaySeconds: -1 }, wrong(-1, 'DelaySeconds', 'DelaySeconds must be >= 0 and <= 900.')],
    [
      { MessageDeduplicationId: 'd' },
      wrong('d', 'MessageDeduplicationId', 'The request include parameter that is not valid for this queue type.'),
    ],
    [
      { MessageGroupId: 'a b' },
      wrong(
        'a b',
        'MessageGroupId',
        'MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.',
      ),
    ],
  ])('is not %j', async (more, expected) => expect(await send(more)).toMatch(expected));

  test('may hold every character of XML', async () =>
    expect(await send({ MessageBody: '\t\n\r \ud7ff\ue000\ufffd𝄞' })).toBe(''));

  test.each([
    [
      Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`a${n}`, text])),
      'InvalidParameterValue: Number of message attributes [11] exceeds the allowed maximum [10].',
    ],
    [{ 'a b': text }, /^InvalidParameterValue: The message attribute name 'a b' is invalid/],
    [{ 'aws.a': text }, /^InvalidParameterValue: The message attribute name/],
    [{ '.a': text }, /^InvalidParameterValue: The message attribute name/],
    [{ 'a..b': text }, /^InvalidParameterValue: The message attribute name/],
    [{ ['n'.repeat(257)]: text }, /^InvalidParameterValue: The message attribute name/],
    [
      { a: { StringValue: 'x' } },
      "InvalidParameterValue: The message attribute 'a' must contain non-empty message attribute type.",
    ],
    [
      { a: { DataType: 'Boolean', StringValue: 'x' } },
      "InvalidParameterValue: The message attribute 'a' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.",
    ],
    [
      { a: { DataType: 'String' } },
      "InvalidParameterValue: The message attribute 'a' must contain non-empty message attribute value for message attribute type 'String'.",
    ],
    [
      { a: { DataType: 'Number', StringValue: 'x' } },
      "InvalidParameterValue: Could not cast message attribute 'a' value to number.",
    ],
  ])('has no attributes %j', async (given, expected) =>
    expect(await attributes(given)).toMatch(
      expected instanceof RegExp ? expected : new RegExp(`^${expected.replace(/[.[\]()]/g, '\\$&')}$`),
    ),
  );

  test('may have 10 attributes, and types of its own', async () => {
    expect(await attributes(Object.fromEntries(Array.from({ length: 10 }, (_, n) => [`a${n}`, text])))).toBe('');
    expect(await attributes({ 'a.b-c_d': { DataType: 'Number.float', StringValue: '-1.5e3' } })).toBe('');
  });

  test('of a FIFO queue has a group, and no delay of its own', async () => {
    expect(await send({}, fifo)).toBe('MissingParameter: The request must contain the parameter MessageGroupId.');
    const group = { MessageGroupId: 'g', MessageDeduplicationId: 'd' };
    expect(await send(group, fifo)).toBe('');
    expect(await send({ ...group, DelaySeconds: 0 }, fifo)).toBe('');
    expect(await send({ ...group, DelaySeconds: 1 }, fifo)).toBe(
      wrong(1, 'DelaySeconds', 'The request include parameter that is not valid for this queue type.'),
    );
  });
});

describe('a batch', () => {
  const entries = (count: number, body = 'm') =>
    Array.from({ length: count }, (_, n) => ({ Id: `e${n}`, MessageBody: body }));
  test.each([
    [[], 'EmptyBatchRequest: There should be at least one SendMessageBatchRequestEntry in the request.'],
    [entries(11), 'TooManyEntriesInBatchRequest: Maximum number of entries per request are 10. You have sent 11.'],
    [[...entries(2), ...entries(1)], 'BatchEntryIdsNotDistinct: Id e0 repeated.'],
    [
      [{ Id: 'a b', MessageBody: 'm' }],
      'InvalidBatchEntryId: A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
    ],
    [[{ Id: 'i'.repeat(81), MessageBody: 'm' }], /^InvalidBatchEntryId/],
    [
      [{ MessageBody: 'm' }],
      'MissingParameter: The request must contain the parameter SendMessageBatchRequestEntry.1.Id.',
    ],
    [
      entries(2, 'x'.repeat(524_289)),
      'BatchRequestTooLong: Batch requests cannot be longer than 1048576 bytes. You have sent 1048578 bytes.',
    ],
  ])('is not %j', async (Entries, expected) => {
    const found = await refusal('SendMessageBatch', { QueueUrl: url, Entries });
    expect(found).toMatch(expected);
  });

  test('may be as large as a message, and its bad entries fail alone', async () => {
    expect(await refusal('SendMessageBatch', { QueueUrl: url, Entries: entries(2, 'x'.repeat(524_288)) })).toBe('');
    const Entries = [...entries(1), { Id: 'late', MessageBody: 'm', DelaySeconds: 901 }];
    const { Successful, Failed } = await call('SendMessageBatch', { QueueUrl: url, Entries });
    expect([Successful.length, Failed]).toMatchObject([
      1,
      [{ Id: 'late', Code: 'InvalidParameterValue', SenderFault: true }],
    ]);
  });
});

describe('what a receiver asks for', () => {
  test.each([
    [{ MaxNumberOfMessages: 0 }, wrong(0, 'MaxNumberOfMessages', 'Must be between 1 and 10, if provided.')],
    [{ MaxNumberOfMessages: 11 }, wrong(11, 'MaxNumberOfMessages', 'Must be between 1 and 10, if provided.')],
    [{ WaitTimeSeconds: 21 }, wrong(21, 'WaitTimeSeconds', 'Must be >= 0 and <= 20, if provided.')],
    [{ VisibilityTimeout: 43_201 }, wrong(43_201, 'VisibilityTimeout', 'Must be >= 0 and <= 43200, if provided.')],
  ])('is not %j', async (more, expected) =>
    expect(await refusal('ReceiveMessage', { QueueUrl: url, ...more })).toBe(expected),
  );

  test('hides a message for 12 hours at most', async () => {
    const input = { QueueUrl: url, ReceiptHandle: await received() };
    expect(await refusal('ChangeMessageVisibility', { ...input, VisibilityTimeout: 43_200 })).toBe('');
    expect(await refusal('ChangeMessageVisibility', { ...input, VisibilityTimeout: 43_201 })).toBe(
      wrong(43_201, 'VisibilityTimeout', 'Must be between 0 and 43200.'),
    );
    expect(await refusal('ChangeMessageVisibility', input)).toBe(
      'MissingParameter: The request must contain the parameter VisibilityTimeout.',
    );
  });
});

describe('a queue', () => {
  const create = (QueueName: string, Attributes: Shape = {}) => refusal('CreateQueue', { QueueName, Attributes });
  const redrive = (RedrivePolicy: unknown) =>
    create('r', { RedrivePolicy: typeof RedrivePolicy === 'string' ? RedrivePolicy : JSON.stringify(RedrivePolicy) });
  const target = 'arn:aws:sqs:eu-west-1:111122223333:q';

  test.each([
    [
      'a b',
      {},
      /^InvalidParameterValue: Can only include alphanumeric characters, hyphens, or underscores\. 1 to 80 in length/,
    ],
    ['n'.repeat(81), {}, /^InvalidParameterValue: Can only include/],
    ['x.fifo', {}, /the attribute FifoQueue is not true$/],
    [
      'x',
      { FifoQueue: 'true' },
      /^InvalidParameterValue: The name of a FIFO queue can only include .* must end with \.fifo suffix/,
    ],
    ['x', { FifoQueue: 'false' }, /^InvalidAttributeValue: Invalid value for the parameter FifoQueue/],
    ['x', { Colour: 'red' }, /^InvalidAttributeName: Unknown Attribute Colour\.$/],
    [
      'x',
      { VisibilityTimeout: '43201' },
      /^InvalidAttributeValue: Invalid value for the parameter VisibilityTimeout\./,
    ],
    ['x', { DelaySeconds: '901' }, /^InvalidAttributeValue/],
    ['x', { MessageRetentionPeriod: '59' }, /^InvalidAttributeValue/],
    ['x', { MaximumMessageSize: '1023' }, /^InvalidAttributeValue/],
    ['x', { ReceiveMessageWaitTimeSeconds: '21' }, /^InvalidAttributeValue/],
    [
      'q',
      { DelaySeconds: '1' },
      /^QueueNameExists: A queue already exists with the same name and a different value for attribute DelaySeconds$/,
    ],
  ])('is not %s %j', async (name, attributes, expected) => expect(await create(name, attributes)).toMatch(expected));

  test.each([
    ['{', 'Redrive policy is not a valid JSON map.'],
    [{ maxReceiveCount: 1 }, 'Redrive policy does not contain mandatory attribute: deadLetterTargetArn.'],
    [{ deadLetterTargetArn: target }, 'Redrive policy does not contain mandatory attribute: maxReceiveCount.'],
    [
      { deadLetterTargetArn: target, maxReceiveCount: 0 },
      'Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.',
    ],
    [
      { deadLetterTargetArn: target, maxReceiveCount: 1001 },
      'Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.',
    ],
    [{ deadLetterTargetArn: `${target}x`, maxReceiveCount: 1 }, 'Dead letter target does not exist.'],
  ])('redrives not as %j', async (policy, reason) => {
    const shown = typeof policy === 'string' ? policy : JSON.stringify(policy);
    expect(await redrive(policy)).toBe(wrong(shown, 'RedrivePolicy', reason));
  });

  test('is made again with the same attributes, and told of by those that it can have', async () => {
    expect(await create('q', { DelaySeconds: '0' })).toBe('');
    expect(await redrive({ deadLetterTargetArn: target, maxReceiveCount: 3 })).toBe('');
    expect(await refusal('GetQueueAttributes', { QueueUrl: url, AttributeNames: ['Colour'] })).toBe(
      'InvalidAttributeName: Unknown Attribute Colour.',
    );
    expect(await refusal('GetQueueAttributes', { QueueUrl: url, AttributeNames: ['RedrivePolicy'] })).toBe('');
    expect(await refusal('SetQueueAttributes', { QueueUrl: url, Attributes: { Colour: 'red' } })).toBe(
      'InvalidAttributeName: Unknown Attribute Colour.',
    );
  });
});
