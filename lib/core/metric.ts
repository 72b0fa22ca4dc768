import type { Problem } from './contract';
import { ErrorName, PerennialError } from './errors';
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
} from './statistics';

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
function ofLoss(name: string, label: string, problem: Problem, loss: Loss, shape: Shape = MEAN): Metric {
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
  ofLoss('logLoss', 'log loss', 'binary', LOSSES.logLoss),
  ofLoss('brier', 'Brier score', 'binary', LOSSES.brier),
  ofLoss('accuracy', 'accuracy', 'binary', LOSSES.mistake, COMPLEMENT),
  ofLoss('rmse', 'RMSE', 'regression', LOSSES.squared, ROOT),
  ofLoss('mae', 'MAE', 'regression', LOSSES.absolute),
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
