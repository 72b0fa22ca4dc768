import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Database, withDatabase } from '../../lambdas/data-engine/duckdb';
import { csvSource, formatOf, readable, stageCsv, stageParquet } from '../../lambdas/data-engine/reader';
import { type ColumnType, parseContract, quoted } from '../../lib/core/dataset/contract';
import { type ColumnSummary, FEW_VALUES, type InferredContract, inferContract } from '../../lib/core/dataset/infer';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { type Reading, readText, readTyped } from '../../lib/core/prepare/rules';

/** Narrowest first; what is none of these is a string. */
const TYPES: readonly ColumnType[] = ['integer', 'number', 'boolean', 'date', 'timestamp'];

/** The share of a column's values that must have a type for it to be the column's. */
const NEARLY_ALL = 0.99;

/**
 * Writes a first contract from a CSV or Parquet file.
 *
 * @throws PerennialError if the file cannot be read, or nothing in it can be predicted
 */
export async function infer(file: string, options: { readonly target?: string } = {}): Promise<InferredContract> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) {
    const got = found === undefined ? 'no such file' : 'a folder';
    throw new PerennialError(ErrorName.DATA_UNREADABLE, `${file} must be a file, got ${got}`);
  }
  const inferred = await withDatabase(async (database) =>
    inferContract(await summarize(database, file), options.target),
  );
  parseContract(inferred.contract);
  return inferred;
}

async function summarize(database: Database, name: string): Promise<ColumnSummary[]> {
  const file = { name, open: async () => createReadStream(name) };
  const { parquet } = formatOf(name);
  const path = join(database.folder, 'sample');
  const columns: Array<{ name: string; readings: ReadonlyArray<readonly [ColumnType, Reading]> }> = [];
  if (parquet) {
    for (const { name, type: stored } of await stageParquet(database, file, path)) {
      const readings = [...TYPES, 'string' as const].flatMap((type) => {
        const reading = readTyped(quoted(name), stored, type);
        return reading === undefined ? [] : [[type, reading] as const];
      });
      columns.push({ name, readings });
    }
    await database.run(`CREATE VIEW sample AS SELECT * FROM read_parquet('${path}')`);
  } else {
    for (const [i, name] of (await stageCsv(file, path, database.limits, () => {})).entries()) {
      const readings = [...TYPES, 'string' as const].map((type) => [type, readText(`t${i}`, type)] as const);
      columns.push({ name, readings });
    }
    await database.run(`CREATE TABLE sample AS SELECT * FROM ${csvSource(path, columns.length)} WHERE problem IS NULL`);
  }
  return readable(name, path, async () => {
    const summaries: ColumnSummary[] = [];
    for (const column of columns) summaries.push(await summarizeColumn(database, column.name, column.readings));
    return summaries;
  });
}

async function summarizeColumn(
  database: Database,
  name: string,
  readings: ReadonlyArray<readonly [ColumnType, Reading]>,
): Promise<ColumnSummary> {
  if (readings.length === 0) {
    throw new PerennialError(ErrorName.DATA_UNREADABLE, `column '${name}' must hold single values, got a nested type`);
  }
  const fits = readings.map(([, { value }], i) => `count(${value}) AS fits${i}`);
  const counts = await database.row<Record<string, number>>(
    `SELECT count(*) AS "rows", count(${readings[0][1].text}) AS present, ${fits.join(', ')} FROM sample`,
  );
  const { rows, present } = counts;
  const chosen =
    present === 0 ? readings.length - 1 : readings.findIndex((_, i) => counts[`fits${i}`] >= NEARLY_ALL * present);
  const [type, { value }] = readings[Math.max(0, chosen)];
  const bounded = type !== 'string' && type !== 'boolean';
  const shown = type === 'integer' || type === 'number' ? 'DOUBLE' : 'VARCHAR';
  const { distinct, ...bounds } = await database.row<{
    distinct: number;
    minimum: number | string | null;
    maximum: number | string | null;
  }>(
    `SELECT count(DISTINCT ${value}) AS "distinct", min(${value})::${shown} AS minimum, max(${value})::${shown} AS maximum FROM sample`,
  );
  const values = await database.rows<{ value: string }>(
    distinct > FEW_VALUES || type !== 'string'
      ? 'SELECT NULL AS value WHERE false'
      : `SELECT DISTINCT ${value} AS value FROM sample WHERE ${value} IS NOT NULL ORDER BY value`,
  );
  return {
    name,
    type,
    rows,
    missing: rows - present,
    misfits: present - counts[`fits${Math.max(0, chosen)}`],
    distinct,
    ...(bounded && bounds.minimum !== null && { minimum: bounds.minimum }),
    ...(bounded && bounds.maximum !== null && { maximum: bounds.maximum }),
    ...(type === 'string' && distinct <= FEW_VALUES && { values: values.map((each) => each.value) }),
  };
}
