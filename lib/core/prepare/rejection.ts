import type { Contract } from '../dataset/contract';
import type { SnapshotFile } from '../dataset/documents';
import { ErrorName, PerennialError } from '../errors';
import { problemOf } from '../problem';
import type { PrepareReport } from './documents';
import type { Ending } from './ending';

/** So many rows are in the quarantine's file at most; all are counted. */
export const MOST_QUARANTINED = 1_000_000;

/** Rows by file, whose number is its place in the snapshot. */
export type RowsByFile = ReadonlyArray<{ readonly file: number; readonly rows: number }>;

/** What a contract's check has found. */
export interface CheckedRows {
  /** All rows that were read. */
  readonly read: RowsByFile;
  /** Rows that break the contract, the files with most of them first. */
  readonly bad: RowsByFile;
  readonly reasons: PrepareReport['quarantine'];
  /** Where the quarantine is. */
  readonly quarantineKey: string;
}

/**
 * Whether more rows break the contract than it tolerates. Then the run ends, and the files are refused of whose rows
 * more than that share are bad: snapshots leave them out from then on.
 */
export function rejectionOf(
  { maxBadShare }: Pick<Contract, 'maxBadShare'>,
  files: readonly SnapshotFile[],
  { read, bad, reasons, quarantineKey }: CheckedRows,
): Ending | undefined {
  const [rows, badRows] = [total(read), total(bad)];
  if (badRows <= maxBadShare * rows) return undefined;
  const rowsOf = new Map(read.map(({ file, rows }) => [file, rows]));
  const why = reasons.slice(0, 3).map(({ reason, rows }) => `${reason} (${rows} rows)`);
  const worst = bad.slice(0, 3).map(({ file, rows }) => `${files[file]?.key} (${rows} of ${rowsOf.get(file)})`);
  const because =
    `${badRows} of ${rows} rows (${percent(badRows / rows)}) break the contract, and at most ${percent(maxBadShare)} may: ` +
    `${why.join('; ')}. Most of them are in ${worst.join(', ')}. ` +
    `${badRows > MOST_QUARANTINED ? 'The first rows and their' : 'Every row and its'} reasons lie in ${quarantineKey}. Correct the file and upload it again, or widen the contract`;
  const refused = bad
    .filter(({ file, rows }) => rows > maxBadShare * (rowsOf.get(file) ?? 0))
    .map(({ file }) => ({ file: files[file] as SnapshotFile, because }));
  return { refused, error: new PerennialError(ErrorName.DATA_REJECTED, because) };
}

/** The target's values in one part of the data. */
export interface PartTarget {
  readonly rows: number;
  readonly least: number;
  readonly most: number;
}

/**
 * A model can neither be fitted nor judged on nothing, or on rows that all have the same answer.
 *
 * @param part as a person calls it
 * @throws PerennialError DATA_REJECTED
 */
export function refuseThin(
  { target }: Pick<Contract, 'target'>,
  part: string,
  { rows, least, most }: PartTarget,
): void {
  if (rows === 0) {
    throw new PerennialError(
      ErrorName.DATA_REJECTED,
      `the ${part} part must have at least one row, got none. Upload more data`,
    );
  }
  const { lackIfAlike } = problemOf(target.problem).labels;
  if (lackIfAlike !== undefined && least === most) {
    throw new PerennialError(
      ErrorName.DATA_REJECTED,
      `the target '${target.name}' must have ${lackIfAlike} in the ${part} part, but all its ${rows} rows have ${least}. ` +
        'Upload data with other outcomes as well, or change the target',
    );
  }
}

/** The rows of all files. */
export function total(counts: RowsByFile): number {
  return counts.reduce((sum, { rows }) => sum + rows, 0);
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
