import { type Column, type ColumnType, type Contract, quoted } from '../dataset/contract';
import { shortened } from '../listed';
import { LONGEST_TEXT } from './limits';

/**
 * What a contract means in DuckDB's SQL: how a file's column becomes a typed value, and when a row is bad.
 *
 * Casts of the database are lax ('1.7' is the integer 2, 'yes' is true, ' 5 ' is 5), so a text must have
 * the lexical form of its type first:
 *
 * | type | text |
 * |---|---|
 * | integer | digits with an optional minus, at most 64 bits |
 * | number | digits, an optional minus, a decimal point, an exponent; finite |
 * | boolean | `true`, `false` (also `True`, `TRUE` …), `1`, `0` |
 * | timestamp | ISO 8601: date, or date and time with `T` or a blank, with an optional zone; without one, UTC; years 0000 to 9999 in UTC |
 * | date | `YYYY-MM-DD` |
 *
 * An empty text is a missing value, in every type and format.
 */

/** What DuckDB calls the type that holds a column's values. */
export const STORED: Readonly<Record<ColumnType, string>> = {
  string: 'VARCHAR',
  integer: 'BIGINT',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
  date: 'DATE',
};

/** One column of a file as SQL: its text, its typed value, and whether the text has the type's form. */
export interface Reading {
  /** For messages and the quarantine; null is missing. */
  readonly text: string;
  /** Null where the text has not the form of the type. */
  readonly value: string;
}

const CLOCK = '([01]\\d|2[0-3]):[0-5]\\d(:[0-5]\\d(\\.\\d{1,9})?)?';
const DATE = '\\d{4}-\\d{2}-\\d{2}';
const ZONE = '(Z|[+-]\\d{2}:?\\d{2})';

/** A text as SQL writes it. */
export function literal(value: string | number): string {
  return typeof value === 'number' ? String(value) : `'${value.replaceAll("'", "''")}'`;
}

/** Reads a column that is text in the file. `x` is the column's expression; an empty text is missing. */
export function readText(x: string, type: ColumnType): Reading {
  const form: Record<ColumnType, string> = {
    string: x,
    integer: `CASE WHEN ltrim(${x}, '-0123456789') = '' THEN TRY_CAST(${x} AS BIGINT) END`,
    number: `CASE WHEN ltrim(${x}, '-.0123456789eE+') = '' AND NOT starts_with(${x}, '+') AND isfinite(TRY_CAST(${x} AS DOUBLE)) THEN TRY_CAST(${x} AS DOUBLE) END`,
    boolean: `CASE WHEN lower(${x}) IN ('true', '1') THEN true WHEN lower(${x}) IN ('false', '0') THEN false END`,
    timestamp:
      `CASE WHEN regexp_full_match(${x}, '${DATE}([T ]${CLOCK})?') THEN TRY_CAST(${x} AS TIMESTAMP) ` +
      `WHEN regexp_full_match(${x}, '${DATE}[T ]${CLOCK}${ZONE}') THEN ${inRange(`timezone('UTC', TRY_CAST(${x} AS TIMESTAMPTZ))`)} END`,
    date: `CASE WHEN regexp_full_match(${x}, '${DATE}') THEN TRY_CAST(${x} AS DATE) END`,
  };
  return { text: x, value: form[type] };
}

const INTEGERS = /^U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)$/;
const FLOATS = /^(FLOAT|DOUBLE|DECIMAL.*)$/;
const TIMES = /^TIMESTAMP(_S|_MS|_NS)?$/;

/**
 * Reads a column that has a type of its own, as in Parquet.
 *
 * @param stored DuckDB's name of the file's type
 * @returns undefined if values of that type can never be the contract's
 */
export function readTyped(x: string, stored: string, type: ColumnType): Reading | undefined {
  if (stored.startsWith('ENUM')) return readText(`nullif(${x}::VARCHAR, '')`, type);
  if (stored === 'VARCHAR') {
    // a longer text makes its row a bad one, and is not carried along
    return readText(`nullif(CASE WHEN strlen(${x}) > ${LONGEST_TEXT} THEN left(${x}, 1000) ELSE ${x} END, '')`, type);
  }
  const text = `${x}::VARCHAR`;
  const value = typedValue(x, stored, type);
  return value === undefined ? undefined : { text, value };
}

function typedValue(x: string, stored: string, type: ColumnType): string | undefined {
  const time =
    stored === 'TIMESTAMP WITH TIME ZONE'
      ? `timezone('UTC', ${x})`
      : stored === 'DATE' || TIMES.test(stored)
        ? `TRY_CAST(${x} AS TIMESTAMP)`
        : undefined;
  switch (type) {
    case 'string':
      return undefined;
    case 'integer':
      if (INTEGERS.test(stored)) return `TRY_CAST(${x} AS BIGINT)`;
      return FLOATS.test(stored) ? `CASE WHEN ${x} = trunc(${x}) THEN TRY_CAST(${x} AS BIGINT) END` : undefined;
    case 'number':
      if (INTEGERS.test(stored)) return `${x}::DOUBLE`;
      return FLOATS.test(stored) ? `CASE WHEN isfinite(${x}::DOUBLE) THEN ${x}::DOUBLE END` : undefined;
    case 'boolean':
      return stored === 'BOOLEAN' ? x : undefined;
    case 'timestamp':
      return time && inRange(time);
    case 'date':
      return time && `CASE WHEN ${time} = date_trunc('day', ${time}) THEN ${inRange(time)}::DATE END`;
  }
}

/** A timestamp with a year of four digits, as ISO 8601 has it; Parquet can also hold infinity and the year 290000. */
function inRange(time: string): string {
  return `CASE WHEN ${time} BETWEEN TIMESTAMP '0000-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999' THEN ${time} END`;
}

/** One way in which a value can break its column: the text of the rule, and when it is broken. */
export interface Rule {
  /** e.g. `delay: must be an integer`; what a person counts. */
  readonly rule: string;
  /** SQL over the text and the value: true if broken. */
  readonly broken: string;
}

/** At most one rule of a column is broken by a value: the first. */
export function columnRules(column: Column, text: string, value: string): Rule[] {
  const { name, type, nullable, minimum, maximum, allowed } = column;
  const rules: Rule[] = [];
  if (!nullable) rules.push({ rule: `${name}: must not be empty`, broken: `${text} IS NULL` });
  if (type !== 'string') {
    rules.push({ rule: `${name}: must be ${FORMS[type]}`, broken: `${text} IS NOT NULL AND ${value} IS NULL` });
  }
  if (minimum !== undefined) {
    rules.push({ rule: `${name}: must be at least ${minimum}`, broken: `${value} < ${bound(minimum, type)}` });
  }
  if (maximum !== undefined) {
    rules.push({ rule: `${name}: must be at most ${maximum}`, broken: `${value} > ${bound(maximum, type)}` });
  }
  if (allowed !== undefined) {
    const few = allowed
      .slice(0, 8)
      .map((value) => shortened(String(value), 100))
      .join(', ');
    const rest = allowed.length > 8 ? ` … (${allowed.length} in all)` : '';
    rules.push({
      rule: `${name}: must be one of ${few}${rest}`,
      broken: `${value} NOT IN (${allowed.map(literal).join(', ')})`,
    });
  }
  return rules;
}

const FORMS: Readonly<Record<Exclude<ColumnType, 'string'>, string>> = {
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  timestamp: 'an ISO timestamp',
  date: 'an ISO date (YYYY-MM-DD)',
};

function bound(value: number | string, type: ColumnType): string {
  if (typeof value === 'number') return `${value}`;
  return type === 'date' ? `DATE ${literal(value.slice(0, 10))}` : `timezone('UTC', TIMESTAMPTZ ${literal(value)})`;
}

/**
 * The row as a user's SQL sees it: the contract's columns under their own names.
 *
 * @param columns the expressions of the columns, in contract order
 */
export function named(contract: Contract, columns: readonly string[]): string {
  return contract.columns.map(({ name }, i) => `${columns[i]} AS ${quoted(name)}`).join(', ');
}
