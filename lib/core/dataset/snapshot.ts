import { createHash } from 'node:crypto';
import { ErrorName, PerennialError } from '../errors';
import { Prefix } from '../names';
import { count, isObject, items, listOf, object, optional, own, readDocument, type Shape, text } from '../shape';
import type { Snapshot, SnapshotFile } from './documents';

/** An object of the data bucket, as a listing of its current versions names it. */
export interface ListedFile extends SnapshotFile {
  readonly lastModified: Date;
}

/** What of a listing is to be trained on. */
export interface SnapshotOptions {
  /** Versions that no run can use. */
  readonly refused?: ReadonlyArray<{ readonly key: string; readonly versionId: string }>;
  /** Only the newest so many files, by time of upload, then by key; all, if absent. */
  readonly newestFiles?: number;
}

/** Below these prefixes lies what is trained on. */
export const DATA_PREFIXES = [Prefix.INCOMING, Prefix.GROUND_TRUTH] as const;

/**
 * Whether a key names a file of training data.
 *
 * Folders' markers do not (`x/`, and `x_$folder$` as EMR writes it), nor what the tools of the field write beside
 * data: files and folders whose names begin with `_` or `.` (`_SUCCESS`, `_temporary/`, `_delta_log/`), unless they
 * are a partition (`_day=1/`), and copies under way.
 *
 * @see https://github.com/apache/spark `HadoopFSUtils.shouldFilterOutPathName`, whose rule this is
 */
export function isData(key: string): boolean {
  const prefix = DATA_PREFIXES.find((candidate) => key.startsWith(candidate));
  if (prefix === undefined || key.endsWith('/') || /(_\$folder\$|\._COPYING_)$/.test(key)) return false;
  const names = key.slice(prefix.length).split('/');
  return !names.some((name) => name.startsWith('.') || (name.startsWith('_') && !name.includes('=')));
}

/** Where a snapshot lies in the data bucket. */
export function snapshotKey(dataVersion: string): string {
  return `${Prefix.SNAPSHOTS}${dataVersion}.json`;
}

/**
 * Freezes a listing: the same files give the same data version, whatever their order. Of files with the same content
 * the oldest alone is trained on: rows that came twice would count twice, and be on both sides of the split.
 */
export function createSnapshot(listing: readonly ListedFile[], options: SnapshotOptions = {}): Snapshot {
  const data = listing.filter(({ key }) => isData(key));
  const refused = new Set(options.refused?.map(idOf));
  const usable = data
    .filter((file) => !refused.has(idOf(file)))
    .sort((a, b) => a.lastModified.getTime() - b.lastModified.getTime() || compare(a.key, b.key));
  const first = new Map(usable.toReversed().map((file) => [contentOf(file), file]));
  const alike = usable.filter((file) => first.get(contentOf(file)) !== file).map(({ key }) => key);
  const newest = [...first.values()]
    .sort((a, b) => b.lastModified.getTime() - a.lastModified.getTime() || compare(b.key, a.key))
    .slice(0, options.newestFiles);
  const files = newest
    .map(({ key, versionId, size, etag }) => ({ key, versionId, size, etag }))
    .sort((a, b) => compare(a.key, b.key));
  const leftOut = data.filter((file) => refused.has(idOf(file))).map(({ key }) => key);
  return {
    dataVersion: dataVersion(files),
    files,
    ...(leftOut.length > 0 && { leftOut: leftOut.sort(compare) }),
    ...(alike.length > 0 && { alike: alike.sort(compare) }),
  };
}

const FILE: Shape<SnapshotFile> = object({ key: text, versionId: text, size: count, etag: text });

/** What a snapshot looks like. */
export const SNAPSHOT: Shape<Snapshot> = object({
  dataVersion: text,
  files: listOf(FILE),
  leftOut: optional(listOf(text)),
  alike: optional(listOf(text)),
});

/** The files of a snapshot whose content an earlier one does not have; all, if that cannot be read. */
export function newFiles(snapshot: Snapshot, earlier: unknown): readonly SnapshotFile[] {
  const files = isObject(earlier) ? own(earlier, 'files') : undefined;
  const known = new Set(Array.isArray(files) ? items(files).filter(isFile).map(contentOf) : []);
  return snapshot.files.filter((file) => !known.has(contentOf(file)));
}

/** Refuses a document that is no snapshot, or that somebody has edited. */
export function parseSnapshot(document: unknown, key: string): Snapshot {
  const must = `${key} must be a snapshot with dataVersion and files, as below ${Prefix.SNAPSHOTS}`;
  const snapshot = readDocument(
    SNAPSHOT,
    document,
    must,
    'name another, or leave it out to train on the data as it is',
  );
  const { files } = snapshot;
  const expected = dataVersion(files);
  if (snapshot.dataVersion !== expected) {
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `${key} must have the data version of its files, ${expected}, got ${snapshot.dataVersion}; snapshots are never edited`,
    );
  }
  return snapshot;
}

/** The bytes of a snapshot's files together. */
export function snapshotBytes(snapshot: Snapshot): number {
  return snapshot.files.reduce((sum, { size }) => sum + size, 0);
}

/** SHA-256 over one line a file. */
function dataVersion(files: readonly SnapshotFile[]): string {
  const lines = files.map(({ key, versionId, size, etag }) => JSON.stringify([key, versionId, size, etag]));
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

/**
 * SHA-256 (hexadecimal) over what files hold, whatever they are called and however often they were uploaded.
 *
 * The listing from which the snapshot is made has it already: S3's ETag of an object is the MD5 of its bytes, or that of
 * its parts' MD5s. So equal sizes and ETags mean equal bytes. The reverse does not hold: parts of another size, or a
 * KMS key, give equal bytes another ETag. Such a file counts as new, which costs a run and loses nothing.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
 */
export function contentOfAll(files: readonly SnapshotFile[]): string {
  const contents = [...new Set(files.map(contentOf))].sort(compare);
  return createHash('sha256').update(contents.join('\n')).digest('hex');
}

function isFile(value: unknown): value is SnapshotFile {
  const mistakes: string[] = [];
  FILE.read(value, '', mistakes);
  return mistakes.length === 0;
}

function contentOf({ size, etag }: SnapshotFile): string {
  return JSON.stringify([size, etag]);
}

function idOf({ key, versionId }: { readonly key: string; readonly versionId: string }): string {
  return JSON.stringify([key, versionId]);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
