import { ErrorName, PerennialError } from '../errors';
import { listed } from '../listed';
import { shortHash } from '../names';
import { didYouMean } from '../nearest';
import { PROBLEMS, problemFor, problemNames } from '../problem';
import { isObject, items, type Json, MOST_MISTAKES, own, show } from '../shape';
import { KINDS, kindNames } from './kind';

/**
 * What a data set must look like, written by its owner and checked by every run.
 *
 * Read from JSON by `parseContract`, which refuses what it does not know.
 */
export interface Contract {
  /** The name of a {@link KINDS kind of data set}: `table`. */
  readonly kind: string;
  /** The columns of a file; a CSV file names them in its first line, in any order. */
  readonly columns: readonly Column[];
  /** The column that tells rows apart; unique and never null. Served requests and ground truth are joined by it. */
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
  /** The name of a {@link PROBLEMS problem}. */
  readonly problem: string;
}

const COLUMN_MEMBERS = ['name', 'type', 'nullable', 'minimum', 'maximum', 'allowed', 'unique'];
const CONTRACT_MEMBERS = ['kind', 'columns', 'key', 'eventTime', 'features', 'target', 'slices', 'maxBadShare'];

/** So many columns, features and slices at most: a run's time grows faster than their number. */
const MOST_COLUMNS = 5000;

/** So many values a column may be limited to; more are a table of their own. */
const MOST_ALLOWED = 10_000;

/** What no text of UTF-8 holds, and what ends a text for a database. */
const NO_TEXT = /[\0\p{Cs}]/u;

/** The longest expression, in characters. */
const LONGEST_SQL = 20_000;

const ISO_TIME =
  /^(\d{4}-\d{2}-\d{2})([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-4]):?[0-5]\d)?)?$/;

/**
 * Reads a contract from its JSON, and fills in the defaults.
 *
 * A feature may be a column's name, or `{name, sql, kind}`; the target a column's name, or `{name, sql, problem}`.
 * A contract that was read is itself a contract: reading it again gives the same.
 *
 * @throws PerennialError INVALID_DOCUMENT that names every mistake
 */
export function parseContract(value: unknown): Contract {
  const mistakes: string[] = [];
  const json = record(value, 'the contract', CONTRACT_MEMBERS, mistakes);

  const kind = json.kind ?? KINDS[0].name;
  if (!KINDS.some(({ name }) => name === kind)) mistakes.push(`kind must be one of ${kindNames()}, got ${show(kind)}`);
  const columns = list(json.columns, 'columns', MOST_COLUMNS, mistakes).map((entry, i) =>
    parseColumn(entry, `columns[${i}]`, mistakes),
  );
  if (Array.isArray(json.columns) && json.columns.length === 0) mistakes.push('columns must name at least one column');
  const names = columns.map(({ name }) => name);
  unique(names, 'columns', mistakes);
  const key = parseReference('key', json.key, columns, mistakes);
  if (key !== undefined && ['number', 'boolean', 'timestamp', 'date'].includes(key.type)) {
    mistakes.push(`key must be a string or an integer, but column '${key.name}' is of type ${key.type}`);
  }
  const eventTime = parseReference('eventTime', json.eventTime, columns, mistakes);
  if (eventTime !== undefined && ['string', 'integer', 'number', 'boolean'].includes(eventTime.type)) {
    mistakes.push(
      `eventTime must be a timestamp or a date, but column '${eventTime.name}' is of type ${eventTime.type}`,
    );
  }

  const features = list(json.features, 'features', MOST_COLUMNS, mistakes).map((entry, i) =>
    parseFeature(entry, `features[${i}]`, columns, mistakes),
  );
  if (Array.isArray(json.features) && json.features.length === 0)
    mistakes.push('features must name at least one feature');
  const target = parseTarget(json.target, columns, mistakes);
  unique([...features.map(({ name }) => name), target.name], 'features and target', mistakes);
  for (const { name, sql } of features) {
    if (sql !== '' && sql === target.sql && name !== target.name) {
      mistakes.push(`feature '${name}' is the target itself: the model would be told the answer`);
    }
  }
  const slices = parseSlices(json.slices, features, mistakes);
  const maxBadShare = json.maxBadShare ?? 0.5;
  if (typeof maxBadShare !== 'number' || !(maxBadShare > 0 && maxBadShare <= 1)) {
    mistakes.push(`maxBadShare must be above 0 and at most 1, got ${show(maxBadShare)}`);
  }

  if (mistakes.length > 0) {
    const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`;
    const named = listed(mistakes, MOST_MISTAKES, '; ');
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `the contract has ${count}: ${named}`);
  }
  return {
    kind: kind as string,
    columns: columns.map((each) => (each.name === key?.name ? { ...each, unique: true } : each)),
    ...(key && { key: key.name }),
    ...(eventTime && { eventTime: eventTime.name }),
    features,
    target,
    slices,
    maxBadShare: maxBadShare as number,
  };
}

/** The column that a member names; undefined if it names none. */
function parseReference(
  member: 'key' | 'eventTime',
  name: unknown,
  columns: readonly Column[],
  mistakes: string[],
): Column | undefined {
  if (name === undefined) return undefined;
  const found = name === '' ? undefined : columns.find((column) => column.name === name);
  if (found === undefined) {
    const hinted = hint(name, columns, mistakes);
    mistakes.push(`${member} must name a column, got ${show(name)}${hinted}`);
  } else if (found.nullable) mistakes.push(`${member} must not be nullable, but column '${found.name}' is`);
  return found;
}

function parseSlices(value: unknown, features: readonly Feature[], mistakes: string[]): string[] {
  const slices: string[] = [];
  for (const slice of value === undefined ? [] : list(value, 'slices', MOST_COLUMNS, mistakes)) {
    const feature = slice === '' ? undefined : features.find(({ name }) => name === slice);
    if (feature === undefined) {
      const hinted = hint(slice, features, mistakes);
      mistakes.push(`slices must name features, got ${show(slice)}${hinted}`);
    } else if (feature.kind === 'number') {
      mistakes.push(`slices must name features of kind 'category', but '${feature.name}' is a number`);
    } else if (slices.includes(feature.name)) {
      mistakes.push(`slices must have different names, got '${feature.name}' twice`);
    } else slices.push(feature.name);
  }
  return slices;
}

/** What tells contracts apart: equal for contracts that mean the same, however their JSON is ordered. */
export function contractId(contract: Contract): string {
  return shortHash(JSON.stringify(sorted(contract)));
}

/** A name as SQL writes it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function parseColumn(value: unknown, where: string, mistakes: string[]): Column {
  const json = record(value, where, COLUMN_MEMBERS, mistakes);
  const name = parseName(json.name, `${where}.name`, mistakes);
  const at = typeof json.name === 'string' ? `column '${name}'` : where;
  const type = json.type as ColumnType;
  if (!COLUMN_TYPES.includes(type)) {
    mistakes.push(
      `${at}: type must be one of ${COLUMN_TYPES.join(', ')}, got ${show(type)}${typeof type === 'string' ? didYouMean(type, COLUMN_TYPES) : ''}`,
    );
  }
  const { minimum, maximum, allowed } = json;
  for (const [member, bound] of Object.entries({ minimum, maximum })) {
    if (bound === undefined) continue;
    if (type === 'integer' || type === 'number') {
      if (typeof bound !== 'number' || !Number.isFinite(bound)) {
        mistakes.push(`${at}: ${member} must be a number, got ${show(bound)}`);
      }
    } else if (type === 'timestamp' || type === 'date') {
      if (!isTime(bound)) {
        mistakes.push(`${at}: ${member} must be an ISO ${type}, got ${show(bound)}`);
      }
    } else if (COLUMN_TYPES.includes(type)) {
      mistakes.push(`${at}: ${member} is for integers, numbers, timestamps and dates, not for a ${type}`);
    }
  }
  const bounds = [minimum, maximum];
  const comparable = ['number', 'string'].some((kind) => bounds.every((bound) => typeof bound === kind));
  if (comparable && (minimum as number) > (maximum as number)) {
    mistakes.push(`${at}: minimum must not exceed maximum, got ${show(minimum)} and ${show(maximum)}`);
  }
  const values = allowed === undefined ? undefined : parseAllowed(allowed, type, at, mistakes);
  return {
    name,
    type,
    nullable: flag(json.nullable, `${at}: nullable`, mistakes),
    ...(minimum !== undefined && { minimum: plain(minimum) }),
    ...(maximum !== undefined && { maximum: plain(maximum) }),
    ...(values !== undefined && { allowed: values.map(plain) }),
    unique: flag(json.unique, `${at}: unique`, mistakes),
  };
}

/** A moment that there is: the 30th of February has the form of one. */
function isTime(bound: unknown): boolean {
  const [, day] = (typeof bound === 'string' && ISO_TIME.exec(bound)) || [];
  if (day === undefined) return false;
  const time = Date.parse(day);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
}

function parseAllowed(allowed: unknown, type: ColumnType, at: string, mistakes: string[]): unknown[] {
  const values = list(allowed, `${at}: allowed`, MOST_ALLOWED, mistakes);
  if (type !== 'string' && type !== 'integer') {
    if (COLUMN_TYPES.includes(type)) mistakes.push(`${at}: allowed is for strings and integers, not for a ${type}`);
    return values;
  }
  if (Array.isArray(allowed) && allowed.length === 0) mistakes.push(`${at}: allowed must name at least one value`);
  const wrong = values.filter((each) =>
    type === 'string' ? typeof each !== 'string' || each === '' || NO_TEXT.test(each) : !Number.isSafeInteger(each),
  );
  if (wrong.length > 0) mistakes.push(`${at}: allowed must hold ${type}s, got ${listed(wrong.map(show), 3)}`);
  else if (new Set(values).size < values.length) {
    const twice = values.find((each, i) => values.indexOf(each) !== i);
    mistakes.push(`${at}: allowed must hold different values, got ${show(twice)} twice`);
  }
  return values;
}

/** A scalar as JSON would bring it back. */
function plain(value: unknown): number | string {
  return Object.is(value, -0) ? 0 : (value as number | string);
}

function parseFeature(value: unknown, where: string, columns: readonly Column[], mistakes: string[]): Feature {
  const json = typeof value === 'string' ? { name: value } : record(value, where, ['name', 'sql', 'kind'], mistakes);
  const name = parseName(json.name, `${where}.name`, mistakes);
  const { sql, column } = expression(name, json.sql, `feature '${name}'`, columns, mistakes);
  const kind = json.kind ?? (column && defaultKind(column.type));
  if (kind !== 'number' && kind !== 'category') {
    if (json.kind !== undefined)
      mistakes.push(`feature '${name}': kind must be 'number' or 'category', got ${show(json.kind)}`);
    else if (column && COLUMN_TYPES.includes(column.type))
      mistakes.push(`feature '${name}' is a ${column.type}: derive a number or a category from it by 'sql'`);
    else if (sql !== '') mistakes.push(`feature '${name}': kind must be given with 'sql': 'number' or 'category'`);
  } else if (kind === 'number' && column && ['string', 'timestamp', 'date'].includes(column.type)) {
    mistakes.push(`feature '${name}': kind must be 'category' for a ${column.type}, got 'number'`);
  }
  return { name, kind: kind as Feature['kind'], sql };
}

function parseTarget(value: unknown, columns: readonly Column[], mistakes: string[]): Target {
  if (value === undefined) {
    mistakes.push('target must name a column, or be {name, sql, problem}');
    return { name: '', sql: '', problem: '' };
  }
  const json =
    typeof value === 'string' ? { name: value } : record(value, 'target', ['name', 'sql', 'problem'], mistakes);
  const name = parseName(json.name, 'target.name', mistakes);
  const { sql, column } = expression(name, json.sql, `target '${name}'`, columns, mistakes);
  const problem = json.problem ?? (column && problemFor(column)?.name);
  if (column && ['string', 'timestamp', 'date'].includes(column.type)) {
    mistakes.push(`target '${name}' is a ${column.type}: make it true/false or a number by 'sql'`);
  } else if (!PROBLEMS.some((one) => one.name === problem) && sql !== '') {
    mistakes.push(`target '${name}': problem must be one of ${problemNames()}, got ${show(json.problem)}`);
  }
  return { name, sql, problem: problem as string };
}

/** The SQL of a feature or target; without any, the name is a column's. */
function expression(
  name: string,
  sql: unknown,
  where: string,
  columns: readonly Column[],
  mistakes: string[],
): { sql: string; column?: Column } {
  if (sql !== undefined) {
    if (typeof sql !== 'string') {
      mistakes.push(`${where}: sql must be a text, got ${show(sql)}`);
      return { sql: '' };
    }
    const mistake = sqlMistake(sql);
    if (mistake !== undefined) mistakes.push(`${where}: sql ${mistake}, got ${show(sql)}`);
    return { sql, column: columns.find((column) => quoted(column.name) === sql) };
  }
  const column = name === '' ? undefined : columns.find((candidate) => candidate.name === name);
  if (column === undefined && name !== '') {
    mistakes.push(`${where} must name a column or have a 'sql'${hint(name, columns, mistakes)}`);
  }
  return { sql: column === undefined ? '' : quoted(name), column };
}

/** What can be said about an expression without a database; its columns and functions are checked when it runs. */
function sqlMistake(sql: string): string | undefined {
  if (sql.trim() === '') return 'must not be empty';
  if (sql.length > LONGEST_SQL) return `must have at most ${LONGEST_SQL} characters, has ${sql.length}`;
  if (NO_TEXT.test(sql)) return 'must be text';
  const bare = sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"/g, ' x ');
  if (/['"]/.test(bare)) return 'must close every quote';
  if (bare.includes(';')) return 'must be one expression without a semicolon';
  if (/--|\/\*/.test(bare)) return 'must not hold a comment';
  let depth = 0;
  for (const character of bare) {
    if (character === '(') depth++;
    if (character === ')' && --depth < 0) break;
  }
  return depth === 0 ? undefined : 'must close every parenthesis that it opens';
}

function defaultKind(type: ColumnType): Feature['kind'] | undefined {
  if (type === 'string' || type === 'boolean') return 'category';
  return type === 'integer' || type === 'number' ? 'number' : undefined;
}

/** The object's own members of these names; everything else is a mistake. */
function record(value: unknown, where: string, members: readonly string[], mistakes: string[]): Json {
  if (!isObject(value)) {
    mistakes.push(`${where} must be an object, got ${show(value)}`);
    return {};
  }
  for (const member of Object.keys(value)) {
    if (members.includes(member)) continue;
    const hinted = mistakes.length < MOST_MISTAKES ? didYouMean(member, members) : '';
    mistakes.push(`${where} must have only ${members.join(', ')}, got ${show(member)}${hinted}`);
  }
  return Object.fromEntries(members.map((member) => [member, own(value, member)]));
}

function list(value: unknown, where: string, most: number, mistakes: string[]): unknown[] {
  if (Array.isArray(value) && value.length <= most) return items(value);
  const what = Array.isArray(value) ? `hold at most ${most}, got ${value.length}` : `be a list, got ${show(value)}`;
  mistakes.push(`${where} must ${what}`);
  return [];
}

function flag(value: unknown, where: string, mistakes: string[]): boolean {
  if (value !== undefined && typeof value !== 'boolean')
    mistakes.push(`${where} must be true or false, got ${show(value)}`);
  return value === true;
}

/** Names travel through SQL, CSV headers and Parquet: any text of up to 100 characters without quotes, commas and controls. */
function parseName(value: unknown, where: string, mistakes: string[]): string {
  if (
    typeof value === 'string' &&
    /^[^"'#,;\p{Cc}\p{Cs}\s][^"',;\p{Cc}\p{Cs}]{0,99}$/u.test(value) &&
    value === value.trim() &&
    value !== '__proto__' // names are members of documents, where this one is another
  )
    return value;
  mistakes.push(
    `${where} must be a name of 1 to 100 characters without quotes, commas and controls, got ${show(value)}`,
  );
  return typeof value === 'string' ? value.slice(0, 100) : '';
}

/** SQL knows no case in names, so two may not differ by it alone. */
function unique(names: readonly string[], where: string, mistakes: string[]): void {
  const seen = new Set<string>();
  for (const name of names) {
    if (name !== '' && seen.has(name.toLowerCase()))
      mistakes.push(`${where} must have different names, got '${name}' twice`);
    seen.add(name.toLowerCase());
  }
}

/** What a name that is not there may mean; only the mistakes that are shown are worth the search. */
function hint(
  name: unknown,
  candidates: ReadonlyArray<{ readonly name: string }>,
  mistakes: readonly string[],
): string {
  if (typeof name !== 'string' || mistakes.length >= MOST_MISTAKES) return '';
  return didYouMean(
    name,
    candidates.map((candidate) => candidate.name).filter((candidate) => candidate !== ''),
  );
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}
