import type { ChampionReport, JudgeReport } from './core/judge/documents';
import type { Outcome } from './core/ledger/documents';
import { type Reason, runKeys } from './core/names';
import type { SealReport } from './core/registry/documents';
import type { AttemptReport } from './core/train/documents';
import type { CaughtError } from './core/train/failures';
import { RUN_ID } from './machine/expressions';
import {
  type Assigned,
  type Expression,
  expression,
  type Jsonata,
  jsonata,
  type Text,
  variables,
} from './machine/jsonata';

/** What the training machine carries from state to state. */
export interface TrainingVariables {
  /** `s3://<bucket>/` of the data bucket. */
  readonly data: string;
  readonly reason: Reason;
  /** Whether a run of old is made again, whose model is never registered. */
  readonly replay: boolean;
  readonly dataVersion: string;
  /** What has become of training so far; null before the first job. */
  readonly attempt: AttemptReport | null;
  /** What the last job's state was caught with; null if it was not. */
  readonly caught: CaughtError | null;
  /** Address of the model's archive: where the job wrote it, and then that of the sealed copy. */
  readonly model: string;
  readonly trainingJobArn: string;
  readonly seal: Omit<SealReport, 'uri'>;
  readonly champion: ChampionReport;
  /** The models that there was no machine to score on. */
  readonly unscored: ReadonlyArray<'candidate' | 'champion'>;
  /** How often it was tried to score one of them. */
  readonly tries: number;
  readonly judgement: JudgeReport;
  /** How the run ends, as far as is known. */
  readonly outcome: Outcome;
  /** Null unless the candidate is registered. */
  readonly modelPackageArn: string | null;
  /** What the run ends with, or null. */
  readonly failure: CaughtError | null;
}

/** The variables, each as it is read: `$.attempt.job.name` is `$attempt.job.name`. */
export const $ = variables<TrainingVariables>();

/** The variables that a state sets. */
export function assign(values: Assigned<TrainingVariables>): Assigned<TrainingVariables> {
  return values;
}

/** The S3 address of one of the run's documents, or what its keys begin with. */
export function runAddress(key: (keys: ReturnType<typeof runKeys>) => string): Text<string> {
  const [before, after] = key(runKeys('\0')).split('\0');
  return expression(`${$.data} & '${before}' & ${RUN_ID} & '${after}'`);
}

/**
 * The same as a field.
 *
 * @param below what comes after the key
 */
export function runUri(
  key: (keys: ReturnType<typeof runKeys>) => string,
  below?: Expression<unknown>,
): Jsonata<string> {
  return jsonata(expression<string>(`${runAddress(key)}${below === undefined ? '' : ` & ${below}`}`));
}
