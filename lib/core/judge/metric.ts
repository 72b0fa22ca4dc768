import {
  delong,
  differenceVariance,
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

/** What a model answers for one row: a number, or several, e.g. the probability of each class. */
export type Score = number | readonly number[];

/** A model's answers, row for row. */
export type Scores = ArrayLike<Score>;

/**
 * A way to say how good scores are. It alone knows which way it points, and what its unit is.
 *
 * A metric measures the scores of its own problem; it may say so by a narrower type of score.
 */
export interface Metric {
  readonly name: string;
  /** As it stands in a sentence. */
  readonly label: string;
  readonly higherIsBetter: boolean;
  /**
   * Whether margins and changes are shares of its value, as of an error, whose unit depends on the data;
   * else they are in its own unit, as of AUC.
   */
  readonly isRelative: boolean;
  /** The values that it can have. */
  readonly range: readonly [least: number, most: number];
  measure(labels: ArrayLike<number>, scores: Scores): Measured;
  compare(labels: ArrayLike<number>, candidate: Scores, champion: Scores): Compared;
}

/** Area under the ROC curve; intervals by DeLong's method. */
export const AUC: Metric = {
  name: 'auc',
  label: 'AUC',
  higherIsBetter: true,
  isRelative: false,
  range: [0, 1],
  measure: (labels, scores: ArrayLike<number>) => {
    const { auc, variance } = delong(labels, scores);
    return { value: auc, error: Math.sqrt(variance) };
  },
  compare: (labels, candidate: ArrayLike<number>, champion: ArrayLike<number>) => {
    const better = delong(labels, candidate);
    const known = delong(labels, champion);
    const difference = better.auc - known.auc;
    const error = Math.sqrt(differenceVariance(better, known));
    return { difference, error, interval: (confidence) => around(difference, error, confidence) };
  },
};

/** How a metric follows from the mean of its rows' losses, with its slope there. */
export interface Shape {
  readonly value: (mean: number) => number;
  readonly slope: (mean: number) => number;
}
const MEAN: Shape = { value: (mean) => mean, slope: () => 1 };
export const COMPLEMENT: Shape = { value: (mean) => 1 - mean, slope: () => -1 };
export const ROOT: Shape = { value: Math.sqrt, slope: (mean) => (mean > 0 ? 0.5 / Math.sqrt(mean) : 0) };

/** Makes a metric of row losses: standard errors by the delta method, intervals by the paired bootstrap. */
export function ofLoss<S extends Score>(name: string, label: string, loss: Loss<S>, shape: Shape = MEAN): Metric {
  const higherIsBetter = shape === COMPLEMENT;
  const improvement = (candidate: number, champion: number) =>
    higherIsBetter ? shape.value(candidate) - shape.value(champion) : shape.value(champion) - shape.value(candidate);
  return {
    name,
    label,
    higherIsBetter,
    isRelative: !higherIsBetter,
    range: [0, higherIsBetter ? 1 : Number.MAX_VALUE],
    measure: (labels, scores: ArrayLike<S>) => {
      const { mean, variance } = moments(rowLosses(loss, labels, scores));
      return { value: shape.value(mean), error: Math.abs(shape.slope(mean)) * Math.sqrt(variance / labels.length) };
    },
    compare: (labels, candidate: ArrayLike<S>, champion: ArrayLike<S>) => {
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

/** Whether one value is better than another. */
export function isBetter({ higherIsBetter }: Pick<Metric, 'higherIsBetter'>, value: number, than: number): boolean {
  return higherIsBetter ? value > than : value < than;
}

/**
 * A margin in the metric's unit.
 *
 * @param margin as {@link Metric.isRelative} says
 */
export function marginOf({ isRelative }: Metric, margin: number, champion: number): number {
  return isRelative ? margin * champion : margin;
}

/** How much worse a value is than the usual one, as {@link Metric.isRelative} says; below 0 if it is better. */
export function worsening({ higherIsBetter, isRelative }: Metric, usual: number, value: number): number {
  const change = higherIsBetter ? usual - value : value - usual;
  if (!isRelative) return change;
  return usual === 0 ? 0 : change / usual;
}

/** The value that is worse than the usual one by a change, as {@link worsening} measures it. */
export function worsenedBy({ higherIsBetter, isRelative }: Metric, usual: number, change: number): number {
  const step = isRelative ? change * usual : change;
  return higherIsBetter ? usual - step : usual + step;
}

/** The interval that holds the truth with this confidence, for a normal estimate. */
export function around(value: number, error: number, confidence: number): readonly [number, number] {
  const half = error === 0 ? 0 : normalQuantile((1 + confidence) / 2) * error;
  return [value - half, value + half];
}
