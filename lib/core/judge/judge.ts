import { countNumbers } from '../prepare/profile';
import { type LabelSummary, metricOf, type Problem, problemOf } from '../problem';
import { moments, quantile } from '../statistics';
import { explainComparison, explainFirst } from './explain';
import type { JudgeInput, Judgement, Verdict } from './judgement';
import { isBetter, type Metric, marginOf, type Scores } from './metric';
import { refuseLabels, refuseScores, sameScore } from './scores';
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
  const { labels, candidate, champion, rules } = input;
  const problem = problemOf(input.problem);
  refuseLabels(problem.labels, labels);
  refuseScores('candidate', problem, labels.length, candidate);
  if (champion !== undefined)
    refuseScores(`champion (version ${champion.version})`, problem, labels.length, champion.scores);

  const metric = metricOf(problem, rules.metric);
  const { value, error } = metric.measure(labels, candidate);
  const common = {
    problem: problem.name,
    metric: metric.name,
    higherIsBetter: metric.higherIsBetter,
    rows: labels.length,
    candidate: value,
    candidateError: error,
    confidence: rules.confidence,
    also: otherMetrics(problem, metric, input),
  };
  return champion === undefined
    ? judgeFirst(problem, metric, input, common)
    : judgeChallenger(metric, input, champion, common);
}

/** What all judgements say alike. */
type Common = Pick<
  Judgement,
  'problem' | 'metric' | 'higherIsBetter' | 'rows' | 'candidate' | 'candidateError' | 'confidence' | 'also'
>;

function judgeFirst(problem: Problem, metric: Metric, input: JudgeInput, common: Common): Judgement {
  const { labels, candidate, rules } = input;
  const { what, answers, value: trivial } = bestConstant(problem, metric, labels, input.trained);
  const compared = metric.compare(labels, candidate, answers);
  const interval = compared.interval(rules.confidence);
  const { firstModelThreshold } = rules;
  const reaches =
    firstModelThreshold === undefined ||
    common.candidate === firstModelThreshold ||
    isBetter(metric, common.candidate, firstModelThreshold);
  const isConstant = Array.prototype.every.call(candidate, (score) => sameScore(score, candidate[0]));
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
  return { ...judgement, because: explainFirst(metric, judgement, what, firstModelThreshold, isConstant) };
}

/** The best answer that is the same for every row. */
function bestConstant(
  problem: Problem,
  metric: Metric,
  labels: ArrayLike<number>,
  trained = summaryOf(problem, labels),
) {
  const all = problem.trivialAnswers(trained).map(({ what, score }) => {
    const answers: Scores = Array.from(labels, () => score);
    return { what, answers, value: metric.measure(labels, answers).value };
  });
  return all.reduce((best, one) => (isBetter(metric, one.value, best.value) ? one : best));
}

function summaryOf({ labels: { edges } }: Problem, labels: ArrayLike<number>): LabelSummary {
  const sorted = Float64Array.from(labels).sort();
  return {
    mean: moments(labels).mean,
    median: quantile(sorted, 0.5),
    histogram: countNumbers(edges(labels), labels),
  };
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

function otherMetrics(
  { metrics, alsoMeasured }: Problem,
  compared: Metric,
  { labels, candidate, champion }: JudgeInput,
): Judgement['also'] {
  const of = (measure: (scores: Scores) => number) =>
    champion === undefined
      ? { candidate: measure(candidate) }
      : { candidate: measure(candidate), champion: measure(champion.scores) };
  const others = metrics
    .filter((metric) => metric !== compared)
    .map((metric) => [metric.name, of((scores) => metric.measure(labels, scores).value)] as const);
  const also = Object.entries(alsoMeasured).map(
    ([name, measure]) => [name, of((scores) => measure(labels, scores))] as const,
  );
  return Object.fromEntries([...others, ...also]);
}
