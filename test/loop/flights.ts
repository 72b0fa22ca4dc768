import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const SOURCE = 'node_modules/vega-datasets/data/flights-3m.parquet';
export const HEADER = 'flight,date,delay,distance,origin,destination';

/**
 * Real flights of a month of 2001 as rows of a CSV file, spread evenly over the month.
 *
 * @param count how many rows
 */
export async function flights(month: number, count: number): Promise<string[]> {
  return (
    await query(
      month,
      count,
      "concat_ws(',', flight, strftime(date, '%Y-%m-%d %H:%M:%S'), delay, distance, origin, destination)",
    )
  ).map(String);
}

/** The same flights as the endpoint is asked about them. */
export async function requests(month: number, count: number): Promise<string[]> {
  return (
    await query(month, count, "concat_ws(',', flight, hour(date), isodow(date), distance, origin, destination)")
  ).map(String);
}

/** A CSV file of rows, with the contract's header. */
export const csv = (rows: string[], header = HEADER) => `${header}\n${rows.join('\n')}\n`;

/** The same flights as a Parquet file. */
export async function parquet(month: number, count: number): Promise<Buffer> {
  const file = join(tmpdir(), `flights-${process.pid}-${month}-${count}.parquet`);
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run(`COPY (${sample(month, count)}) TO '${file}' (FORMAT parquet)`);
  const bytes = readFileSync(file);
  rmSync(file);
  return bytes;
}

async function query(month: number, count: number, expression: string): Promise<unknown[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(`SELECT ${expression} FROM (${sample(month, count)})`);
  return reader.getRows().map(([value]) => value);
}

function sample(month: number, count: number): string {
  return `SELECT 20010000000000::BIGINT + ${month} * 10000000 + n AS flight, date, delay, distance, origin, destination
    FROM (SELECT *, row_number() OVER () AS n, count(*) OVER () AS total FROM '${SOURCE}' WHERE month(date) = ${month})
    WHERE n % (total // ${count}) = 0 ORDER BY n LIMIT ${count}`;
}
