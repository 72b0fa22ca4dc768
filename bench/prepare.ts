// Our preparation of a month of flights against a plain pandas script, whole processes in turn.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { cutMonths } from '../bin/flights/months';
import { ensurePython } from '../engine/src/containers/python';
import { prepare } from '../lambdas/prepare/prepare.handler';
import { parseContract } from '../lib/core/dataset/contract';
import type { RunDocument } from '../lib/core/dataset/documents';
import { runKeys } from '../lib/core/names';
import { FolderStore } from '../test/support/folder-store';

const PAIRS = 5;
const RUN_ID = 'data-0123456789ab';
const STARTED_AT = '2001-02-01T00:00:00.000Z';
const MEASURES = { wall: 's', cpu: 's', memory: 'MB' } as const;
type Measured = Record<keyof typeof MEASURES, number>;

/** Runs in a process of its own: prepares a file in a bucket that is a folder. */
async function ours(file: string, folder: string): Promise<void> {
  const store = new FolderStore(folder);
  const key = `incoming/rows${extname(file)}`;
  mkdirSync(dirname(store.path(key)), { recursive: true });
  copyFileSync(file, store.path(key));
  const run: RunDocument = {
    runId: RUN_ID,
    startedAt: STARTED_AT,
    reason: 'data',
    evidence: [],
    contract: parseContract(JSON.parse(readFileSync('examples/flights/contract.json', 'utf8'))),
    split: { holdout: 0.2, validation: 0.2 },
    snapshot: { dataVersion: '0123456789ab', files: [{ key, versionId: 'v1', size: 1, etag: 'e' }] },
  };
  await store.putJson(runKeys(RUN_ID).run, run);
  const report = await prepare(
    { store, append: async () => undefined, now: () => new Date(STARTED_AT) },
    { runId: RUN_ID },
  );
  writeFileSync(join(folder, 'rows.json'), JSON.stringify(report.rows));
}

function measure(python: string, command: string[]): Measured {
  return JSON.parse(execFileSync(python, ['bench/measure.py', ...command], { encoding: 'utf8' }));
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function show(values: number[], unit: string): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map((value) =>
    value.toFixed(unit === 'MB' ? 0 : 2),
  );
  return `${middle} ${unit} (${least}–${most})`;
}

async function compare(): Promise<void> {
  const python = await ensurePython('bench/requirements.txt', { progress: console.log });
  const folder = mkdtempSync(join(tmpdir(), 'perennial-bench-'));
  try {
    const [january] = await cutMonths('.perennial/flights');
    const csv = join(folder, 'january.csv');
    const connection = await (await DuckDBInstance.create()).connect();
    // every 500th delay is a word, so that there is something to refuse
    const delay = "CASE WHEN flight % 500 = 0 THEN 'late' ELSE delay::VARCHAR END AS delay";
    await connection.run(`COPY (SELECT * REPLACE (${delay}) FROM '${january.file}') TO '${csv}' (FORMAT csv, HEADER)`);
    connection.closeSync();
    for (const file of [csv, january.file]) {
      const [a, b]: [Measured[], Measured[]] = [[], []];
      const [left, right] = [join(folder, 'ours'), join(folder, 'pandas')];
      for (let pair = -1; pair < PAIRS; pair++) {
        const first = measure(python, [process.execPath, __filename, file, left]);
        const second = measure(python, [python, 'bench/prepare_pandas.py', file, right]);
        if (pair === -1) continue; // fills the disk cache
        a.push(first);
        b.push(second);
      }
      console.log(`\n${extname(file)}, ${PAIRS} pairs: median (min–max)`);
      for (const [name, unit] of Object.entries(MEASURES) as Array<[keyof Measured, string]>) {
        const [x, y] = [a.map((one) => one[name]), b.map((one) => one[name])];
        const ratio = (median(x) / median(y)).toFixed(2);
        console.log(`${name}: ours ${show(x, unit)}, pandas ${show(y, unit)}, ours / pandas ${ratio}`);
      }
      for (const where of [left, right]) console.log(`rows: ${readFileSync(join(where, 'rows.json'), 'utf8')}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [file, folder] = process.argv.slice(2);
void (file === undefined ? compare() : ours(file, folder));
