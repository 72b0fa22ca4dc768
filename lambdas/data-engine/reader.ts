import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type Contract, quoted } from '../../lib/core/dataset/contract';
import { CsvCleaner } from '../../lib/core/dataset/csv';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { kindOf } from '../../lib/core/prepare/faults';
import { headerMistakes } from '../../lib/core/prepare/header';
import { inBytes, LARGEST_FOOTER, type Limits, LONGEST_TEXT, MOST_TIMES } from '../../lib/core/prepare/limits';
import { columnRules, literal, type Reading, readText, readTyped, STORED } from '../../lib/core/prepare/rules';
import type { Database } from './duckdb';

/** A file of data: its name says the format, its bytes come as a stream. */
export interface DataFile {
  readonly name: string;
  /** In bytes, if it is known before the file is opened. */
  readonly size?: number;
  readonly open: () => Promise<Readable>;
}

/** More lines than a file can have, so that `file * LINES + line` tells rows apart and orders them. */
const LINES = 2 ** 36;

/**
 * Makes the tables that files are read into.
 *
 * `loaded`: a row of a file each; `file` and `line` say where it stood, `id` orders rows by both,
 * `c0` … are the contract's columns, typed.
 * `bad` of a row that breaks a rule holds its texts, else null.
 *
 * `refused`: the bad rows with the rules they break.
 */
export async function createTables(database: Database, contract: Contract): Promise<void> {
  const columns = contract.columns.map(({ type }, i) => `c${i} ${STORED[type]}`);
  await database.run(
    `CREATE TABLE loaded (id BIGINT, file UINTEGER, line BIGINT, problem VARCHAR, ${columns.join(', ')}, bad VARCHAR[])`,
  );
  await database.run(
    'CREATE TABLE refused (file UINTEGER, line BIGINT, rules VARCHAR[], got VARCHAR[], texts VARCHAR[])',
  );
}

/**
 * Reads a CSV (`.csv`, `.csv.gz`) or Parquet (`.parquet`) file into `loaded`.
 *
 * @param number what the column `file` is to hold
 * @throws PerennialError DATA_UNREADABLE if the file is not what its name says, DATA_REJECTED if its columns are not the contract's
 */
export async function loadFile(database: Database, contract: Contract, file: DataFile, number: number): Promise<void> {
  const format = formatOf(file.name);
  if ((file.size ?? 0) > database.limits.file)
    throw tooLarge(file.name, 'it has', file.size ?? 0, database.limits.file);
  const path = join(database.folder, `${number}.${format.parquet ? 'parquet' : 'csv'}`);
  try {
    if (format.parquet) await loadParquet(database, contract, file, number, path);
    else await loadCsv(database, contract, file, number, path);
  } finally {
    await rm(path, { force: true });
  }
}

async function loadCsv(
  database: Database,
  contract: Contract,
  file: DataFile,
  number: number,
  path: string,
): Promise<void> {
  const names = await stageCsv(file, path, database.limits, (header) => refuseHeader(contract, file.name, header));
  const source = csvSource(path, names.length);
  const readings = contract.columns.map(({ name, type }) => readText(`t${names.indexOf(name)}`, type));
  await insert(database, contract, number, source, 'line', 'problem', readings);
}

/**
 * Writes a CSV file's records to disk as `CsvCleaner` makes them, unzipped.
 *
 * @returns the header's names
 * @throws PerennialError DATA_UNREADABLE, also where there is not room for all that it unpacks to
 */
export async function stageCsv(
  file: DataFile,
  path: string,
  limits: Limits,
  onHeader: (names: string[]) => void,
): Promise<string[]> {
  const { gzip } = formatOf(file.name);
  const bytes = { packed: 0, written: 0 };
  let names: string[] = [];
  const cleaner = new CsvCleaner((header) => {
    names = header;
    onHeader(header);
  });
  const checked = (blocks: AsyncIterable<Buffer>) =>
    tapped(
      sniffed(blocks, file.name, (head) => (gzip === isGzip(head) ? undefined : describe(head))),
      (size) => {
        bytes.packed += size;
      },
    );
  async function* clean(blocks: AsyncIterable<Buffer>) {
    for await (const block of sniffed(blocks, file.name, describeText)) yield cleaner.push(block);
    yield cleaner.end();
  }
  const bounded = (blocks: AsyncIterable<Buffer>) =>
    tapped(clean(blocks), (size) => {
      bytes.written += size;
      if (bytes.written <= limits.file) return;
      throw tooLarge(file.name, gzip ? 'it unpacks to' : 'its records take', bytes.written, limits.file);
    });
  try {
    const unzip = gzip ? createGunzip({ chunkSize: 2 ** 18 }) : new PassThrough();
    await pipeline(await file.open(), checked, unzip, bounded, createWriteStream(path, { highWaterMark: 2 ** 20 }));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code?.startsWith('Z_')) {
      throw unreadable(file.name, `its gzip data is damaged or cut off (${(error as Error).message})`, error);
    }
    throw error;
  }
  if (names.length === 0) throw unreadable(file.name, 'it holds only empty lines');
  if (gzip && bytes.written > limits.suspicious && bytes.written > MOST_TIMES * bytes.packed) {
    const times = Math.round(bytes.written / bytes.packed);
    throw unreadable(
      file.name,
      `it unpacks to ${inBytes(bytes.written)}, ${times} times what it is packed, and no table does: upload it unpacked if it is one`,
    );
  }
  return names;
}

/** Passes blocks on, and tells how large they are. */
async function* tapped(blocks: AsyncIterable<Buffer>, tell: (size: number) => void): AsyncGenerator<Buffer> {
  for await (const block of blocks) {
    tell(block.length);
    yield block;
  }
}

/** A staged CSV file as a table of SQL: `line`, `problem`, and the texts `t0` … in the header's order. */
export function csvSource(path: string, columns: number): string {
  const names = ['line', 'problem', ...Array.from({ length: columns }, (_, i) => `t${i}`)];
  const types = names.map((name) => `${literal(name)}: ${name === 'line' ? "'BIGINT'" : "'VARCHAR'"}`);
  return (
    `read_csv(${literal(path)}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', ` +
    `new_line = '\\n', nullstr = '', max_line_size = 4194304, columns = {${types.join(', ')}})`
  );
}

/**
 * Writes a Parquet file to disk.
 *
 * @returns its columns, with DuckDB's names of their types
 * @throws PerennialError DATA_UNREADABLE
 */
export async function stageParquet(database: Database, file: DataFile, path: string): Promise<StoredColumn[]> {
  let size = 0;
  const checked = (blocks: AsyncIterable<Buffer>) =>
    tapped(
      sniffed(blocks, file.name, (head) => (isParquet(head) ? undefined : describe(head))),
      (bytes) => {
        size += bytes;
        if (size > database.limits.file) throw tooLarge(file.name, 'it has', size, database.limits.file);
      },
    );
  await pipeline(await file.open(), checked, createWriteStream(path));
  const footer = await footerOf(path);
  if (footer === undefined) throw unreadable(file.name, 'its end is missing: the upload was cut off');
  if (footer > LARGEST_FOOTER) {
    throw unreadable(
      file.name,
      `its description of itself has ${inBytes(footer)}, and may have ${inBytes(LARGEST_FOOTER)}`,
    );
  }
  return readable(file.name, path, () =>
    database.rows<StoredColumn>(
      `SELECT column_name AS name, column_type AS type FROM (DESCRIBE SELECT * FROM read_parquet(${literal(path)}))`,
    ),
  );
}

export interface StoredColumn {
  readonly name: string;
  readonly type: string;
}

async function loadParquet(
  database: Database,
  contract: Contract,
  file: DataFile,
  number: number,
  path: string,
): Promise<void> {
  const stored = await stageParquet(database, file, path);
  refuseHeader(
    contract,
    file.name,
    stored.map(({ name }) => name),
  );
  const source = `read_parquet(${literal(path)}, file_row_number = true)`;
  const mistakes: string[] = [];
  const readings = contract.columns.map(({ name, type }) => {
    const found = stored.find((column) => column.name === name)?.type ?? '';
    const reading = readTyped(quoted(name), found, type);
    if (reading === undefined) mistakes.push(`column '${name}' must hold ${type}s, got ${found}`);
    return reading ?? { text: 'NULL', value: 'NULL' };
  });
  if (mistakes.length > 0) throw rejected(file.name, mistakes);
  await readable(file.name, path, () => refuseVastRows(database, contract, file.name, path));
  const texts = contract.columns.flatMap(({ name }) => (isText(stored, name) ? [quoted(name)] : []));
  const problem = texts.map((text) => `strlen(${text}) > ${LONGEST_TEXT}`).join(' OR ') || 'false';
  await readable(file.name, path, () =>
    insert(
      database,
      contract,
      number,
      source,
      'file_row_number + 1',
      `CASE WHEN ${problem} THEN 'has a text of more than 1 MiB' END`,
      readings,
    ),
  );
}

/** A few bytes of Parquet may say that there are rows without end, all alike; each takes room in the table. */
async function refuseVastRows(database: Database, contract: Contract, name: string, path: string): Promise<void> {
  const { rows } = await database.row<{ rows: number }>(
    `SELECT sum(num_rows) AS rows FROM parquet_file_metadata(${literal(path)})`,
  );
  const least = ROW_BYTES + contract.columns.reduce((sum, { type }) => sum + (type === 'string' ? 16 : 8), 0);
  const room = database.limits.buffers + database.limits.spill;
  if (rows * least > room) throw tooLarge(name, `its ${rows} rows take`, rows * least, room);
}

/** What a row of `loaded` takes besides the contract's columns. */
const ROW_BYTES = 32;

function isText(stored: readonly StoredColumn[], name: string): boolean {
  return stored.some((column) => column.name === name && column.type === 'VARCHAR');
}

/** Types the rows and marks those that break a rule, in one scan. */
async function insert(
  database: Database,
  contract: Contract,
  number: number,
  source: string,
  line: string,
  problem: string,
  readings: readonly Reading[],
): Promise<void> {
  const typed = readings.map(({ text, value }, i) => `${text} AS x${i}, ${value} AS c${i}`);
  const broken = contract.columns.flatMap((column, i) =>
    columnRules(column, `x${i}`, `c${i}`).map((rule) => `coalesce(${rule.broken}, false)`),
  );
  const columns = contract.columns.map((_, i) => `c${i}`).join(', ');
  const texts = `[${contract.columns.map((_, i) => `x${i}`).join(', ')}]`;
  await database.run(
    `INSERT INTO loaded SELECT ${number * LINES} + line, ${number}, line, problem, ${columns}, ` +
      `CASE WHEN problem IS NOT NULL${broken.map((rule) => ` OR ${rule}`).join('')} THEN ${texts} END ` +
      `FROM (SELECT ${line} AS line, ${problem} AS problem, ${typed.join(', ')} FROM ${source})`,
  );
}

/** Moves the rows that break the contract's rules from `loaded` to `refused`. */
export async function refuseBadRows(database: Database, contract: Contract): Promise<void> {
  const columns = contract.columns.map((_, i) => `bad[${i + 1}] AS x${i}, c${i}`);
  const rules = contract.columns.flatMap((column, i) =>
    columnRules(column, `x${i}`, `c${i}`).map(({ rule, broken }) => ({ rule, broken, got: `x${i}` })),
  );
  const names = rules.map(({ rule, broken }) => `CASE WHEN ${broken} THEN ${literal(rule)} END`);
  const got = rules.map(({ broken, got }) => `CASE WHEN ${broken} THEN ${shown(got)} END`);
  await database.run(
    `INSERT INTO refused SELECT file, line, ` +
      `CASE WHEN problem IS NULL THEN ${present(names)} ELSE [${literal(lineRule(contract))}] END, ` +
      `CASE WHEN problem IS NULL THEN ${present(got)} ELSE [problem] END, bad ` +
      `FROM (SELECT file, line, problem, bad, ${columns.join(', ')} FROM loaded WHERE bad IS NOT NULL)`,
  );
  await database.run('DELETE FROM loaded WHERE bad IS NOT NULL');
}

/** A value as messages show it. */
export function shown(text: string): string {
  return `CASE WHEN ${text} IS NULL THEN 'got nothing' WHEN length(${text}) > 100 THEN 'got ''' || left(${text}, 100) || '…''' ELSE 'got ''' || ${text} || '''' END`;
}

function present(items: readonly string[]): string {
  return items.length === 0 ? '[]::VARCHAR[]' : `list_filter([${items.join(', ')}], lambda item: item IS NOT NULL)`;
}

/** The rule that a record breaks which cannot be split into fields; the first of its texts that is there is the record. */
export function lineRule(contract: Contract): string {
  return `the line: must have ${contract.columns.length} fields of UTF-8 text, none of more than 1 MiB, and quotes around whole fields`;
}

function refuseHeader(contract: Contract, name: string, header: readonly string[]): void {
  const mistakes = headerMistakes(contract, header);
  if (mistakes.length > 0) throw rejected(name, mistakes);
}

function rejected(name: string, mistakes: readonly string[]): PerennialError {
  return new PerennialError(
    ErrorName.DATA_REJECTED,
    `${name} has not the columns of the contract: ${mistakes.join('; ')}. Correct the file and upload it again, or change the contract`,
  );
}

function tooLarge(name: string, what: string, bytes: number, room: number): PerennialError {
  return new PerennialError(
    ErrorName.DATA_UNREADABLE,
    `${name} cannot be read: ${what} ${inBytes(bytes)} or more, and there is room for ${inBytes(room)}. ` +
      'Upload it in smaller parts, or delete it',
  );
}

function unreadable(name: string, what: string, cause?: unknown): PerennialError {
  return new PerennialError(
    ErrorName.DATA_UNREADABLE,
    `${name} cannot be read: ${what}. Correct it and upload it again, or delete it`,
    { cause },
  );
}

/** Says what the database finds wrong in words of the upload: of the file it knows only where it was put. */
export async function readable<T>(name: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof PerennialError) throw cause;
    const message = (cause as Error).message.replaceAll(path, name);
    // memory or disk are full: that may be the data's sum
    if (kindOf(cause) === 'CAPACITY') throw new Error(message, { cause });
    // the database does not work any more, for no file
    if (/^(INTERNAL|FATAL) Error/.test(message)) {
      throw new Error(`it breaks the database that reads it (${message.split('\n', 1)[0]})`, { cause });
    }
    const found = /string encoding|Invalid unicode/.test(message)
      ? 'it holds text that is not UTF-8'
      : `its data is damaged (${message.slice(0, 300)})`;
    throw unreadable(name, found, cause);
  }
}

/** What a file's name promises. */
export function formatOf(name: string): { parquet: boolean; gzip: boolean } {
  const lower = name.toLowerCase();
  if (lower.endsWith('.parquet')) return { parquet: true, gzip: false };
  if (lower.endsWith('.csv')) return { parquet: false, gzip: false };
  if (lower.endsWith('.csv.gz')) return { parquet: false, gzip: true };
  throw unreadable(name, 'its name must end with .csv, .csv.gz or .parquet');
}

/** Passes bytes on once their beginning is what it must be. */
async function* sniffed(
  bytes: AsyncIterable<Buffer>,
  name: string,
  wrong: (head: Buffer) => string | undefined,
): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const block of bytes) {
    if (head === undefined) {
      yield block;
      continue;
    }
    head = Buffer.concat([head, block]);
    if (head.length < HEAD) continue;
    refuse(head);
    yield head;
    head = undefined;
  }
  if (head !== undefined) {
    refuse(head);
    yield head;
  }

  function refuse(start: Buffer) {
    if (start.length === 0) throw unreadable(name, 'it is empty');
    const what = wrong(start.subarray(0, HEAD));
    if (what !== undefined) throw unreadable(name, `its name promises ${promised(name)}, but it is ${what}`);
  }
}

const HEAD = 4096;

function promised(name: string): string {
  const { parquet, gzip } = formatOf(name);
  return parquet ? 'Parquet' : gzip ? 'gzipped CSV' : 'CSV';
}

/** What else than CSV a text file is; undefined if it may be CSV. */
function describeText(head: Buffer): string | undefined {
  const what = describe(head);
  return what === 'text' ? undefined : what;
}

/** What a file is, by its first bytes. */
function describe(head: Buffer): string {
  const text = head.toString('latin1');
  const start = text.replace(/^\u00ef\u00bb\u00bf/, '').trimStart();
  if (isParquet(head)) return 'Parquet';
  if (isGzip(head)) return 'gzip';
  if (text.startsWith('PK\x03\x04')) return 'a zip archive (Excel, perhaps)';
  if (text.startsWith('%PDF')) return 'a PDF';
  if (text.startsWith('\xff\xfe') || text.startsWith('\xfe\xff')) return 'UTF-16 text: save it as UTF-8';
  if (text.includes('\0')) return 'binary data';
  if (/^<(!doctype|html|\?xml|[a-z]+[ >])/i.test(start)) return 'HTML or XML';
  if (/^(\{\s*["}]|\[\s*[[{"\d])/.test(start)) return 'JSON';
  return 'text';
}

function isParquet(head: Buffer): boolean {
  return head.toString('latin1', 0, 4) === 'PAR1';
}

function isGzip(head: Buffer): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** Bytes in which a Parquet file describes itself, which stand before its last four; undefined if it does not end so. */
async function footerOf(path: string): Promise<number | undefined> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(8);
    if (size < 12) return undefined;
    await file.read(tail, 0, 8, size - 8);
    return isParquet(tail.subarray(4)) ? tail.readUInt32LE(0) : undefined;
  } finally {
    await file.close();
  }
}
