import { type Contract, quoted } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { listed, shortened } from '../../lib/core/listed';
import { lookThrough } from '../../lib/core/prepare/expression';
import { AGGREGATING } from '../../lib/core/prepare/functions';
import type { Node } from '../../lib/core/prepare/growth';
import { literal, named } from '../../lib/core/prepare/rules';
import { rowHash } from '../../lib/core/prepare/split';
import { problemOf } from '../../lib/core/problem';
import { MOST_MISTAKES } from '../../lib/core/shape';
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
  const expressions = [
    ...contract.features.map(({ name, kind, sql }) => ({ what: `feature '${name}'`, sql, kind })),
    { what: `target '${contract.target.name}'`, sql: contract.target.sql, kind: contract.target.problem },
  ];
  const wrong = await lookedThrough(database, contract, expressions);
  const good = expressions.filter((expression) => !wrong.has(expression));
  const types = await typesOf(database, contract, good, wrong);
  const derived = new Map<Expression, Derived>();
  for (const [i, type] of types.entries()) {
    const { what, sql, kind } = good[i];
    const stored = kind === 'category' ? 'VARCHAR' : numericType(type);
    if (stored !== undefined) derived.set(good[i], { what, sql, stored });
    else wrong.set(good[i], `must give a number or true/false, got ${type}: ${sql}`);
  }
  if (wrong.size > 0) {
    const mistakes = expressions.flatMap((each) => (wrong.has(each) ? [`${each.what}: sql ${wrong.get(each)}`] : []));
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `the contract's SQL is wrong: ${listed(mistakes, MOST_MISTAKES, '; ')}`,
    );
  }
  return expressions.map((expression) => derived.get(expression) as Derived);
}

interface Expression {
  /** e.g. `feature 'hour'`. */
  readonly what: string;
  readonly sql: string;
  readonly kind: string;
}

/**
 * What is wrong with expressions as far as it can be seen before they are bound: binding computes what is constant,
 * and so nothing is bound until all of it is known to be small.
 */
async function lookedThrough(
  database: Database,
  contract: Contract,
  expressions: readonly Expression[],
): Promise<Map<Expression, string>> {
  const names = new Set(contract.columns.map(({ name }) => quoted(name)));
  const wrong = new Map<Expression, string>();
  const callers = new Map<string, Expression[]>();
  for (const expression of expressions.filter(({ sql }) => !names.has(sql))) {
    const { sql } = expression;
    const tree = await parsed(database, sql);
    const seen = typeof tree === 'string' ? { mistake: tree, functions: [] } : lookThrough(tree, contract.columns);
    if (seen.mistake !== undefined) wrong.set(expression, `${seen.mistake}, got ${shortened(sql, 200)}`);
    for (const name of seen.functions) callers.set(name, [...(callers.get(name) ?? []), expression]);
  }
  for (const { name, mistake } of await wrongFunctions(database, [...callers.keys()])) {
    for (const caller of callers.get(name) ?? []) {
      if (!wrong.has(caller)) wrong.set(caller, `${mistake}, got ${shortened(caller.sql, 200)}`);
    }
  }
  return wrong;
}

/** The tree of an expression, or what is wrong with it. */
async function parsed(database: Database, sql: string): Promise<Node | string> {
  const { json } = await database.row<{ json: string }>(
    `SELECT json_serialize_sql(${literal(`SELECT (${sql})`)}) AS json`,
  );
  const tree = JSON.parse(json);
  if (tree.error) return `must be an expression: ${shortened(String(tree.error_message), 200)}`;
  const [{ node }] = tree.statements;
  const isOne = tree.statements.length === 1 && node.select_list?.length === 1 && node.from_table?.type === 'EMPTY';
  return isOne ? node.select_list[0] : 'must be one expression';
}

/** Functions that look at other rows, or that the catalogue knows to be unstable. */
async function wrongFunctions(
  database: Database,
  names: readonly string[],
): Promise<Array<{ readonly name: string; readonly mistake: string }>> {
  if (names.length === 0) return [];
  const found = await database.rows<{ name: string; aggregate: boolean }>(
    `SELECT lower(function_name) AS name, bool_or(function_type = 'aggregate') AS aggregate FROM duckdb_functions() ` +
      `WHERE lower(function_name) IN (${names.map(literal).join(', ')}) GROUP BY ALL ` +
      `HAVING bool_and(function_type NOT IN ('scalar', 'macro')) OR bool_and(coalesce(stability, 'CONSISTENT') <> 'CONSISTENT')`,
  );
  const many = names.filter((name) => AGGREGATING.has(name)).map((name) => ({ name, aggregate: true }));
  return [...found, ...many].map(({ name, aggregate }) => ({
    name,
    mistake: aggregate
      ? `must look at one row, and ${name}() looks at many`
      : `must give the same for the same row, and ${name}() does not`,
  }));
}

/** The types of expressions, in their order; none if one of them cannot be bound, which is added to `wrong`. */
async function typesOf(
  database: Database,
  contract: Contract,
  expressions: readonly Expression[],
  wrong: Map<Expression, string>,
): Promise<string[]> {
  if (expressions.length === 0) return [];
  const describe = async (some: readonly Expression[]) => {
    const columns = await database.rows<{ column_type: string }>(
      `DESCRIBE SELECT ${some.map(({ sql }, i) => `(${sql}) AS "#${i}"`).join(', ')} FROM ${rowsAsNamed(contract)}`,
    );
    return columns.map(({ column_type }) => column_type);
  };
  try {
    return await describe(expressions);
  } catch (error) {
    for (const expression of expressions) {
      await describe([expression]).catch((cause) => wrong.set(expression, sentence(cause)));
    }
    if (wrong.size === 0) throw error;
    return [];
  }
}

/** What the database says, without the place in a query that nobody has written. */
function sentence({ message }: Error): string {
  return shortened(message.split('\n\nLINE')[0].replaceAll('\n', ' '), 300);
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
 * `k` (key), `f0` … (features), `y` (target). Rows that no model can use, or on which the contract's SQL fails, go to
 * `refused`.
 *
 * @throws PerennialError INVALID_DOCUMENT if an expression fails on every row
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
  const make =
    `CREATE TABLE data AS SELECT "#id" AS id, "#h" AS h, "#t" AS t, "#k" AS k, ${outer.join(', ')} ` +
    `FROM (SELECT "#id", "#h", "#t", "#k", ${values.join(', ')} FROM ${inner})`;
  try {
    await database.run(make);
  } catch (error) {
    await refuseFailing(database, contract, derived, error as Error);
    await database.run(make);
  }

  const rules = [
    ...(contract.key === undefined ? [] : [oneLine(contract.key, 'k')]),
    ...contract.features.flatMap(({ name }, i) => {
      if (derived[i].stored === 'VARCHAR') return [oneLine(name, `f${i}`)];
      return derived[i].stored === 'DOUBLE'
        ? [{ rule: `${name}: must be a finite number`, broken: `NOT isfinite(f${i})`, value: `f${i}` }]
        : [];
    }),
    ...targetRules(contract),
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

function targetRules({ target: { name, problem } }: Contract) {
  const { are, refusedBy } = problemOf(problem).labels;
  return [
    { rule: `${name}: must be known, for it is the target`, broken: 'y IS NULL', value: 'y' },
    { rule: `${name}: must be ${are}`, broken: refusedBy('y'), value: 'y' },
  ];
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

/**
 * Moves the rows from `loaded` to `refused` on which the contract's expressions fail: the logarithm of zero, say.
 *
 * @throws PerennialError INVALID_DOCUMENT if one fails on every row; the given error if none fails
 */
async function refuseFailing(
  database: Database,
  contract: Contract,
  derived: readonly Derived[],
  error: Error,
): Promise<void> {
  const failing: Array<{ readonly what: string; readonly sql: string; readonly because: string }> = [];
  for (const { what, sql, stored } of derived) {
    const value = `(${sql})::${stored}`;
    try {
      await database.run(`SELECT count(${value}) FROM ${rowsAsNamed(contract)}`);
    } catch (cause) {
      failing.push({ what, sql: `TRY(${value} IS NULL) IS NULL`, because: sentence(cause as Error) });
    }
  }
  if (failing.length === 0) throw error;
  const ids = `SELECT id AS "#id", ${named(
    contract,
    contract.columns.map((_, i) => `c${i}`),
  )} FROM loaded`;
  await database.run(
    `CREATE TEMP TABLE failing AS SELECT * FROM (SELECT "#id" AS id, ${failing.map(({ sql }, i) => `${sql} AS e${i}`).join(', ')} ` +
      `FROM (${ids})) WHERE ${failing.map((_, i) => `e${i}`).join(' OR ')}`,
  );
  for (const [i, { what, because }] of failing.entries()) {
    const { some, all } = await database.row<{ some: number; all: number }>(
      `SELECT (SELECT count(*) FROM failing WHERE e${i}) AS some, (SELECT count(*) FROM loaded) AS "all"`,
    );
    if (some > 0 && some < all) continue;
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `the contract's SQL fails on the data: ${what}: ${because}`, {
      cause: error,
    });
  }
  const items = (text: (of: (typeof failing)[number]) => string) =>
    `list_filter([${failing.map((of, i) => `CASE WHEN e${i} THEN ${literal(text(of))} END`).join(', ')}], lambda item: item IS NOT NULL)`;
  await database.run(
    `INSERT INTO refused SELECT file, line, ${items(({ what }) => `${what}: its SQL must work`)}, ` +
      `${items(({ because }) => `got an error, of which one is: ${because}`)}, ${texts(contract)} FROM failing JOIN loaded USING (id)`,
  );
  await database.run('DELETE FROM loaded WHERE id IN (SELECT id FROM failing)');
}
