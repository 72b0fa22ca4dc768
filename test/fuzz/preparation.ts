import { gzipSync } from 'node:zlib';
import { parseContract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { runKeys } from '../../lib/core/names';
import { random } from '../../lib/core/random';
import { csv, Preparation, RIDES, RIDES_HEADER, RUN_ID, rides, written } from '../support/preparation';
import { SEED } from './fuzz';
import { below, LONGEST_CASE_MS, pick, type Random, type Tally, tell } from './mutate';

/** Each preparation is of so many files at most: one database reads a hundred as fast as a new one opens. */
const MOST_TOGETHER = 500;

/** Rows of a file before anything is changed. */
const ROWS = 8;

const CONTRACT = parseContract({ ...RIDES, maxBadShare: 1 });

interface Case {
  readonly body: Uint8Array;
  readonly extension: string;
  /** If it is known whatever was changed. */
  readonly rows?: number;
}

/**
 * Prepares files that were changed. Each is prepared or refused by name; once those are left out that were
 * refused, the rest is prepared, and its rows are the good and the quarantined ones.
 */
export async function fuzzPreparation(cases: number): Promise<Tally> {
  const parquet = await parquetFiles();
  const outcomes = { prepared: 0, refused: 0 };
  const broken: string[] = [];
  const began = performance.now();
  const totals = { rows: 0, quarantined: 0 };
  const together = Math.min(MOST_TOGETHER, Math.ceil(cases / 2));
  let slowest = 0;
  for (let done = 0; done < cases && broken.length < 10; done += together) {
    const [first, count] = [SEED * 1e6 + done, Math.min(together, cases - done)];
    const isCounted = (done / together) % 2 === 0;
    const batch = Array.from({ length: count }, (_, i) => {
      const next = random(first + i);
      return isCounted ? oddCells(next, 1000 + ROWS * i) : oddBytes(next, parquet, 1000 + ROWS * i);
    });
    try {
      const result = await prepareAll(batch, isCounted);
      outcomes.refused += result.refused;
      outcomes.prepared += count - result.refused;
      totals.rows += result.rows;
      totals.quarantined += result.quarantined;
      slowest = Math.max(slowest, result.slowest);
      if (result.slowest > LONGEST_CASE_MS)
        broken.push(`cases ${first} to ${first + count - 1}: one took ${result.slowest} ms`);
    } catch (error) {
      broken.push(`cases ${first} to ${first + count - 1}: ${(error as Error).stack?.slice(0, 2000)}`);
    }
  }
  tell('preparations', { cases, outcomes, ...totals, broken: broken.length, slowest: Math.round(slowest) }, began);
  return { cases, outcomes, broken };
}

/** Words of an error that nobody thought of; a file that shows one is a finding, though it is refused by name. */
const NAMELESS =
  /TypeError|RangeError|Cannot read prop|is not a function|Stack Trace|cannot be prepared: (?!it breaks the database)/;

/** Prepares a batch again and again without the files that were refused, as later runs do. */
async function prepareAll(batch: readonly Case[], isCounted: boolean) {
  const files = new Map<string, Case>(
    batch.map((one, i) => [`incoming/${String(i).padStart(4, '0')}${one.extension}`, one]),
  );
  const good = { 'incoming/good.csv': csv(rides(200)) };
  let slowest = 0;
  for (;;) {
    using preparation = new Preparation(
      { ...good, ...Object.fromEntries([...files].map(([key, { body }]) => [key, body])) },
      CONTRACT,
    );
    const gaps = timed(preparation);
    const error = await preparation.prepare().then(
      () => undefined,
      (reason: Error) => reason,
    );
    slowest = Math.max(slowest, ...gaps());
    if (error === undefined) {
      const counted = await rowsOf(preparation, files, isCounted);
      return { ...counted, refused: batch.length - files.size, slowest };
    }
    if (!(error instanceof PerennialError)) throw error;
    const refused = preparation.facts.map(({ key, because }) => ({ key: String(key), because: String(because) }));
    if (refused.length === 0)
      throw new Error(`a run fails, and so will every later one: ${error.name}: ${error.message}`);
    for (const { key, because } of refused) {
      if (!files.delete(key)) throw new Error(`${key} is refused: ${because}`);
      if (!because.includes(key)) throw new Error(`the reason does not name ${key}: ${because}`);
      if (NAMELESS.test(because)) throw new Error(`${key} is refused without a reason that helps: ${because}`);
      if (because.length > 5000) throw new Error(`${key} is refused in ${because.length} characters`);
    }
    if (![ErrorName.DATA_UNREADABLE, ErrorName.DATA_REJECTED].includes(error.name as never)) throw error;
  }
}

/** How long each file took: from its opening to the next one's. */
function timed({ store }: Preparation): () => number[] {
  const opened: number[] = [];
  const stream = store.stream.bind(store);
  store.stream = (key) => {
    opened.push(performance.now());
    return stream(key);
  };
  return () => opened.slice(1).map((at, i) => at - (opened[i] as number));
}

/** The rows that were read; throws unless each is good or quarantined. */
async function rowsOf(preparation: Preparation, files: ReadonlyMap<string, Case>, isCounted: boolean) {
  const { rows } = (preparation.facts.at(-1) ?? {}) as { rows: Record<string, number> };
  const { read = 0, quarantined = 0, train = 0, validation = 0, holdout = 0 } = rows;
  if (train + validation + holdout + quarantined !== read)
    throw new Error(`the rows do not add up: ${JSON.stringify(rows)}`);
  const known = [...files.values()].reduce((sum, one) => sum + (one.rows ?? 0), 200);
  if (isCounted && read !== known) throw new Error(`${known} rows went in, and ${read} were read`);
  const listed = quarantined === 0 ? [] : await preparation.quarantine();
  if (listed.length !== quarantined) throw new Error(`${listed.length} rows of ${quarantined} are listed`);
  for (const row of listed) {
    if (row.reasons.length === 0 || !(row.line > 0))
      throw new Error(`a row without reason or line: ${JSON.stringify(row)}`);
    if (!files.has(row.file) && row.file !== 'incoming/good.csv') throw new Error(`a row of ${row.file}`);
  }
  await preparation.store.getJson(runKeys(RUN_ID).profile); // it is JSON
  return { rows: read, quarantined };
}

const CELLS = [
  ...[
    '',
    ' ',
    'x',
    '0',
    '-0',
    '-1',
    '1e400',
    '1e308',
    '-1e308',
    'NaN',
    'Infinity',
    '9223372036854775807',
    '0x10',
    '1_000',
  ],
  ...[
    '9223372036854775808',
    '1,5',
    '1.5',
    'true',
    'TRUE',
    'yes',
    'null',
    'NULL',
    '\\N',
    '\0',
    '\t',
    '"',
    '""',
    '","',
    '\n',
  ],
  ...[
    '\r\n',
    '\r',
    'a\nb',
    "'; DROP TABLE loaded; --",
    '💥',
    '\u2028',
    'ä'.repeat(300),
    'x'.repeat(20_000),
    'é',
    'e\u0301',
  ],
  ...[
    '2026-02-30',
    '2026-01-01',
    '0001-01-01',
    '9999-12-31T23:59:59Z',
    '10000-01-01',
    '-4713-01-01',
    'infinity',
    '24:00',
  ],
  ...[
    '2026-01-01T00:00:60Z',
    '2026-01-01T00:00:00+25:00',
    '1970-01-01T00:00:00.123456789Z',
    'Bonn',
    'Köln',
    'a "b", c',
  ],
];

/** A table whose cells are odd, whose rows are longer or shorter, doubled or missing: how many there are is known. */
function oddCells(next: Random, firstId: number): Case {
  const table = rides(ROWS, firstId);
  for (let change = 1 + below(next, 4); change > 0; change--) {
    const at = below(next, table.length);
    const row = table[at] ?? [];
    const roll = next();
    if (roll < 0.7) row[below(next, row.length)] = pick(next, CELLS);
    else if (roll < 0.8) row.splice(below(next, row.length), 1 + below(next, 2));
    else if (roll < 0.9) row.push(pick(next, CELLS));
    else if (roll < 0.95) table.push([...row]);
    else if (table.length > 1) table.splice(at, 1);
  }
  const header = next() < 0.05 ? RIDES_HEADER.with(below(next, 6), pick(next, CELLS)) : RIDES_HEADER;
  const lines = csv(table, header);
  const ended = next() < 0.1 ? lines.trimEnd() : lines;
  const body = Buffer.from(
    (next() < 0.1 ? '\ufeff' : '') + (next() < 0.2 ? ended.replaceAll('true\n', 'true\r\n') : ended),
  );
  // a line without any character is no row, and one of one empty field has none
  const rows = table.filter((row) => row.length > 1 || (row[0] ?? '') !== '').length;
  return next() < 0.4
    ? { body: gzipSync(body, { level: 1 }), extension: '.csv.gz', rows }
    : { body, extension: '.csv', rows };
}

/** Bytes of CSV, gzip or Parquet that are cut, doubled, changed or put in; or other bytes, or another name. */
function oddBytes(next: Random, parquet: readonly Uint8Array[], firstId: number): Case {
  const roll = next();
  const table = Buffer.from(csv(rides(ROWS, firstId)));
  if (roll < 0.3) return { body: spoilt(next, table), extension: '.csv' };
  if (roll < 0.45) return { body: spoilt(next, gzipSync(table)), extension: '.csv.gz' };
  if (roll < 0.55) return { body: gzipSync(spoilt(next, table)), extension: '.csv.gz' };
  if (roll < 0.9) return { body: spoilt(next, Buffer.from(pick(next, parquet)), true), extension: '.parquet' };
  const bodies = [table, gzipSync(table), pick(next, parquet), Buffer.alloc(0), Buffer.from(RIDES_HEADER.join(','))];
  const body = spoilt(next, Buffer.from(pick(next, bodies)));
  return { body, extension: pick(next, ['.csv', '.csv.gz', '.parquet', '.CSV', '.jsonl', '.csv.zst', '.txt', '']) };
}

/** Some changes; those to Parquet are half of them to its end, where it describes itself. */
function spoilt(next: Random, bytes: Buffer, atEnd = false): Buffer {
  let made = bytes;
  for (let change = below(next, 4); change > 0; change--) {
    const { length } = made;
    const at = atEnd && next() < 0.5 ? Math.max(0, length - 8 - below(next, 600)) : below(next, length + 1);
    const size = 1 + below(next, pick(next, [1, 4, 30]));
    switch (below(next, 6)) {
      case 0:
        made = made.subarray(0, at);
        break;
      case 1:
        made = Buffer.concat([made.subarray(0, at), made.subarray(at + size)]);
        break;
      case 2:
        made = Buffer.concat([made.subarray(0, at + size), made.subarray(at)]);
        break;
      case 3:
        made = Buffer.concat([made.subarray(0, at), bytesOf(next, size), made.subarray(at)]);
        break;
      default:
        made = Buffer.concat([made.subarray(0, at), bytesOf(next, size), made.subarray(at + size)]);
    }
  }
  return made;
}

function bytesOf(next: Random, size: number): Buffer {
  const roll = next();
  if (roll < 0.3) return Buffer.from(pick(next, CELLS).slice(0, 50));
  if (roll < 0.5) return Buffer.alloc(size, pick(next, [0, 1, 10, 13, 34, 44, 127, 128, 255]));
  return Buffer.from(Array.from({ length: size }, () => below(next, 256)));
}

/** Good ones in every compression, and ones with other types, no rows, and many pages. */
async function parquetFiles(): Promise<Uint8Array[]> {
  const columns = (id: string, city = "'Bonn'") =>
    `${id} AS id, TIMESTAMP '2026-01-01' + to_minutes(i) AS at, (i % 90) + 0.5 AS km, ${city} AS city, i % 3 = 0 AS rain, i % 4 = 0 AS late`;
  const selects = [
    `${columns('50000 + i')} FROM range(8) t(i)`,
    `${columns('(60000 + i)::VARCHAR')} FROM range(8) t(i)`,
    `${columns('(70000 + i)::DOUBLE', "CASE WHEN i % 2 = 0 THEN 'Köln' END")} FROM range(8) t(i)`,
    `${columns('80000 + i', "CASE WHEN i % 500 = 0 THEN 'Rome' ELSE 'Bonn' END")} FROM range(3000) t(i)`,
    `${columns('i')} FROM range(0) t(i)`,
    `${columns('[i]')} FROM range(8) t(i)`,
  ];
  const made = [];
  for (const select of selects) {
    for (const compression of ['zstd', 'snappy', 'gzip', 'uncompressed']) {
      made.push(
        await written((path) => `COPY (SELECT ${select}) TO '${path}' (FORMAT parquet, COMPRESSION ${compression})`),
      );
    }
  }
  return made;
}
