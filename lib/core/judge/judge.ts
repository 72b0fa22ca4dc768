import { calibrationError, moments, quantile } from '../statistics';
import { explainComparison, explainFirst } from './explain';
import type { JudgeInput, Judgement, Verdict } from './judgement';
import { METRICS, type Metric, marginOf, metricOf, refuseLabels, refuseScores, type TrivialAnswers } from './metric';
import { findWorseSlices } from './slices';

/**
 * Decides whether a candidate may replace the champion.
 *
 * With the interval [low, high] of the improvement: BETTER if low > 0, else NOT_WORSE if low > −margin,
 * else WORSE if high < 0, else INCONCLUSIVE. A first model is FIRST if it is better than the trivial answer (low > 0)
 * and its metric itself reaches `rules.firstModelThreshold`. A slice blocks promotion if the candidate is worse on it by
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
  const { firstModelThreshold } = rules;
  const reaches =
    firstModelThreshold === undefined ||
    (metric.higherIsBetter ? common.candidate >= firstModelThreshold : common.candidate <= firstModelThreshold);
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
  return { ...judgement, because: explainFirst(metric, judgement, of, firstModelThreshold, isConstant) };
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
