import { ErrorName, PerennialError } from '../errors';
import { worsenedBy, worsening } from '../judge/metric';
import { refuseScores } from '../judge/scores';
import { comparable, type Histogram, histogramRows } from '../prepare/profile';
import { metricOf, problemOf } from '../problem';
import {
  chiSquareTail,
  chiSquareTest,
  expectedStability,
  jensenShannon,
  meanShift,
  mergeRareBins,
  normalTail,
  rareRise,
} from '../statistics';
import type { Baseline } from './documents';
import { type AssessRules, changeSetting, type Finding, type MonitoredWindow } from './findings';

/** A finding as far as one comparison alone can tell. */
export type Comparison = Pick<
  Finding,
  'family' | 'feature' | 'statistic' | 'value' | 'limit' | 'effect' | 'threshold' | 'p' | 'meanShift'
> & {
  readonly rows: number;
  /** The p value that an effect of the threshold would have in a window of so many rows. */
  readonly pAtThreshold: (rows: number) => number;
};

/** Every comparison that a window allows. */
export function compareWindow(window: MonitoredWindow, baseline: Baseline, rules: AssessRules): Comparison[] {
  const inputs = Object.entries(window.features).flatMap(([feature, now]) => {
    const before = baseline.profile.features[feature];
    if (before === undefined) throw unlike(feature);
    const shift = compareShares('inputs', before, now, rules.psiThreshold, feature);
    const unseen = compareUnseen(before, now, rules.newCategories, feature);
    return unseen === undefined ? [shift] : [shift, unseen];
  });
  const predictions =
    window.scores === undefined
      ? []
      : [compareShares('predictions', baseline.scores, window.scores, rules.psiThreshold)];
  const performance = comparePerformance(window.performance, baseline, rules);
  return [...inputs, ...predictions, ...performance];
}

function compareShares(
  family: Finding['family'],
  before: Histogram,
  now: Histogram,
  threshold: number,
  feature?: string,
): Comparison {
  if (!comparable(before, now)) throw unlike(feature ?? 'the scores');
  const all = bins(before);
  const [a, b] = mergeRareBins(all, bins(now));
  const { statistic: value, p } = chiSquareTest(a, b);
  const rowsBefore = histogramRows(before);
  const rows = histogramRows(now);
  const byChance = expectedStability({ bins: a.length, rows: rowsBefore, otherRows: rows });
  const effect = rows === 0 ? 0 : Math.max(0, 8 * jensenShannon(a, b) - byChance);
  const degrees = Math.max(1, all.filter((count) => count > 0).length - 1);
  return {
    family,
    ...(feature === undefined ? {} : { feature }),
    statistic: 'chiSquare',
    value,
    effect,
    threshold,
    p,
    ...(before.kind === 'number' && now.kind === 'number' && rows > now.missing
      ? { meanShift: meanShift(before, now) }
      : {}),
    rows,
    pAtThreshold: (m) => chiSquareTail(threshold / (1 / rowsBefore + 1 / m), degrees),
  };
}

function compareUnseen(before: Histogram, now: Histogram, threshold: number, feature: string): Comparison | undefined {
  if (before.kind !== 'category' || now.kind !== 'category') return undefined;
  const rowsBefore = histogramRows(before);
  const rows = histogramRows(now);
  const usual = rowsBefore === 0 ? 0 : before.other / rowsBefore;
  const value = rows === 0 ? 0 : now.other / rows;
  return {
    family: 'inputs',
    feature,
    statistic: 'newCategories',
    value,
    effect: Math.max(0, value - usual),
    threshold,
    p: rows === 0 ? 1 : rareRise(before.other, rowsBefore, now.other, rows),
    rows,
    pAtThreshold: (m) => rareRise(before.other, rowsBefore, Math.ceil((usual + threshold) * m), m),
  };
}

function comparePerformance(
  groundTruth: MonitoredWindow['performance'],
  baseline: Baseline,
  rules: AssessRules,
): Comparison[] {
  if (groundTruth === undefined) return [];
  const problem = problemOf(baseline.contract.target.problem);
  const { candidate: usual, candidateError: usualError, metric: name } = baseline.judgement;
  const metric = metricOf(problem, name);
  const rows = groundTruth.labels.length;
  refuseScores('model', problem, rows, groundTruth.scores);
  const measured =
    rows < 2 ? { value: Number.NaN, error: Number.NaN } : metric.measure(groundTruth.labels, groundTruth.scores);
  const known = Number.isFinite(measured.value) && Number.isFinite(measured.error); // not with a single class
  const { value, error } = known ? measured : { value: usual, error: 0 };
  const unit = metric.isRelative ? usual : 1;
  const threshold = rules[changeSetting(metric)];
  const effect = worsening(metric, usual, value);
  const chanceOf = (drop: number, at: number) => normalTail((drop * unit) / (Math.hypot(usualError, at) || 1e-300));
  return [
    {
      family: 'performance',
      statistic: 'performanceDrop',
      value,
      limit: worsenedBy(metric, usual, threshold),
      effect: Math.max(0, effect),
      threshold,
      p: known ? chanceOf(effect, error) : 1,
      rows,
      pAtThreshold: (m) => (known ? chanceOf(threshold, error * Math.sqrt(rows / m)) : 1),
    },
  ];
}

/** The fewest rows for which p reaches `alpha`; undefined if a billion do not. */
export function fewestRows(p: (rows: number) => number, alpha: number): number | undefined {
  let high = 1;
  while (p(high) > alpha) {
    high *= 2;
    if (high > 1e9) return undefined;
  }
  let low = high / 2;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (p(middle) > alpha) low = middle;
    else high = middle;
  }
  return high;
}

/** All counts of a histogram: rows that are missing, and unnamed values, are bins of their own. */
function bins(histogram: Histogram): number[] {
  return histogram.kind === 'number'
    ? [...histogram.counts, histogram.missing]
    : [...histogram.counts, histogram.other, histogram.missing];
}

function unlike(what: string): PerennialError {
  return new PerennialError(
    ErrorName.INVALID_DOCUMENT,
    `${what} must be counted with the edges or values of the baseline; count it with countLike(baseline, data)`,
  );
}
