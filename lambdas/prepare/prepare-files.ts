import type { RunDocument, SnapshotFile } from '../../lib/core/dataset/documents';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { type NewFact, newFact } from '../../lib/core/ledger/facts';
import { listed } from '../../lib/core/listed';
import { runKeys } from '../../lib/core/names';
import { batchesOf } from '../../lib/core/prepare/batches';
import type { PrepareReport } from '../../lib/core/prepare/documents';
import { type Ending, errorOfAll, FEWER_FILES, type FileRefusal, unavailable } from '../../lib/core/prepare/ending';
import { tooMuch } from '../../lib/core/prepare/limits';
import { type RowsByFile, rejectionOf, total } from '../../lib/core/prepare/rejection';
import { checkExpressions, derive, refuseRepeated } from '../data-engine/derive';
import { type Database, withDatabase } from '../data-engine/duckdb';
import { countParts, divide, newestTrained, refuseThinParts, writeParts } from '../data-engine/parts';
import { badRowsByFile, rowsByFile, topReasons, writeQuarantine } from '../data-engine/quarantine';
import { createTables, loadFile, refuseBadRows } from '../data-engine/reader';
import { refuse } from '../ledger/refused';
import { isGone, type S3Store, whyUnavailable } from '../shared/s3-store';

/** What preparing files needs from outside. */
export interface FilePorts {
  readonly store: Pick<S3Store, 'putJson' | 'stream' | 'upload'>;
  /** Appends a fact to the ledger; one that is there stays. */
  append(fact: NewFact): Promise<unknown>;
  now(): Date;
  /** Notes which files are about to be read, and at last that all have been; done before it is answered. */
  reading(files: readonly number[] | undefined): Promise<void>;
}

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
    const { runId, contract, startedAt } = run;
    await createTables(database, contract);
    const derived = await checkExpressions(database, contract);
    refuseTooMuch(database, run, files);
    await loadAll(database, run, files, ports);
    const read = await rowsByFile(database);
    refuseEmpty(run, files, read);
    await refuseBadRows(database, contract);
    await refuseRepeated(
      database,
      contract,
      run.snapshot.files.map(({ key }) => key),
    );
    await derive(database, contract, derived);
    const accepted = await quarantine(database, run, read, ports);

    const split = await divide(database, run);
    const counted = await countParts(database, split);
    await refuseThinParts(database, contract, split);
    await writeParts(database, run, split, ports.store);
    const newest = await newestTrained(database, split);
    const report: PrepareReport = {
      ...accepted,
      rows: { ...accepted.rows, ...counted },
      ...(newest !== null && { cutoff: new Date(newest).toISOString() }),
    };
    await ports.append(newFact.runPrepared(ports.now(), { runId, startedAt, ...report }));
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

function refuseEmpty({ snapshot }: RunDocument, files: readonly number[], read: RowsByFile): void {
  if (total(read) > 0) return;
  const empty = listed(files.map((file) => snapshot.files[file].key));
  throw new PerennialError(ErrorName.DATA_UNREADABLE, `${empty}: there is a header, but no row. Upload data`);
}

/** Reads files; refuses all that cannot be used, and names them. */
async function loadAll(database: Database, run: RunDocument, files: readonly number[], ports: FilePorts) {
  const { contract, snapshot } = run;
  const errors: PerennialError[] = [];
  const denied: Array<{ readonly file: SnapshotFile; readonly error: Error }> = [];
  const refuse = async (file: SnapshotFile, error: PerennialError) => {
    errors.push(error);
    await refuseFile(ports, run, { file, because: error.message });
  };
  for (const batch of batchesOf(snapshot.files, files)) {
    await ports.reading(batch);
    for (const number of batch) {
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
  const error = errorOfAll(errors);
  if (error !== undefined) throw error;
}

/** Writes the rows that break the contract; ends a run with more of them than the contract tolerates. */
async function quarantine(
  database: Database,
  run: RunDocument,
  read: RowsByFile,
  ports: FilePorts,
): Promise<{ readonly rows: Pick<PrepareReport['rows'], 'read' | 'quarantined'> } & Pick<PrepareReport, 'quarantine'>> {
  const { runId, contract, snapshot } = run;
  const [bad, reasons] = [await badRowsByFile(database), await topReasons(database)];
  const quarantined = total(bad);
  if (quarantined > 0) await writeQuarantine(database, run, ports.store);
  const quarantineKey = runKeys(runId).quarantine;
  const rejection = rejectionOf(contract, snapshot.files, { read, bad, reasons, quarantineKey });
  if (rejection !== undefined) throw await refused(ports, run, rejection);
  return { rows: { read: total(read), quarantined }, quarantine: reasons };
}

/** The error of an ending, once its files are refused. */
export async function refused(
  ports: Pick<FilePorts, 'append' | 'now'>,
  run: RunName,
  { refused, error }: Ending,
): Promise<PerennialError> {
  for (const refusal of refused) await refuseFile(ports, run, refusal);
  return error;
}

/** Records that no further run shall be made with a file. */
function refuseFile(
  ports: Pick<FilePorts, 'append' | 'now'>,
  { runId, startedAt }: RunName,
  { file: { key, versionId }, because }: FileRefusal,
): Promise<void> {
  const refused = { key, versionId, runId, because };
  return refuse((fact) => ports.append(fact), ports.now(), refused, { runId, startedAt });
}

type RunName = Pick<RunDocument, 'runId' | 'startedAt'>;
