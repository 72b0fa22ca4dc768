import { defaultMargin, JUDGE_DEFAULTS, type JudgeRules } from '../core/judge/judgement';
import { findMetric, metricOf, noSuchMetric, problemOf } from '../core/problem';
import { outside } from '../private/validate';
import type { TrainingSettings } from '../training-defaults';
import { Promotion } from '../training-pipeline-props';

/** What a candidate must show, as the function that judges has it. */
export function judgeRules(settings: TrainingSettings): JudgeRules {
  const { contract, metric, margin, confidence, firstModelThreshold, promotion, minSliceRows } = settings;
  return {
    ...(metric !== undefined && { metric }),
    margin: margin ?? defaultMargin(metricOf(problemOf(contract._contract.target.problem), metric)),
    confidence,
    ...(firstModelThreshold !== undefined && { firstModelThreshold }),
    promote: promotion === Promotion.BETTER ? ['BETTER'] : JUDGE_DEFAULTS.promote,
    minSliceRows,
  };
}

/** What is wrong with the metric, or with what goes by it. */
export function metricMistakes({
  contract,
  metric,
  margin,
  firstModelThreshold,
}: TrainingSettings): Array<string | false> {
  const problem = problemOf(contract._contract.target.problem);
  const found = findMetric(problem, metric);
  if (found === undefined) return [noSuchMetric(problem, metric)];
  const { isRelative, label, range } = found;
  const [least, most] = range;
  const allowed = most === Number.MAX_VALUE ? `at least ${least}` : `${least} to ${most}`;
  return [
    outside(margin ?? 0, 0, 1) &&
      `margin must be 0 to 1${isRelative ? `, a share of the champion's ${label}` : ''}, got ${margin}`,
    outside(firstModelThreshold ?? least, least, most) &&
      `firstModelThreshold must be ${allowed}, got ${firstModelThreshold}`,
  ];
}
