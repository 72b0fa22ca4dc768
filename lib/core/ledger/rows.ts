import type { Spent } from '../dataset/budget';
import type { Evidence, TrainingInput } from '../dataset/documents';
import type { DeploymentInput } from '../deploy/documents';
import { checkKind, isNewer, ROW_KINDS } from '../kinds';
import { isObject, own, show } from '../shape';
import type { Outcome } from './documents';
import type { DecisionMade } from './facts';

/** The kinds of rows that change in place. */
export type RowKind = keyof typeof ROW_KINDS;

/** A row that changes in place: what it is, and under which key. */
export interface Row {
  readonly kind: RowKind;
  readonly sk: string;
}

/**
 * The row with a new value, as it is stored.
 *
 * @param seen the revision of the row that the value was made from, whatever it is; 0 if there was no row
 */
export function rowOf({ kind, sk }: Row, seen: unknown, value: object): object {
  return { ...value, kind, version: ROW_KINDS[kind], sk, revision: nextRevision(seen) };
}

/** What a row says, without what it is stored with. */
export function rowValue(item: object): object {
  const {
    pk: _pk,
    sk: _sk,
    kind: _kind,
    version: _version,
    revision: _revision,
    ...value
  } = item as Row & {
    readonly pk: unknown;
    readonly version: unknown;
    readonly revision: unknown;
  };
  return value;
}

/** The revision after one that was read; the first again after one that nothing of ours has written. */
export function nextRevision(revision: unknown): number {
  return isRevision(revision) ? revision + 1 : 1;
}

function isRevision(revision: unknown): revision is number {
  return Number.isSafeInteger(revision) && (revision as number) >= 0;
}

/**
 * What of a row's frame is not as we write it; a row that only a later release can read is refused.
 *
 * @throws PerennialError INVALID_DOCUMENT
 */
export function wrongFrame(item: object, { kind, sk }: Row): string[] {
  if (isNewer(item, [kind])) checkKind(item, kind, `the row ${sk} of the ledger`);
  const frame = isObject(item) ? item : {};
  const isOfKind = own(frame, 'kind') === kind && own(frame, 'version') === ROW_KINDS[kind];
  return [
    ...(isOfKind ? [] : [`kind must be ${kind}, version ${ROW_KINDS[kind]}, got ${show(own(frame, 'kind'))}`]),
    ...(isRevision(own(frame, 'revision')) ? [] : ['revision must be a whole number']),
  ];
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
  readonly outbox?: readonly DecisionMade[];
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
