import { ErrorName, PerennialError } from './errors';
import { listed } from './listed';
import { shortHash } from './names';
import { didYouMean } from './nearest';

/**
 * What a data set must look like, written by its owner and checked by every run.
 *
 * Read from JSON by `parseContract`, which refuses what it does not know.
 */
export interface Contract {
  /** The columns of a file; a CSV file names them in its first line, in any order. */
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

const COLUMN_MEMBERS = ['name', 'type', 'nullable', 'minimum', 'maximum', 'allowed', 'unique'];
const CONTRACT_MEMBERS = ['columns', 'key', 'eventTime', 'features', 'target', 'slices', 'maxBadShare'];
const ISO_TIME = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

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

  const columns = list(json.columns, 'columns', mistakes).map((entry, i) =>
    parseColumn(entry, `columns[${i}]`, mistakes),
  );
  if (Array.isArray(json.columns) && columns.length === 0) mistakes.push('columns must name at least one column');
  unique(
    columns.map(({ name }) => name),
    'columns',
    mistakes,
  );
  const names = columns.map(({ name }) => name);
  const column = (name: unknown) => columns.find((candidate) => candidate.name === name);

  const reference = (member: 'key' | 'eventTime'): Column | undefined => {
    const name = json[member];
    if (name === undefined) return undefined;
    const found = column(name);
    if (found === undefined) mistakes.push(`${member} must name a column, got ${show(name)}${hint(name, names)}`);
    else if (found.nullable) mistakes.push(`${member} must not be nullable, but column '${found.name}' is`);
    return found;
  };
  const key = reference('key');
  if (key !== undefined && !['string', 'integer'].includes(key.type)) {
    mistakes.push(`key must be a string or an integer, but column '${key.name}' is of type ${key.type}`);
  }
  const eventTime = reference('eventTime');
  if (eventTime !== undefined && !['timestamp', 'date'].includes(eventTime.type)) {
    mistakes.push(
      `eventTime must be a timestamp or a date, but column '${eventTime.name}' is of type ${eventTime.type}`,
    );
  }

  const features = list(json.features, 'features', mistakes).map((entry, i) =>
    parseFeature(entry, `features[${i}]`, columns, mistakes),
  );
  if (Array.isArray(json.features) && features.length === 0) mistakes.push('features must name at least one feature');
  const target = parseTarget(json.target, columns, mistakes);
  unique([...features.map(({ name }) => name), target.name], 'features and target', mistakes);
  for (const { name, sql } of features) {
    if (sql !== '' && sql === target.sql && name !== target.name) {
      mistakes.push(`feature '${name}' is the target itself: the model would be told the answer`);
    }
  }

  const slices = json.slices === undefined ? [] : list(json.slices, 'slices', mistakes);
  for (const slice of slices) {
    const feature = features.find(({ name }) => name === slice);
    if (feature === undefined) {
      const hinted = hint(
        slice,
        features.map(({ name }) => name),
      );
      mistakes.push(`slices must name features, got ${show(slice)}${hinted}`);
    } else if (feature.kind !== 'category') {
      mistakes.push(`slices must name features of kind 'category', but '${feature.name}' is a ${feature.kind}`);
    }
  }
  const maxBadShare = json.maxBadShare ?? 0.5;
  if (typeof maxBadShare !== 'number' || !(maxBadShare > 0 && maxBadShare <= 1)) {
    mistakes.push(`maxBadShare must be above 0 and at most 1, got ${show(maxBadShare)}`);
  }

  if (mistakes.length > 0) {
    const count = mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`;
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `the contract has ${count}: ${listed(mistakes, 20, '; ')}`);
  }
  return {
    columns: columns.map((each) => (each.name === key?.name ? { ...each, unique: true } : each)),
    ...(key && { key: key.name }),
    ...(eventTime && { eventTime: eventTime.name }),
    features,
    target,
    slices: slices as string[],
    maxBadShare: maxBadShare as number,
  };
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
      `${at}: type must be one of ${COLUMN_TYPES.join(', ')}, got ${show(type)}${hint(type, COLUMN_TYPES)}`,
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
      if (typeof bound !== 'string' || !ISO_TIME.test(bound) || Number.isNaN(Date.parse(bound))) {
        mistakes.push(`${at}: ${member} must be an ISO ${type}, got ${show(bound)}`);
      }
    } else {
      mistakes.push(`${at}: ${member} is for integers, numbers, timestamps and dates, not for a ${type}`);
    }
  }
  if (minimum !== undefined && maximum !== undefined && typeof minimum === typeof maximum) {
    if ((minimum as number) > (maximum as number)) {
      mistakes.push(`${at}: minimum must not exceed maximum, got ${show(minimum)} and ${show(maximum)}`);
    }
  }
  if (allowed !== undefined) {
    const values = list(allowed, `${at}: allowed`, mistakes);
    if (type !== 'string' && type !== 'integer')
      mistakes.push(`${at}: allowed is for strings and integers, not for a ${type}`);
    else if (Array.isArray(allowed) && values.length === 0)
      mistakes.push(`${at}: allowed must name at least one value`);
    else {
      const wrong = values.filter((each) =>
        type === 'string' ? typeof each !== 'string' || each === '' : !Number.isSafeInteger(each),
      );
      if (wrong.length > 0) mistakes.push(`${at}: allowed must hold ${type}s, got ${listed(wrong.map(show))}`);
    }
  }
  return {
    name,
    type,
    nullable: flag(json.nullable, `${at}: nullable`, mistakes),
    ...(minimum !== undefined && { minimum: minimum as number | string }),
    ...(maximum !== undefined && { maximum: maximum as number | string }),
    ...(allowed !== undefined && { allowed: allowed as Array<string | number> }),
    unique: flag(json.unique, `${at}: unique`, mistakes),
  };
}

function parseFeature(value: unknown, where: string, columns: readonly Column[], mistakes: string[]): Feature {
  const json = typeof value === 'string' ? { name: value } : record(value, where, ['name', 'sql', 'kind'], mistakes);
  const name = parseName(json.name, `${where}.name`, mistakes);
  const { sql, column } = expression(name, json.sql, `feature '${name}'`, columns, mistakes);
  const kind = json.kind ?? (column && defaultKind(column.type));
  if (kind !== 'number' && kind !== 'category') {
    if (json.kind !== undefined)
      mistakes.push(`feature '${name}': kind must be 'number' or 'category', got ${show(json.kind)}`);
    else if (column)
      mistakes.push(`feature '${name}' is a ${column.type}: derive a number or a category from it by 'sql'`);
    else if (sql !== '') mistakes.push(`feature '${name}': kind must be given with 'sql': 'number' or 'category'`);
  } else if (kind === 'number' && column && !['integer', 'number', 'boolean'].includes(column.type)) {
    mistakes.push(`feature '${name}': kind must be 'category' for a ${column.type}, got 'number'`);
  }
  return { name, kind: kind as Feature['kind'], sql };
}

function parseTarget(value: unknown, columns: readonly Column[], mistakes: string[]): Target {
  if (value === undefined) {
    mistakes.push('target must name a column, or be {name, sql, problem}');
    return { name: '', sql: '', problem: 'binary' };
  }
  const json =
    typeof value === 'string' ? { name: value } : record(value, 'target', ['name', 'sql', 'problem'], mistakes);
  const name = parseName(json.name, 'target.name', mistakes);
  const { sql, column } = expression(name, json.sql, `target '${name}'`, columns, mistakes);
  const problem = json.problem ?? (column && defaultProblem(column));
  if (column && !['boolean', 'integer', 'number'].includes(column.type)) {
    mistakes.push(`target '${name}' is a ${column.type}: make it true/false or a number by 'sql'`);
  } else if (!PROBLEMS.includes(problem as Problem) && sql !== '') {
    mistakes.push(`target '${name}': problem must be one of ${PROBLEMS.join(', ')}, got ${show(json.problem)}`);
  }
  return { name, sql, problem: problem as Problem };
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
  const column = columns.find((candidate) => candidate.name === name);
  if (column === undefined && name !== '') {
    const names = columns.map((candidate) => candidate.name);
    mistakes.push(`${where} must name a column or have a 'sql'${didYouMean(name, names)}`);
  }
  return { sql: column === undefined ? '' : quoted(name), column };
}

/** What can be said about an expression without a database; its columns and functions are checked when it runs. */
function sqlMistake(sql: string): string | undefined {
  if (sql.trim() === '') return 'must not be empty';
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

/** An integer may be either, unless only 0 and 1 are allowed. */
function defaultProblem({ type, minimum, maximum, allowed }: Column): Problem | undefined {
  const zeroOrOne = (minimum === 0 && maximum === 1) || allowed?.every((value) => value === 0 || value === 1);
  if (type === 'boolean' || (type === 'integer' && zeroOrOne)) return 'binary';
  return type === 'number' ? 'regression' : undefined;
}

type Json = Readonly<Record<string, unknown>>;

function record(value: unknown, where: string, members: readonly string[], mistakes: string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    mistakes.push(`${where} must be an object, got ${show(value)}`);
    return {};
  }
  for (const member of Object.keys(value)) {
    if (members.includes(member)) continue;
    mistakes.push(`${where} must have only ${members.join(', ')}, got '${member}'${didYouMean(member, members)}`);
  }
  return value as Json;
}

function list(value: unknown, where: string, mistakes: string[]): readonly unknown[] {
  if (Array.isArray(value)) return value;
  mistakes.push(`${where} must be a list, got ${show(value)}`);
  return [];
}

function flag(value: unknown, where: string, mistakes: string[]): boolean {
  if (value !== undefined && typeof value !== 'boolean')
    mistakes.push(`${where} must be true or false, got ${show(value)}`);
  return value === true;
}

/** Names travel through SQL, CSV headers and Parquet: any text of up to 100 characters without quotes, commas and controls. */
function parseName(value: unknown, where: string, mistakes: string[]): string {
  if (typeof value === 'string' && /^[^"'#,;\p{Cc}\s][^"',;\p{Cc}]{0,99}$/u.test(value) && value === value.trim())
    return value;
  mistakes.push(
    `${where} must be a name of 1 to 100 characters without quotes, commas and controls, got ${show(value)}`,
  );
  return typeof value === 'string' ? value : '';
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

function hint(value: unknown, candidates: readonly string[]): string {
  return typeof value === 'string' ? didYouMean(value, candidates) : '';
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = typeof value === 'string' ? `'${value}'` : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
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
