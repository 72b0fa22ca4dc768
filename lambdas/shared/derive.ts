import type { Contract } from '../../lib/core/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { listed } from '../../lib/core/listed';
import { literal, named } from '../../lib/core/preparation/rules';
import { rowHash } from '../../lib/core/preparation/split';
import type { Database } from './duckdb';
import { shown } from './reader';

/** A feature or the target as a column of the table `data`. */
interface Derived {
  /** e.g. `feature 'hour'`. */
  readonly what: string;
  readonly sql: string;
  /** The column's type. */
  readonly stored: 'BIGINT' | 'DOUBLE' | 'VARCHAR';
}

/**
 * Checks that the contract's expressions are scalar, depend on their row alone, and give what the contract says.
 *
 * Needs the table `loaded`, which may be empty.
 *
 * @throws PerennialError INVALID_DOCUMENT that names every expression that is wrong
 */
export async function checkExpressions(database: Database, contract: Contract): Promise<Derived[]> {
  const mistakes: string[] = [];
  const derived: Derived[] = [];
  const expressions = [
    ...contract.features.map(({ name, kind, sql }) => ({ what: `feature '${name}'`, sql, kind })),
    { what: `target '${contract.target.name}'`, sql: contract.target.sql, kind: contract.target.problem },
  ];
  for (const { what, sql, kind } of expressions) {
    const mistake = await expressionMistake(database, sql);
    if (mistake !== undefined) {
      mistakes.push(`${what}: sql ${mistake}`);
      continue;
    }
    try {
      const [{ column_type: type }] = await database.rows<{ column_type: string }>(
        `DESCRIBE SELECT (${sql}) AS value FROM ${rowsAsNamed(contract)}`,
      );
      const stored = kind === 'category' ? 'VARCHAR' : numericType(type);
      if (stored === undefined) mistakes.push(`${what}: sql must give a number or true/false, got ${type}: ${sql}`);
      else derived.push({ what, sql, stored });
    } catch (error) {
      mistakes.push(`${what}: sql ${(error as Error).message.split('\n\nLINE')[0].replaceAll('\n', ' ')}`);
    }
  }
  if (mistakes.length > 0) {
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `the contract's SQL is wrong: ${listed(mistakes, 20, '; ')}`);
  }
  return derived;
}

/** Moves rows that repeat the value of a unique column from `loaded` to `refused`; the first of them stays. */
export async function refuseRepeated(database: Database, contract: Contract, files: readonly string[]): Promise<void> {
  const fileNames = `[${files.map(literal).join(', ')}]`;
  for (const [i, { name, unique }] of contract.columns.entries()) {
    if (!unique) continue;
    await database.run(
      `CREATE OR REPLACE TEMP TABLE repeated AS ` +
        `SELECT later.id AS id, ${fileNames}[kept.file + 1] || ':' || kept.line AS seen ` +
        `FROM (SELECT c${i} AS value, min(id) AS least FROM loaded WHERE c${i} IS NOT NULL GROUP BY ALL HAVING count(*) > 1) ` +
        `JOIN loaded AS later ON later.c${i} = value AND later.id <> least JOIN loaded AS kept ON kept.id = least`,
    );
    const { repeated } = await database.row<{ repeated: number }>('SELECT count(*) AS repeated FROM repeated');
    if (repeated === 0) continue;
    await database.run(
      `INSERT INTO refused SELECT loaded.file, loaded.line, [${literal(`${name}: must be unique`)}], ` +
        `[${shown(`c${i}::VARCHAR`)} || ', as in ' || seen], ${texts(contract)} ` +
        `FROM repeated JOIN loaded USING (id)`,
    );
    await database.run('DELETE FROM loaded WHERE id IN (SELECT id FROM repeated)');
  }
}

/**
 * Makes the table `data` of features and target: `id`, `h` (the row's hash), `t` (event time in microseconds),
 * `k` (key), `f0` … (features), `y` (target). Rows that no model can use go to `refused`.
 */
export async function derive(database: Database, contract: Contract, derived: readonly Derived[]): Promise<void> {
  const columns = contract.columns.map((_, i) => `c${i}`);
  const at = (name: string | undefined) => contract.columns.findIndex((column) => column.name === name);
  // names with # cannot be those of the contract's columns, and so never shadow them
  const values = derived.map(({ sql, stored }, i) => `(${sql})::${stored} AS "#${i}"`);
  const outer = derived.map((_, i) => (i === derived.length - 1 ? `"#${i}" AS y` : `"#${i}" AS f${i}`));
  const t = contract.eventTime === undefined ? 'NULL::BIGINT' : `epoch_us(c${at(contract.eventTime)}::TIMESTAMP)`;
  const k = contract.key === undefined ? 'NULL::VARCHAR' : `c${at(contract.key)}::VARCHAR`;
  const inner =
    `(SELECT id AS "#id", ${rowHash(contract, columns)} AS "#h", ${t} AS "#t", ${k} AS "#k", ` +
    `${named(contract, columns)} FROM loaded)`;
  try {
    await database.run(
      `CREATE TABLE data AS SELECT "#id" AS id, "#h" AS h, "#t" AS t, "#k" AS k, ${outer.join(', ')} ` +
        `FROM (SELECT "#id", "#h", "#t", "#k", ${values.join(', ')} FROM ${inner})`,
    );
  } catch (error) {
    throw await blamed(database, contract, derived, error as Error);
  }

  const rules = [
    ...(contract.key === undefined ? [] : [oneLine(contract.key, 'k')]),
    ...contract.features.flatMap(({ name }, i) => {
      if (derived[i].stored === 'VARCHAR') return [oneLine(name, `f${i}`)];
      return derived[i].stored === 'DOUBLE'
        ? [{ rule: `${name}: must be a finite number`, broken: `NOT isfinite(f${i})`, value: `f${i}` }]
        : [];
    }),
    ...targetRules(contract, derived[derived.length - 1]),
  ];
  const broken = rules.map((rule) => `coalesce(${rule.broken}, false)`).join(' OR ');
  const { bad } = await database.row<{ bad: number }>(`SELECT count(*) AS bad FROM data WHERE ${broken}`);
  if (bad === 0) return;
  const present = (items: string[]) => `list_filter([${items.join(', ')}], lambda item: item IS NOT NULL)`;
  await database.run(
    `INSERT INTO refused SELECT file, line, ` +
      `${present(rules.map((rule) => `CASE WHEN ${rule.broken} THEN ${literal(rule.rule)} END`))}, ` +
      `${present(rules.map((rule) => `CASE WHEN ${rule.broken} THEN ${shown(`${rule.value}::VARCHAR`)} END`))}, ` +
      `${texts(contract)} FROM data JOIN loaded USING (id) WHERE ${broken}`,
  );
  await database.run(`DELETE FROM data WHERE ${broken}`);
}

/** A model reads one row a line, and so do batch transform and data capture. */
function oneLine(name: string, column: string) {
  const broken = `contains(${column}, chr(10)) OR contains(${column}, chr(13))`;
  return { rule: `${name}: must not contain a line break`, broken, value: column };
}

function targetRules(contract: Contract, { stored }: Derived) {
  const { name, problem } = contract.target;
  const missing = { rule: `${name}: must be known, for it is the target`, broken: 'y IS NULL', value: 'y' };
  if (problem === 'binary')
    return [missing, { rule: `${name}: must be 0 or 1`, broken: 'y NOT IN (0, 1)', value: 'y' }];
  return stored === 'DOUBLE'
    ? [missing, { rule: `${name}: must be a finite number`, broken: 'NOT isfinite(y)', value: 'y' }]
    : [missing];
}

/** The row of `loaded` as the quarantine shows it, where it had a form to begin with. */
function texts(contract: Contract): string {
  return `[${contract.columns.map((_, i) => `c${i}::VARCHAR`).join(', ')}]`;
}

function rowsAsNamed(contract: Contract): string {
  return `(SELECT ${named(
    contract,
    contract.columns.map((_, i) => `c${i}`),
  )} FROM loaded)`;
}

function numericType(type: string): 'BIGINT' | 'DOUBLE' | undefined {
  if (/^(BOOLEAN|U?(TINYINT|SMALLINT|INTEGER)|BIGINT)$/.test(type)) return 'BIGINT';
  return /^(UBIGINT|U?HUGEINT|FLOAT|DOUBLE|DECIMAL.*)$/.test(type) ? 'DOUBLE' : undefined;
}

/** Finds the expression that fails on the data. */
async function blamed(
  database: Database,
  contract: Contract,
  derived: readonly Derived[],
  error: Error,
): Promise<Error> {
  for (const { what, sql, stored } of derived) {
    try {
      await database.run(`SELECT count((${sql})::${stored}) FROM ${rowsAsNamed(contract)}`);
    } catch (cause) {
      const message = `the contract's SQL fails on the data: ${what}: ${(cause as Error).message.split('\n\nLINE')[0]}`;
      return new PerennialError(ErrorName.INVALID_DOCUMENT, message, { cause });
    }
  }
  return error;
}

/** What the database's parser finds wrong with an expression; undefined if nothing. */
async function expressionMistake(database: Database, sql: string): Promise<string | undefined> {
  const { parsed } = await database.row<{ parsed: string }>(
    `SELECT json_serialize_sql(${literal(`SELECT (${sql})`)}) AS parsed`,
  );
  const tree = JSON.parse(parsed);
  if (tree.error) return `must be an expression, got ${sql}: ${tree.error_message}`;
  const [{ node }] = tree.statements;
  if (tree.statements.length !== 1 || node.select_list?.length !== 1 || node.from_table?.type !== 'EMPTY') {
    return `must be one expression, got ${sql}`;
  }
  const functions = new Set<string>();
  let refused: string | undefined;
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { class: kind, function_name: name } = value as Record<string, unknown>;
    if (typeof kind === 'string' && kind in NOT_SCALAR) refused = NOT_SCALAR[kind];
    if (typeof name === 'string') functions.add(name);
    Object.values(value).forEach(walk);
  };
  walk(node.select_list);
  if (refused !== undefined) return `must not hold ${refused}, got ${sql}`;
  if (functions.size === 0) return undefined;
  const unstable = await database.rows<{ name: string; aggregate: boolean }>(
    `SELECT function_name AS name, bool_or(function_type = 'aggregate') AS aggregate FROM duckdb_functions() ` +
      `WHERE function_name IN (${[...functions].map(literal).join(', ')}) GROUP BY function_name ` +
      `HAVING bool_and(function_type NOT IN ('scalar', 'macro')) OR bool_and(coalesce(stability, 'CONSISTENT') <> 'CONSISTENT')`,
  );
  if (unstable.length === 0) return undefined;
  const [{ name, aggregate }] = unstable;
  return aggregate
    ? `must look at one row, and ${name}() looks at many, got ${sql}`
    : `must give the same for the same row, and ${name}() does not, got ${sql}`;
}

const NOT_SCALAR: Readonly<Record<string, string>> = {
  WINDOW: 'a window',
  SUBQUERY: 'a subquery',
  STAR: 'a star',
  PARAMETER: 'a parameter',
  POSITIONAL_REFERENCE: 'a column by position',
};
