import { S3Client } from '@aws-sdk/client-s3';
import type { RunDocument } from '../../lib/core/dataset/documents';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { readRun } from '../../lib/core/ledger/stored';
import { EnvName, MetricName, runKeys } from '../../lib/core/names';
import type { PrepareReport, PrepareRequest } from '../../lib/core/prepare/documents';
import { endingOf } from '../../lib/core/prepare/ending';
import { afterError } from '../../lib/core/prepare/faults';
import { begun, decideNext, filesOf, NOT_BEGUN, type Range, worked } from '../../lib/core/prepare/search';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import type { Ledger } from '../ledger/ledger';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { metric } from '../shared/metric';
import { S3Store } from '../shared/s3-store';
import { type FilePorts, prepareFiles, refused } from './prepare-files';
import { SearchNotes } from './search-notes';

/** What preparing data needs from outside. */
export interface PreparePorts extends Omit<FilePorts, 'store' | 'reading'> {
  readonly store: Pick<S3Store, 'getJson' | 'putJson' | 'stream' | 'upload'>;
  /** Where it is noted what is being tried, for the next attempt if this one dies; without it, no attempt knows of another. */
  readonly notes?: Pick<Ledger, 'find' | 'swap'>;
  /** The share of the function's time that is left, from 1 to 0; without it, time does not matter. */
  timeLeft?(): number;
}

/** What Lambda tells of an invocation. */
interface Context {
  getRemainingTimeInMillis(): number;
}

/** Runs {@link prepare} on the data bucket and the ledger, and records how many rows were accepted. */
export async function handler(request: PrepareRequest, context: Context): Promise<PrepareReport> {
  const time = context.getRemainingTimeInMillis();
  const timeLeft = () => context.getRemainingTimeInMillis() / time;
  const report = await prepare({ ...onAws(), timeLeft }, request);
  metric(MetricName.ROWS_ACCEPTED, report.rows.read - report.rows.quarantined);
  metric(MetricName.ROWS_QUARANTINED, report.rows.quarantined);
  return report;
}

const onAws = lazy((): PreparePorts => {
  const ledger = dynamoLedger();
  return {
    store: new S3Store(new S3Client(), env(EnvName.DATA_BUCKET)),
    append: (fact) => ledger.append(fact),
    now: () => new Date(),
    notes: ledger,
  };
});

/** Nothing is begun with less of the function's time: what dies for want of it says nothing about its files. */
const ENOUGH_TIME = 0.8;

/**
 * Prepares the data of a run. The same snapshot gives the same bytes, so a retry overwrites like with like.
 *
 * A failure that does not say which file is to blame is looked into (see `lib/core/prepare/search.ts`), by a further
 * attempt where this one dies or has too little time left.
 *
 * @throws PerennialError DATA_UNREADABLE or DATA_REJECTED, with the files refused that are the cause; DATA_TOO_LARGE,
 * PREPARATION_FAILED and INVALID_DOCUMENT (the contract's SQL), which are no file's; PREPARE_AGAIN where another attempt
 * is to go on
 */
export async function prepare(ports: PreparePorts, { runId }: PrepareRequest): Promise<PrepareReport> {
  const key = runKeys(runId).run;
  const run = readRun(await ports.store.getJson(key), key);
  const notes = new SearchNotes({ kind: 'FileSearch', sk: LedgerKey.preparing(run.startedAt, runId) }, ports.notes);
  await notes.open();
  const count = run.snapshot.files.length;
  for (let isFirst = true; ; isFirst = false) {
    const { search, next } = decideNext(notes.search, count);
    notes.search = search;
    if (next.step === 'END') {
      const error = await refused(ports, run, endingOf(run.snapshot, search, next));
      await notes.write(NOT_BEGUN); // whoever starts this again has changed something
      throw error;
    }
    if (!isFirst && (ports.timeLeft?.() ?? 1) < ENOUGH_TIME) {
      throw new PerennialError(ErrorName.PREPARE_AGAIN, 'the search for the file that cannot be prepared goes on');
    }
    const range = next.step === 'TRY' ? next.range : { from: 0, to: count };
    const report = await attempt(run, range, next.step, ports, notes);
    if (report !== undefined) return report;
  }
}

/** Prepares files, for good or to see whether it works; undefined unless they are prepared for good. */
async function attempt(
  run: RunDocument,
  range: Range,
  step: 'PREPARE' | 'TRY',
  ports: PreparePorts,
  notes: SearchNotes,
): Promise<PrepareReport | undefined> {
  const since = ports.now().toISOString();
  let reading: Range | undefined;
  await notes.write(begun(notes.search, range, since));
  try {
    const report = await prepareFiles(run, filesOf(notes.search, range), {
      ...(step === 'TRY' ? silent(ports) : ports),
      async reading(files) {
        reading = files && { from: files[0], to: files[files.length - 1] + 1 };
        await notes.write(begun(notes.search, range, since, reading));
      },
    });
    await notes.write(step === 'TRY' ? worked(notes.search, range) : NOT_BEGUN);
    return step === 'TRY' ? undefined : report;
  } catch (error) {
    const { search, goesOn } = afterError(notes.search, { step, range, reading }, error);
    await notes.write(search);
    if (!goesOn) throw error;
    return undefined;
  }
}

/** Lets nothing out of what is only tried. */
function silent({ store, now }: PreparePorts): Omit<FilePorts, 'reading'> {
  const nothing = async () => {};
  return { store: { stream: (...of) => store.stream(...of), putJson: nothing, upload: nothing }, append: nothing, now };
}
