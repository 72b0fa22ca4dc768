import { ApiError, type Caller, type Context } from '../service';

/** How often and how long a delivery is tried again, and where it goes if that does not help. */
export interface Delivering {
  /** `events` or `scheduler`, for the log. */
  readonly service: string;
  /** What is delivered, in words. */
  readonly what: string;
  readonly targetArn: string;
  readonly retryPolicy?: { readonly MaximumRetryAttempts?: number; readonly MaximumEventAgeInSeconds?: number };
  readonly deadLetterArn?: string;
  /** Who sends to the dead-letter queue. */
  readonly deadLetterCaller: () => Caller;
  /** What the dead-letter queue gets. */
  readonly body: () => string;
  /** The dead letter's attributes beyond those about the error. */
  readonly attributes: Readonly<Record<string, string>>;
  /** @param attempt 1 for the first */
  send(attempt: number): Promise<void>;
  /** When it was first tried, or is now. */
  readonly since: number;
  /** Attempts that an earlier start made. */
  readonly attempts: number;
  /** Told of every attempt that failed and is to be followed by another. */
  failed(attempts: number): void;
}

const MAX_ATTEMPTS = 185;
const MAX_AGE_SECONDS = 86_400;
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 300_000;

/** Delivers, with growing waits between tries, and gives up into the dead-letter queue. Never throws for what a target does. */
export async function deliver(context: Context, delivering: Delivering): Promise<void> {
  const { clock, signal } = context;
  const retries = delivering.retryPolicy?.MaximumRetryAttempts ?? MAX_ATTEMPTS;
  const until = delivering.since + (delivering.retryPolicy?.MaximumEventAgeInSeconds ?? MAX_AGE_SECONDS) * 1000;
  for (let attempt = delivering.attempts + 1; !signal.aborted; attempt++) {
    try {
      await delivering.send(attempt);
      return;
    } catch (error) {
      const { code, retry } = classify(error);
      const wait = Math.min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT) * (0.5 + context.random() / 2);
      const exhausted =
        attempt > retries
          ? 'MaximumRetryAttempts'
          : clock.now() + wait > until
            ? 'MaximumEventAgeInSeconds'
            : undefined;
      if (signal.aborted) return; // the next start tries again
      if (retry && exhausted === undefined) {
        delivering.failed(attempt);
        await clock.sleep(wait, signal);
        continue;
      }
      await giveUp(context, delivering, {
        ERROR_CODE: code,
        ERROR_MESSAGE: error instanceof Error ? error.message : String(error),
        RETRY_ATTEMPTS: String(attempt - 1),
        ...(retry && exhausted !== undefined ? { EXHAUSTED_RETRY_CONDITION: exhausted } : {}),
      });
      return;
    }
  }
}

async function giveUp(context: Context, delivering: Delivering, error: Record<string, string>): Promise<void> {
  const { service, what, targetArn, deadLetterArn } = delivering;
  context.log(service, `${what} could not be delivered to ${targetArn}: ${error.ERROR_MESSAGE}`, error);
  if (deadLetterArn === undefined) return;
  const attributes = { ...delivering.attributes, TARGET_ARN: targetArn, ...error };
  try {
    await context.call(
      'sqs',
      'SendMessage',
      {
        QueueUrl: queueUrl(context, deadLetterArn),
        MessageBody: delivering.body(),
        MessageAttributes: Object.fromEntries(
          Object.entries(attributes).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
        ),
      },
      delivering.deadLetterCaller(),
    );
  } catch (failure) {
    const message = failure instanceof Error ? failure.message : String(failure);
    context.log(service, `${what} is lost: the dead-letter queue ${deadLetterArn} did not take it: ${message}`);
  }
}

/** What kind of failure it is, and whether another try may help. */
function classify(error: unknown): { readonly code: string; readonly retry: boolean } {
  if (!(error instanceof ApiError)) return { code: 'INTERNAL_ERROR', retry: true };
  if (error.status === 403) return { code: 'NO_PERMISSIONS', retry: false };
  if (/NotFound|NonExistent|DoesNotExist/.test(error.code)) return { code: 'NO_RESOURCE', retry: false };
  if (/Throttl|TooManyRequests|LimitExceeded/.test(error.code)) return { code: 'THROTTLING', retry: true };
  return error.status >= 500 ? { code: 'INTERNAL_ERROR', retry: true } : { code: 'SDK_CLIENT_ERROR', retry: false };
}

/** The target of a rule or a schedule, as far as it matters here. */
interface Receiver {
  readonly Arn: string;
  readonly SqsParameters?: { readonly MessageGroupId?: string | undefined };
}

/** Gives a text to a queue, topic, function or state machine. */
export async function sendToArn(context: Context, target: Receiver, input: string, caller: Caller): Promise<void> {
  const arn = target.Arn;
  switch (arn.split(':')[2]) {
    case 'sqs':
      await context.call(
        'sqs',
        'SendMessage',
        {
          QueueUrl: queueUrl(context, arn),
          MessageBody: input,
          ...(target.SqsParameters?.MessageGroupId && { MessageGroupId: target.SqsParameters.MessageGroupId }),
        },
        caller,
      );
      return;
    case 'sns':
      await context.call('sns', 'Publish', { TopicArn: arn, Message: input }, caller);
      return;
    case 'lambda':
      await context.call('lambda', 'Invoke', { FunctionName: arn, InvocationType: 'Event', Payload: input }, caller);
      return;
    case 'states':
      await context.call('states', 'StartExecution', { stateMachineArn: arn, input }, caller);
      return;
    default:
      throw new ApiError(
        'UnsupportedTarget',
        `the local engine delivers to queues, topics, functions, state machines and event buses, got ${arn}`,
      );
  }
}

/** The address of a queue, by its ARN. */
export function queueUrl(context: Context, arn: string): string {
  const [, , , , account, name] = arn.split(':');
  return `${context.url()}/${account}/${name}`;
}
