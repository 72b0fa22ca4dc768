import type { MessageAttributeValue, SendMessageBatchRequestEntry, SendMessageRequest } from '@aws-sdk/client-sqs';

/** Of a message. Bytes are base64, as in JSON. */
export type MessageAttributes = Readonly<
  Record<string, Omit<MessageAttributeValue, 'BinaryValue'> & { BinaryValue?: string }>
>;

/** An entry of a batch: of messages to send, or of others, which have only an id. */
export type BatchEntry = Sent<SendMessageBatchRequestEntry>;

/** A message to send as it comes by JSON. */
export type Sent<T = SendMessageRequest> = Partial<Omit<T, 'MessageAttributes'>> & {
  MessageAttributes?: MessageAttributes;
};
