import { queueUrl } from '../../delivery/target-delivery';
import type { Caller, Context, Queues, Resource, Shape } from '../../service';
import type { Outcome } from './environment';

export interface EventSourceOptions {
  readonly context: Context;
  readonly queues: Queues;
  /** Resolves to the caller that the function's role makes. */
  readonly caller: () => Caller;
  readonly functionName: string;
  /** Whether a message's content passes the mapping's filters. */
  readonly accepts: (record: Shape) => boolean;
  readonly invoke: (payload: string) => Promise<Outcome>;
}

/** The most messages that SQS gives at a time. */
const RECEIVE_LIMIT = 10;
/** Pollers of a mapping that does not limit them. */
const POLLERS = 2;
/** How long a poller rests after it could not read its queue. */
const REST_MS = 1000;

/**
 * An `AWS::Lambda::EventSourceMapping`: takes messages from an SQS queue, gives them to a function in
 * batches, and deletes those that it handled.
 *
 * What it does with the queue it does as the function's role. Messages of a batch that failed
 * come back when the queue's visibility timeout is over, as on AWS.
 */
export class EventSource {
  readonly uuid: string;
  readonly queueArn: string;
  readonly batchSize: number;
  readonly windowSeconds: number;
  readonly enabled: boolean;
  private readonly partial: boolean;
  private readonly pollers: number;
  private readonly queueUrl: string;
  private readonly stopping = new AbortController();
  private loops: Promise<void>[] = [];

  constructor(
    resource: Resource,
    private readonly options: EventSourceOptions,
  ) {
    const { properties } = resource;
    this.uuid = resource.physicalId;
    this.queueArn = properties.EventSourceArn;
    this.batchSize = Number(properties.BatchSize ?? 10);
    this.windowSeconds = Number(properties.MaximumBatchingWindowInSeconds ?? 0);
    this.enabled = properties.Enabled !== false && properties.Enabled !== 'false';
    this.partial = (properties.FunctionResponseTypes ?? []).includes('ReportBatchItemFailures');
    this.pollers = Math.min(Number(properties.ScalingConfig?.MaximumConcurrency ?? POLLERS), POLLERS);
    this.queueUrl = queueUrl(options.context, this.queueArn);
  }

  start(): void {
    if (!this.enabled) return;
    this.loops = Array.from({ length: this.pollers }, () => this.poll());
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.loops);
  }

  private async poll(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.options.queues.waitForMessages(this.queueArn, signal);
      if (signal.aborted) return;
      const took = await this.inBackground(() => this.batch());
      if (!took) await new Promise((resolve) => setImmediate(resolve)); // another poller was faster
    }
  }

  /** Does a batch as work that {@link Engine.idle} waits for; false if there was nothing to do. */
  private inBackground(work: () => Promise<boolean>): Promise<boolean> {
    return new Promise((resolve) => {
      this.options.context.background(`batch of ${this.queueArn} for ${this.options.functionName}`, async () => {
        resolve(await work());
      });
    });
  }

  private async batch(): Promise<boolean> {
    const { context, functionName } = this.options;
    let records: Shape[];
    try {
      records = await this.collect();
    } catch (error) {
      if (this.stopping.signal.aborted) return true;
      context.log(
        'lambda',
        `event source of ${functionName} cannot read ${this.queueArn}: ${(error as Error).message}`,
      );
      await context.clock.sleep(REST_MS, this.stopping.signal);
      return true;
    }
    if (records.length === 0) return false;
    const handles = records.map(({ receiptHandle }) => receiptHandle);
    const release = this.options.queues.hold(this.queueArn, handles);
    try {
      const failed = await this.handle(records);
      const done = records.filter(({ messageId }) => !failed.has(messageId));
      await Promise.all(done.map(({ receiptHandle }) => this.remove(receiptHandle)));
    } finally {
      release();
    }
    return true;
  }

  /** Receives until the batch is full or its window is over; drops what the filters refuse. */
  private async collect(): Promise<Shape[]> {
    const { context, queues, accepts } = this.options;
    const { signal } = this.stopping;
    const until = context.clock.now() + this.windowSeconds * 1000;
    const records: Shape[] = [];
    for (;;) {
      const want = Math.min(RECEIVE_LIMIT, this.batchSize - records.length);
      const messages = await this.receive(want);
      for (const message of messages) {
        const record = this.record(message);
        if (accepts(record)) records.push(record);
        else await this.remove(record.receiptHandle);
      }
      if (records.length >= this.batchSize || signal.aborted) return records;
      if (messages.length === want) continue;
      const left = until - context.clock.now();
      if (left <= 0 || records.length === 0) return records;
      // Whichever comes first: the end of the window, or more messages.
      const either = new AbortController();
      const stop = () => either.abort();
      signal.addEventListener('abort', stop);
      await Promise.race([
        context.clock.sleep(left, either.signal),
        queues.waitForMessages(this.queueArn, either.signal),
      ]);
      signal.removeEventListener('abort', stop);
      stop();
    }
  }

  private async receive(most: number): Promise<Shape[]> {
    const input = {
      QueueUrl: this.queueUrl,
      MaxNumberOfMessages: most,
      WaitTimeSeconds: 0,
      AttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
      MessageAttributeNames: ['All'],
    };
    const { Messages = [] } = await this.options.context.call('sqs', 'ReceiveMessage', input, this.options.caller());
    return Messages;
  }

  private async remove(receiptHandle: string): Promise<void> {
    const { context, caller } = this.options;
    const input = { QueueUrl: this.queueUrl, ReceiptHandle: receiptHandle };
    try {
      await context.call('sqs', 'DeleteMessage', input, caller());
    } catch (error) {
      context.log('lambda', `a handled message of ${this.queueArn} could not be deleted: ${(error as Error).message}`);
    }
  }

  /** Invokes the function; gives the ids of messages that it did not handle. */
  private async handle(records: readonly Shape[]): Promise<ReadonlySet<string>> {
    const { context, functionName, invoke } = this.options;
    const all = new Set(records.map(({ messageId }) => messageId as string));
    let outcome: Outcome;
    try {
      outcome = await invoke(JSON.stringify({ Records: records }));
    } catch (error) {
      context.log('lambda', `a batch for ${functionName} was not handled: ${(error as Error).message}`);
      return all;
    }
    if (outcome.error !== undefined) return all;
    return this.partial ? failures(outcome.payload, all) : new Set();
  }

  private record(message: Shape): Shape {
    const attributes = Object.entries((message.MessageAttributes ?? {}) as Record<string, Shape>).map(
      ([key, value]) => [
        key,
        {
          ...(value.StringValue !== undefined && { stringValue: value.StringValue }),
          ...(value.BinaryValue !== undefined && { binaryValue: Buffer.from(value.BinaryValue).toString('base64') }),
          stringListValues: [],
          binaryListValues: [],
          dataType: value.DataType,
        },
      ],
    );
    return {
      messageId: message.MessageId,
      receiptHandle: message.ReceiptHandle,
      body: message.Body,
      attributes: message.Attributes ?? {},
      messageAttributes: Object.fromEntries(attributes),
      md5OfBody: message.MD5OfBody,
      eventSource: 'aws:sqs',
      eventSourceARN: this.queueArn,
      awsRegion: this.options.context.aws.region,
    };
  }
}

/** The messages that a partial answer names; all of them if the answer makes no sense, as on AWS. */
function failures(payload: string, all: ReadonlySet<string>): ReadonlySet<string> {
  const answer = JSON.parse(payload || 'null') as { batchItemFailures?: { itemIdentifier?: string }[] } | null;
  const named = answer?.batchItemFailures;
  if (named === undefined || named === null) return new Set();
  if (!Array.isArray(named)) return all;
  const ids = named.map((item) => item?.itemIdentifier ?? '');
  return ids.every((id) => all.has(id)) ? new Set(ids) : all;
}
