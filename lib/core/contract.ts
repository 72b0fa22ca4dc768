/**
 * What a data set must look like, written by its owner and checked by every run.
 *
 * Read from JSON by `parseContract`, which refuses what it does not know.
 */
export interface Contract {
  /** The columns of a file, in the order in which a file without a header has them. */
  readonly columns: readonly Column[];
  /** The column that tells rows apart; unique and never null. Served requests and truth are joined by it. */
  readonly key?: string;
  /** The column (timestamp or date) that says when a row happened. With it, the holdout is the newest part. */
  readonly eventTime?: string;
  /** The model's inputs, in the order in which it is asked. */
  readonly features: readonly Feature[];
  /** What the model predicts. */
  readonly target: Target;
  /** Features by whose values the models are compared as well; empty means none. */
  readonly slices: readonly string[];
  /** The share of bad rows from which a file set is refused as a whole, above 0 to 1. */
  readonly maxBadShare: number;
}

export const COLUMN_TYPES = ['string', 'integer', 'number', 'boolean', 'timestamp', 'date'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  /** Whether an empty CSV field, JSON null or Parquet null is allowed. */
  readonly nullable: boolean;
  /** Smallest value allowed: a number, or an ISO date or timestamp. */
  readonly minimum?: number | string;
  /** Largest value allowed: a number, or an ISO date or timestamp. */
  readonly maximum?: number | string;
  /** The only values allowed, for strings and integers. A new category is then a bad row. */
  readonly allowed?: ReadonlyArray<string | number>;
  /** Whether no two rows may share a value; of several, the first row (by file, then line) is kept. */
  readonly unique: boolean;
}

/** One input of the model: a column as it is, or a SQL expression over the columns. */
export interface Feature {
  readonly name: string;
  /** `number` for a quantity, `category` for a name. */
  readonly kind: 'number' | 'category';
  /** A scalar SQL expression (DuckDB's dialect) over the columns. */
  readonly sql: string;
}

export interface Target {
  readonly name: string;
  /** A scalar SQL expression (DuckDB's dialect) over the columns: true/false or 1/0 for `binary`, a number for `regression`. */
  readonly sql: string;
  readonly problem: Problem;
}

export const PROBLEMS = ['binary', 'regression'] as const;
export type Problem = (typeof PROBLEMS)[number];
