import type { Spent } from '../dataset/budget';
import type { Evidence, Need, TrainingInput } from '../dataset/documents';
import type { DeploymentInput, DeploymentOutcome } from '../deploy/documents';
import type { Verdict } from '../judge/judgement';
import { type Reason, shortHash } from '../names';
import type { PrepareReport } from '../prepare/documents';
import type { FailureKind } from '../train/failures';
import type { Hyperparameters } from '../train/tuning';
import type { Outcome } from './documents';

/**
 * The ledger: one DynamoDB table, partition key `pk` (the pipeline's name), sort key `sk`.
 *
 * Facts are appended under keys that a retry makes again, and never overwritten. Sorted by
 * key they are sorted by time within their kind, so "what served at time t, why, trained on
 * what" is one query.
 *
 * | sort key | fact |
 * |---|---|
 * | `RUN#<started>#<run>#START` | {@link RunStarted} |
 * | `RUN#<started>#<run>#PREPARED` | {@link RunPrepared} |
 * | `RUN#<started>#<run>#STARTED#<job>` | {@link AttemptStarted} |
 * | `RUN#<started>#<run>#ATTEMPT#<job>` | {@link TrainingAttempt} |
 * | `RUN#<started>#<run>#VERDICT` | {@link RunJudged} |
 * | `RUN#<started>#<run>#END` | {@link RunEnded} |
 * | `DEPLOYMENT#<started>#<deployment>` | {@link DeploymentEnded} |
 * | `MONITOR#<window end>#<window>` | {@link WindowJudged} |
 * | `DECISION#<event time>#<event id>` | {@link Decision} |
 * | `DECISION#<event time>#<event id>#LATER` | {@link Decision}: what became of a trigger that was remembered |
 * | `REFUSED#<key>#<version id>` | {@link RefusedFile} |
 * | `TORN#<row>#<hash>` | {@link TornRow} |
 *
 * What would be longer than DynamoDB allows is cut, and ends in a hash of the whole: the row itself names what the
 * key no longer does.
 *
 * Some items change in place: `LEASE#<training or deployment>` ({@link Lease}, {@link DeploymentLease}),
 * `PREPARING#<started>#<run>` (what preparation is at: `Search` of `preparation/search.ts`) and `WATCH#<version>`
 * (the monitor's running evidence about a model version). They carry a `revision`: who writes names the one it has
 * read.
 */
export const LedgerKey = {
  run: (
    startedAt: string,
    runId: string,
    fact: 'START' | 'PREPARED' | `STARTED#${string}` | `ATTEMPT#${string}` | 'VERDICT' | 'END',
  ) => sortKey(`RUN#${startedAt}#${runId}#${fact}`),
  deployment: (startedAt: string, deploymentId: string) => sortKey(`DEPLOYMENT#${startedAt}#${deploymentId}`),
  monitor: (windowEnd: string, windowId: string) => sortKey(`MONITOR#${windowEnd}#${windowId}`),
  decision: (at: string, eventId: string) => sortKey(`DECISION#${at}#${eventId}`),
  /** What became of a trigger that was remembered, if no run served it. */
  decisionLater: (at: string, eventId: string) => sortKey(`DECISION#${at}#${eventId}#LATER`),
  refused: (key: string, versionId: string) => sortKey(`REFUSED#${key}#${versionId}`),
  torn: (row: string, was: string) => sortKey(`TORN#${row}#${shortHash(was)}`),
  preparing: (startedAt: string, runId: string) => sortKey(`PREPARING#${startedAt}#${runId}`),
  lease: (of: 'training' | 'deployment') => `LEASE#${of}`,
  watch: (version: number) => `WATCH#${version}`,
  /** How often the monitor has begun to read an upload of ground truth. */
  reading: (windowId: string) => `READING#${windowId}`,
} as const;

/**
 * Bytes of a sort key in DynamoDB.
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
 */
const LONGEST_KEY = 1024;

function sortKey(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= LONGEST_KEY) return text;
  const hash = `#${shortHash(text, 64)}`;
  // the last character may have been cut in two: what is left of it decodes as U+FFFD
  return bytes.toString('utf8', 0, LONGEST_KEY - hash.length).replace(/\ufffd$/, '') + hash;
}

/** What every fact carries; `at` is ISO. */
export interface Fact {
  readonly pk: string;
  readonly sk: string;
  readonly at: string;
}

export interface RunStarted extends Fact {
  readonly runId: string;
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly dataVersion: string;
  readonly files: number;
  readonly bytes: number;
}

export interface RunPrepared extends Fact, PrepareReport {
  readonly runId: string;
}

/** A training job that is about to be asked for, with what it may cost: written before it is, so that none goes uncounted. */
export interface AttemptStarted extends Fact {
  readonly runId: string;
  readonly job: string;
  /** As a person reads it, e.g. `2 × ml.g5.2xlarge, spot`. */
  readonly option: string;
  /** The longest that it may run, which the money may have shortened. */
  readonly maxRuntimeSeconds: number;
  /** USD as the last runs took; absent if there were none, or if the price is unknown. */
  readonly expectedUsd?: number;
  /** USD if it runs for as long as it may; absent if the price is unknown. */
  readonly atMostUsd?: number;
}

/** One training job that has ended, or was refused. */
export interface TrainingAttempt extends Fact {
  readonly runId: string;
  readonly job: string;
  readonly option: string;
  /** The first of its instances, where they are of several types. */
  readonly instanceType: string;
  /** All of its instances. */
  readonly instanceCount: number;
  readonly spot: boolean;
  /** SageMaker's word, or `Refused` if there never was a job. */
  readonly status: string;
  /** Why it did not train. */
  readonly kind?: FailureKind;
  readonly failure?: string;
  /** Billed seconds of each instance; absent if the job never had one. */
  readonly billableSeconds?: number;
  /** Seconds from its first machine to its end. */
  readonly trainingSeconds?: number;
  /** How often a spot machine was taken away. */
  readonly interruptions?: number;
  /** USD at on-demand prices; absent if a price is unknown. */
  readonly costUsd?: number;
  /** Which set of hyperparameters it trained, where several are tried. */
  readonly iteration?: number;
  readonly hyperparameters?: Hyperparameters;
  /** The last value of each metric that it printed. */
  readonly metrics?: Readonly<Record<string, number>>;
}

export interface RunJudged extends Fact {
  readonly runId: string;
  readonly verdict: Verdict;
  /** Its name. */
  readonly problem: string;
  readonly metric: string;
  readonly candidate: number;
  readonly champion?: number;
  readonly championVersion?: number;
  /** The metric of the trivial answer, which a first model must beat. */
  readonly trivial?: number;
  /** Improvement over the champion (over the trivial answer, for a first model), with its confidence interval. */
  readonly difference: number;
  readonly interval: readonly [number, number];
  readonly rows: number;
  /** One sentence a person understands. */
  readonly because: string;
}

export interface RunEnded extends Fact {
  readonly runId: string;
  readonly outcome: Outcome;
  readonly modelPackageArn?: string;
  readonly error?: { readonly name: string; readonly cause: string };
}

export interface DeploymentEnded extends Fact {
  readonly deploymentId: string;
  readonly startedAt: string;
  readonly modelPackageArn: string;
  readonly version: number;
  readonly runId?: string;
  readonly modelName?: string;
  readonly endpointConfigName?: string;
  readonly outcome: DeploymentOutcome;
  readonly error?: { readonly name: string; readonly cause: string };
}

export interface WindowJudged extends Fact {
  readonly windowId: string;
  readonly version: number;
  readonly verdict: 'OK' | 'DRIFT' | 'INSUFFICIENT' | 'BAD_DATA';
  readonly rows: number;
  readonly summary: string;
  readonly reportKey: string;
}

/** What the controller did about one trigger. */
export interface Decision extends Fact {
  readonly eventId: string;
  readonly reason: Reason;
  readonly decided: 'STARTED' | 'REMEMBERED' | 'IGNORED';
  readonly runId?: string;
  readonly because: string;
  /** What people have to see to, if this shall end otherwise. */
  readonly needs?: Need;
}

/** A version of an uploaded file that no run can use; snapshots leave it out. */
export interface RefusedFile extends Fact {
  readonly key: string;
  readonly versionId: string;
  /** The run that failed because of it. */
  readonly runId: string;
  /** What is wrong with it, and what its owner can do. */
  readonly because: string;
}

/** Who may train now, and what waits. */
export interface Lease extends Spent {
  /** The id of the run that holds it; absent if free. Whether it is under way, Step Functions says. */
  readonly holder?: string;
  /** Triggers that came meanwhile: one more run afterwards serves them all, or one for each snapshot that is asked for. */
  readonly pending: readonly Evidence[];
  /** ISO end of the last run, for the cooldown. */
  readonly lastEndedAt?: string;
  /** Runs in a row that ended without a promotion, for the circuit breaker. */
  readonly unpromoted: number;
  /** The last run on the data as it was, so that nothing is trained on twice. */
  readonly trained?: {
    readonly runId: string;
    readonly dataVersion: string;
    /** What its files held, as `contentOfAll` tells it. */
    readonly content: string;
    readonly outcome?: Outcome;
  };
  /** The last run that was decided on. */
  readonly lastRun?: {
    readonly runId: string;
    readonly input: TrainingInput;
    readonly outcome?: Outcome;
    /** Whether the good files of a run that failed because of bad ones wait again. */
    readonly requeued?: boolean;
  };
  /** Snapshots of the data as it was: what is in neither has not been decided on. */
  readonly seen?: {
    /** Of the last run on the data as it was. */
    readonly snapshotKey: string;
    /** Of the one before, which counts again if bad files made the last one fail. */
    readonly before?: string;
  };
  /** Whether {@link lastRun} has been decided on but perhaps not started; whoever comes next starts it. */
  readonly unstarted?: boolean;
  /** Decisions that are taken but perhaps not written yet; whoever comes next writes them. */
  readonly outbox?: readonly Decision[];
}

/** Who may deploy now, and what waits. */
export interface DeploymentLease {
  /** The id of the deployment that holds it; absent if free. Whether it is under way, Step Functions says. */
  readonly holder?: string;
  /** The newest approval that came meanwhile; older ones are superseded. */
  readonly wanted?: DeploymentInput;
  /** The last approval that was acted on. */
  readonly last?: DeploymentInput;
  /** The endpoint to which {@link last} was deployed. */
  readonly endpoint?: string;
  /**
   * ISO time, by the clock of who looked, of the last look that took up an approval. A clock that shows less has gone
   * back: times of approvals then say nothing about their order.
   */
  readonly lookedAt?: string;
  /** Whether the clock has been seen to go back since: whatever approval comes is newer than {@link last}. */
  readonly unordered?: boolean;
  /** Whether {@link last} has been decided on but perhaps not started; whoever comes next starts it. */
  readonly unstarted?: boolean;
}

/** A row that changes in place, as somebody had changed it who should not; what could be read of it went on. */
export interface TornRow extends Fact {
  /** The row's sort key. */
  readonly row: string;
  /** What could not be read. */
  readonly because: string;
  /** The row, as JSON; cut off if it is very long. */
  readonly was: string;
}
