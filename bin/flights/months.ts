import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

/** One month of flights in the United States, from the Bureau of Transportation Statistics. */
export interface Month {
  /** `2001-01` */
  readonly name: string;
  /** The month's rows, as the contract has them. */
  readonly file: string;
}

const MONTHS = ['2001-01', '2001-02', '2001-03', '2001-04', '2001-05', '2001-06'];

/** Cuts the three million flights of the package `vega-datasets` into months, once. */
export async function cutMonths(folder: string): Promise<Month[]> {
  mkdirSync(folder, { recursive: true });
  const months = MONTHS.map((name) => ({ name, file: join(folder, `${name}.parquet`) }));
  const missing = months.filter(({ file }) => !existsSync(file));
  if (missing.length === 0) return months;
  const source = join('node_modules', 'vega-datasets', 'data', 'flights-3m.parquet');
  const connection = await (await DuckDBInstance.create()).connect();
  for (const { name, file } of missing) {
    // the data has no key: the flight's number within its month becomes one
    await connection.run(
      `COPY (SELECT ${name.replace('-', '')}::BIGINT * 10000000 + row_number() OVER () AS flight,
                    date, delay, distance, origin, destination
             FROM (SELECT * FROM '${source}' WHERE strftime(date, '%Y-%m') = '${name}'))
       TO '${file}.part' (FORMAT parquet, COMPRESSION zstd)`,
    );
    renameSync(`${file}.part`, file);
  }
  return months;
}

/** A flight as the endpoint is asked about it: its key, then the model's features. */
export async function requestsOf(month: Month, count: number): Promise<string[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const reader = await connection.runAndReadAll(
    `SELECT concat_ws(',', flight, hour(date), isodow(date), distance, origin, destination) AS row
     FROM '${month.file}' ORDER BY md5(flight::VARCHAR) LIMIT ${count}`,
  );
  return reader.getRows().map(([row]) => String(row));
}
