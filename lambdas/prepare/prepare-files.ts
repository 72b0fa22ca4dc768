import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Contract } from '../../lib/core/dataset/contract';
import { quoted } from '../../lib/core/dataset/contract';
import type { RunDocument, SnapshotFile } from '../../lib/core/dataset/documents';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import type { HoldoutLabels } from '../../lib/core/judge/judgement';
import { type Fact, LedgerKey, type RefusedFile, type RunPrepared } from '../../lib/core/ledger/ledger';
import { listed } from '../../lib/core/listed';
import { runKeys } from '../../lib/core/names';
import type { PrepareReport } from '../../lib/core/prepare/documents';
import { tooMuch } from '../../lib/core/prepare/limits';
import { literal } from '../../lib/core/prepare/rules';
import { inHoldout, inValidation } from '../../lib/core/prepare/split';
import { problemOf } from '../../lib/core/problem';
import { checkExpressions, derive, refuseRepeated } from '../data-engine/derive';
import { type Database, withDatabase } from '../data-engine/duckdb';
import { profileData } from '../data-engine/profile-data';
import { createTables, lineRule, loadFile, refuseBadRows } from '../data-engine/reader';
import { isGone, type S3Store, whyUnavailable } from '../shared/s3-store';

/** What preparing files needs from outside. */
export interface FilePorts {
  readonly store: Pick<S3Store, 'putJson' | 'stream' | 'upload'>;
  /** Appends a fact to the ledger; one that is there stays. */
  readonly append: <F extends Fact>(fact: Omit<F, 'pk'>) => Promise<unknown>;
  readonly now: () => Date;
  /** Told which files are about to be read, and at last that all have been; done before it is answered. */
  readonly reading: (files: readonly number[] | undefined) => Promise<void>;
}

/** Files that are read under one note of it have so many bytes together, at most: a thousand small ones need few notes. */
const NOTED_TOGETHER = 4 * 2 ** 20;

/** So many rows are quarantined in the file that says why; all are counted. */
const MOST_QUARANTINED = 1_000_000;

/**
 * Prepares some files of a run's snapshot.
 *
 * @param files their places in the snapshot
 * @throws PerennialError DATA_UNREADABLE or DATA_REJECTED, with the files refused that are the cause; DATA_TOO_LARGE;
 * INVALID_DOCUMENT if the contract's SQL is wrong
 */
export async function prepareFiles(
  run: RunDocument,
  files: readonly number[],
  ports: FilePorts,
): Promise<PrepareReport> {
  return withDatabase(async (database) => {
    const { runId, contract, snapshot, startedAt } = run;
    const names = snapshot.files.map(({ key }) => key);
    await createTables(database, contract);
    const derived = await checkExpressions(database, contract);
    refuseTooMuch(database, run, files);

    await loadAll(database, run, files, ports);
    const totals = await database.rows<{ file: number; rows: number }>(
      'SELECT file, count(*) AS rows FROM loaded GROUP BY file ORDER BY file',
    );
    const read = totals.reduce((sum, { rows }) => sum + rows, 0);
    if (read === 0) {
      const empty = listed(files.map((file) => names[file]));
      throw new PerennialError(ErrorName.DATA_UNREADABLE, `${empty}: there is a header, but no row. Upload data`);
    }
    await refuseBadRows(database, contract);
    await refuseRepeated(database, contract, names);
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

/** What their sizes alone say is said before anything is read. */
function refuseTooMuch({ limits }: Database, { snapshot }: RunDocument, files: readonly number[]): void {
  const together = files.map((file) => snapshot.files[file]).filter(({ size }) => size <= limits.file);
  const because = tooMuch(together, limits);
  if (because === undefined) return;
  throw new PerennialError(
    ErrorName.DATA_TOO_LARGE,
    `the ${together.length} files are too much together: ${because}. ${FEWER_FILES}`,
  );
}

/** What to do where the data is too much for the function that prepares it. */
export const FEWER_FILES =
  'Train on the newest files alone (newestFiles), or give the function that prepares them more memory (preparationMemory)';

/** Reads files; refuses all that cannot be used, and names them. */
async function loadAll(database: Database, run: RunDocument, files: readonly number[], ports: FilePorts) {
  const { runId, contract, snapshot } = run;
  const refused: PerennialError[] = [];
  const denied: Array<{ readonly file: SnapshotFile; readonly error: Error }> = [];
  const refuse = async (file: SnapshotFile, error: PerennialError) => {
    refused.push(error);
    await refuseFile(ports, runId, file, error.message);
  };
  for (const together of batches(snapshot.files, files)) {
    await ports.reading(together);
    for (const number of together) {
      const file = snapshot.files[number];
      const open = () => ports.store.stream(file.key, file.versionId);
      try {
        await loadFile(database, contract, { name: file.key, size: file.size, open }, number);
      } catch (error) {
        if (error instanceof PerennialError) await refuse(file, error);
        else if (isGone(error)) await refuse(file, unavailable(file, error as Error));
        else if (whyUnavailable(error) !== undefined) denied.push({ file, error: error as Error });
        else {
          await ports.reading([number]); // which of them it was
          throw error;
        }
      }
    }
  }
  await ports.reading(undefined);
  // what may not be read at all is a matter of permissions, and no fault of the files
  if (denied.length === files.length) throw denied[0].error;
  for (const { file, error } of denied) await refuse(file, unavailable(file, error));
  if (refused.length === 0) return;
  const message = listed(
    refused.map((error) => error.message),
    5,
    '. ',
  );
  throw new PerennialError(refused[0].name as ErrorName, message, { cause: refused[0] });
}

/** Files in their order, small ones together. */
function batches(all: readonly SnapshotFile[], files: readonly number[]): number[][] {
  const found: number[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const file of files) {
    const { size } = all[file];
    if (bytes + size > NOTED_TOGETHER) {
      found.push([]);
      bytes = 0;
    }
    found[found.length - 1].push(file);
    bytes += size;
  }
  return found;
}

function unavailable({ key }: SnapshotFile, error: Error): PerennialError {
  const message =
    `${key} cannot be had: ${error.name}: ${error.message}. ` +
    'Upload it again, restore it from the archive, or let the function that prepares data read it (and its key), and delete it otherwise';
  return new PerennialError(ErrorName.DATA_UNREADABLE, message, { cause: error });
}

/** Records that no further run shall be made with a file. */
export function refuseFile(
  ports: Pick<FilePorts, 'append' | 'now'>,
  runId: string,
  { key, versionId }: SnapshotFile,
  because: string,
): Promise<unknown> {
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
async function writeQuarantine(database: Database, { runId, contract, snapshot }: RunDocument, ports: FilePorts) {
  const names = `[${snapshot.files.map(({ key }) => literal(key)).join(', ')}]`;
  const fields = contract.columns.map(({ name }, i) => `${literal(name)}, texts[${i + 1}]`).join(', ');
  const path = join(database.folder, 'quarantine.jsonl');
  await database.run(
    `COPY (SELECT ${names}[file + 1] AS file, line, [rules[i] || ', ' || got[i] for i in range(1, len(rules) + 1)] AS reasons, ` +
      `CASE WHEN rules[1] = ${literal(lineRule(contract))} THEN json_object('text', coalesce(${contract.columns.map((_, i) => `texts[${i + 1}]`).join(', ')})) ` +
      `ELSE json_object(${fields}) END AS row ` +
      `FROM refused ORDER BY refused.file, line LIMIT ${MOST_QUARANTINED}) TO ${literal(path)} (FORMAT json)`,
  );
  await ports.store.upload(path, runKeys(runId).quarantine, 'application/x-ndjson');
  await rm(path);
}

/** Ends a run whose data is bad beyond what its contract tolerates. */
async function reject(
  database: Database,
  { runId, contract, snapshot }: RunDocument,
  ports: FilePorts,
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
    `${bad > MOST_QUARANTINED ? 'The first rows and their' : 'Every row and its'} reasons lie in ${runKeys(runId).quarantine}. Correct the file and upload it again, or widen the contract`;
  for (const { file, rows } of badRows) {
    if (rows > contract.maxBadShare * (rowsOf.get(file) ?? 0)) {
      await refuseFile(ports, runId, snapshot.files[file], message);
    }
  }
  throw new PerennialError(ErrorName.DATA_REJECTED, message);
}

/** Which rows of `data` are whose, as SQL conditions. */
type Split = Readonly<Record<'train' | 'validation' | 'holdout', string>>;

/** See `lib/core/prepare/split.ts`. */
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
  const { lackIfAlike } = problemOf(contract.target.problem).labels;
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
    if (lackIfAlike !== undefined && least === most) {
      throw new PerennialError(
        ErrorName.DATA_REJECTED,
        `the target '${contract.target.name}' must have ${lackIfAlike} in the ${name} part, but all its ${rows} rows have ${least}. ` +
          'Upload data with other outcomes as well, or change the target',
      );
    }
  }
}

async function writeParts(database: Database, run: RunDocument, split: Split, { store }: FilePorts): Promise<void> {
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
