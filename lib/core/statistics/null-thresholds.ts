import { chiSquareLimit } from './distributions';

/** Two samples over the same bins that come from the same source. */
export interface SameSource {
  /** How many bins both together use. */
  readonly bins: number;
  readonly rows: number;
  readonly otherRows: number;
}

/** 1/n + 1/m: what chance alone makes of a difference shrinks with it. */
function chance({ rows, otherRows }: SameSource): number {
  return 1 / rows + 1 / otherRows;
}

/** The population stability index to be expected by chance alone. */
export function expectedStability(samples: SameSource): number {
  return (samples.bins - 1) * chance(samples);
}

/** The population stability index that chance alone exceeds with probability `alpha`. */
export function stabilityLimit(alpha: number, samples: SameSource): number {
  return chiSquareLimit(alpha, samples.bins - 1) * chance(samples);
}

/** The Jensen-Shannon distance (nats) that chance alone exceeds with probability `alpha`. */
export function jensenShannonLimit(alpha: number, samples: SameSource): number {
  return Math.sqrt(stabilityLimit(alpha, samples) / 8);
}

/** The Kolmogorov-Smirnov statistic that chance alone exceeds with probability `alpha`, to the first term of its series. */
export function kolmogorovLimit(alpha: number, rows: number, otherRows: number): number {
  return Math.sqrt((-Math.log(alpha / 2) / 2) * (1 / rows + 1 / otherRows));
}
