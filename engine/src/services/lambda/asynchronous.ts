import { sendToArn } from '../../delivery/target-delivery';
import type { Caller, Context, Shape } from '../../service';
import type { Outcome } from './environment';
import type { LambdaFunction } from './function';

/** How a function's asynchronous invocations are retried and reported; its `AWS::Lambda::EventInvokeConfig`. */
export interface AsyncConfig {
  readonly retries: number;
  readonly onSuccess?: string;
  readonly onFailure?: string;
}

/** Minutes before the first and the second retry. */
const RETRY_MINUTES = [1, 2];

export function readAsyncConfig(properties: Shape): AsyncConfig {
  const { OnSuccess, OnFailure } = properties.DestinationConfig ?? {};
  return {
    retries: Number(properties.MaximumRetryAttempts ?? 2),
    ...(OnSuccess?.Destination && { onSuccess: OnSuccess.Destination }),
    ...(OnFailure?.Destination && { onFailure: OnFailure.Destination }),
  };
}

/** An asynchronous invocation, and how far it has come. */
export interface Later {
  readonly function: string;
  readonly payload: string;
  /** Attempts that were made. */
  readonly attempts: number;
  /** What the last of them came to. */
  readonly outcome?: Outcome;
}

/** What {@link invokeLater} needs of the function. */
export interface LaterOptions {
  readonly made: LambdaFunction;
  readonly config: AsyncConfig;
  readonly caller: () => Caller;
  readonly invoke: () => Promise<Outcome>;
  /** Keeps how far it has come. */
  readonly progress: (later: Later) => void;
}

/** Runs an asynchronous invocation to its end: retries it, then reports to the destinations and the dead-letter queue. */
export async function invokeLater(context: Context, later: Later, options: LaterOptions): Promise<void> {
  const { made, config, caller, invoke, progress } = options;
  const { payload } = later;
  let { attempts, outcome } = later;
  while (outcome === undefined || (outcome.error !== undefined && attempts <= config.retries)) {
    const isRetry = outcome !== undefined && attempts > later.attempts; // what an earlier start has waited for is due
    if (isRetry) await context.clock.sleep((RETRY_MINUTES[attempts - 1] ?? 2) * 60_000, context.signal);
    if (context.signal.aborted) return;
    outcome = await invoke();
    if (context.signal.aborted) return; // it was broken off: the next start invokes it again
    attempts += 1;
    progress({ ...later, attempts, outcome });
  }
  const failed = outcome.error !== undefined;
  const destination = failed ? config.onFailure : config.onSuccess;
  if (destination !== undefined) {
    const record = {
      version: '1.0',
      timestamp: new Date(context.clock.now()).toISOString(),
      requestContext: {
        requestId: outcome.requestId,
        functionArn: `${made.arn}:$LATEST`,
        condition: failed ? 'RetriesExhausted' : 'Success',
        approximateInvokeCount: attempts,
      },
      requestPayload: JSON.parse(payload),
      responseContext: {
        statusCode: 200,
        executedVersion: '$LATEST',
        ...(failed && { functionError: outcome.error }),
      },
      responsePayload: JSON.parse(outcome.payload || 'null'),
    };
    await deliver(context, destination, JSON.stringify(record), record, caller());
  }
  if (failed && made.deadLetterArn !== undefined) await deliver(context, made.deadLetterArn, payload, {}, caller());
}

async function deliver(context: Context, arn: string, text: string, record: Shape, caller: Caller): Promise<void> {
  switch (arn.split(':')[2]) {
    case 'sqs':
    case 'sns':
    case 'lambda':
      return await sendToArn(context, { Arn: arn }, text, caller);
    case 'events': {
      const failed = record.responseContext?.functionError !== undefined;
      const DetailType = `Lambda Function Invocation Result - ${failed ? 'Failure' : 'Success'}`;
      const entry = { Source: 'lambda', DetailType, Detail: text, EventBusName: arn };
      return await context.call('events', 'PutEvents', { Entries: [entry] }, caller);
    }
    default:
      throw new Error(`the local engine delivers to sqs, sns, lambda and events, not to ${arn}`);
  }
}
