import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { Events } from '../../lib/core/names';

/** Sends an event of ours; fails unless the bus has taken it. */
export type Send = (type: string, detail: object) => Promise<void>;

/** The default bus. */
export function defaultBus(client = new EventBridgeClient()): Send {
  return async (type, detail) => {
    const { Entries: [entry] = [] } = await client.send(
      new PutEventsCommand({
        Entries: [{ Source: Events.SOURCE, DetailType: type, Detail: JSON.stringify(detail) }],
      }),
    );
    if (entry?.ErrorCode !== undefined) {
      throw new Error(`the event '${type}' was not taken: ${entry.ErrorCode} ${entry.ErrorMessage}`);
    }
  };
}
