import { ApiError, type Shape } from '../service';
import { type Message, md5, md5OfAttributes } from './queue';

export function checkedHandle(handle: unknown): string {
  if (typeof handle === 'string' && handle !== '') return handle;
  throw new ApiError('ReceiptHandleIsInvalid', `The input receipt handle "${handle}" is not a valid receipt handle.`);
}

/** Refuses a batch that the API would refuse as a whole. */
export function checkEntries(entries: readonly Shape[]): void {
  if (entries.length === 0) {
    throw new ApiError('EmptyBatchRequest', 'There should be at least one entry in the request.');
  }
  if (entries.length > 10) {
    throw new ApiError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are 10. You have sent ${entries.length}.`,
    );
  }
  if (new Set(entries.map(({ Id }) => Id)).size < entries.length) {
    throw new ApiError('BatchEntryIdsNotDistinct', 'Two or more batch entries in the request have the same Id.');
  }
}

/** The bytes of a message as its limit counts them. */
export function sizeOf(body: string, attributes: Readonly<Record<string, Shape>>): number {
  let size = Buffer.byteLength(body);
  for (const [name, { DataType = '', StringValue = '', BinaryValue = '' }] of Object.entries(attributes)) {
    size += Buffer.byteLength(name) + DataType.length + Buffer.byteLength(StringValue) + BinaryValue.length;
  }
  return size;
}

/** A message as ReceiveMessage gives it: with the attributes that were asked for. */
export function shown(message: Message, input: Shape): Shape {
  const system: Record<string, string> = {
    ...message.system,
    ApproximateReceiveCount: String(message.receiveCount),
    ApproximateFirstReceiveTimestamp: String(Math.floor(message.firstReceivedAt ?? 0)),
  };
  const wanted: string[] = [...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])];
  const Attributes = pick(system, (name) => wanted.includes('All') || wanted.includes(name));
  const named: string[] = input.MessageAttributeNames ?? [];
  const MessageAttributes = pick(message.attributes, (name) =>
    named.some((one) => one === 'All' || one === name || (one.endsWith('.*') && name.startsWith(one.slice(0, -2)))),
  );
  return {
    MessageId: message.id,
    ReceiptHandle: message.receiptHandle,
    Body: message.body,
    MD5OfBody: md5(message.body),
    ...(Object.keys(Attributes).length > 0 && { Attributes }),
    ...(Object.keys(MessageAttributes).length > 0 && {
      MessageAttributes,
      MD5OfMessageAttributes: md5OfAttributes(MessageAttributes),
    }),
  };
}

function pick<T>(record: Readonly<Record<string, T>>, wanted: (name: string) => boolean): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => wanted(name)));
}
