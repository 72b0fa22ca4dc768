import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { Contract } from '../lib/core/contract';
import { quoted } from '../lib/core/contract';
import type { HoldoutLabels, PrepareReport, PrepareRequest, RunDocument, SnapshotFile } from '../lib/core/documents';
import { ErrorName, PerennialError } from '../lib/core/errors';
import { type Fact, LedgerKey, type RefusedFile, type RunPrepared } from '../lib/core/ledger';
import { EnvName, MetricName, runKeys } from '../lib/core/names';
import { literal } from '../lib/core/preparation/rules';
import { inHoldout, inValidation } from '../lib/core/preparation/split';
import { readRun } from '../lib/core/stored';
import { checkExpressions, derive, refuseRepeated } from './shared/derive';
import { type Database, withDatabase } from './shared/duckdb';
import { env } from './shared/env';
import { appendFact, ledgerTable } from './shared/ledger';
import { metric } from './shared/metric';
import { profileData } from './shared/profile-data';
import { createTables, lineRule, loadFile, refuseBadRows } from './shared/reader';
import { S3Store } from './shared/s3-store';

/** What preparing data needs from outside. */
export interface PreparePorts {
  readonly store: Pick<S3Store, 'getJson' | 'putJson' | 'stream' | 'upload'>;
  /** Appends a fact to the ledger; one that is there stays. */
  readonly append: <F extends Fact>(fact: Omit<F, 'pk'>) => Promise<unknown>;
  readonly now: () => Date;
}

/** Checks, quarantines, derives and splits the data of a run, and profiles what is trained on. */
export async function handler(request: PrepareRequest): Promise<PrepareReport> {
  const table = ledgerTable();
  const report = await prepare(request, {
    store: new S3Store(new S3Client(), env(EnvName.DATA_BUCKET)),
    append: (fact) => appendFact(table, fact),
    now: () => new Date(),
  });
  metric(MetricName.ROWS_ACCEPTED, report.rows.read - report.rows.quarantined);
  metric(MetricName.ROWS_QUARANTINED, report.rows.quarantined);
  return report;
}

/**
 * Prepares the data of a run. The same snapshot gives the same bytes, so a retry overwrites like with like.
 *
 * @throws PerennialError DATA_UNREADABLE or DATA_REJECTED (see `lib/core/errors.ts`); INVALID_DOCUMENT if the contract's SQL is wrong
 */
export async function prepare({ runId }: PrepareRequest, ports: PreparePorts): Promise<PrepareReport> {
  const key = runKeys(runId).run;
  const run = readRun(await ports.store.getJson(key), key);
  return withDatabase(async (database) => {
    const { contract, snapshot, startedAt } = run;
    const files = snapshot.files.map(({ key }) => key);
    await createTables(database, contract);
    const derived = await checkExpressions(database, contract);

    await loadAll(database, run, ports);
    const totals = await database.rows<{ file: number; rows: number }>(
      'SELECT file, count(*) AS rows FROM loaded GROUP BY file ORDER BY file',
    );
    const read = totals.reduce((sum, { rows }) => sum + rows, 0);
    if (read === 0) {
      throw new PerennialError(
        ErrorName.DATA_UNREADABLE,
        `${files.join(', ')}: there is a header, but no row. Upload data`,
      );
    }
    await refuseBadRows(database, contract);
    await refuseRepeated(database, contract, files);
    await derive(database, contract, derived);

    const { quarantined } = await database.row<{ quarantined: number }>('SELECT count(*) AS quarantined FROM refused');
    const quarantine = await topReasons(database);
    if (quarantined > 0) await writeQuarantine(database, run, ports);
    if (quarantined > contract.maxBadShare * read) await reject(database, run, ports, totals, quarantine);

    const split = await divide(database, run);
    const counted = await database.row<{ train: number; validation: number; holdout: number }>(
      `SELECT ${Object.entries(split)
        .map(([part, where]) => `count(*) FILTER (${where}) AS ${part}`)
        .join(', ')} FROM data`,
    );
    await refuseThinParts(database, contract, split);
    await writeParts(database, run, split, ports);
    const { newest } = await database.row<{ newest: number | null }>(
      `SELECT max(t) // 1000 AS newest FROM data WHERE NOT (${split.holdout})`,
    );
    const report: PrepareReport = {
      rows: { read, quarantined, ...counted },
      quarantine,
      ...(newest !== null && { cutoff: new Date(newest).toISOString() }),
    };
    await ports.append<RunPrepared>({
      sk: LedgerKey.run(startedAt, runId, 'PREPARED'),
      at: ports.now().toISOString(),
      runId,
      ...report,
    });
    return report;
  });
}

/** Reads every file of the snapshot; refuses all that cannot be used, and names them. */
async function loadAll(database: Database, { runId, contract, snapshot }: RunDocument, ports: PreparePorts) {
  const refused: Array<{ file: SnapshotFile; error: PerennialError }> = [];
  for (const [number, file] of snapshot.files.entries()) {
    const open = () => ports.store.stream(file.key, file.versionId);
    try {
      await loadFile(database, contract, { name: file.key, open }, number);
    } catch (error) {
      if (!(error instanceof PerennialError)) throw error;
      refused.push({ file, error });
    }
  }
  if (refused.length === 0) return;
  for (const { file, error } of refused) await refuseFile(ports, runId, file, error.message);
  const shown = refused.slice(0, 5).map(({ error }) => error.message);
  if (refused.length > shown.length) shown.push(`and ${refused.length - shown.length} more files`);
  throw new PerennialError(refused[0].error.name as ErrorName, shown.join('. '), { cause: refused[0].error });
}

/** Records that no further run shall be made with a file. */
function refuseFile(ports: PreparePorts, runId: string, { key, versionId }: SnapshotFile, because: string) {
  const at = ports.now().toISOString();
  return ports.append<RefusedFile>({ sk: LedgerKey.refused(key, versionId), at, key, versionId, runId, because });
}

function topReasons(database: Database): Promise<Array<{ reason: string; rows: number }>> {
  return database.rows(
    'SELECT reason, count(*) AS rows FROM (SELECT unnest(list_distinct(rules)) AS reason FROM refused) ' +
      'GROUP BY reason ORDER BY rows DESC, reason LIMIT 20',
  );
}

/** Writes {@link QuarantinedRow}s; a record that cannot be split into fields stands under `text`. */
async function writeQuarantine(database: Database, { runId, contract, snapshot }: RunDocument, ports: PreparePorts) {
  const names = `[${snapshot.files.map(({ key }) => literal(key)).join(', ')}]`;
  const fields = contract.columns.map(({ name }, i) => `${literal(name)}, texts[${i + 1}]`).join(', ');
  const path = join(database.folder, 'quarantine.jsonl');
  await database.run(
    `COPY (SELECT ${names}[file + 1] AS file, line, [rules[i] || ', ' || got[i] for i in range(1, len(rules) + 1)] AS reasons, ` +
      `CASE WHEN rules[1] = ${literal(lineRule(contract))} THEN json_object('text', coalesce(${contract.columns.map((_, i) => `texts[${i + 1}]`).join(', ')})) ` +
      `ELSE json_object(${fields}) END AS row ` +
      `FROM refused ORDER BY refused.file, line) TO ${literal(path)} (FORMAT json)`,
  );
  await ports.store.upload(path, runKeys(runId).quarantine, 'application/x-ndjson');
  await rm(path);
}

/** Ends a run whose data is bad beyond what its contract tolerates. */
async function reject(
  database: Database,
  { runId, contract, snapshot }: RunDocument,
  ports: PreparePorts,
  totals: ReadonlyArray<{ file: number; rows: number }>,
  quarantine: PrepareReport['quarantine'],
): Promise<never> {
  const badRows = await database.rows<{ file: number; rows: number }>(
    'SELECT file, count(*) AS rows FROM refused GROUP BY file ORDER BY rows DESC, file',
  );
  const rowsOf = new Map(totals.map(({ file, rows }) => [file, rows]));
  const read = totals.reduce((sum, { rows }) => sum + rows, 0);
  const bad = badRows.reduce((sum, { rows }) => sum + rows, 0);
  const reasons = quarantine.slice(0, 3).map(({ reason, rows }) => `${reason} (${rows} rows)`);
  const worst = badRows
    .slice(0, 3)
    .map(({ file, rows }) => `${snapshot.files[file].key} (${rows} of ${rowsOf.get(file)})`);
  const message =
    `${bad} of ${read} rows (${percent(bad / read)}) break the contract, and at most ${percent(contract.maxBadShare)} may: ` +
    `${reasons.join('; ')}. Most of them are in ${worst.join(', ')}. ` +
    `Every row and its reasons lie in ${runKeys(runId).quarantine}. Correct the file and upload it again, or widen the contract`;
  for (const { file, rows } of badRows) {
    if (rows > contract.maxBadShare * (rowsOf.get(file) ?? 0)) {
      await refuseFile(ports, runId, snapshot.files[file], message);
    }
  }
  throw new PerennialError(ErrorName.DATA_REJECTED, message);
}

/** Which rows of `data` are whose, as SQL conditions. */
type Split = Readonly<Record<'train' | 'validation' | 'holdout', string>>;

/** See `lib/core/preparation/split.ts`. */
async function divide(database: Database, { contract, split }: RunDocument): Promise<Split> {
  let holdout = inHoldout(split.holdout);
  if (contract.eventTime !== undefined) {
    const { rows } = await database.row<{ rows: number }>('SELECT count(*) AS rows FROM data');
    const wanted = Math.round(rows * split.holdout);
    // the moment at which, counted from the newest, the holdout is full
    // microseconds of the year 9999 are more than a number of JavaScript's holds exactly: they stay text
    const [cut] = await database.rows<{ t: string; above: number }>(
      'SELECT t::VARCHAR AS t, (total - rows)::BIGINT AS above FROM ' +
        '(SELECT t, rows, sum(rows) OVER (ORDER BY t DESC) AS total FROM (SELECT t, count(*) AS rows FROM data GROUP BY t)) ' +
        `WHERE total >= ${Math.max(1, wanted)} ORDER BY total LIMIT 1`,
    );
    if (cut === undefined) holdout = 'false';
    else {
      const ties = `SELECT h::VARCHAR AS h FROM data WHERE t = ${cut.t} ORDER BY data.h LIMIT 1 OFFSET ${Math.max(1, wanted) - cut.above - 1}`;
      const { h } = await database.row<{ h: string }>(ties);
      holdout = `(t > ${cut.t} OR t = ${cut.t} AND h <= ${h})`;
    }
  }
  const validation = inValidation(split.validation);
  return {
    train: `NOT (${holdout}) AND NOT (${validation})`,
    validation: `NOT (${holdout}) AND ${validation}`,
    holdout,
  };
}

/** A model can neither be fitted nor judged on nothing, or on rows that all have the same answer. */
async function refuseThinParts(database: Database, contract: Contract, split: Split): Promise<void> {
  for (const [part, where] of Object.entries(split)) {
    const { rows, least, most } = await database.row<{ rows: number; least: number; most: number }>(
      `SELECT count(*) AS rows, min(y) AS least, max(y) AS most FROM data WHERE ${where}`,
    );
    const name = { train: 'training', validation: 'validation', holdout: 'holdout' }[part];
    if (rows === 0) {
      throw new PerennialError(
        ErrorName.DATA_REJECTED,
        `the ${name} part must have at least one row, got none. Upload more data`,
      );
    }
    if (contract.target.problem === 'binary' && least === most) {
      throw new PerennialError(
        ErrorName.DATA_REJECTED,
        `the target '${contract.target.name}' must have both classes in the ${name} part, but all its ${rows} rows have ${least}. ` +
          'Upload data with both outcomes, or change the target',
      );
    }
  }
}

async function writeParts(database: Database, run: RunDocument, split: Split, { store }: PreparePorts): Promise<void> {
  const { contract } = run;
  const keys = runKeys(run.runId);
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
  await store.upload(rows, keys.holdoutRows, 'text/csv');
  await rm(rows);
  await store.putJson(keys.holdoutLabels, await holdoutLabels(database, contract, split.holdout));
  await store.putJson(keys.profile, await profileData(database, contract, split.train));
}

async function holdoutLabels(database: Database, contract: Contract, where: string): Promise<HoldoutLabels> {
  const labels: number[] = [];
  const slices = contract.slices.map((name) => ({ name, codes: [] as number[], known: new Map<string, number>() }));
  const columns = slices.map(({ name }) => `, f${contract.features.findIndex((feature) => feature.name === name)}`);
  const sql = `SELECT y::DOUBLE${columns.join('')} FROM data WHERE ${where} ORDER BY id`;
  for await (const [y, ...values] of database.blocks(sql)) {
    for (const label of y) labels.push(label as number);
    for (const [i, { codes, known }] of slices.entries()) {
      for (const cell of values[i]) {
        const value = (cell ?? '') as string;
        const code = known.get(value) ?? known.size;
        known.set(value, code);
        codes.push(code);
      }
    }
  }
  return {
    labels,
    slices: Object.fromEntries(slices.map(({ name, codes, known }) => [name, { values: [...known.keys()], codes }])),
  };
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
