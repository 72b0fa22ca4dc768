import { createReadStream, createWriteStream, type Dirent, existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const BLOCK = 512;

/** The regular files below a folder, as paths with slashes, in the order of their names; links are not followed. */
export function filesBelow(folder: string): Promise<string[]> {
  return entriesBelow(folder, (entry) => entry.isFile());
}

/** What is neither a file nor a folder: symbolic links, pipes, sockets, devices. */
export function othersBelow(folder: string): Promise<string[]> {
  return entriesBelow(folder, (entry) => !entry.isFile() && !entry.isDirectory());
}

async function entriesBelow(folder: string, isWanted: (entry: Dirent) => boolean): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter(isWanted)
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .split(sep)
        .join('/'),
    )
    .sort();
}

/** Packs a folder's files; the same files give the same bytes, whenever and by whomever they were written. */
export async function pack(folder: string, target: string): Promise<void> {
  await pipeline(Readable.from(blocks(folder)), createGzip({ level: 6 }), createWriteStream(target));
}

async function* blocks(folder: string): AsyncGenerator<Buffer> {
  for (const path of await filesBelow(folder)) {
    const { size } = await stat(join(folder, path));
    if (Buffer.byteLength(path) > 100) {
      const name = Buffer.from(`${path}\0`);
      yield header('././@LongLink', name.length, 'L');
      yield padded(name);
    }
    yield header(path, size, '0');
    for await (const chunk of createReadStream(join(folder, path))) yield chunk as Buffer;
    yield Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
  }
  yield Buffer.alloc(2 * BLOCK);
}

function header(path: string, size: number, type: string): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(path, 0, 100);
  block.write('0000644\0', 100);
  block.write('0000000\0', 108); // owner and group: nobody in particular
  block.write('0000000\0', 116);
  if (size < 8 ** 11) {
    block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  } else {
    block.writeBigUInt64BE(BigInt(size), 128); // GNU's binary form, for 8 GiB and more
    block[124] = 0x80;
  }
  block.write('00000000000\0', 136);
  block.fill(' ', 148, 156);
  block.write(type, 156);
  block.write('ustar  \0', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}
