import { S3Client } from '@aws-sdk/client-s3';
import type { RunDocument } from '../../lib/core/dataset/documents';
import { snapshotBytes } from '../../lib/core/dataset/snapshot';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/ledger';
import { readRun } from '../../lib/core/ledger/stored';
import { listed, shortened } from '../../lib/core/listed';
import { EnvName, MetricName, runKeys } from '../../lib/core/names';
import type { PrepareReport, PrepareRequest } from '../../lib/core/prepare/documents';
import { inBytes } from '../../lib/core/prepare/limits';
import {
  begun,
  blamed,
  type Failure,
  failed,
  filesOf,
  NOT_BEGUN,
  nextStep,
  type Range,
  readSearch,
  type Search,
  type Step,
  untried,
  worked,
} from '../../lib/core/prepare/search';
import { current, dynamoLedger, type Ledger, nextRevision } from '../ledger/ledger-port';
import { env } from '../shared/env';
import { metric } from '../shared/metric';
import { S3Store } from '../shared/s3-store';
import { kindOf, wordsOf } from './faults';
import { FEWER_FILES, type FilePorts, prepareFiles, refuseFile } from './prepare-files';

/** What preparing data needs from outside. */
export interface PreparePorts extends Omit<FilePorts, 'store' | 'reading'> {
  readonly store: Pick<S3Store, 'getJson' | 'putJson' | 'stream' | 'upload'>;
  /** Where it is noted what is being tried, for the next attempt if this one dies; without it, no attempt knows of another. */
  readonly notes?: Pick<Ledger, 'find' | 'swap'>;
  /** The share of the function's time that is left, from 1 to 0; without it, time does not matter. */
  readonly timeLeft?: () => number;
}

/** What Lambda tells of an invocation. */
interface Context {
  getRemainingTimeInMillis(): number;
}

/** Checks, quarantines, derives and splits the data of a run, and profiles what is trained on. */
export async function handler(request: PrepareRequest, context: Context): Promise<PrepareReport> {
  const ledger = dynamoLedger();
  const time = context.getRemainingTimeInMillis();
  const report = await prepare(request, {
    store: new S3Store(new S3Client(), env(EnvName.DATA_BUCKET)),
    append: (fact) => ledger.append(fact),
    now: () => new Date(),
    notes: ledger,
    timeLeft: () => context.getRemainingTimeInMillis() / time,
  });
  metric(MetricName.ROWS_ACCEPTED, report.rows.read - report.rows.quarantined);
  metric(MetricName.ROWS_QUARANTINED, report.rows.quarantined);
  return report;
}

/** Characters of a failure that are noted and told. */
const MOST_WORDS = 500;

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
export async function prepare({ runId }: PrepareRequest, ports: PreparePorts): Promise<PrepareReport> {
  const key = runKeys(runId).run;
  const run = readRun(await ports.store.getJson(key), key);
  const notes = new Notes(LedgerKey.preparing(run.startedAt, runId), ports.notes);
  await notes.open();
  const count = run.snapshot.files.length;
  for (let isFirst = true; ; isFirst = false) {
    let next = nextStep(notes.search, count);
    while (next.step === 'GUILTY') {
      notes.search = blamed(notes.search, next.file, next.failure);
      next = nextStep(notes.search, count);
    }
    if (next.step === 'END') {
      const error = await ended(run, ports, notes.search, next);
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
  notes: Notes,
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
    if (error instanceof PerennialError) {
      // what is wrong with a file has a name: it is told when the run itself comes to it
      await notes.write(step === 'TRY' ? worked(notes.search, range) : NOT_BEGUN);
      if (step === 'TRY') return undefined;
      throw error;
    }
    const kind = kindOf(error);
    if (kind === undefined) {
      await notes.write(untried(notes.search));
      throw error;
    }
    const because = shortened(wordsOf(error), MOST_WORDS);
    await notes.write(failed(notes.search, { range, kind, because, ...(reading && { reading }) }));
    return undefined;
  }
}

/** Lets nothing out of what is only tried. */
function silent({ store, now }: PreparePorts): Omit<FilePorts, 'reading'> {
  const nothing = async () => {};
  return { store: { stream: (...of) => store.stream(...of), putJson: nothing, upload: nothing }, append: nothing, now };
}

/** How the search ends: the guilty files are refused, or it is said why none is. */
async function ended(
  run: RunDocument,
  ports: PreparePorts,
  { guilty }: Search,
  { end, failure }: Extract<Step, { readonly step: 'END' }>,
): Promise<PerennialError> {
  const { files } = run.snapshot;
  const { because } = failure;
  if (end === 'FOUND') {
    const found = guilty.map((one) => ({ file: files[one.file], message: blame(files[one.file].key, one.failure) }));
    for (const { file, message } of found) await refuseFile(ports, run.runId, file, message);
    const messages = found.map(({ message }) => message);
    return new PerennialError(ErrorName.DATA_UNREADABLE, listed(messages, 5, '. '));
  }
  const together = `${files.length} files of ${inBytes(snapshotBytes(run.snapshot))}`;
  return end === 'TOO_MUCH'
    ? new PerennialError(
        ErrorName.DATA_TOO_LARGE,
        `the ${together} are too much for the function that prepares them, and no one alone is to blame: ${because}. ${FEWER_FILES}`,
      )
    : new PerennialError(
        ErrorName.PREPARATION_FAILED,
        `the ${together} cannot be prepared, and no file alone is the cause: ${because}. A person is needed: ` +
          'look at the log of the function that prepares data, and report a fault that is not yours',
      );
}

/** What is wrong with a file that fails alone, and what its owner can do. */
function blame(key: string, { kind, because }: Failure): string {
  const what = `${key} cannot be prepared: ${because}`;
  return kind === 'FAULT'
    ? `${what}. Correct it and upload it again, or delete it; if nothing is wrong with it, keep a copy and report the fault`
    : `${what}. Upload it in smaller parts, or delete it`;
}

/** What is known of all attempts of a run to prepare its data. */
class Notes {
  search = NOT_BEGUN;
  private revision: unknown = 0;

  constructor(
    private readonly sk: string,
    private readonly ledger: PreparePorts['notes'],
  ) {}

  /** Reads what earlier attempts have noted; what one of them was at when it died, has failed. */
  async open(): Promise<void> {
    if (this.ledger === undefined) return;
    const { value, revision } = await current(this.ledger, this.sk, NOT_BEGUN);
    const noted = readSearch(value);
    const { under, ...search } = { ...noted, attempts: noted.attempts + 1 };
    this.revision = revision;
    this.search = under === undefined ? search : failed(search, died(under));
  }

  /** Notes what is done next; it is durable before it is done. */
  async write(search: Search): Promise<void> {
    this.search = search;
    if (this.ledger === undefined) return;
    if (!(await this.ledger.swap(this.sk, this.revision, search))) {
      throw new Error('another attempt prepares the same data: this one ends');
    }
    this.revision = nextRevision(this.revision);
  }
}

function died({ range, reading, since }: NonNullable<Search['under']>): Failure {
  const what = reading === undefined ? 'computing' : 'reading';
  const because =
    `the function ended without a word while it was ${what} (begun at ${since}): ` +
    'that takes more time or memory than it has, or it crashes the database';
  return { range, kind: 'DIED', because, ...(reading && { reading }) };
}
