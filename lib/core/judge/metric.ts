import type { Problem } from '../dataset/contract';
import { ErrorName, PerennialError } from '../errors';
import {
  delong,
  differenceVariance,
  LOSSES,
  type Loss,
  moments,
  normalQuantile,
  pairedBootstrap,
  quantile,
  rowLosses,
} from '../statistics';

/** A value with its standard error. */
export interface Measured {
  readonly value: number;
  readonly error: number;
}

/** How much better one model is than another on the same rows; positive is better, whichever way the metric points. */
export interface Compared {
  readonly difference: number;
  /** Standard error of {@link difference}. */
  readonly error: number;
  /** Two-sided confidence interval of {@link difference}. */
  readonly interval: (confidence: number) => readonly [number, number];
}

/** A way to say how good scores are. */
export interface Metric {
  readonly name: string;
  /** As it stands in a sentence. */
  readonly label: string;
  readonly problem: Problem;
  readonly higherIsBetter: boolean;
  readonly measure: (labels: ArrayLike<number>, scores: ArrayLike<number>) => Measured;
  readonly compare: (labels: ArrayLike<number>, candidate: ArrayLike<number>, champion: ArrayLike<number>) => Compared;
}

/** The target's mean (of a binary one the base rate) and median, of the rows that a model was trained on. */
export interface TrivialAnswers {
  readonly mean: number;
  readonly median: number;
}

/** Area under the ROC curve; intervals by DeLong's method. */
const AUC: Metric = {
  name: 'auc',
  label: 'AUC',
  problem: 'binary',
  higherIsBetter: true,
  measure: (labels, scores) => {
    const { auc, variance } = delong(labels, scores);
    return { value: auc, error: Math.sqrt(variance) };
  },
  compare: (labels, candidate, champion) => {
    const better = delong(labels, candidate);
    const known = delong(labels, champion);
    const difference = better.auc - known.auc;
    const error = Math.sqrt(differenceVariance(better, known));
    return { difference, error, interval: (confidence) => around(difference, error, confidence) };
  },
};

/** How a metric follows from the mean of its rows' losses, with its slope there. */
interface Shape {
  readonly value: (mean: number) => number;
  readonly slope: (mean: number) => number;
}
const MEAN: Shape = { value: (mean) => mean, slope: () => 1 };
const COMPLEMENT: Shape = { value: (mean) => 1 - mean, slope: () => -1 };
const ROOT: Shape = { value: Math.sqrt, slope: (mean) => (mean > 0 ? 0.5 / Math.sqrt(mean) : 0) };

/** Makes a metric of row losses: standard errors by the delta method, intervals by the paired bootstrap. */
function ofLoss(
  { name, label, problem }: Pick<Metric, 'name' | 'label' | 'problem'>,
  loss: Loss,
  shape: Shape = MEAN,
): Metric {
  const improvement = (candidate: number, champion: number) =>
    shape === COMPLEMENT
      ? shape.value(candidate) - shape.value(champion)
      : shape.value(champion) - shape.value(candidate);
  return {
    name,
    label,
    problem,
    higherIsBetter: shape === COMPLEMENT,
    measure: (labels, scores) => {
      const { mean, variance } = moments(rowLosses(loss, labels, scores));
      return { value: shape.value(mean), error: Math.abs(shape.slope(mean)) * Math.sqrt(variance / labels.length) };
    },
    compare: (labels, candidate, champion) => {
      const a = rowLosses(loss, labels, candidate);
      const b = rowLosses(loss, labels, champion);
      const meanA = moments(a).mean;
      const meanB = moments(b).mean;
      const slopeA = shape.slope(meanA);
      const slopeB = shape.slope(meanB);
      const { variance } = moments(a.map((value, i) => slopeA * value - slopeB * b[i]));
      return {
        difference: improvement(meanA, meanB),
        error: Math.sqrt(variance / labels.length),
        interval: (confidence) => {
          const drawn = pairedBootstrap(a, b, improvement);
          return [quantile(drawn, (1 - confidence) / 2), quantile(drawn, (1 + confidence) / 2)];
        },
      };
    },
  };
}

/** All metrics; the first of a problem is its default. */
export const METRICS: readonly Metric[] = [
  AUC,
  ofLoss({ name: 'logLoss', label: 'log loss', problem: 'binary' }, LOSSES.logLoss),
  ofLoss({ name: 'brier', label: 'Brier score', problem: 'binary' }, LOSSES.brier),
  ofLoss({ name: 'accuracy', label: 'accuracy', problem: 'binary' }, LOSSES.mistake, COMPLEMENT),
  ofLoss({ name: 'rmse', label: 'RMSE', problem: 'regression' }, LOSSES.squared, ROOT),
  ofLoss({ name: 'mae', label: 'MAE', problem: 'regression' }, LOSSES.absolute),
];

/** The metric of that name, or the problem's default. */
export function metricOf(problem: Problem, name?: string): Metric {
  const possible = METRICS.filter((metric) => metric.problem === problem);
  const metric = name === undefined ? possible[0] : possible.find((one) => one.name === name);
  if (metric === undefined) {
    const names = possible.map((one) => one.name).join(', ');
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `metric must be one of ${names} for ${problem}, got ${name}`);
  }
  return metric;
}

/**
 * A margin in the metric's unit.
 *
 * @param margin in that unit already where high values are good; of an error, a share of the champion's
 */
export function marginOf({ higherIsBetter }: Metric, margin: number, champion: number): number {
  return higherIsBetter ? margin : margin * champion;
}

/** What a training script may call a metric, after `validation:` or the like: of which problem, and which way it points. */
const PRINTED: Readonly<Record<string, { readonly problem?: Problem; readonly higherIsBetter: boolean }>> = {
  ...Object.fromEntries(
    METRICS.map(({ name, problem, higherIsBetter }) => [name.toLowerCase(), { problem, higherIsBetter }]),
  ),
  f1: { problem: 'binary', higherIsBetter: true },
  precision: { problem: 'binary', higherIsBetter: true },
  recall: { problem: 'binary', higherIsBetter: true },
  r2: { problem: 'regression', higherIsBetter: true },
  mse: { problem: 'regression', higherIsBetter: false },
  mape: { problem: 'regression', higherIsBetter: false },
  error: { higherIsBetter: false },
  loss: { higherIsBetter: false },
};

/** What the name of a metric that a training script prints tells, e.g. `validation:rmse`; undefined if it tells nothing. */
export function printedMetric(name: string): (typeof PRINTED)[string] | undefined {
  const words = name.toLowerCase().split(/[^a-z0-9]+/);
  const last = words.at(-1) ?? '';
  // some print errors with a minus, so that more is better
  const isNegated = words.some((word) => word === 'neg' || word === 'negative');
  return !isNegated && Object.hasOwn(PRINTED, last) ? PRINTED[last] : undefined;
}

/** The metric that the product's own training scripts print and that says most of a problem. */
export function validationMetric(problem: Problem): string {
  return `validation:${metricOf(problem).name}`;
}

/** The interval that holds the truth with this confidence, for a normal estimate. */
export function around(value: number, error: number, confidence: number): readonly [number, number] {
  const half = error === 0 ? 0 : normalQuantile((1 + confidence) / 2) * error;
  return [value - half, value + half];
}

/**
 * Refuses labels and scores that nothing can be measured on.
 *
 * @param model whose scores they are, for the message
 */
export function refuseScores(
  model: string,
  problem: Problem,
  labels: ArrayLike<number>,
  scores: ArrayLike<number>,
): void {
  const fail = (message: string) => new PerennialError(ErrorName.SCORING_FAILED, message);
  if (scores.length !== labels.length) {
    throw fail(
      `the ${model} must give one score a row: ${labels.length}, got ${scores.length}; look at the log of its container`,
    );
  }
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    if (!Number.isFinite(score)) {
      throw fail(
        `the ${model}'s scores must be finite numbers, got ${score} for row ${i + 1}; look at its inference code`,
      );
    }
    if (problem === 'binary' && (score < 0 || score > 1)) {
      throw fail(
        `the ${model}'s scores must be probabilities from 0 to 1, got ${score} for row ${i + 1}; let its inference code answer probabilities, not margins or classes`,
      );
    }
  }
}

/** Refuses labels that cannot tell a good model from a bad one. */
export function refuseLabels(problem: Problem, labels: ArrayLike<number>): void {
  const fail = (message: string) => new PerennialError(ErrorName.DATA_REJECTED, message);
  let positive = 0;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (problem === 'binary' ? label !== 0 && label !== 1 : !Number.isFinite(label)) {
      const allowed = problem === 'binary' ? '0 or 1' : 'finite numbers';
      throw fail(`the holdout's labels must be ${allowed}, got ${label} for row ${i + 1}; look at the target's SQL`);
    }
    positive += label;
  }
  if (problem === 'binary' && (positive < 2 || labels.length - positive < 2)) {
    throw fail(
      `the holdout must have at least 2 rows of each class, got ${positive} of 1 and ${labels.length - positive} of 0; add data or hold out more of it`,
    );
  }
  if (labels.length < 2) throw fail(`the holdout must have at least 2 rows, got ${labels.length}; add data`);
}
