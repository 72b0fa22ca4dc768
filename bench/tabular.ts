// The tabular trainer on flights that the product prepared, against the same network by other means and XGBoost.
// PERENNIAL_BENCH_MONTHS says how many months (2), PERENNIAL_BENCH how tabular.py shall measure them.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cutMonths } from '../bin/flights/months';
import { ensurePython } from '../engine/src/containers/python';
import contract from '../examples/flights/contract.json';
import { prepare } from '../lambdas/prepare/prepare.handler';
import { parseContract } from '../lib/core/dataset/contract';
import type { RunDocument } from '../lib/core/dataset/documents';
import { runKeys } from '../lib/core/names';
import { FolderStore } from '../test/support/folder-store';

const RUN_ID = 'data-0123456789ab';
const STARTED_AT = '2001-07-01T00:00:00.000Z';

/** Gives the folder that holds what a run prepared of the first months, and prepares it the first time. */
async function prepared(count: number): Promise<string> {
  const folder = join('.perennial', `bench-tabular-${count}`);
  const { root, run } = runKeys(RUN_ID);
  if (existsSync(folder)) return join(folder, root);
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  const store = new FolderStore(part);
  const months = (await cutMonths('.perennial/flights')).slice(0, count);
  const files = months.map(({ name, file }) => {
    const key = `incoming/${name}.parquet`;
    mkdirSync(dirname(store.path(key)), { recursive: true });
    copyFileSync(file, store.path(key));
    return { key, versionId: 'v1', size: 1, etag: 'e' };
  });
  const document: RunDocument = {
    runId: RUN_ID,
    startedAt: STARTED_AT,
    reason: 'data',
    evidence: [],
    contract: parseContract(contract),
    split: { holdout: 0.2, validation: 0.1 },
    snapshot: { dataVersion: '0123456789ab', files },
  };
  await store.putJson(run, document);
  const append = async () => undefined;
  const { rows } = await prepare({ store, append, now: () => new Date(STARTED_AT) }, { runId: RUN_ID });
  console.log(`${months.map(({ name }) => name).join(', ')}: ${JSON.stringify(rows)}`);
  renameSync(part, folder);
  return join(folder, root);
}

async function main(): Promise<void> {
  const folder = await prepared(Number(process.env.PERENNIAL_BENCH_MONTHS ?? 2));
  const python = await ensurePython('bench/tabular-requirements.txt', { progress: console.log });
  const words = (process.env.PERENNIAL_BENCH ?? '').split(' ').filter((word) => word !== '');
  process.exit(spawnSync(python, ['bench/tabular.py', folder, ...words], { stdio: 'inherit' }).status ?? 1);
}

void main();
