import { type Contract, contractId } from '../../lib/core/dataset/contract';
import {
  type Histogram,
  type NumberHistogram,
  numberHistogram,
  PROFILE_CATEGORIES,
  type Profile,
  quantileEdges,
} from '../../lib/core/prepare/profile';
import { problemOf } from '../../lib/core/problem';
import { quantile } from '../../lib/core/statistics';
import type { Database } from './duckdb';

/** Rows from which quantiles are taken: a quantile of that many is within 0.2 % of the data's. */
const SAMPLE = 100_000;

/** The histograms of some rows of the table `data` (see `derive`), with edges and values chosen from these rows. */
export async function profileData(database: Database, contract: Contract, where: string): Promise<Profile> {
  const { rows } = await database.row<{ rows: number }>(`SELECT count(*) AS rows FROM data WHERE ${where}`);
  const features: Record<string, Histogram> = {};
  for (const [i, { name, kind }] of contract.features.entries()) {
    features[name] =
      kind === 'number'
        ? await profileNumber(database, `f${i}`, where, rows)
        : await profileCategory(database, `f${i}`, where);
  }
  const labels = await sampleOf(database, 'y', where, rows);
  const edges = problemOf(contract.target.problem).labels.edges(labels);
  const target = await countNumber(database, 'y', where, edges);
  const trivial = {
    mean: target.mean,
    median:
      labels.length === 0
        ? 0
        : quantile(
            labels.sort((a, b) => a - b),
            0.5,
          ),
  };
  return { contractId: contractId(contract), rows, features, target, trivial };
}

async function profileNumber(database: Database, column: string, where: string, rows: number): Promise<Histogram> {
  return countNumber(database, column, where, quantileEdges(await sampleOf(database, column, where, rows)));
}

async function sampleOf(database: Database, column: string, where: string, rows: number): Promise<number[]> {
  const every = Math.max(1, Math.floor(rows / SAMPLE));
  const values: number[] = [];
  // the hash picks the rows, so that their order does not matter
  const sample = `SELECT ${column}::DOUBLE FROM data WHERE ${where} AND ${column} IS NOT NULL AND h // 100000000 % ${every} = 0`;
  for await (const [block] of database.blocks(sample)) for (const value of block) values.push(value as number);
  return values;
}

async function countNumber(
  database: Database,
  column: string,
  where: string,
  edges: readonly number[],
): Promise<NumberHistogram> {
  const bin = edges.length === 0 ? '0' : edges.map((edge) => `(${column} >= ${edge}::DOUBLE)::INT`).join(' + ');
  const bins = await database.rows<{ bin: number; rows: number }>(
    `SELECT ${bin} AS bin, count(*) AS rows FROM data WHERE ${where} AND ${column} IS NOT NULL GROUP BY ALL ORDER BY ALL`,
  );
  const moments = await database.row<{ missing: number; mean: number | null; deviation: number | null }>(
    `SELECT count(*) - count(${column}) AS missing, avg(${column}::DOUBLE) AS mean, ` +
      `stddev_pop(${column}::DOUBLE) AS deviation FROM data WHERE ${where}`,
  );
  return numberHistogram(
    edges,
    bins.map((each) => [each.bin, each.rows]),
    { missing: moments.missing, mean: rounded(moments.mean), deviation: rounded(moments.deviation) },
  );
}

async function profileCategory(database: Database, column: string, where: string): Promise<Histogram> {
  const named = await database.rows<{ value: string; rows: number }>(
    `SELECT ${column} AS value, count(*) AS rows FROM data WHERE ${where} AND ${column} IS NOT NULL ` +
      `GROUP BY ALL ORDER BY rows DESC, value LIMIT ${PROFILE_CATEGORIES}`,
  );
  const all = await database.row<{ missing: number; present: number }>(
    `SELECT count(*) - count(${column}) AS missing, count(${column}) AS present FROM data WHERE ${where}`,
  );
  const counts = named.map(({ rows }) => rows);
  const other = counts.reduce((rest, rows) => rest - rows, all.present);
  return { kind: 'category', values: named.map(({ value }) => value), counts, other, missing: all.missing };
}

/** Sums of several threads differ in their last digits from run to run: 12 digits do not. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(12));
}
