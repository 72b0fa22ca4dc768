/** Counts bin by bin; two of the same length over the same bins can be compared. */
export type Counts = readonly number[];

/** The sum of counts. */
export function total(counts: Counts): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** Counts as shares of their sum; of nothing, all are 0. */
export function shares(counts: Counts): number[] {
  const sum = total(counts);
  return counts.map((count) => (sum === 0 ? 0 : count / sum));
}

/**
 * Population stability index: Σ (q − p) · ln(q / p) over the shares p, q of each bin.
 *
 * Shares below `floor` count as `floor`, so that an empty bin makes the index large, not infinite.
 */
export function populationStability(a: Counts, b: Counts, floor = 1e-4): number {
  const q = shares(b);
  return shares(a).reduce((sum, share, i) => {
    const before = Math.max(share, floor);
    const after = Math.max(q[i], floor);
    return sum + (after - before) * Math.log(after / before);
  }, 0);
}

/** Jensen-Shannon divergence in nats: 0 for the same shares, ln 2 for shares with nothing in common. */
export function jensenShannon(a: Counts, b: Counts): number {
  const q = shares(b);
  const part = (share: number, middle: number) => (share === 0 ? 0 : share * Math.log(share / middle));
  const sum = shares(a).reduce((so, p, i) => so + part(p, (p + q[i]) / 2) + part(q[i], (p + q[i]) / 2), 0);
  return Math.max(0, sum / 2);
}

/** Square root of {@link jensenShannon}, which is a metric. */
export function jensenShannonDistance(a: Counts, b: Counts): number {
  return Math.sqrt(jensenShannon(a, b));
}

/** The largest change of any bin's share. */
export function largestChange(a: Counts, b: Counts): number {
  const q = shares(b);
  return shares(a).reduce((largest, p, i) => Math.max(largest, Math.abs(p - q[i])), 0);
}

/** By how many of the reference's standard deviations the mean has moved; 0 if the reference does not vary. */
export function meanShift(
  reference: { readonly mean: number; readonly deviation: number },
  current: { readonly mean: number },
): number {
  return reference.deviation > 0 ? (current.mean - reference.mean) / reference.deviation : 0;
}
