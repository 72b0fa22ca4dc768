import { random } from '../random';

/** The q-quantile of sorted values, between neighbours by proportion (type 7). */
export function quantile(sorted: ArrayLike<number>, q: number): number {
  const position = (sorted.length - 1) * q;
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

/** How a bootstrap draws. */
export interface BootstrapSettings {
  /** Fixes the draws: the same seed and data give the same interval everywhere. */
  readonly seed: number;
  readonly draws: number;
  /** More rows than this are drawn as so many interleaved groups of rows: as good an interval, whatever the number of rows. */
  readonly groups: number;
}

export const BOOTSTRAP_DEFAULTS: BootstrapSettings = { seed: 2024, draws: 2000, groups: 2000 };

/**
 * What a statistic of the means of paired values comes to when rows are drawn again and again, sorted.
 *
 * A row is drawn with its values of both models, so what both find hard cancels.
 *
 * @param statistic from the mean of `a` and the mean of `b` over the drawn rows
 */
export function pairedBootstrap(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  statistic: (meanA: number, meanB: number) => number,
  settings: BootstrapSettings = BOOTSTRAP_DEFAULTS,
): Float64Array {
  const groups = Math.min(a.length, settings.groups);
  const sumsA = new Float64Array(groups);
  const sumsB = new Float64Array(groups);
  const rows = new Uint32Array(groups);
  for (let i = 0; i < a.length; i++) {
    sumsA[i % groups] += a[i];
    sumsB[i % groups] += b[i];
    rows[i % groups]++;
  }

  const next = random(settings.seed);
  const results = new Float64Array(settings.draws);
  for (let draw = 0; draw < settings.draws; draw++) {
    let sumA = 0;
    let sumB = 0;
    let drawn = 0;
    for (let i = 0; i < groups; i++) {
      const group = Math.floor(next() * groups);
      sumA += sumsA[group];
      sumB += sumsB[group];
      drawn += rows[group];
    }
    results[draw] = statistic(sumA / drawn, sumB / drawn);
  }
  return results.sort();
}
