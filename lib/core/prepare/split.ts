import type { Contract } from '../dataset/contract';
import { literal } from './rules';

/**
 * How rows are divided, as SQL.
 *
 * The hash of a row is bytes 8 to 15 (little-endian) of the MD5 of `perennial\x1f<identity>`, where the identity
 * is the key, or else all values joined by `\x1f` (a missing one is `\x1e`), as DuckDB writes them. It depends on
 * the row alone: not on its file, its place, or the rows beside it, so a row is on the same side in every run.
 *
 * - holdout: the newest share by event time; of the rows at the very moment of the cut, those with the smallest
 *   hashes. Without an event time: rows with `hash // 10000 % 10000 < 10000 * share`.
 * - validation: of the rest, rows with `hash % 10000 < 10000 * share`.
 */
export function rowHash(contract: Contract, columns: readonly string[]): string {
  const key = contract.columns.findIndex(({ name }) => name === contract.key);
  const parts =
    key >= 0 ? [`${columns[key]}::VARCHAR`] : columns.map((column) => `coalesce(${column}::VARCHAR, chr(30))`);
  return `md5_number_lower(concat_ws(chr(31), ${[literal(SALT), ...parts].join(', ')}))`;
}

const SALT = 'perennial';
const PARTS = 10_000;

/** Rows of validation, among those that are not held out. */
export function inValidation(share: number): string {
  return `h % ${PARTS} < ${Math.round(PARTS * share)}`;
}

/** Rows of the holdout, where there is no event time. */
export function inHoldout(share: number): string {
  return `h // ${PARTS} % ${PARTS} < ${Math.round(PARTS * share)}`;
}

/** Which rows of `data` belong to which part, as SQL conditions. */
export type Split = Readonly<Record<'train' | 'validation' | 'holdout', string>>;

/** The parts: every row belongs to exactly one of them. */
export function partsOf(holdout: string, validationShare: number): Split {
  const validation = inValidation(validationShare);
  return {
    train: `NOT (${holdout}) AND NOT (${validation})`,
    validation: `NOT (${holdout}) AND ${validation}`,
    holdout,
  };
}

/** How many rows are held out, where they have event times: at least one. */
export function holdoutRows(rows: number, share: number): number {
  return Math.max(1, Math.round(rows * share));
}

/**
 * Rows of the holdout, where they have event times: those after the cut, and of those at its very moment the ones up
 * to a hash. Both are texts: microseconds of the year 9999, and hashes, are more than a JavaScript number holds exactly.
 */
export function afterCut(time: string, hash: string): string {
  return `(t > ${time} OR t = ${time} AND h <= ${hash})`;
}
