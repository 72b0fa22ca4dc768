import { ErrorName, PerennialError } from '../errors';
import { inQuotes, listed } from '../listed';
import { didYouMean } from '../nearest';
import { problemFor } from '../problem';
import type { ColumnType } from './contract';

/** What sample data shows of one column. */
export interface ColumnSummary {
  readonly name: string;
  /** The narrowest type that (nearly) all values have. */
  readonly type: ColumnType;
  readonly rows: number;
  readonly missing: number;
  /** Values that have not the type. */
  readonly misfits: number;
  readonly distinct: number;
  /** Smallest and largest value, of numbers, or ISO texts of times. */
  readonly minimum?: number | string;
  readonly maximum?: number | string;
  /** The distinct values, if they are few. */
  readonly values?: readonly string[];
}

/** A contract as a person keeps it in a file, and what to look at before keeping it. */
export interface InferredContract {
  /** JSON for `parseContract`. */
  readonly contract: Record<string, unknown>;
  /** One sentence each. */
  readonly notes: readonly string[];
}

/** So many values at most make a column of texts a closed list. */
export const FEW_VALUES = 50;

/** How often each value must be seen, on average, for the list to be taken as complete. */
const SEEN_OFTEN = 20;

const LABEL = /^(label|target|outcome|class|y|is_.*|has_.*|late|churn(ed)?|fraud|default(ed)?)$/i;
const IDENTITY = /(^id|[_ -]id|Id|key|uuid|guid)$/i;

/**
 * Writes a first contract from sample data: it accepts the sample, and leaves room around it.
 *
 * @param target the column to predict; guessed, if absent
 * @throws PerennialError INVALID_DOCUMENT if no column can be the target, or none can be a feature
 */
export function inferContract(columns: readonly ColumnSummary[], target?: string): InferredContract {
  const notes: string[] = [];
  const key = columns.find((column, i) => isKey(column, i === 0));
  const times = columns.filter(({ type, missing }) => (type === 'timestamp' || type === 'date') && missing === 0);
  const eventTime = times.find(({ type }) => type === 'timestamp') ?? times[0];
  if (key !== undefined) notes.push(`key: ${inQuotes(key.name)} differs in every row; remove it if that is chance`);
  if (times.length > 1) notes.push(`eventTime: '${eventTime.name}' was taken from ${list(times)}`);

  const label = findTarget(
    columns.filter((column) => column !== key),
    target,
    notes,
  );
  const features: string[] = [];
  for (const column of columns) {
    if ([key, eventTime, label].includes(column)) continue;
    const { name, type, distinct, rows } = column;
    if (type === 'timestamp' || type === 'date') {
      notes.push(
        `${inQuotes(name)} is a ${type}: derive features from it, e.g. {"name": "hour", "sql": "hour(\\"${name}\\")", "kind": "number"}`,
      );
    } else if (type === 'string' && distinct > rows / 2) {
      notes.push(`${inQuotes(name)} is no feature: its values hardly repeat`);
    } else {
      features.push(name);
    }
  }
  if (features.length === 0) {
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `besides the target ${inQuotes(label.name)} there must be a column that can be a feature, got ${list(columns)}`,
    );
  }
  for (const { name, type, misfits } of columns) {
    if (misfits > 0) notes.push(`${inQuotes(name)}: ${misfits} values are no ${type}; their rows would be quarantined`);
  }
  notes.push('leave out of the features what is not known yet when a prediction is asked for');

  return {
    contract: {
      columns: columns.map((column) => describeColumn(column, column === key, column === label)),
      ...(key && { key: key.name }),
      ...(eventTime && { eventTime: eventTime.name }),
      features,
      target: label.type === 'integer' ? { name: label.name, problem: problemFor(label, true)?.name } : label.name,
    },
    notes,
  };
}

function describeColumn(column: ColumnSummary, isKey: boolean, isTarget: boolean): Record<string, unknown> {
  const { name, type, missing, minimum, maximum, values, rows } = column;
  const described: Record<string, unknown> = { name, type };
  if (isKey) return described; // new rows have new keys: there is no range of them
  if (missing > 0) described.nullable = true;
  if (typeof minimum === 'number' && typeof maximum === 'number') {
    const [least, most] = isTarget && isZeroOrOne(column) ? [0, 1] : roomAround(minimum, maximum);
    described.minimum = least;
    described.maximum = most;
  } else if (typeof minimum === 'string') {
    described.minimum = `${minimum.slice(0, 4)}-01-01`; // new data is later, so there is no maximum
  }
  if (type === 'string' && values !== undefined && values.length > 0 && rows >= SEEN_OFTEN * values.length) {
    described.allowed = values;
  }
  return described;
}

/** A range that holds another one and half its width on either side, in round numbers; it changes sign only if the other does. */
export function roomAround(minimum: number, maximum: number): [number, number] {
  const room = Math.max((maximum - minimum || Math.abs(maximum) || 1) / 2, 1e-300);
  const step = 10 ** Math.floor(Math.log10(room));
  const least = Math.min(minimum, tidy(Math.floor((minimum - room) / step) * step));
  const most = Math.max(maximum, tidy(Math.ceil((maximum + room) / step) * step));
  return [minimum >= 0 ? Math.max(0, least) : least, maximum <= 0 ? Math.min(0, most) : most];
}

/** Without the digits that binary fractions leave behind. */
function tidy(value: number): number {
  return Number(value.toPrecision(12));
}

function isKey({ type, rows, missing, misfits, distinct, name }: ColumnSummary, isFirst: boolean): boolean {
  if (type !== 'integer' && type !== 'string') return false;
  return rows > 1 && missing === 0 && misfits === 0 && distinct === rows && (isFirst || IDENTITY.test(name));
}

function findTarget(columns: readonly ColumnSummary[], wanted: string | undefined, notes: string[]): ColumnSummary {
  const possible = columns.filter(({ type }) => type === 'boolean' || type === 'integer' || type === 'number');
  if (wanted !== undefined) {
    const found = possible.find(({ name }) => name === wanted);
    if (found !== undefined) return found;
    const column = columns.find(({ name }) => name === wanted);
    const got =
      column === undefined
        ? `${inQuotes(wanted)}${didYouMean(
            wanted,
            columns.map(({ name }) => name),
          )}`
        : `${inQuotes(wanted)}, a ${column.type}`;
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `the target must be a boolean or numeric column besides the key, got ${got}`,
    );
  }
  const guess =
    possible.find(({ name }) => LABEL.test(name)) ??
    possible.findLast((column) => column.type === 'boolean' || isZeroOrOne(column)) ??
    possible.at(-1);
  if (guess === undefined) {
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `one column besides the key must be boolean or numeric to be the target, got ${list(columns) || 'none'}`,
    );
  }
  notes.push(`target: ${inQuotes(guess.name)} is a guess; name another by --target`);
  return guess;
}

function isZeroOrOne({ type, minimum, maximum }: ColumnSummary): boolean {
  return type === 'integer' && minimum === 0 && maximum === 1;
}

function list(columns: readonly ColumnSummary[]): string {
  return listed(columns.map(({ name, type }) => `${inQuotes(name)} (${type})`));
}
