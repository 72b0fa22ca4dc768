import { ErrorName, PerennialError } from '../errors';

/**
 * Counts of a number over fixed edges.
 *
 * The bin of a value is **the number of edges that are not above it**: bin 0 holds `x < edges[0]`,
 * bin i holds `edges[i - 1] <= x < edges[i]`, the last holds `x >= edges[edges.length - 1]`.
 * In SQL: `(x >= e0)::INT + (x >= e1)::INT + …`, over rows where `x` is finite; all others are missing.
 */
export interface NumberHistogram {
  readonly kind: 'number';
  /** Strictly increasing inner edges; `counts.length === edges.length + 1`. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  /** Rows without a finite value: null, NaN, infinite. */
  readonly missing: number;
  /** Mean of the finite values, 0 if there are none. */
  readonly mean: number;
  /** Population standard deviation of the finite values, 0 if there are none. */
  readonly deviation: number;
}

/** Counts of a category's values; values beyond the named ones count as `other`. */
export interface CategoryHistogram {
  readonly kind: 'category';
  readonly values: readonly string[];
  readonly counts: readonly number[];
  readonly other: number;
  /** Rows without a value: null. The empty text is a value. */
  readonly missing: number;
}

export type Histogram = NumberHistogram | CategoryHistogram;

/** Histograms of a data set's features and target; two with the same edges and values can be compared and merged. */
export interface Profile {
  readonly contractId: string;
  readonly rows: number;
  readonly features: Readonly<Record<string, Histogram>>;
  readonly target: Histogram;
  /** What a model without any feature would answer. */
  readonly trivial: { readonly mean: number; readonly median: number };
}

/** How many bins a number gets by default, at most. */
export const PROFILE_BINS = 20;
/** How many values of a category are named by default, at most. */
export const PROFILE_CATEGORIES = 200;

/**
 * Chooses inner edges that cut values into bins of about equal counts; every edge is one of the values.
 *
 * With no more distinct values than bins, each value gets a bin of its own. A value that fills whole
 * bins by itself (many zeros, say) is fenced off by an edge on either side. Values that are not finite
 * do not count. A sample of some 100,000 rows is enough for a data set of any size.
 */
export function quantileEdges(values: ArrayLike<number>, bins: number = PROFILE_BINS): number[] {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  const distinct = firstDistinct(sorted, bins + 1);
  if (distinct.length <= bins) return distinct.slice(1);

  const edges = new Set<number>();
  let previous = sorted[0];
  for (let cut = 1; cut < bins; cut++) {
    const position = Math.floor((sorted.length * cut) / bins);
    const edge = sorted[position];
    edges.add(edge);
    if (edge === previous) {
      const after = firstAbove(sorted, edge);
      if (after < sorted.length) edges.add(sorted[after]);
    }
    previous = edge;
  }
  edges.delete(sorted[0]); // nothing lies below the smallest value
  return [...edges].sort((a, b) => a - b);
}

/** The values that a category's histogram names: the most frequent ones, equally frequent ones by name. */
export function namedValues(
  counts: Iterable<readonly [value: string, rows: number]>,
  most: number = PROFILE_CATEGORIES,
): string[] {
  return [...counts]
    .sort(([a, rowsA], [b, rowsB]) => rowsB - rowsA || (a < b ? -1 : 1))
    .slice(0, most)
    .map(([value]) => value);
}

/** Counts numbers over fixed edges. */
export function countNumbers(edges: readonly number[], values: ArrayLike<number | null | undefined>): NumberHistogram {
  const counts = new Array<number>(edges.length + 1).fill(0);
  let present = 0;
  let mean = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null || value === undefined || !Number.isFinite(value)) continue;
    counts[binOf(edges, value)]++;
    present++;
    const delta = value - mean; // Welford: no cancellation for values far from 0
    mean += delta / present;
    squares += delta * (value - mean);
  }
  const deviation = present === 0 ? 0 : Math.sqrt(squares / present);
  return { kind: 'number', edges, counts, missing: values.length - present, mean, deviation };
}

/** Counts a category's values; what is not among `values` is `other`. */
export function countCategories(
  values: readonly string[],
  data: ArrayLike<string | null | undefined>,
): CategoryHistogram {
  const seen = new Map<string | null, number>();
  for (let i = 0; i < data.length; i++) {
    const value = data[i] ?? null;
    seen.set(value, (seen.get(value) ?? 0) + 1);
  }
  return categoryHistogram(values, seen);
}

/**
 * The number histogram of counts that were made elsewhere, as by SQL's `GROUP BY` of the bin.
 *
 * @param bins rows by bin; bins without rows may be absent
 */
export function numberHistogram(
  edges: readonly number[],
  bins: Iterable<readonly [bin: number, rows: number]>,
  rest: { readonly missing: number; readonly mean: number | null; readonly deviation: number | null },
): NumberHistogram {
  const counts = new Array<number>(edges.length + 1).fill(0);
  for (const [bin, rows] of bins) {
    if (!(bin in counts)) throw invalid(`a bin must be a whole number from 0 to ${edges.length}, got ${bin}`);
    counts[bin] += rows;
  }
  const { missing, mean, deviation } = rest;
  return { kind: 'number', edges, counts, missing, mean: mean ?? 0, deviation: deviation ?? 0 };
}

/** The category histogram of counts that were made elsewhere, as by SQL's `GROUP BY` of the value; null is missing. */
export function categoryHistogram(
  values: readonly string[],
  rowsByValue: Iterable<readonly [value: string | null, rows: number]>,
): CategoryHistogram {
  const position = new Map(values.map((value, i) => [value, i]));
  const counts = new Array<number>(values.length).fill(0);
  let other = 0;
  let missing = 0;
  for (const [value, rows] of rowsByValue) {
    const i = value === null ? undefined : position.get(value);
    if (value === null) missing += rows;
    else if (i === undefined) other += rows;
    else counts[i] += rows;
  }
  return { kind: 'category', values, counts, other, missing };
}

/** Counts data with the edges or values of another histogram, so that both can be compared. */
export function countLike(like: Histogram, data: ArrayLike<number | string | null | undefined>): Histogram {
  return like.kind === 'number'
    ? countNumbers(like.edges, data as ArrayLike<number | null>)
    : countCategories(like.values, data as ArrayLike<string | null>);
}

/** How many rows a histogram has counted, missing ones too. */
export function histogramRows(histogram: Histogram): number {
  const named = histogram.counts.reduce((sum, count) => sum + count, histogram.missing);
  return histogram.kind === 'category' ? named + histogram.other : named;
}

/** The histogram of both data sets together; the order of merging does not matter. */
export function mergeHistograms<H extends Histogram>(a: H, b: H): H;
export function mergeHistograms(a: Histogram, b: Histogram): Histogram {
  if (!comparable(a, b)) throw invalid('histograms to merge or compare must have the same kind and edges or values');
  const counts = a.counts.map((count, i) => count + b.counts[i]);
  const missing = a.missing + b.missing;
  if (a.kind === 'category') {
    return { kind: 'category', values: a.values, counts, missing, other: a.other + (b as CategoryHistogram).other };
  }
  const second = b as NumberHistogram;
  const n = histogramRows(a) - a.missing;
  const m = histogramRows(second) - second.missing;
  if (n + m === 0) return { ...a, counts, missing };
  const mean = (n * a.mean + m * second.mean) / (n + m);
  const variance =
    (n * (a.deviation ** 2 + (a.mean - mean) ** 2) + m * (second.deviation ** 2 + (second.mean - mean) ** 2)) / (n + m);
  return { kind: 'number', edges: a.edges, counts, missing, mean, deviation: Math.sqrt(variance) };
}

/** Whether two histograms count the same things. */
export function comparable(a: Histogram, b: Histogram): boolean {
  const marks = (histogram: Histogram): ReadonlyArray<number | string> =>
    histogram.kind === 'number' ? histogram.edges : histogram.values;
  return a.kind === b.kind && marks(a).length === marks(b).length && marks(a).every((mark, i) => mark === marks(b)[i]);
}

/** How many of the increasing edges are not above a value. */
function binOf(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (edges[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstDistinct(sorted: Float64Array, most: number): number[] {
  const distinct: number[] = [];
  for (let i = 0; i < sorted.length && distinct.length < most; i = firstAbove(sorted, sorted[i])) {
    distinct.push(sorted[i]);
  }
  return distinct;
}

/** The position of the first element above a value. */
function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function invalid(message: string): PerennialError {
  return new PerennialError(ErrorName.INVALID_DOCUMENT, message);
}
