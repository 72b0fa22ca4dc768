import type { Trial } from './tuning';

/** What a training job's failure calls for. */
export const FAILURE_KINDS = [
  /** No machine of this kind is free: another kind may be. */
  'CAPACITY',
  /** The account may not have (so many of) them: others may finish, or another kind may be allowed. */
  'QUOTA',
  /** Too many calls at once. */
  'THROTTLE',
  /** SageMaker's own fault. */
  'INTERNAL',
  /** No spot machine came, or came back, within the longest wait. */
  'SPOT_TIMEOUT',
  /** The script failed: it would again. */
  'ALGORITHM',
  /** What was asked for cannot be done: it could not be done again either. */
  'CLIENT',
  /** Somebody stopped the job. */
  'CANCELLED',
] as const;
export type FailureKind = (typeof FAILURE_KINDS)[number];

/** Why a job did not train. */
export interface Failure {
  readonly kind: FailureKind;
  /** In SageMaker's words, or the script's. */
  readonly reason: string;
  /** Whether the job ran for as long as it was allowed to. */
  readonly atTimeLimit?: true;
}

/** A training job as SageMaker describes it; of its description, what matters here. */
export interface JobFacts {
  readonly status: 'InProgress' | 'Stopping' | 'Completed' | 'Failed' | 'Stopped';
  readonly secondaryStatus?: string;
  readonly failureReason?: string;
  /** Seconds that SageMaker bills, for each of its instances; absent if it never had one. */
  readonly billableSeconds?: number;
  /** Seconds from the first machine to the end. */
  readonly trainingSeconds?: number;
  /** How often a spot machine was taken away. */
  readonly interruptions?: number;
  readonly arn?: string;
  /** The address of the model's archive. */
  readonly model?: string;
  /** The last value of each metric. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** A tuning job's training jobs. */
  readonly trials?: readonly Trial[];
}

/** What a state that could not start a job, or lost sight of it, was caught with. */
export interface CaughtError {
  readonly name: string;
  readonly cause: string;
}

const INTERNAL = /InternalServerError|InternalFailure|InternalError|internal (server )?error|ServiceUnavailable/i;
const CAPACITY = /CapacityError|InsufficientInstanceCapacity|InsufficientCapacity|Unable to provision requested/i;
const QUOTA = /ResourceLimitExceeded|account-level service limit/i;
const THROTTLE = /Throttl|TooManyRequests|Rate exceeded|SlowDown|RequestLimitExceeded/i;

/**
 * Why a job that has ended did not train; undefined if it did.
 *
 * Only `Completed` is success: a job that was stopped by hand or by a limit has left no finished model, whatever
 * the service integration makes of it.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
 */
export function failureOf(job: JobFacts): Failure | undefined {
  const { status, secondaryStatus = '', failureReason = '' } = job;
  if (status === 'Completed') {
    return job.model === undefined ? { kind: 'ALGORITHM', reason: 'the job completed without a model' } : undefined;
  }
  const told = (kind: FailureKind, otherwise: string): Failure => ({ kind, reason: failureReason || otherwise });
  if (status !== 'Failed') {
    if (secondaryStatus === 'MaxWaitTimeExceeded') {
      const times = job.interruptions ?? 0;
      return {
        kind: 'SPOT_TIMEOUT',
        reason:
          times > 0
            ? `the spot machine was taken away (${times === 1 ? 'once' : `${times} times`}) and none came back in time`
            : 'no spot machine came in time',
      };
    }
    if (secondaryStatus === 'MaxRuntimeExceeded') {
      return { ...told('CLIENT', 'it was not done within maxDuration'), atTimeLimit: true };
    }
    if (/MaxPendingTime/.test(`${secondaryStatus} ${failureReason}`)) return told('CAPACITY', 'it waited too long');
    if (CAPACITY.test(failureReason)) return { kind: 'CAPACITY', reason: failureReason };
    return told('CANCELLED', 'somebody stopped the job');
  }
  // the prefix says whose fault it is; what a script wrote may hold any of the other words
  if (/^AlgorithmError/.test(failureReason)) return { kind: 'ALGORITHM', reason: failureReason };
  if (CAPACITY.test(failureReason)) return { kind: 'CAPACITY', reason: failureReason };
  if (/^InternalServerError/.test(failureReason)) return { kind: 'INTERNAL', reason: failureReason };
  if (QUOTA.test(failureReason)) return { kind: 'QUOTA', reason: failureReason };
  if (THROTTLE.test(failureReason)) return { kind: 'THROTTLE', reason: failureReason };
  if (/^ClientError/.test(failureReason)) return { kind: 'CLIENT', reason: failureReason };
  return told('INTERNAL', 'the job failed without a reason'); // worth another try; the tries are counted
}

/** Why a job could not be started, from what Step Functions was told. */
export function refusalOf({ name, cause }: CaughtError): Failure {
  const text = `${name} ${cause}`;
  const reason = cause === '' ? name : cause;
  if (QUOTA.test(text)) return { kind: 'QUOTA', reason };
  if (THROTTLE.test(text)) return { kind: 'THROTTLE', reason };
  if (CAPACITY.test(text)) return { kind: 'CAPACITY', reason };
  if (/^States\.(Timeout|HeartbeatTimeout|TaskFailed)$/.test(name)) return { kind: 'INTERNAL', reason };
  if (/^States\./.test(name)) return { kind: 'CLIENT', reason }; // the definition itself, or its permissions
  if (INTERNAL.test(text) || /Status Code: 5\d\d|SdkClient|Timeout|Connection/i.test(text)) {
    return { kind: 'INTERNAL', reason };
  }
  return { kind: 'CLIENT', reason };
}

/** That neither a job nor an error is known can only be a fault on the way. */
const UNKNOWN_JOB: CaughtError = { name: 'States.TaskFailed', cause: 'the job is unknown to SageMaker' };

/**
 * Why a job has not trained; undefined if it has.
 *
 * @param job as SageMaker knows it; undefined if there never was one
 * @param caught what its state was caught with; null if nothing was
 */
export function failureAfter(job: JobFacts | undefined, caught: CaughtError | null = UNKNOWN_JOB): Failure | undefined {
  const { name } = caught ?? UNKNOWN_JOB;
  if (job === undefined) return refusalOf(caught ?? UNKNOWN_JOB);
  const failure = failureOf(job);
  // stopped by Step Functions: because time was over, or with an execution that goes on now (its name is in use)
  const isOurs = failure?.kind === 'CANCELLED' && /^States\.Timeout$|ResourceInUse/.test(name);
  return isOurs ? { kind: 'INTERNAL', reason: `${failure.reason}: its state ended before it did (${name})` } : failure;
}

/** So many lines of a script's log stand in its failure, and so many characters. */
export const LOG_LINES = 12;
const LOG_CHARACTERS = 1500;

/** Whether a failure is the script's: SageMaker's containers often replace the script's words with their own. */
export function needsLog({ kind }: Failure): boolean {
  return kind === 'ALGORITHM' || kind === 'CLIENT';
}

/**
 * A failure with the last lines of the script's log that it does not contain yet.
 *
 * @param place where the log is
 */
export function withLog(failure: Failure, lines: readonly string[], place: string): Failure {
  const missing = lines.slice(-LOG_LINES).filter((line) => line.trim() !== '' && !failure.reason.includes(line.trim()));
  if (missing.length === 0) return failure;
  const text = missing.join('\n').slice(-LOG_CHARACTERS);
  return { ...failure, reason: `${failure.reason}\nThe end of its log (${place}):\n${text}` };
}
