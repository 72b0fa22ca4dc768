import type { Problem } from './contract';
import type { HoldoutLabels, JudgeRules } from './documents';

/** INCONCLUSIVE and WORSE keep the champion. */
export const VERDICTS = ['BETTER', 'NOT_WORSE', 'INCONCLUSIVE', 'WORSE', 'FIRST', 'FIRST_REFUSED'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The comparison of a candidate with the champion on the same holdout rows. */
export interface Judgement {
  readonly verdict: Verdict;
  /** Whether the candidate is to be registered and offered for deployment. */
  readonly promote: boolean;
  readonly problem: Problem;
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly rows: number;
  readonly candidate: number;
  /** Standard error of {@link candidate}. */
  readonly candidateError: number;
  readonly champion?: number;
  readonly championVersion?: number;
  /** Improvement of the candidate over the champion, positive is better; for a first model, the candidate's metric itself. */
  readonly difference: number;
  /** Confidence interval of {@link difference}. */
  readonly interval: readonly [number, number];
  readonly confidence: number;
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

/** What a judgement is made of: row for row the truth and the scores of both models. */
export interface JudgeInput {
  readonly problem: Problem;
  readonly labels: ArrayLike<number>;
  readonly candidate: ArrayLike<number>;
  /** Absent for a first model. */
  readonly champion?: { readonly version: number; readonly scores: ArrayLike<number> };
  readonly slices: HoldoutLabels['slices'];
  readonly rules: JudgeRules;
}

/** Decides whether a candidate may replace the champion. */
export function judge(input: JudgeInput): Judgement {
  throw new Error(`not written yet: judge ${input.problem}`);
}
