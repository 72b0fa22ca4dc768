import type { Problem } from './contract';
import type { HoldoutLabels, JudgeRules } from './documents';
import { explainComparison, explainFirst } from './explain';
import { around, METRICS, type Metric, metricOf, refuseLabels, refuseScores } from './metric';
import { findWorseSlices } from './slices';
import { calibrationError } from './statistics';

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

/**
 * Decides whether a candidate may replace the champion.
 *
 * With the interval [low, high] of the improvement: BETTER if low > 0, else NOT_WORSE if low > −margin,
 * else WORSE if high < 0, else INCONCLUSIVE. A first model is FIRST if its metric itself (not its
 * interval's end) reaches `rules.firstModel`. A slice blocks promotion if the candidate is worse on it by
 * more than the margin and that is significant (one-sided, Holm over all slices judged).
 */
export function judge(input: JudgeInput): Judgement {
  const { problem, labels, candidate, champion, rules } = input;
  refuseLabels(problem, labels);
  refuseScores('candidate', problem, labels, candidate);
  if (champion !== undefined) refuseScores(`champion (version ${champion.version})`, problem, labels, champion.scores);

  const metric = metricOf(problem, rules.metric);
  const { value, error } = metric.measure(labels, candidate);
  const common = {
    problem,
    metric: metric.name,
    higherIsBetter: metric.higherIsBetter,
    rows: labels.length,
    candidate: value,
    candidateError: error,
    confidence: rules.confidence,
    margin: rules.margin,
    also: otherMetrics(metric, input),
  };

  if (champion === undefined) {
    const promote = metric.higherIsBetter ? value >= rules.firstModel : value <= rules.firstModel;
    const verdict = promote ? 'FIRST' : 'FIRST_REFUSED';
    const interval = around(value, error, rules.confidence);
    const judgement = { ...common, verdict, promote, difference: value, interval, worseSlices: [] } as const;
    return { ...judgement, because: explainFirst(metric, judgement, rules.firstModel) };
  }

  const compared = metric.compare(labels, candidate, champion.scores);
  const interval = compared.interval(rules.confidence);
  const verdict = verdictOf(interval, rules.margin);
  const worseSlices = findWorseSlices(metric, input, champion.scores);
  const judgement = {
    ...common,
    verdict,
    promote: worseSlices.length === 0 && rules.promote.some((one) => one === verdict),
    champion: metric.measure(labels, champion.scores).value,
    championVersion: champion.version,
    difference: compared.difference,
    interval,
    worseSlices,
  };
  return { ...judgement, because: explainComparison(metric, judgement) };
}

function verdictOf([low, high]: readonly [number, number], margin: number): Verdict {
  if (low > 0) return 'BETTER';
  if (low > -margin) return 'NOT_WORSE';
  return high < 0 ? 'WORSE' : 'INCONCLUSIVE';
}

function otherMetrics(compared: Metric, { problem, labels, candidate, champion }: JudgeInput): Judgement['also'] {
  const of = (measure: (scores: ArrayLike<number>) => number) =>
    champion === undefined
      ? { candidate: measure(candidate) }
      : { candidate: measure(candidate), champion: measure(champion.scores) };
  const others = METRICS.filter((metric) => metric.problem === problem && metric !== compared).map(
    (metric) => [metric.name, of((scores) => metric.measure(labels, scores).value)] as const,
  );
  const calibration =
    problem === 'binary' ? [['calibrationError', of((scores) => calibrationError(labels, scores))] as const] : [];
  return Object.fromEntries([...others, ...calibration]);
}
