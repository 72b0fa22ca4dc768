import { createHash, randomUUID } from 'node:crypto';
import { ApiError } from '../../service';
import { newHandle } from './checks';
import type { MessageAttributes } from './requests';

/** A message, or with `delivery.copies` one of its copies. */
export interface Message {
  readonly id: string;
  /** Its place among all that were ever sent here. */
  readonly number: number;
  readonly body: string;
  /** As the sender gave them. */
  readonly attributes: MessageAttributes;
  /** What SQS adds: `SentTimestamp`, `SenderId` … */
  readonly system: Readonly<Record<string, string>>;
  readonly sentAt: number;
  readonly group?: string;
  visibleAt: number;
  receiveCount: number;
  firstReceivedAt?: number;
  receiptHandle?: string;
  /** Whether its consumer still works on it, however long that takes. */
  held?: boolean;
}

export interface QueueSettings {
  readonly visibilityTimeout: number;
  readonly delay: number;
  readonly retention: number;
  readonly receiveWait: number;
  readonly maximumSize: number;
  readonly contentBasedDeduplication: boolean;
  readonly deadLetterArn?: string;
  readonly maxReceiveCount: number;
}

/** The queue attributes that matter here, with AWS's defaults; times in seconds. */
export function settingsOf(attributes: Readonly<Record<string, unknown>>): QueueSettings {
  const number = (name: string, fallback: number, most: number, least = 0) => {
    const value = Number(attributes[name] ?? fallback);
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new ApiError(
        'InvalidAttributeValue',
        `Invalid value for the parameter ${name}. Reason: must be an integer between ${least} and ${most}, got ${attributes[name]}.`,
      );
    }
    return value;
  };
  const { RedrivePolicy } = attributes;
  const redrive: { readonly deadLetterTargetArn?: string; readonly maxReceiveCount?: number | string } | undefined =
    typeof RedrivePolicy === 'string' && RedrivePolicy !== '' ? JSON.parse(RedrivePolicy) : RedrivePolicy;
  return {
    visibilityTimeout: number('VisibilityTimeout', 30, 43_200),
    delay: number('DelaySeconds', 0, 900),
    retention: number('MessageRetentionPeriod', 345_600, 1_209_600, 60),
    receiveWait: number('ReceiveMessageWaitTimeSeconds', 0, 20),
    maximumSize: number('MaximumMessageSize', 1_048_576, 1_048_576, 1024),
    contentBasedDeduplication: String(attributes.ContentBasedDeduplication) === 'true',
    ...(redrive?.deadLetterTargetArn && { deadLetterArn: redrive.deadLetterTargetArn }),
    maxReceiveCount: Number(redrive?.maxReceiveCount ?? Number.POSITIVE_INFINITY),
  };
}

/** What a FIFO queue took in under a deduplication id. */
export interface Seen {
  readonly at: number;
  readonly id: string;
  readonly sequence: string;
}

/** Told of every change, so that it outlives the engine. */
export interface Keeper {
  put(queue: Queue, message: Message): void;
  drop(queue: Queue, message: Message): void;
  remember(queue: Queue, deduplicationId: string, seen: Seen): void;
  forget(queue: Queue, deduplicationId: string): void;
}

/** How long a FIFO queue remembers a deduplication id. */
const DEDUPLICATION_MS = 5 * 60_000;

/** A queue's messages; time comes in as an argument. */
export class Queue {
  messages: Message[] = [];
  settings: QueueSettings;
  readonly fifo: boolean;
  /** Whether some consumer of the engine's own waits here. */
  consumed = false;
  private readonly waiters = new Set<AbortController>();
  private readonly seen = new Map<string, Seen>();
  private sequence = 0;
  private sent = 0;

  constructor(
    readonly name: string,
    readonly arn: string,
    public attributes: Readonly<Record<string, unknown>>,
    readonly created: number,
    private readonly keeper: Keeper,
  ) {
    this.settings = settingsOf(attributes);
    this.fifo = name.endsWith('.fifo');
  }

  configure(attributes: Readonly<Record<string, unknown>>): void {
    const next = { ...this.attributes, ...attributes };
    this.settings = settingsOf(next);
    this.attributes = next;
  }

  nextSequence(): string {
    this.sequence += 1;
    return String(this.sequence).padStart(20, '0');
  }

  /** What a FIFO queue took in before under this deduplication id. */
  duplicate(deduplicationId: string, now: number): Seen | undefined {
    for (const [id, { at }] of this.seen) {
      if (now - at < DEDUPLICATION_MS) break; // the oldest come first
      this.seen.delete(id);
      this.keeper.forget(this, id);
    }
    return this.seen.get(deduplicationId);
  }

  remember(deduplicationId: string, seen: Seen): void {
    this.seen.set(deduplicationId, seen);
    this.keeper.remember(this, deduplicationId, seen);
  }

  add(given: Omit<Message, 'number'>, at = this.messages.length): void {
    this.sent += 1;
    const message = { ...given, number: this.sent };
    this.keeper.put(this, message);
    this.messages.splice(at, 0, message);
    this.wake();
  }

  /**
   * Takes what an earlier engine left: messages that were in flight can be received at once. One that a consumer of
   * that engine's own worked on was not received as far as that counts: it ended with the engine.
   */
  restore(messages: readonly Message[], seen: readonly (readonly [string, Seen])[]): void {
    this.messages = messages
      .map(({ held, ...message }) => ({
        ...message,
        ...(message.receiveCount > 0 && { visibleAt: 0 }),
        receiveCount: message.receiveCount - (held === true ? 1 : 0),
      }))
      .sort((one, other) => one.number - other.number);
    const inOrder = [...seen].sort(([, one], [, other]) => one.at - other.at);
    for (const [id, one] of inOrder) this.seen.set(id, one);
    this.sent = this.messages.at(-1)?.number ?? 0;
    const sequences = [
      ...this.messages.map(({ system }) => system.SequenceNumber),
      ...inOrder.map(([, one]) => one.sequence),
    ];
    this.sequence = Math.max(0, ...sequences.map((sequence) => Number(sequence ?? 0)));
  }

  /** Notes that a consumer works on a message, or no longer does. */
  hold(message: Message, held: boolean): void {
    message.held = held;
    if (this.messages.includes(message)) this.keeper.put(this, message);
  }

  hide(message: Message, until: number): void {
    message.visibleAt = until;
    this.keeper.put(this, message);
    this.wake();
  }

  purge(): void {
    for (const message of this.messages) this.keeper.drop(this, message);
    this.messages = [];
  }

  /** Lets those who wait look again. */
  wake(): void {
    for (const waiter of this.waiters) waiter.abort();
  }

  /** A signal that ends at the next {@link wake}. */
  nextWake(): { readonly waiter: AbortController; forget(): void } {
    const waiter = new AbortController();
    this.waiters.add(waiter);
    return { waiter, forget: () => void this.waiters.delete(waiter) };
  }

  /** Those that may be received now; in a FIFO queue, none of a group that has one in flight before it. */
  visible(now: number): Message[] {
    this.dropExpired(now);
    const ready = (message: Message) => !message.held && message.visibleAt <= now;
    if (!this.fifo) return this.messages.filter(ready);
    const blocked = new Set<string | undefined>();
    return this.messages.filter((message) => {
      if (!ready(message)) blocked.add(message.group);
      return !blocked.has(message.group);
    });
  }

  /** When the next hidden message will be there; infinity if there is none. */
  nextVisible(): number {
    const hidden = this.messages.filter((message) => !message.held).map((message) => message.visibleAt);
    return Math.min(...hidden, Number.POSITIVE_INFINITY);
  }

  receive(message: Message, now: number, visibilityTimeout: number): Message {
    message.receiptHandle = newHandle(this.arn);
    message.receiveCount += 1;
    message.firstReceivedAt ??= now;
    message.visibleAt = now + visibilityTimeout * 1000;
    this.keeper.put(this, message);
    return message;
  }

  withHandle(receiptHandle: string): Message | undefined {
    return this.messages.find((message) => message.receiptHandle === receiptHandle);
  }

  remove(message: Message): void {
    this.keeper.drop(this, message);
    this.messages = this.messages.filter((other) => other !== message);
    this.wake(); // in a FIFO queue the next of its group
  }

  private dropExpired(now: number): void {
    const oldest = now - this.settings.retention * 1000;
    const expired = this.messages.filter(({ sentAt }) => sentAt < oldest);
    if (expired.length === 0) return;
    for (const message of expired) this.keeper.drop(this, message);
    this.messages = this.messages.filter(({ sentAt }) => sentAt >= oldest);
  }
}

export function newId(): string {
  return randomUUID();
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/** The digest that senders compare: of each attribute in the order of names its name, type and value, with their lengths. */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const digest = createHash('md5');
  const sized = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    digest.update(length).update(bytes);
  };
  for (const name of names) {
    const { DataType = '', StringValue, BinaryValue = '' } = attributes[name] ?? {};
    sized(Buffer.from(name));
    sized(Buffer.from(DataType));
    digest.update(Buffer.from([StringValue === undefined ? 2 : 1]));
    sized(StringValue === undefined ? Buffer.from(BinaryValue, 'base64') : Buffer.from(StringValue));
  }
  return digest.digest('hex');
}
