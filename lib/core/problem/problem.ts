import type { Metric, Score, Scores } from '../judge/metric';
import type { Histogram } from '../prepare/profile';

/**
 * What a model predicts, and all that follows from it: which labels there may be, what a score is, how models are
 * measured, and what the monitor counts. Nothing outside of this folder asks which problem it is.
 *
 * Labels are numbers; a class is one by its place.
 */
export interface Problem {
  /** As contracts and stored documents have it, and as trainers are told. */
  readonly name: string;

  /** Whether a target column means this problem, `likely` if only an owner or the data can tell. */
  suits(column: TargetColumn): 'surely' | 'likely' | 'no';

  readonly labels: LabelRules;
  readonly scores: ScoreRules;

  /** By which models are compared; the first is the default. */
  readonly metrics: readonly [Metric, ...Metric[]];

  /** What else is said of both models, for people. */
  readonly alsoMeasured: Readonly<Record<string, (labels: ArrayLike<number>, scores: Scores) => number>>;

  /** What the product's own training scripts print; the first is what a search for hyperparameters looks at. */
  readonly printed: readonly [string, ...string[]];

  /** Names of further metrics that a training script may print, and whether more of it is better. */
  readonly alsoPrinted: Readonly<Record<string, boolean>>;

  /** What a model without any feature would answer; a first model must be better than the best of them. */
  trivialAnswers(labels: LabelSummary): ReadonlyArray<{ readonly what: string; readonly score: Score }>;
}

/** What is known of a column that may be the target, from the contract or from a sample. */
export interface TargetColumn {
  readonly type: string;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
  readonly allowed?: ReadonlyArray<string | number>;
}

/** Which labels there may be. */
export interface LabelRules {
  /** Completes "must be …", e.g. `0 or 1`. */
  readonly are: string;
  allows(label: number): boolean;
  /** Whether SQL's number of that name is none that is allowed, as a condition in DuckDB's SQL. */
  refusedBy(column: string): string;
  /** What the labels of a holdout lack for models to be told apart; undefined if nothing. Completes "must have …". */
  lack(labels: ArrayLike<number>): string | undefined;
  /** What a part of the data lacks whose labels are all the same: completes "must have …"; undefined if nothing. */
  readonly lackIfAlike?: string;
  /** Inner edges of the histogram that describes labels. */
  edges(sample: ArrayLike<number>): readonly number[];
}

/** What a model may answer. */
export interface ScoreRules {
  /** Completes "must be …", of several, e.g. `probabilities from 0 to 1`. */
  readonly are: string;
  /** What the owner of the inference code can do. */
  readonly fix: string;
  /**
   * One row's score from the numbers that its line or its list has, each NaN that was no number.
   *
   * @returns undefined if there are too many or too few
   */
  read(values: readonly number[]): Score | undefined;
  /** Whether it can be one; its numbers are finite. */
  allows(score: Score): boolean;
  /** The histogram of scores that windows are compared by; with the edges or values of another one, if it is given. */
  count(scores: Scores, like?: Histogram): Histogram;
}

/** What is known of the labels that a model was trained on. */
export interface LabelSummary {
  readonly mean: number;
  readonly median: number;
  /** With {@link LabelRules.edges}. */
  readonly histogram: Histogram;
}
