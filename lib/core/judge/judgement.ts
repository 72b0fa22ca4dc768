import type { LabelSummary } from '../problem';
import type { Metric, Scores } from './metric';

/** The ground truth about the holdout, row for row. */
export interface HoldoutLabels {
  readonly labels: readonly number[];
  /** For each slice feature: its values, and for each row the index of its value. */
  readonly slices: Readonly<Record<string, { readonly values: readonly string[]; readonly codes: readonly number[] }>>;
}

/** What a candidate must show; see `judge`. */
export interface JudgeRules {
  /** Compared metric; a default per problem if absent. */
  readonly metric?: string;
  /**
   * By how much the candidate may be worse and still count as not worse, at least 0: in the metric's unit where high
   * values are good (AUC, accuracy), of an error (RMSE, MAE, log loss, Brier) as a share of the champion's.
   */
  readonly margin: number;
  /** Two-sided confidence of intervals, between 0 and 1. */
  readonly confidence: number;
  /**
   * What a first model's metric must reach besides beating the trivial answer: at least, where high values are good,
   * else at most; beating it is enough, if absent.
   */
  readonly firstModelThreshold?: number;
  /** Which verdicts replace the champion. */
  readonly promote: ReadonlyArray<'BETTER' | 'NOT_WORSE'>;
  /** Fewest rows of a slice value for it to be judged. */
  readonly minSliceRows: number;
}

/** What a judgement goes by where nobody says otherwise. */
export const JUDGE_DEFAULTS = {
  /** In the metric's unit where high values are good; of an error a share of the champion's, so that its unit does not matter. */
  margin: { score: 0.005, error: 0.01 },
  confidence: 0.95,
  promote: ['BETTER', 'NOT_WORSE'],
  minSliceRows: 1000,
} as const;

/** The margin by which a model may be worse and still count as not worse, as {@link JudgeRules.margin} has it. */
export function defaultMargin({ isRelative }: Pick<Metric, 'isRelative'>): number {
  return isRelative ? JUDGE_DEFAULTS.margin.error : JUDGE_DEFAULTS.margin.score;
}

/** INCONCLUSIVE and WORSE keep the champion. */
export const VERDICTS = ['BETTER', 'NOT_WORSE', 'INCONCLUSIVE', 'WORSE', 'FIRST', 'FIRST_REFUSED'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The comparison of a candidate with the champion on the same holdout rows. */
export interface Judgement {
  readonly verdict: Verdict;
  /** Whether the candidate is to be registered and offered for deployment. */
  readonly promote: boolean;
  /** The problem's name. */
  readonly problem: string;
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly rows: number;
  readonly candidate: number;
  /** Standard error of {@link candidate}. */
  readonly candidateError: number;
  readonly champion?: number;
  readonly championVersion?: number;
  /** The metric of the trivial answer, which a first model must beat. */
  readonly trivial?: number;
  /** Improvement of the candidate over the champion, of a first model over the trivial answer; positive is better. */
  readonly difference: number;
  /** Confidence interval of {@link difference}. */
  readonly interval: readonly [number, number];
  readonly confidence: number;
  /** In the metric's unit. */
  readonly margin: number;
  /** Other metrics of both models, for people. */
  readonly also: Readonly<Record<string, { readonly candidate: number; readonly champion?: number }>>;
  /** Slices on which the candidate is significantly worse (Holm-corrected); any of them blocks a promotion. */
  readonly worseSlices: ReadonlyArray<{
    readonly feature: string;
    readonly value: string;
    readonly rows: number;
    readonly difference: number;
    readonly p: number;
  }>;
  /** One sentence a person understands. */
  readonly because: string;
}

/** What a judgement is made of: row for row the ground truth and the scores of both models. */
export interface JudgeInput {
  /** The problem's name. */
  readonly problem: string;
  readonly labels: ArrayLike<number>;
  readonly candidate: Scores;
  /** Absent for a first model. */
  readonly champion?: { readonly version: number; readonly scores: Scores };
  /** The labels that the candidate was trained on; the holdout's own, of which trivial answers are harder to beat, if absent. */
  readonly trained?: LabelSummary;
  readonly slices: HoldoutLabels['slices'];
  readonly rules: JudgeRules;
}
