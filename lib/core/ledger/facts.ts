import type { Evidence, Need } from '../dataset/documents';
import type { DeploymentOutcome } from '../deploy/documents';
import type { Verdict } from '../judge/judgement';
import { checkKind, FACT_KINDS, type Kind, type OfKind, ofKind } from '../kinds';
import { type Reason, shortHash } from '../names';
import type { PrepareReport } from '../prepare/documents';
import type { FailureKind } from '../train/failures';
import type { Hyperparameters } from '../train/tuning';
import type { Outcome } from './documents';
import { LedgerKey } from './keys';

/** What every fact carries; `at` is ISO. */
export interface Fact<K extends Kind = Kind> extends OfKind<K> {
  readonly pk: string;
  readonly sk: string;
  readonly at: string;
}

/** What is known of one run; sorted by its key it stands beside the run's other facts. */
interface RunFact<K extends Kind> extends Fact<K> {
  readonly runId: string;
  /** ISO time at which the run's execution began. */
  readonly startedAt: string;
}

/** Finds a run by its id: of which the other facts are sorted by time. */
export interface RunIndex extends RunFact<'RunIndex'> {}

export interface RunStarted extends RunFact<'RunStarted'> {
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly dataVersion: string;
  readonly files: number;
  readonly bytes: number;
}

export interface RunPrepared extends RunFact<'RunPrepared'>, PrepareReport {}

/** A training job that is about to be asked for, with what it may cost: written before it is, so that none goes uncounted. */
export interface AttemptStarted extends RunFact<'AttemptStarted'> {
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
export interface AttemptEnded extends RunFact<'AttemptEnded'> {
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
  readonly failureKind?: FailureKind;
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

export interface RunJudged extends RunFact<'RunJudged'> {
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

export interface RunEnded extends RunFact<'RunEnded'> {
  readonly outcome: Outcome;
  readonly modelPackageArn?: string;
  readonly error?: { readonly name: string; readonly cause: string };
}

export interface DeploymentEnded extends Fact<'DeploymentEnded'> {
  readonly deploymentId: string;
  readonly startedAt: string;
  readonly endpointName: string;
  readonly modelPackageArn: string;
  readonly modelVersion: number;
  readonly runId?: string;
  readonly modelName?: string;
  readonly endpointConfigName?: string;
  readonly outcome: DeploymentOutcome;
  readonly error?: { readonly name: string; readonly cause: string };
}

export interface WindowJudged extends Fact<'WindowJudged'> {
  readonly windowId: string;
  /** ISO. */
  readonly windowEnd: string;
  readonly modelVersion: number;
  readonly verdict: 'OK' | 'DRIFT' | 'INSUFFICIENT' | 'BAD_DATA';
  readonly rows: number;
  readonly summary: string;
  readonly reportKey: string;
}

/** What the controller did about one trigger. */
export interface Decision extends Fact<'Decision'> {
  readonly eventId: string;
  readonly reason: Reason;
  readonly decided: 'STARTED' | 'REMEMBERED' | 'IGNORED';
  readonly runId?: string;
  readonly because: string;
  /** What people have to see to, if this shall end otherwise. */
  readonly needs?: Need;
}

/** A decision as it waits to be written; hundreds of them stand in one row, which says what they are. */
export type DecisionMade = Omit<Decision, 'pk' | 'kind' | 'version'>;

/** A version of an uploaded file that no run can use; snapshots leave it out. */
export interface RefusedFile extends Fact<'RefusedFile'> {
  readonly key: string;
  readonly versionId: string;
  /** The run that failed because of it. */
  readonly runId: string;
  /** What is wrong with it, and what its owner can do. */
  readonly because: string;
}

/** A row that changes in place, as somebody had changed it who should not; what could be read of it went on. */
export interface TornRow extends Fact<'TornRow'> {
  /** The row's sort key. */
  readonly row: string;
  /** What could not be read. */
  readonly because: string;
  /** The row, as JSON; cut off if it is very long. */
  readonly was: string;
}

/** All that the ledger appends. */
export type LedgerFact =
  | RunIndex
  | RunStarted
  | RunPrepared
  | AttemptStarted
  | AttemptEnded
  | RunJudged
  | RunEnded
  | DeploymentEnded
  | WindowJudged
  | Decision
  | RefusedFile
  | TornRow;

export type FactKind = LedgerFact['kind'];

export type FactOf<K extends FactKind> = Extract<LedgerFact, { readonly kind: K }>;

/** A fact before the ledger has put its pipeline's name to it. */
export type NewFact<F extends LedgerFact = LedgerFact> = F extends LedgerFact ? Omit<F, 'pk'> : never;

/** What a fact says, besides what it is and when it was written. */
type Said<F extends LedgerFact> = Omit<F, keyof Fact>;

function fact<K extends FactKind>(kind: K, sk: string, at: Date, said: Said<FactOf<K>>): NewFact<FactOf<K>> {
  return ofKind(kind, { sk, at: at.toISOString(), ...said }) as unknown as NewFact<FactOf<K>>;
}

type RunPart = Parameters<typeof LedgerKey.run>[2];

function ofRun<K extends FactKind>(kind: K, part: RunPart, at: Date, said: Said<FactOf<K>> & RunName) {
  return fact(kind, LedgerKey.run(said.startedAt, said.runId, part), at, said);
}

interface RunName {
  readonly runId: string;
  readonly startedAt: string;
}

interface WindowName {
  readonly windowEnd: string;
  readonly windowId: string;
}

/** Makes facts, with their keys, kinds and versions. */
export const newFact = {
  runIndex: (at: Date, { runId, startedAt }: RunName) =>
    fact('RunIndex', LedgerKey.runIndex(runId, startedAt), at, { runId, startedAt }),
  runStarted: (at: Date, said: Said<RunStarted>) => ofRun('RunStarted', 'START', at, said),
  runPrepared: (at: Date, said: Said<RunPrepared>) => ofRun('RunPrepared', 'PREPARED', at, said),
  attemptStarted: (at: Date, said: Said<AttemptStarted>) => ofRun('AttemptStarted', `STARTED#${said.job}`, at, said),
  attemptEnded: (at: Date, said: Said<AttemptEnded>) => ofRun('AttemptEnded', `ATTEMPT#${said.job}`, at, said),
  runJudged: (at: Date, said: Said<RunJudged>) => ofRun('RunJudged', 'VERDICT', at, said),
  runEnded: (at: Date, said: Said<RunEnded>) => ofRun('RunEnded', 'END', at, said),
  deploymentEnded: (at: Date, said: Said<DeploymentEnded>) =>
    fact('DeploymentEnded', LedgerKey.deployment(said.startedAt, said.deploymentId), at, said),
  windowJudged: (at: Date, said: Said<WindowJudged>) =>
    fact('WindowJudged', LedgerKey.monitor(said.windowEnd, said.windowId), at, said),
  decision: (made: DecisionMade): NewFact<Decision> => ofKind('Decision', made),
  /** That a file is refused: for who asks about the file, and for who asks about what refused it. */
  refusedFile: (at: Date, said: Said<RefusedFile>, by: RunName | WindowName) => {
    const file = shortHash(`${said.key} ${said.versionId}`);
    const beside =
      'startedAt' in by
        ? LedgerKey.run(by.startedAt, by.runId, `REFUSED#${file}`)
        : LedgerKey.refusedInWindow(by.windowEnd, by.windowId, file);
    return [beside, LedgerKey.refused(said.key, said.versionId)].map((sk) => fact('RefusedFile', sk, at, said));
  },
  /** @param whole the row, before it is cut: it tells two apart */
  tornRow: (at: Date, said: Said<TornRow>, whole: string) => fact('TornRow', LedgerKey.torn(said.row, whole), at, said),
} as const;

const FACTS = Object.keys(FACT_KINDS) as FactKind[];

/**
 * Reads a fact.
 *
 * @param kinds those that may be there
 * @throws PerennialError INVALID_DOCUMENT if it is of none of them, or in a version that is not known
 */
export function readFact<K extends FactKind = FactKind>(item: object, kinds?: readonly K[]): FactOf<K> {
  checkKind(item, kinds ?? FACTS, `the row ${String((item as Partial<Fact>).sk)} of the ledger`);
  return item as FactOf<K>;
}
