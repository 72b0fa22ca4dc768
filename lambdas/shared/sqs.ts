import { shortened } from '../../lib/core/listed';

/** Characters of a message that the log shows. */
const MOST_SHOWN = 10_000;

/** What Lambda hands on from a queue. */
export interface Batch {
  readonly Records: ReadonlyArray<{ readonly messageId: string; readonly body: string }>;
}

/** The messages that are to come again. */
export interface BatchReply {
  readonly batchItemFailures: ReadonlyArray<{ readonly itemIdentifier: string }>;
}

/** Handles each message by itself: one that fails comes again, and in the end lies in the dead-letter queue. */
export async function eachRecord(
  batch: Batch,
  handle: (body: string, messageId: string) => Promise<void>,
): Promise<BatchReply> {
  const batchItemFailures: Array<{ itemIdentifier: string }> = [];
  for (const { messageId, body } of batch.Records) {
    try {
      await handle(body, messageId);
    } catch (error) {
      console.error(JSON.stringify({ messageId, body: shortened(body, MOST_SHOWN), error: String(error) }));
      batchItemFailures.push({ itemIdentifier: messageId });
    }
  }
  return { batchItemFailures };
}
