import { type Counts, shares, total } from './distances';
import { binomialTail, chiSquareTail, kolmogorovTail } from './distributions';

/** Fewest rows to be expected in every cell for the chi-square law to hold (Cochran). */
const FEWEST_EXPECTED = 5;

/** A test's statistic and the chance of one as large without a difference. */
export interface TestResult {
  readonly statistic: number;
  readonly p: number;
}

/** Pearson's chi-square test of whether two samples have the same shares; bins that both leave empty do not count. */
export function chiSquareTest(a: Counts, b: Counts): TestResult & { readonly degrees: number } {
  const n = total(a);
  const m = total(b);
  const used = a.flatMap((count, i) => (count + b[i] > 0 ? [{ count, other: b[i] }] : []));
  if (n === 0 || m === 0 || used.length < 2) return { statistic: 0, p: 1, degrees: 0 };
  const statistic = used.reduce((sum, { count, other }) => {
    const difference = count * m - other * n;
    return sum + (difference * difference) / (n * m * (count + other));
  }, 0);
  const degrees = used.length - 1;
  return { statistic, p: chiSquareTail(statistic, degrees), degrees };
}

/**
 * Merges the rarest bins of two samples until at least 5 rows are to be expected in each bin of either.
 *
 * Which bins merge depends on the sum of both samples only, so the chi-square law still holds.
 */
export function mergeRareBins(a: Counts, b: Counts): [number[], number[]] {
  const both = total(a) + total(b);
  const smaller = Math.min(total(a), total(b)) / both;
  const bins = a
    .map((count, i) => ({ a: count, b: b[i], i }))
    .filter((bin) => bin.a + bin.b > 0)
    .sort((x, y) => x.a + x.b - (y.a + y.b) || x.i - y.i);
  const merged: Array<{ a: number; b: number }> = [];
  let open = { a: 0, b: 0 };
  for (const bin of bins) {
    open = { a: open.a + bin.a, b: open.b + bin.b };
    if ((open.a + open.b) * smaller >= FEWEST_EXPECTED) {
      merged.push(open);
      open = { a: 0, b: 0 };
    }
  }
  if (open.a + open.b > 0) {
    const last = merged.pop() ?? { a: 0, b: 0 };
    merged.push({ a: last.a + open.a, b: last.b + open.b });
  }
  return [merged.map((bin) => bin.a), merged.map((bin) => bin.b)];
}

/**
 * The Kolmogorov-Smirnov test on ordered bins: the largest difference of the cumulative shares.
 *
 * On bins D is at most that of the values themselves, so p (of the limit distribution) is never too small.
 */
export function kolmogorovSmirnov(a: Counts, b: Counts): TestResult {
  const n = total(a);
  const m = total(b);
  if (n === 0 || m === 0) return { statistic: 0, p: 1 };
  const q = shares(b);
  let difference = 0;
  let statistic = 0;
  shares(a).forEach((p, i) => {
    difference += p - q[i];
    statistic = Math.max(statistic, Math.abs(difference));
  });
  return { statistic, p: kolmogorovTail(statistic * Math.sqrt((n * m) / (n + m))) };
}

/** McNemar's test of whether two models err equally often, from the rows that only one of them gets right. */
export function mcnemar(onlyFirst: number, onlySecond: number): { readonly exact: number; readonly mid: number } {
  const rows = onlyFirst + onlySecond;
  if (rows === 0) return { exact: 1, mid: 1 };
  const most = Math.max(onlyFirst, onlySecond);
  const atLeast = binomialTail(most, rows, 0.5);
  const exactly = atLeast - binomialTail(most + 1, rows, 0.5);
  return { exact: Math.min(1, 2 * atLeast), mid: Math.min(1, 2 * atLeast - exactly) };
}

/**
 * The chance that at least `now` of so many rare events happen in the window, if they are as frequent as before.
 *
 * Given how many happened in both, the window's part is binomial; exact where rows are many and events rare.
 */
export function rareRise(before: number, rowsBefore: number, now: number, rowsNow: number): number {
  return binomialTail(now, before + now, rowsNow / (rowsBefore + rowsNow));
}
