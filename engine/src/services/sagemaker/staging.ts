import { constants } from 'node:fs';
import { copyFile, link, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { below, NameError } from '../../engine/paths';
import type { Caller } from '../../service';
import { type Host, s3Uri } from './host';
import { putOutput } from './keys';
import { filesBelow } from './tar';

/**
 * Brings the objects below a prefix into a folder, under the rest of their keys.
 *
 * @param linked hard links, where possible: quick, but only for readers
 * @returns how many files
 */
export async function download(
  host: Host,
  role: Caller,
  uri: string,
  folder: string,
  linked: boolean,
): Promise<number> {
  const { bucket, key: prefix } = s3Uri(uri);
  const objects = (await host.objects.list(bucket, prefix, role)).filter(({ key }) => !key.endsWith('/'));
  const start = prefix.lastIndexOf('/') + 1;
  for (const { key } of objects) {
    const target = below(folder, key.slice(start));
    const source = await host.objects.file(bucket, key, role);
    try {
      await mkdir(dirname(target), { recursive: true });
      await place(source, target, linked);
    } catch (error) {
      const isTaken = ['EEXIST', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
      throw isTaken ? new NameError(`the object ${key} cannot be a file here: its place is taken by another`) : error;
    }
  }
  return objects.length;
}

async function place(source: string, target: string, linked: boolean): Promise<void> {
  if (linked) {
    try {
      return await link(source, target);
    } catch (error) {
      if (!['EXDEV', 'EPERM', 'EMLINK'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  }
  // never over what is there: that may be linked to another object
  await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

/**
 * Stores a folder's files below a prefix.
 *
 * @param seen the files' times of the last call, updated; what has not changed since is left out
 * @param kmsKey what encrypts them. @default - what the bucket says
 */
export async function uploadFolder(
  host: Host,
  role: Caller,
  folder: string,
  uri: string,
  { seen = new Map(), kmsKey }: { seen?: Map<string, number>; kmsKey?: string | undefined } = {},
): Promise<void> {
  const { bucket, key: prefix } = s3Uri(uri);
  for (const path of await filesBelow(folder)) {
    if (path.split('/').some((part) => part.startsWith('.'))) continue; // half-written
    const file = join(folder, path);
    const { mtimeMs } = await stat(file);
    if (seen.get(path) === mtimeMs) continue;
    await putOutput(host, role, { bucket, key: `${prefix}${path}` }, { file }, kmsKey);
    seen.set(path, mtimeMs);
  }
}

/** The files of a folder with their times. */
export async function timesBelow(folder: string): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const path of await filesBelow(folder)) times.set(path, (await stat(join(folder, path))).mtimeMs);
  return times;
}

/** A prefix that ends as a folder does. */
export function withSlash(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}
