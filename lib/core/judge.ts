import type { Problem } from './contract';
import type { HoldoutLabels, JudgeRules } from './documents';
import { explainComparison, explainFirst } from './explain';
import { METRICS, type Metric, marginOf, metricOf, refuseLabels, refuseScores, type TrivialAnswers } from './metric';
import { findWorseSlices } from './slices';
import { calibrationError, moments, quantile } from './statistics';

/** What a judgement goes by where nobody says otherwise. */
export const JUDGE_DEFAULTS = {
  /** In the metric's unit where high values are good; of an error a share of the champion's, so that its unit does not matter. */
  margin: { score: 0.005, error: 0.01 },
  confidence: 0.95,
  promote: ['BETTER', 'NOT_WORSE'],
  minSliceRows: 1000,
} as const;

/** The margin by which a model may be worse and still count as not worse, as {@link JudgeRules.margin} has it. */
export function defaultMargin({ higherIsBetter }: Pick<Metric, 'higherIsBetter'>): number {
  return higherIsBetter ? JUDGE_DEFAULTS.margin.score : JUDGE_DEFAULTS.margin.error;
}

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

/** What a judgement is made of: row for row the truth and the scores of both models. */
export interface JudgeInput {
  readonly problem: Problem;
  readonly labels: ArrayLike<number>;
  readonly candidate: ArrayLike<number>;
  /** Absent for a first model. */
  readonly champion?: { readonly version: number; readonly scores: ArrayLike<number> };
  /** What a first model must beat; the holdout's own, which are harder to beat, if absent. */
  readonly trivial?: TrivialAnswers;
  readonly slices: HoldoutLabels['slices'];
  readonly rules: JudgeRules;
}

/**
 * Decides whether a candidate may replace the champion.
 *
 * With the interval [low, high] of the improvement: BETTER if low > 0, else NOT_WORSE if low > −margin,
 * else WORSE if high < 0, else INCONCLUSIVE. A first model is FIRST if it is better than the trivial answer (low > 0)
 * and its metric itself reaches `rules.firstModel`. A slice blocks promotion if the candidate is worse on it by
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
    also: otherMetrics(metric, input),
  };
  return champion === undefined ? judgeFirst(metric, input, common) : judgeChallenger(metric, input, champion, common);
}

/** What all judgements say alike. */
type Common = Pick<
  Judgement,
  'problem' | 'metric' | 'higherIsBetter' | 'rows' | 'candidate' | 'candidateError' | 'confidence' | 'also'
>;

function judgeFirst(metric: Metric, input: JudgeInput, common: Common): Judgement {
  const { labels, candidate, rules } = input;
  const { of, answers, value: trivial } = bestConstant(metric, labels, input.trivial ?? trivialOf(labels));
  const compared = metric.compare(labels, candidate, answers);
  const interval = compared.interval(rules.confidence);
  const { firstModel } = rules;
  const reaches =
    firstModel === undefined ||
    (metric.higherIsBetter ? common.candidate >= firstModel : common.candidate <= firstModel);
  const isConstant = Array.prototype.every.call(candidate, (score) => score === candidate[0]);
  const promote = interval[0] > 0 && reaches && !isConstant;
  const judgement = {
    ...common,
    verdict: promote ? 'FIRST' : 'FIRST_REFUSED',
    promote,
    trivial,
    difference: compared.difference,
    interval,
    margin: 0,
    worseSlices: [],
  } as const;
  return { ...judgement, because: explainFirst(metric, judgement, of, firstModel, isConstant) };
}

/** The constant that comes nearest to the labels: a binary target's base rate, a number's mean or median. */
function bestConstant(metric: Metric, labels: ArrayLike<number>, constants: TrivialAnswers) {
  const kinds = metric.problem === 'binary' ? (['mean'] as const) : (['mean', 'median'] as const);
  const all = kinds.map((of) => {
    const answers = new Float64Array(labels.length).fill(constants[of]);
    return { of, answers, value: metric.measure(labels, answers).value };
  });
  return all.reduce((best, one) => (one.value < best.value ? one : best));
}

/** The mean and the median of some labels. */
function trivialOf(labels: ArrayLike<number>): TrivialAnswers {
  const sorted = Float64Array.from(labels).sort();
  return { mean: moments(labels).mean, median: quantile(sorted, 0.5) };
}

function judgeChallenger(
  metric: Metric,
  input: JudgeInput,
  champion: NonNullable<JudgeInput['champion']>,
  common: Common,
): Judgement {
  const { labels, candidate, rules } = input;
  const compared = metric.compare(labels, candidate, champion.scores);
  const interval = compared.interval(rules.confidence);
  const known = metric.measure(labels, champion.scores).value;
  const margin = marginOf(metric, rules.margin, known);
  const verdict = verdictOf(interval, margin);
  const worseSlices = findWorseSlices(metric, input, champion.scores);
  const judgement = {
    ...common,
    verdict,
    promote: worseSlices.length === 0 && rules.promote.some((one) => one === verdict),
    champion: known,
    championVersion: champion.version,
    difference: compared.difference,
    interval,
    margin,
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
