import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Contract, quoted } from '../../lib/core/dataset/contract';
import type { RunDocument } from '../../lib/core/dataset/documents';
import { kindOf } from '../../lib/core/dataset/kind';
import type { HoldoutLabels } from '../../lib/core/judge/judgement';
import { runKeys } from '../../lib/core/names';
import type { PrepareReport } from '../../lib/core/prepare/documents';
import { HoldoutCollector } from '../../lib/core/prepare/holdout';
import { type PartTarget, refuseThin } from '../../lib/core/prepare/rejection';
import { literal } from '../../lib/core/prepare/rules';
import { afterCut, holdoutRows, inHoldout, partsOf, type Split } from '../../lib/core/prepare/split';
import type { S3Store } from '../shared/s3-store';
import type { Database } from './duckdb';
import { profileData } from './profile-data';

/** Divides `data` as `lib/core/prepare/split.ts` says. */
export async function divide(database: Database, { contract, split }: RunDocument): Promise<Split> {
  if (contract.eventTime === undefined) return partsOf(inHoldout(split.holdout), split.validation);
  const { rows } = await database.row<{ rows: number }>('SELECT count(*) AS rows FROM data');
  const wanted = holdoutRows(rows, split.holdout);
  // the moment at which, counted from the newest, the holdout is full
  const [cut] = await database.rows<{ t: string; above: number }>(
    'SELECT t::VARCHAR AS t, (total - rows)::BIGINT AS above FROM ' +
      '(SELECT t, rows, sum(rows) OVER (ORDER BY t DESC) AS total FROM (SELECT t, count(*) AS rows FROM data GROUP BY t)) ' +
      `WHERE total >= ${wanted} ORDER BY total LIMIT 1`,
  );
  if (cut === undefined) return partsOf('false', split.validation);
  const { h } = await database.row<{ h: string }>(
    `SELECT h::VARCHAR AS h FROM data WHERE t = ${cut.t} ORDER BY data.h LIMIT 1 OFFSET ${wanted - cut.above - 1}`,
  );
  return partsOf(afterCut(cut.t, h), split.validation);
}

/** The rows of each part. */
export function countParts(
  database: Database,
  split: Split,
): Promise<Pick<PrepareReport['rows'], 'train' | 'validation' | 'holdout'>> {
  const counts = Object.entries(split).map(([part, where]) => `count(*) FILTER (${where}) AS ${part}`);
  return database.row(`SELECT ${counts.join(', ')} FROM data`);
}

/** Refuses parts on which no model can be fitted or judged. */
export async function refuseThinParts(database: Database, contract: Contract, split: Split): Promise<void> {
  for (const [part, where] of Object.entries(split)) {
    const target = await database.row<PartTarget & Record<string, unknown>>(
      `SELECT count(*) AS rows, min(y) AS least, max(y) AS most FROM data WHERE ${where}`,
    );
    refuseThin(contract, part === 'train' ? 'training' : part, target);
  }
}

/** The time of the newest row that is trained on, in milliseconds; null without an event time. */
export async function newestTrained(database: Database, { holdout }: Split): Promise<number | null> {
  const { newest } = await database.row<{ newest: number | null }>(
    `SELECT max(t) // 1000 AS newest FROM data WHERE NOT (${holdout})`,
  );
  return newest;
}

/** Writes what is trained on as Parquet, the holdout's rows as CSV, its labels, and the profile of the training data. */
export async function writeParts(
  database: Database,
  { runId, contract }: RunDocument,
  split: Split,
  store: Pick<S3Store, 'putJson' | 'upload'>,
): Promise<void> {
  const keys = runKeys(runId);
  const folder = join(database.folder, 'out');
  await mkdir(folder, { recursive: true });

  const features = contract.features.map(({ name }, i) => `f${i} AS ${quoted(name)}`);
  const columns = [...features, `y AS ${quoted(contract.target.name)}`].join(', ');
  for (const part of ['train', 'validation'] as const) {
    const path = join(folder, `${part}.parquet`);
    await database.run(
      `COPY (SELECT ${columns} FROM data WHERE ${split[part]}) TO ${literal(path)} (FORMAT parquet, COMPRESSION zstd)`,
    );
    await store.upload(path, `${keys[part]}rows.parquet`);
    await rm(path);
  }

  const cells = [...(contract.key === undefined ? [] : ['k']), ...contract.features.map((_, i) => `f${i}`)].join(', ');
  const rows = join(folder, 'rows.csv');
  await database.run(
    `COPY (SELECT ${cells} FROM data WHERE ${split.holdout} ORDER BY id) TO ${literal(rows)} (FORMAT csv, HEADER false)`,
  );
  await store.upload(rows, keys.holdoutRows, kindOf(contract.kind).requests.contentType);
  await rm(rows);
  await store.putJson(keys.holdoutLabels, await holdoutLabels(database, contract, split.holdout));
  await store.putJson(keys.profile, await profileData(database, contract, split.train));
}

async function holdoutLabels(database: Database, contract: Contract, where: string): Promise<HoldoutLabels> {
  const collector = new HoldoutCollector(contract.slices);
  const columns = contract.slices.map((slice) => `, f${contract.features.findIndex(({ name }) => name === slice)}`);
  const sql = `SELECT y::DOUBLE${columns.join('')} FROM data WHERE ${where} ORDER BY id`;
  for await (const [labels, ...values] of database.blocks(sql)) collector.add(labels, values);
  return collector.document;
}
