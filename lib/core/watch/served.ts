import type { Contract } from '../dataset/contract';
import { countLike, type Histogram, type Profile } from '../prepare/profile';

/** What a model was asked, counted like its training data. */
export interface ServedRows {
  /** Rows that were counted. */
  readonly rows: number;
  /** Rows with another number of cells than the contract's; not counted. */
  readonly malformed: number;
  /** By feature: cells that should be numbers and are not; counted as missing. */
  readonly unparsed: Readonly<Record<string, number>>;
  /** By feature, with the edges and values of the profile. */
  readonly features: Readonly<Record<string, Histogram>>;
}

const NUMBER = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/**
 * Counts requests to a model with the edges and values of its training data.
 *
 * @param rows the cells of each row as they were sent: the contract's key first (if it has one), then the features; an empty cell is missing
 */
export function countServedRows(
  contract: Contract,
  profile: Profile,
  rows: ReadonlyArray<readonly string[]>,
): ServedRows {
  const first = contract.key === undefined ? 0 : 1;
  const counted = rows.filter((cells) => cells.length === first + contract.features.length);
  const features: Record<string, Histogram> = {};
  const unparsed: Record<string, number> = {};
  for (const [i, { name, kind }] of contract.features.entries()) {
    const cells = counted.map((row) => row[first + i]);
    if (kind === 'category') {
      features[name] = countLike(
        profile.features[name],
        cells.map((cell) => (cell === '' ? null : cell)),
      );
      continue;
    }
    const numbers = cells.map((cell) => (NUMBER.test(cell) ? Number(cell) : null));
    const wrong = cells.filter((cell, row) => cell !== '' && numbers[row] === null).length;
    if (wrong > 0) unparsed[name] = wrong;
    features[name] = countLike(profile.features[name], numbers);
  }
  return { rows: counted.length, malformed: rows.length - counted.length, unparsed, features };
}
