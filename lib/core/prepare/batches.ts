import type { SnapshotFile } from '../dataset/documents';

/** Files that are read under one note of it have so many bytes together, at most: a thousand small ones need few notes. */
const NOTED_TOGETHER = 4 * 2 ** 20;

/**
 * Files in their order, small ones together; a larger one is alone.
 *
 * @param files their places among all
 */
export function batchesOf(all: readonly SnapshotFile[], files: readonly number[]): number[][] {
  const batches: number[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const file of files) {
    const { size } = all[file] as SnapshotFile;
    if (bytes + size > NOTED_TOGETHER) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)?.push(file);
    bytes += size;
  }
  return batches;
}
