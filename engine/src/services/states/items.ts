import { readFileSync } from 'node:fs';
import type { Caller, Objects } from '../../service';
import { ApiError } from '../../service';
import { StatesError } from './errors';
import type { MapResult, ReaderCall, WriterCall } from './frame';

/** Reads the items of a Distributed Map from S3, as the state machine's role. */
export async function readItems(objects: Objects, caller: Caller, call: ReaderCall): Promise<unknown[]> {
  const { Bucket, Key, Prefix, VersionId } = call.arguments as Record<string, string>;
  const action = call.resource.split(':').at(-1);
  try {
    if (action === 'listObjectsV2') {
      const listed = await objects.list(Bucket ?? '', Prefix ?? '', caller);
      return listed.map(({ key, size, etag, lastModified }) => ({
        Etag: `"${etag}"`,
        Key: key,
        LastModified: lastModified.getTime() / 1000,
        Size: size,
        StorageClass: 'STANDARD',
      }));
    }
    if (action === 'getObject') {
      const file = await objects.file(Bucket ?? '', Key ?? '', caller, VersionId);
      return parse(readFileSync(file, 'utf8'), call.config);
    }
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    throw new StatesError(
      'States.ItemReaderFailed',
      `${error.code}: ${error.message} (s3://${Bucket}/${Key ?? Prefix})`,
    );
  }
  throw new StatesError(
    'States.Runtime',
    `the ItemReader's Resource must be s3:listObjectsV2 or s3:getObject, got '${call.resource}'`,
  );
}

function parse(text: string, config: Record<string, unknown>): unknown[] {
  switch (config.InputType) {
    case 'CSV':
      return parseCsv(text, config);
    case 'JSONL':
      return lines(text).map((line) => JSON.parse(line));
    case 'JSON': {
      const value = text.trim() === '' ? undefined : at(JSON.parse(text), config.ItemsPointer);
      if (Array.isArray(value)) return value;
      if (value !== null && typeof value === 'object') {
        return Object.entries(value).map(([Key, Value]) => ({ Key, Value }));
      }
      throw new StatesError('States.ItemReaderFailed', 'the JSON that the ItemReader read is neither array nor object');
    }
    default:
      throw new StatesError(
        'States.Runtime',
        `the local engine's ItemReader reads CSV, JSON and JSONL, got InputType '${config.InputType}'`,
      );
  }
}

/** The value that a JSON pointer names. */
function at(value: unknown, pointer: unknown): unknown {
  if (typeof pointer !== 'string') return value;
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((inner, part) => (inner as Record<string, unknown> | undefined)?.[part], value);
}

const DELIMITERS: Readonly<Record<string, string>> = {
  COMMA: ',',
  PIPE: '|',
  SEMICOLON: ';',
  SPACE: ' ',
  TAB: '\t',
};

function parseCsv(text: string, config: Record<string, unknown>): Record<string, string>[] {
  const delimiter = DELIMITERS[String(config.CSVDelimiter ?? 'COMMA')] ?? ',';
  const rows = csvRows(text, delimiter);
  const headers = config.CSVHeaderLocation === 'GIVEN' ? (config.CSVHeaders as string[]) : (rows.shift() ?? []);
  return rows.map((row) => Object.fromEntries(headers.map((header, column) => [header, row[column] ?? ''])));
}

/** Rows of RFC 4180: fields may be quoted, and then hold delimiters, line ends and doubled quotes. */
function csvRows(text: string, delimiter: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (quoted) {
      if (character !== '"') field += character;
      else if (text.charAt(index + 1) === '"') field += text.charAt(++index);
      else quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === delimiter) {
      row.push(field);
      field = '';
    } else if (character === '\n') {
      rows.push([...row, field]);
      row = [];
      field = '';
    } else if (character !== '\r') field += character;
  }
  if (field !== '' || row.length > 0) rows.push([...row, field]);
  return rows;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

/** Writes what a Distributed Map's executions gave, with a manifest; gives where it lies. */
export async function writeResults(objects: Objects, caller: Caller, call: WriterCall): Promise<unknown> {
  const { Bucket = '', Prefix = '' } = call.arguments as Record<string, string>;
  const root = `${Prefix === '' || Prefix.endsWith('/') ? Prefix : `${Prefix}/`}${call.mapRunArn.split(':').at(-1)}`;
  const files: Record<string, { Key: string; Size: number }[]> = { FAILED: [], PENDING: [], SUCCEEDED: [] };
  for (const status of ['SUCCEEDED', 'FAILED'] as const) {
    const results = call.results.filter(({ error }) => (error === undefined) === (status === 'SUCCEEDED'));
    if (results.length === 0) continue;
    const body = Buffer.from(JSON.stringify(results.map((result) => record(result, status))));
    const Key = `${root}/${status}_0.json`;
    await objects.put(Bucket, Key, body, caller);
    files[status] = [{ Key, Size: body.length }];
  }
  const manifest = { DestinationBucket: Bucket, MapRunArn: call.mapRunArn, ResultFiles: files };
  const Key = `${root}/manifest.json`;
  await objects.put(Bucket, Key, Buffer.from(JSON.stringify(manifest)), caller);
  return { MapRunArn: call.mapRunArn, ResultWriterDetails: { Bucket, Key } };
}

function record({ input, output, error }: MapResult, Status: string) {
  return {
    Input: JSON.stringify(input),
    ...(error === undefined ? { Output: JSON.stringify(output) } : { Error: error.error, Cause: error.reason }),
    Status,
  };
}
