import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunDocument } from '../../lib/core/dataset/documents';
import { runKeys } from '../../lib/core/names';
import type { PrepareReport } from '../../lib/core/prepare/documents';
import { MOST_QUARANTINED, type RowsByFile } from '../../lib/core/prepare/rejection';
import { literal } from '../../lib/core/prepare/rules';
import type { S3Store } from '../shared/s3-store';
import type { Database } from './duckdb';
import { lineRule } from './reader';

/** The rows of `loaded`, by file. */
export function rowsByFile(database: Database): Promise<RowsByFile> {
  return database.rows('SELECT file, count(*) AS rows FROM loaded GROUP BY file ORDER BY file');
}

/** The rows that break the contract, the files with most of them first. */
export function badRowsByFile(database: Database): Promise<RowsByFile> {
  return database.rows('SELECT file, count(*) AS rows FROM refused GROUP BY file ORDER BY rows DESC, file');
}

/** Why rows break the contract, most frequent first, at most 20. */
export function topReasons(database: Database): Promise<Array<PrepareReport['quarantine'][number]>> {
  return database.rows(
    'SELECT reason, count(*) AS rows FROM (SELECT unnest(list_distinct(rules)) AS reason FROM refused) ' +
      'GROUP BY reason ORDER BY rows DESC, reason LIMIT 20',
  );
}

/** Writes `QuarantinedRow`s; a record that cannot be split into fields stands under `text`. */
export async function writeQuarantine(
  database: Database,
  { runId, contract, snapshot }: RunDocument,
  store: Pick<S3Store, 'upload'>,
): Promise<void> {
  const names = `[${snapshot.files.map(({ key }) => literal(key)).join(', ')}]`;
  const fields = contract.columns.map(({ name }, i) => `${literal(name)}, texts[${i + 1}]`).join(', ');
  const path = join(database.folder, 'quarantine.jsonl');
  await database.run(
    `COPY (SELECT ${names}[file + 1] AS file, line, [rules[i] || ', ' || got[i] for i in range(1, len(rules) + 1)] AS reasons, ` +
      `CASE WHEN rules[1] = ${literal(lineRule(contract))} THEN json_object('text', coalesce(${contract.columns.map((_, i) => `texts[${i + 1}]`).join(', ')})) ` +
      `ELSE json_object(${fields}) END AS row ` +
      `FROM refused ORDER BY refused.file, line LIMIT ${MOST_QUARANTINED}) TO ${literal(path)} (FORMAT json)`,
  );
  await store.upload(path, runKeys(runId).quarantine, 'application/x-ndjson');
  await rm(path);
}
