import type { SnapshotFile } from '../dataset/documents';

/** What a function has to work with, in bytes. */
export interface Capacity {
  readonly memory: number;
  /** Free on its disk. */
  readonly storage: number;
}

/** What may be made of data in a function, in bytes. */
export interface Limits {
  /** The database's buffers in memory. */
  readonly buffers: number;
  /** What the database may move from memory to disk. */
  readonly spill: number;
  /** A file that is unpacked, or brought into the form that the database reads; one at a time is on the disk. */
  readonly file: number;
  /** The size from which on a file must not be {@link MOST_TIMES} as large unpacked as it is packed. */
  readonly suspicious: number;
}

/** Of a function's memory: DuckDB counts its buffers only, and takes up to 0.8 GB more. */
const BUFFERS_SHARE = 0.55;

/** Of the disk, for the file that is being read and for what is written; the rest is the database's. */
const FILE_SHARE = 0.4;

/** Of what a file may be unpacked, where it begins to be suspicious. */
const SUSPICIOUS_SHARE = 1 / 16;

/** Tables shrink to a fifth or a twentieth; what shrinks to less than a 200th says the same again and again. */
export const MOST_TIMES = 200;

/** The longest text of one field, in bytes; a CSV record is no longer as a whole. */
export const LONGEST_TEXT = 2 ** 20;

/** The largest description that a Parquet file may have of itself; one of 5,000 columns has less. */
export const LARGEST_FOOTER = 2 ** 26;

/** Divides what a function has. */
export function limitsOf({ memory, storage }: Capacity): Limits {
  const file = Math.floor(FILE_SHARE * storage);
  return {
    buffers: Math.floor(BUFFERS_SHARE * memory),
    spill: storage - file,
    file,
    suspicious: Math.floor(SUSPICIOUS_SHARE * file),
  };
}

/** Why files cannot be prepared together, as far as their sizes tell: a byte of a file is at least a byte of a table. */
export function tooMuch(files: readonly SnapshotFile[], limits: Limits): string | undefined {
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const room = limits.buffers + limits.spill;
  return bytes <= room ? undefined : `they have ${inBytes(bytes)}, and there is room for ${inBytes(room)}`;
}

/** `4.3 GB` */
export function inBytes(bytes: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
