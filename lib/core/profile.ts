import type { Contract } from './contract';

/** Counts of a number over fixed edges: bin i holds `edges[i] <= x < edges[i + 1]`, the first and last are open to infinity. */
export interface NumberHistogram {
  readonly kind: 'number';
  /** Strictly increasing inner edges; `counts.length === edges.length + 1`. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  readonly missing: number;
  /** Moments of the present values, for effects in standard deviations. */
  readonly mean: number;
  /** Population standard deviation. */
  readonly deviation: number;
}

/** Counts of a category's values; values beyond the named ones count as `other`. */
export interface CategoryHistogram {
  readonly kind: 'category';
  readonly values: readonly string[];
  readonly counts: readonly number[];
  readonly other: number;
  readonly missing: number;
}

export type Histogram = NumberHistogram | CategoryHistogram;

/** Histograms of a data set's features and target; two with the same edges and values can be compared and merged. */
export interface Profile {
  readonly contractId: string;
  readonly rows: number;
  readonly features: Readonly<Record<string, Histogram>>;
  readonly target: Histogram;
}

export type ContractOfProfile = Contract;
