import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { ApiError, type Shape } from '../service';

/** A message, or with `delivery.copies` one of its copies. */
export interface Message {
  readonly id: string;
  readonly body: string;
  /** As the sender gave them. */
  readonly attributes: Readonly<Record<string, Shape>>;
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
export function settingsOf(attributes: Readonly<Record<string, Shape>>): QueueSettings {
  const number = (name: string, fallback: number, most: number) => {
    const value = Number(attributes[name] ?? fallback);
    if (!Number.isInteger(value) || value < 0 || value > most) {
      throw new ApiError(
        'InvalidAttributeValue',
        `Invalid value for the parameter ${name}. Reason: must be an integer between 0 and ${most}, got ${attributes[name]}.`,
      );
    }
    return value;
  };
  const { RedrivePolicy } = attributes;
  const redrive = typeof RedrivePolicy === 'string' && RedrivePolicy !== '' ? JSON.parse(RedrivePolicy) : RedrivePolicy;
  return {
    visibilityTimeout: number('VisibilityTimeout', 30, 43_200),
    delay: number('DelaySeconds', 0, 900),
    retention: number('MessageRetentionPeriod', 345_600, 1_209_600),
    receiveWait: number('ReceiveMessageWaitTimeSeconds', 0, 20),
    maximumSize: number('MaximumMessageSize', 1_048_576, 1_048_576),
    contentBasedDeduplication: String(attributes.ContentBasedDeduplication) === 'true',
    ...(redrive?.deadLetterTargetArn && { deadLetterArn: redrive.deadLetterTargetArn }),
    maxReceiveCount: Number(redrive?.maxReceiveCount ?? Number.POSITIVE_INFINITY),
  };
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
  private readonly seen = new Map<string, { readonly at: number; readonly id: string; readonly sequence: string }>();
  private sequence = 0;

  constructor(
    readonly name: string,
    readonly arn: string,
    public attributes: Readonly<Record<string, Shape>>,
    readonly created: number,
  ) {
    this.settings = settingsOf(attributes);
    this.fifo = name.endsWith('.fifo');
  }

  configure(attributes: Readonly<Record<string, Shape>>): void {
    const next = { ...this.attributes, ...attributes };
    this.settings = settingsOf(next);
    this.attributes = next;
  }

  nextSequence(): string {
    this.sequence += 1;
    return String(this.sequence).padStart(20, '0');
  }

  /** What a FIFO queue took in before under this deduplication id. */
  duplicate(deduplicationId: string, now: number): { readonly id: string; readonly sequence: string } | undefined {
    for (const [id, { at }] of this.seen) if (now - at >= DEDUPLICATION_MS) this.seen.delete(id);
    return this.seen.get(deduplicationId);
  }

  remember(deduplicationId: string, at: number, id: string, sequence: string): void {
    this.seen.set(deduplicationId, { at, id, sequence });
  }

  add(message: Message, at = this.messages.length): void {
    this.messages.splice(at, 0, message);
    this.wake();
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
    message.receiptHandle = randomBytes(24).toString('base64url');
    message.receiveCount += 1;
    message.firstReceivedAt ??= now;
    message.visibleAt = now + visibilityTimeout * 1000;
    return message;
  }

  withHandle(receiptHandle: string): Message | undefined {
    return this.messages.find((message) => message.receiptHandle === receiptHandle);
  }

  remove(message: Message): void {
    this.messages = this.messages.filter((other) => other !== message);
    this.wake(); // in a FIFO queue the next of its group
  }

  private dropExpired(now: number): void {
    const oldest = now - this.settings.retention * 1000;
    if (this.messages.some(({ sentAt }) => sentAt < oldest)) {
      this.messages = this.messages.filter(({ sentAt }) => sentAt >= oldest);
    }
  }
}

export function newId(): string {
  return randomUUID();
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/** The digest that senders compare: of each attribute in the order of names its name, type and value, with their lengths. */
export function md5OfAttributes(attributes: Readonly<Record<string, Shape>>): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const digest = createHash('md5');
  const sized = (bytes: Buffer) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    digest.update(length).update(bytes);
  };
  for (const name of names) {
    const { DataType, StringValue, BinaryValue } = attributes[name];
    sized(Buffer.from(name));
    sized(Buffer.from(DataType));
    digest.update(Buffer.from([StringValue === undefined ? 2 : 1]));
    sized(StringValue === undefined ? Buffer.from(BinaryValue, 'base64') : Buffer.from(StringValue));
  }
  return digest.digest('hex');
}
