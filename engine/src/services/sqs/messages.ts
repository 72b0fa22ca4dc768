import type { ReceiveMessageRequest, Message as SdkMessage } from '@aws-sdk/client-sqs';
import { type Message, md5, md5OfAttributes } from './queue';
import type { MessageAttributes } from './requests';

/** A message as clients get it. */
export type ReceivedMessage = Omit<SdkMessage, 'MessageAttributes'> & { MessageAttributes?: MessageAttributes };

/** A message as ReceiveMessage gives it: with the attributes that were asked for. */
export function shown(message: Message, input: ReceiveMessageRequest): ReceivedMessage {
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
