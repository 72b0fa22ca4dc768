import type {
  BatchResultErrorEntry,
  ChangeMessageVisibilityBatchRequestEntry,
  ChangeMessageVisibilityRequest,
  CreateQueueRequest,
  CreateQueueResult,
  DeleteMessageBatchRequestEntry,
  DeleteMessageRequest,
  GetQueueAttributesRequest,
  GetQueueAttributesResult,
  ListQueuesRequest,
  ListQueuesResult,
  ReceiveMessageRequest,
  SendMessageResult,
  SetQueueAttributesRequest,
} from '@aws-sdk/client-sqs';
import {
  ApiError,
  type Caller,
  type Context,
  type Operation,
  type Queues,
  type RequiredPermission,
  type Resource,
  type Service,
} from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';
import { checkAttributes, checkQueueName, KNOWN_ATTRIBUTES } from './attributes';
import { checkEntries, checkedHandle, checkMessage, LONGEST_VISIBILITY, missing, wholeIn } from './checks';
import { type ReceivedMessage, shown } from './messages';
import { type Keeper, type Message, md5, md5OfAttributes, newId, Queue, type Seen } from './queue';
import type { BatchEntry, Sent } from './requests';
import { RESOURCES } from './resources';

/** A queue as it is kept, without its messages. */
interface KeptQueue {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly created: number;
  /** The fingerprint of the template's, if it is one of those. */
  readonly template?: string;
}

/** A queue is named by its URL; by its name, where it is made or looked for. */
type Addressed = { readonly QueueUrl?: string | undefined; readonly QueueName?: string | undefined };

type Of<T> = T & { readonly queue: string };

/** What an action asks of the key of an encrypted queue. @see https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html */
const KEY_ACTIONS: Readonly<Record<string, readonly string[]>> = {
  SendMessage: ['GenerateDataKey', 'Decrypt'],
  ReceiveMessage: ['Decrypt'],
};

/** SQS: queues in memory, and in the engine's state. */
export class Sqs implements Service, Queues {
  readonly name = 'sqs';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly queues = new Map<string, Queue>();
  /** The fingerprints of those that the template has. */
  private readonly templates = new Map<string, string | undefined>();
  /** The background work that stands for a consumed queue's messages, so that the engine is not idle before them. */
  private readonly busy = new Map<Queue, () => void>();
  private readonly kept: {
    readonly queues: Kept<KeptQueue>;
    readonly messages: Kept<Of<{ readonly message: Message }>>;
    readonly seen: Kept<Of<{ readonly id: string; readonly seen: Seen }>>;
  };
  private readonly keeper: Keeper = {
    put: (queue, message) => this.kept.messages.put(messageKey(queue, message), { queue: queue.name, message }),
    drop: (queue, message) => this.kept.messages.delete(messageKey(queue, message)),
    remember: (queue, id, seen) => this.kept.seen.put(seenKey(queue, id), { queue: queue.name, id, seen }),
    forget: (queue, id) => this.kept.seen.delete(seenKey(queue, id)),
  };

  constructor(private readonly context: Context) {
    this.kept = {
      queues: context.store.collection('sqs/queues', { attributes: 'object', created: 'number', template: 'string?' }),
      messages: context.store.collection('sqs/messages', { queue: 'string', message: 'object' }),
      seen: context.store.collection('sqs/seen', { queue: 'string', id: 'string', seen: 'object' }),
    };
    this.operations = {
      CreateQueue: this.operation('CreateQueue', (input) => this.createQueue(input)),
      DeleteQueue: this.operation('DeleteQueue', (input) => this.deleteQueue(input)),
      GetQueueUrl: this.operation('GetQueueUrl', (input) => ({ QueueUrl: this.url(this.queue(input).name) })),
      ListQueues: this.operation('ListQueues', (input) => this.listQueues(input)),
      GetQueueAttributes: this.operation('GetQueueAttributes', (input) => this.getAttributes(input)),
      SetQueueAttributes: this.operation('SetQueueAttributes', (input) => this.setAttributes(input)),
      PurgeQueue: this.operation('PurgeQueue', (input) => this.purge(this.queue(input))),
      SendMessage: this.operation('SendMessage', (input, caller) => this.send(this.queue(input), input, caller)),
      SendMessageBatch: this.batch('SendMessage', (queue, entry: BatchEntry, caller) =>
        this.send(queue, entry, caller),
      ),
      ReceiveMessage: this.operation('ReceiveMessage', (input) => this.receive(input)),
      DeleteMessage: this.operation('DeleteMessage', (input) => this.delete(this.queue(input), input)),
      DeleteMessageBatch: this.batch('DeleteMessage', (queue, entry: Partial<DeleteMessageBatchRequestEntry>) =>
        this.delete(queue, entry),
      ),
      ChangeMessageVisibility: this.operation('ChangeMessageVisibility', (input) =>
        this.changeVisibility(this.queue(input), input),
      ),
      ChangeMessageVisibilityBatch: this.batch(
        'ChangeMessageVisibility',
        (queue, entry: Partial<ChangeMessageVisibilityBatchRequestEntry>) => this.changeVisibility(queue, entry),
      ),
    };
  }

  load(resources: readonly Resource[]): void {
    const earlier = new Map<string, KeptQueue>();
    this.kept.queues.restore((queue, name) => earlier.set(name, queue));
    for (const { type, arn, properties } of resources) {
      if (type !== 'AWS::SQS::Queue') continue;
      const template = fingerprint(properties);
      const known = earlier.get(nameOf(arn));
      const attributes = known?.template === template ? known.attributes : properties;
      this.add(nameOf(arn), arn, { attributes, created: known?.created ?? this.context.clock.now(), template });
    }
    for (const [name, queue] of earlier) {
      if (this.queues.has(name)) continue;
      if (queue.template === undefined) this.add(name, this.arn(name), queue);
      else this.kept.queues.delete(name); // the template has it no more
    }
    this.restoreMessages();
  }

  private restoreMessages(): void {
    const messages = new Map<Queue, Message[]>();
    const seen = new Map<Queue, (readonly [string, Seen])[]>();
    this.kept.messages.restore(({ queue, message }) => {
      if (typeof message.number !== 'number' || typeof message.body !== 'string') throw new Error('it is no message');
      const of = this.queue({ QueueName: queue });
      messages.set(of, messages.get(of) ?? []);
      messages.get(of)?.push(message);
    });
    this.kept.seen.restore(({ queue, id, seen: one }) => {
      const of = this.queue({ QueueName: queue });
      seen.set(of, seen.get(of) ?? []);
      seen.get(of)?.push([id, one]);
    });
    for (const queue of this.queues.values()) queue.restore(messages.get(queue) ?? [], seen.get(queue) ?? []);
    for (const [queue, { length }] of messages)
      this.context.recovered(`messages in the queue ${queue.name}: ${length}`);
  }

  private add(name: string, arn: string, kept: KeptQueue): void {
    const queue = new Queue(name, arn, kept.attributes, kept.created, this.keeper);
    this.kept.queues.put(name, kept);
    this.templates.set(name, kept.template);
    this.queues.set(name, queue);
  }

  async waitForMessages(queueArn: string, signal: AbortSignal): Promise<void> {
    const queue = this.queue({ QueueName: nameOf(queueArn) });
    if (!queue.consumed) {
      queue.consumed = true;
      this.note(queue);
    }
    await this.untilVisible(queue, Number.POSITIVE_INFINITY, signal);
  }

  hold(queueArn: string, receiptHandles: readonly string[]): () => void {
    const queue = this.queue({ QueueName: nameOf(queueArn) });
    const held = receiptHandles.map((handle) => queue.withHandle(handle)).filter((message) => message !== undefined);
    const note = (isHeld: boolean) =>
      this.context.store.together(() => {
        for (const message of held) queue.hold(message, isHeld);
      });
    note(true);
    return () => {
      if (!this.context.signal.aborted) note(false);
      queue.wake();
    };
  }

  pending(queueArn: string): number {
    return this.queues.get(nameOf(queueArn))?.messages.length ?? 0;
  }

  private operation(action: string, run: Operation['run']): Operation {
    return { needs: (input) => [this.need(action, input), ...this.keyNeeds(action, input)], run };
  }

  private batch<E extends { readonly Id?: string | undefined }>(
    action: string,
    one: (queue: Queue, entry: E, caller: Caller) => object,
  ): Operation {
    return this.operation(action, ({ Entries = [], ...input }, caller) => {
      const queue = this.queue(input);
      checkEntries(action, Entries);
      const Successful: object[] = [];
      const Failed: BatchResultErrorEntry[] = [];
      const each = (entry: E) => {
        try {
          Successful.push({ Id: entry.Id, ...one(queue, entry, caller) });
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          Failed.push({ Id: entry.Id, Code: error.code, Message: error.message, SenderFault: true });
        }
      };
      this.context.store.together(() => Entries.forEach(each));
      return { Successful, Failed };
    });
  }

  private need(action: string, input: Addressed) {
    const resource = action === 'ListQueues' ? '*' : this.arn(nameIn(input));
    return { action: `sqs:${action}`, resource };
  }

  /** What the key of an encrypted queue needs; SQS keeps a data key for minutes, the engine asks each time. */
  private keyNeeds(action: string, input: Addressed): readonly RequiredPermission[] {
    const actions = KEY_ACTIONS[action];
    const queue = actions && this.queues.get(nameIn(input));
    const key = textOf(queue?.attributes.KmsMasterKeyId);
    if (actions === undefined || queue === undefined || !key) return [];
    return this.context.keyNeeds({ key, actions, via: 'sqs', context: { 'aws:sqs:arn': queue.arn } });
  }

  private arn(name: string): string {
    const { partition, region, account } = this.context.aws;
    return `arn:${partition}:sqs:${region}:${account}:${name}`;
  }

  private url(name: string): string {
    return `${this.context.url()}/${this.context.aws.account}/${name}`;
  }

  private queue(input: Addressed): Queue {
    const name = nameIn(input);
    const queue = this.queues.get(name);
    if (queue) return queue;
    const have = [...this.queues.keys()].join(', ') || 'none';
    throw new ApiError('QueueDoesNotExist', `The specified queue does not exist: '${name}' (there are: ${have}).`);
  }

  private createQueue({ QueueName = '', Attributes = {} }: CreateQueueRequest): CreateQueueResult {
    checkQueueName(QueueName, Attributes);
    checkAttributes(Attributes, (arn) => this.queues.has(nameOf(arn)));
    const known = this.queues.get(QueueName);
    const other = Object.entries(Attributes).find(
      ([name, value]) => known && String(value) !== this.shownAttributes(known)[name],
    );
    if (other !== undefined) {
      throw new ApiError(
        'QueueNameExists',
        `A queue already exists with the same name and a different value for attribute ${other[0]}`,
      );
    }
    if (!this.queues.has(QueueName)) {
      const created = this.context.clock.now();
      this.context.store.together(() => this.add(QueueName, this.arn(QueueName), { attributes: Attributes, created }));
    }
    return { QueueUrl: this.url(QueueName) };
  }

  private deleteQueue(input: Addressed): object {
    const queue = this.queue(input);
    this.context.store.together(() => {
      this.purge(queue);
      this.kept.queues.delete(queue.name);
    });
    this.queues.delete(queue.name);
    return {};
  }

  private listQueues({ QueueNamePrefix = '' }: ListQueuesRequest): ListQueuesResult {
    const names = [...this.queues.keys()].filter((name) => name.startsWith(QueueNamePrefix)).sort();
    return { QueueUrls: names.map((name) => this.url(name)) };
  }

  private getAttributes(input: GetQueueAttributesRequest): GetQueueAttributesResult {
    const all = this.shownAttributes(this.queue(input));
    const wanted: string[] = input.AttributeNames ?? [];
    const unknown = wanted.find((name) => name !== 'All' && !(name in all) && !KNOWN_ATTRIBUTES.includes(name));
    if (unknown !== undefined) throw new ApiError('InvalidAttributeName', `Unknown Attribute ${unknown}.`);
    const shown = Object.entries(all).filter(
      ([name, value]) => value !== undefined && (wanted.includes('All') || wanted.includes(name)),
    );
    return shown.length > 0 ? { Attributes: Object.fromEntries(shown) } : {};
  }

  private shownAttributes(queue: Queue): Readonly<Record<string, string | undefined>> {
    const now = this.context.clock.now();
    const visible = queue.visible(now).length;
    const delayed = queue.messages.filter(({ visibleAt, receiveCount }) => visibleAt > now && receiveCount === 0);
    const { visibilityTimeout, delay, retention, receiveWait, maximumSize } = queue.settings;
    const { RedrivePolicy, KmsMasterKeyId, Policy } = queue.attributes;
    return {
      QueueArn: queue.arn,
      ApproximateNumberOfMessages: String(visible),
      ApproximateNumberOfMessagesNotVisible: String(queue.messages.length - visible - delayed.length),
      ApproximateNumberOfMessagesDelayed: String(delayed.length),
      CreatedTimestamp: String(Math.floor(queue.created / 1000)),
      LastModifiedTimestamp: String(Math.floor(queue.created / 1000)),
      VisibilityTimeout: String(visibilityTimeout),
      DelaySeconds: String(delay),
      MessageRetentionPeriod: String(retention),
      ReceiveMessageWaitTimeSeconds: String(receiveWait),
      MaximumMessageSize: String(maximumSize),
      RedrivePolicy: textOf(RedrivePolicy),
      KmsMasterKeyId: textOf(KmsMasterKeyId),
      Policy: textOf(Policy),
      FifoQueue: queue.fifo ? 'true' : undefined,
    };
  }

  private setAttributes(input: SetQueueAttributesRequest): object {
    const queue = this.queue(input);
    checkAttributes(input.Attributes ?? {}, (arn) => this.queues.has(nameOf(arn)));
    queue.configure(input.Attributes ?? {});
    const { name, attributes, created } = queue;
    const template = this.templates.get(name);
    this.kept.queues.put(name, { attributes, created, ...(template !== undefined && { template }) });
    queue.wake();
    return {};
  }

  private purge(queue: Queue): object {
    this.context.store.together(() => queue.purge());
    this.note(queue);
    return {};
  }

  private send(queue: Queue, input: Sent, caller: Caller): SendMessageResult {
    checkMessage(input, queue.fifo, queue.settings.maximumSize);
    const { MessageBody = '', MessageAttributes = {}, DelaySeconds, MessageGroupId, MessageSystemAttributes } = input;
    const now = this.context.clock.now();
    const replied = { MD5OfMessageBody: md5(MessageBody), MD5OfMessageAttributes: md5OfAttributes(MessageAttributes) };
    const deduplicationId = queue.fifo ? this.checkFifo(queue, input) : undefined;
    const before = deduplicationId === undefined ? undefined : queue.duplicate(deduplicationId, now);
    if (before) return { ...replied, MessageId: before.id, SequenceNumber: before.sequence };

    const id = newId();
    const sequence = queue.fifo ? queue.nextSequence() : undefined;
    const trace = MessageSystemAttributes?.AWSTraceHeader?.StringValue;
    const system = {
      SenderId: caller.kind === 'role' ? caller.roleArn : this.context.aws.account,
      SentTimestamp: String(Math.floor(now)),
      ...(trace && { AWSTraceHeader: trace }),
      ...(MessageGroupId && { MessageGroupId }),
      ...(deduplicationId && { MessageDeduplicationId: deduplicationId }),
      ...(sequence && { SequenceNumber: sequence }),
    };
    const { copies, shuffle } = queue.fifo ? { copies: 1, shuffle: false } : this.context.delivery;
    const message = {
      id,
      body: MessageBody,
      attributes: MessageAttributes,
      system,
      sentAt: now,
      ...(queue.fifo && { group: MessageGroupId }),
      visibleAt: now + Number((queue.fifo ? undefined : DelaySeconds) ?? queue.settings.delay) * 1000,
      receiveCount: 0,
    };
    this.context.store.together(() => {
      if (deduplicationId && sequence) queue.remember(deduplicationId, { at: now, id, sequence });
      for (let copy = 0; copy < copies; copy++) {
        queue.add(message, shuffle ? Math.floor(this.context.random() * (queue.messages.length + 1)) : undefined);
      }
    });
    this.note(queue);
    return { ...replied, MessageId: id, ...(sequence && { SequenceNumber: sequence }) };
  }

  /** @returns the deduplication id */
  private checkFifo(queue: Queue, { MessageBody = '', MessageGroupId, MessageDeduplicationId }: Sent): string {
    if (!MessageGroupId) throw missing('MessageGroupId');
    if (MessageDeduplicationId) return MessageDeduplicationId;
    if (queue.settings.contentBasedDeduplication) return md5(MessageBody);
    throw new ApiError(
      'InvalidParameterValue',
      'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
    );
  }

  private async receive(input: ReceiveMessageRequest): Promise<{ Messages?: ReceivedMessage[] }> {
    const queue = this.queue(input);
    const most = wholeIn(input, 'MaxNumberOfMessages', 1, 10, 'Must be between 1 and 10, if provided.') ?? 1;
    const hidden = wholeIn(input, 'VisibilityTimeout', 0, LONGEST_VISIBILITY) ?? queue.settings.visibilityTimeout;
    const wait = wholeIn(input, 'WaitTimeSeconds', 0, 20) ?? queue.settings.receiveWait;
    const deadline = this.context.clock.now() + wait * 1000;
    const found: Message[] = [];
    while (found.length === 0 && (await this.untilVisible(queue, deadline, this.context.signal))) {
      found.push(...this.take(queue, most, hidden));
    }
    return found.length === 0 ? {} : { Messages: found.map((message) => shown(message, input)) };
  }

  private take(queue: Queue, most: number, visibilityTimeout: number): Message[] {
    const now = this.context.clock.now();
    const visible = queue.visible(now);
    if (this.context.delivery.shuffle && !queue.fifo) shuffle(visible, () => this.context.random());
    const taken: Message[] = [];
    this.context.store.together(() => {
      for (const message of visible) {
        if (message.receiveCount >= queue.settings.maxReceiveCount && this.redrive(queue, message)) continue;
        if (taken.length < most) taken.push(queue.receive(message, now, visibilityTimeout));
      }
    });
    this.note(queue);
    return taken;
  }

  /** Moves a message that was received too often to the dead-letter queue. */
  private redrive(queue: Queue, message: Message): boolean {
    const deadLetters = this.queues.get(nameOf(queue.settings.deadLetterArn ?? ''));
    if (!deadLetters) return false;
    queue.remove(message);
    const { number: _, held: __, ...moved } = message;
    deadLetters.add({
      ...moved,
      system: { ...message.system, DeadLetterQueueSourceArn: queue.arn },
      receiveCount: 0,
      receiptHandle: undefined,
      firstReceivedAt: undefined,
      visibleAt: 0,
    });
    this.context.log(
      'sqs',
      `${queue.name}: message ${message.id} was received ${message.receiveCount} times: moved to ${deadLetters.name}`,
      {
        body: message.body.slice(0, 1000),
      },
    );
    this.note(deadLetters);
    return true;
  }

  private delete(queue: Queue, { ReceiptHandle }: Partial<DeleteMessageRequest>): object {
    const message = queue.withHandle(checkedHandle(ReceiptHandle, queue.arn));
    if (message) queue.remove(message); // an older handle, or a second delete, succeeds without effect
    this.note(queue);
    return {};
  }

  private changeVisibility(queue: Queue, input: Partial<ChangeMessageVisibilityRequest>): object {
    if (input.VisibilityTimeout === undefined) throw missing('VisibilityTimeout');
    const seconds = wholeIn(input, 'VisibilityTimeout', 0, LONGEST_VISIBILITY, 'Must be between 0 and 43200.') ?? 0;
    const message = queue.withHandle(checkedHandle(input.ReceiptHandle, queue.arn));
    const now = this.context.clock.now();
    if (!message) {
      throw new ApiError(
        'InvalidParameterValue',
        `Value ${input.ReceiptHandle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
      );
    }
    if (message.visibleAt <= now) throw new ApiError('MessageNotInflight', 'The specified message is not in flight.');
    queue.hide(message, now + seconds * 1000);
    return {};
  }

  /** Waits for a message that can be received; false once the deadline has passed or the signal has come. */
  private async untilVisible(queue: Queue, deadline: number, signal: AbortSignal): Promise<boolean> {
    for (;;) {
      const now = this.context.clock.now();
      if (signal.aborted) return false;
      if (queue.visible(now).length > 0) return true;
      if (now >= deadline) return false;
      const { waiter, forget } = queue.nextWake();
      const end = () => waiter.abort();
      signal.addEventListener('abort', end);
      const next = Math.min(deadline, queue.nextVisible());
      if (Number.isFinite(next)) await this.context.clock.sleep(next - now, waiter.signal);
      else await new Promise((done) => waiter.signal.addEventListener('abort', done));
      signal.removeEventListener('abort', end);
      forget();
    }
  }

  /** Tells the metrics and the engine what has become of a queue. */
  private note(queue: Queue): void {
    const { metric, clock, background } = this.context;
    const visible = queue.visible(clock.now()).length;
    metric('AWS/SQS', 'ApproximateNumberOfMessagesVisible', visible, { QueueName: queue.name }, 'Count');
    const finish = this.busy.get(queue);
    if (queue.messages.length === 0) {
      this.busy.delete(queue);
      finish?.();
    } else if (queue.consumed && !finish) {
      const emptied = new Promise<void>((done) => this.busy.set(queue, done));
      background(`messages in ${queue.name}`, () => emptied);
    }
  }
}

function nameIn({ QueueUrl, QueueName }: Addressed): string {
  if (QueueName !== undefined) return String(QueueName);
  if (QueueUrl === undefined) throw missing('QueueUrl');
  return String(QueueUrl).split('/').at(-1) ?? '';
}

function nameOf(arn: string): string {
  return arn.split(':').at(-1) ?? '';
}

/** An attribute as calls give it; a template may have it as an object. */
function textOf(value: unknown): string | undefined {
  return value === undefined || typeof value === 'string' ? value : JSON.stringify(value);
}

function messageKey({ name }: Queue, { number }: Message): string {
  return `${name}/${number}`;
}

function seenKey({ name }: Queue, id: string): string {
  return `${name}/${id}`;
}

/** In place. */
function shuffle<T>(items: T[], random: () => number): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
}
