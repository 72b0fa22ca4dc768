/** The scores of one class each, sorted. */
interface Classes {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/**
 * Area under the ROC curve: the chance that a random positive row scores above a random negative one,
 * ties counting half. NaN without both classes.
 *
 * @param labels 1 is positive, all else negative
 */
export function auc(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  const { positive, negative } = sortedClasses(labels, scores);
  let below = 0;
  let notAbove = 0;
  let wins = 0;
  for (let i = 0; i < positive.length; i++) {
    while (below < negative.length && negative[below] < positive[i]) below++;
    while (notAbove < negative.length && negative[notAbove] <= positive[i]) notAbove++;
    wins += (below + notAbove) / 2;
  }
  return wins / (positive.length * negative.length);
}

/** An AUC with its variance, and what the covariance with another model's AUC on the same rows needs. */
export interface Auc {
  readonly auc: number;
  readonly variance: number;
  /** For each positive row the share of negative rows it scores above. */
  readonly overNegatives: Float64Array;
  /** For each negative row the share of positive rows that score above it. */
  readonly underPositives: Float64Array;
}

/** AUC with DeLong's variance, in n log n steps. The variance is NaN unless each class has two rows. */
export function delong(labels: ArrayLike<number>, scores: ArrayLike<number>): Auc {
  const { positive, negative } = sortedClasses(labels, scores);
  const overNegatives = new Float64Array(positive.length);
  const underPositives = new Float64Array(negative.length);
  let p = 0;
  let n = 0;
  for (let i = 0; i < scores.length; i++) {
    if (labels[i] === 1) overNegatives[p++] = shareBelow(negative, scores[i]);
    else underPositives[n++] = 1 - shareBelow(positive, scores[i]);
  }
  const variance =
    covariance(overNegatives, overNegatives) / overNegatives.length +
    covariance(underPositives, underPositives) / underPositives.length;
  return { auc: average(overNegatives), variance, overNegatives, underPositives };
}

/** The variance of the difference of two models' AUCs on the same rows; at least 0. */
export function differenceVariance(a: Auc, b: Auc): number {
  const shared =
    covariance(a.overNegatives, b.overNegatives) / a.overNegatives.length +
    covariance(a.underPositives, b.underPositives) / a.underPositives.length;
  return Math.max(0, a.variance + b.variance - 2 * shared);
}

function sortedClasses(labels: ArrayLike<number>, scores: ArrayLike<number>): Classes {
  let positives = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i] === 1) positives++;
  const positive = new Float64Array(positives);
  const negative = new Float64Array(labels.length - positives);
  let p = 0;
  let n = 0;
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 1) positive[p++] = scores[i];
    else negative[n++] = scores[i];
  }
  return { positive: positive.sort(), negative: negative.sort() };
}

/** The share of sorted values below a score, those equal to it counting half. */
function shareBelow(sorted: Float64Array, score: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] < score) low = middle + 1;
    else high = middle;
  }
  const below = low;
  high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= score) low = middle + 1;
    else high = middle;
  }
  return (below + low) / 2 / sorted.length;
}

function average(values: Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum / values.length;
}

function covariance(a: Float64Array, b: Float64Array): number {
  const meanA = average(a);
  const meanB = average(b);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - meanA) * (b[i] - meanB);
  return sum / (a.length - 1);
}
