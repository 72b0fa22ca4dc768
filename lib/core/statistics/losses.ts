import { quantileEdges } from '../prepare/profile';

/** What one row costs, from its label and its score. */
export type Loss<Score = number> = (label: number, score: Score) => number;

/** The row losses whose means are the metrics of that name; a probability of 0.5 counts as 1. */
export const LOSSES = {
  /** Binary: −ln of the probability given to what happened, which counts as at least 1e-15. */
  logLoss: (label, score) => -Math.log(Math.max(1e-15, label === 1 ? score : 1 - score)),
  brier: (label, score) => (label - score) ** 2,
  /** 1 for a row that is wrong at the threshold 0.5. */
  mistake: (label, score) => ((label === 1) === score >= 0.5 ? 0 : 1),
  squared: (label, score) => (label - score) ** 2,
  absolute: (label, score) => Math.abs(label - score),
} satisfies Record<string, Loss>;

/** Each row's loss. */
export function rowLosses<Score>(loss: Loss<Score>, labels: ArrayLike<number>, scores: ArrayLike<Score>): Float64Array {
  const losses = new Float64Array(labels.length);
  for (let i = 0; i < labels.length; i++) losses[i] = loss(labels[i], scores[i]);
  return losses;
}

/** Mean and variance (n − 1) of values. */
export function moments(values: ArrayLike<number>): { readonly mean: number; readonly variance: number } {
  let mean = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const delta = values[i] - mean;
    mean += delta / (i + 1);
    squares += delta * (values[i] - mean);
  }
  return { mean, variance: squares / (values.length - 1) };
}

/**
 * Expected calibration error: the mean distance, over bins of about equally many rows by score, of the
 * mean score from the share of positive rows. Rows of the same score are never parted.
 */
export function calibrationError(labels: ArrayLike<number>, scores: ArrayLike<number>, bins = 10): number {
  const edges = quantileEdges(scores, bins);
  const excess = new Float64Array(edges.length + 1);
  for (let i = 0; i < labels.length; i++) {
    let bin = 0;
    while (bin < edges.length && edges[bin] <= scores[i]) bin++;
    excess[bin] += scores[i] - (labels[i] === 1 ? 1 : 0);
  }
  return excess.reduce((sum, value) => sum + Math.abs(value), 0) / labels.length;
}
