import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Database, withDatabase } from '../../lambdas/data-engine/duckdb';
import { AGGREGATING, UNSTABLE } from '../../lib/core/prepare/functions';

const REVIEWED = 'test/fixtures/duckdb-functions.txt';

const rows = <T>(sql: string): Promise<T[]> => withDatabase((database: Database) => database.rows<T>(sql));

test('every function of the pinned DuckDB has been looked at: a new one may look at a clock, or make much of little', async () => {
  const found = await rows<{ name: string }>(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') " +
      "AND function_name NOT LIKE 'icu\\_collate%' ESCAPE '\\' AND function_name NOT LIKE '\\_\\_internal%' ESCAPE '\\' ORDER BY name",
  );
  const reviewed = readFileSync(REVIEWED, 'utf8').trim().split(/\s+/);
  expect(found.map(({ name }) => name)).toEqual(reviewed);
});

test('every function that DuckDB itself calls unstable is known to be', async () => {
  const found = await rows<{ name: string }>(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() WHERE function_type = 'scalar' AND stability <> 'CONSISTENT'",
  );
  const missing = found.map(({ name }) => name).filter((name) => !UNSTABLE.has(name) && name !== 'error');
  expect(missing).toEqual([]); // error() is refused by the catalogue alone: it gives nothing at all
});

test('every macro that is made of what is unstable, or of aggregates, is known to be', async () => {
  const macros = await rows<{ name: string; definition: string }>(
    "SELECT DISTINCT lower(function_name) AS name, lower(macro_definition) AS definition FROM duckdb_functions() WHERE function_type = 'macro'",
  );
  const aggregates = await rows<{ name: string }>(
    "SELECT DISTINCT lower(function_name) AS name FROM duckdb_functions() GROUP BY ALL HAVING bool_and(function_type = 'aggregate')",
  );
  const calls = (definition: string, name: string) => new RegExp(`(^|[^\\w'.])${name}\\(`).test(definition);
  const isUnstable = ({ definition }: { definition: string }) =>
    /\bcurrent_timestamp\b|\(select\b/.test(definition) || [...UNSTABLE].some((name) => calls(definition, name));
  const looksAtMany = ({ definition }: { definition: string }) =>
    aggregates.some(({ name }) => calls(definition, name)) || [...AGGREGATING].some((name) => calls(definition, name));
  const names = (some: typeof macros) => some.map(({ name }) => name);

  expect(names(macros.filter(isUnstable)).filter((name) => !UNSTABLE.has(name))).toEqual([]);
  expect(names(macros.filter(looksAtMany)).filter((name) => !AGGREGATING.has(name))).toEqual([]);
  expect(macros.length).toBeGreaterThan(100);
});
