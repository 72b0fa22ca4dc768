import { createReadStream } from 'node:fs';
import { link, lstat, mkdir, open, realpath, rm, symlink } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { below, NameError } from '../../engine/paths';

/**
 * Unpacks a tar.gz into a new folder: files, folders, and links that stay in it. Nothing else comes of an archive that
 * somebody else may have made.
 *
 * Throws {@link NameError} with the member's name for one that would lie outside, a link to what is outside or not
 * there, and a device; and as the file system does.
 */
export async function unpack(archive: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const links: Header[] = [];
  const members = extract();
  const fed = pipeline(
    createReadStream(archive),
    createGunzip({ chunkSize: 1 << 18 }),
    members as unknown as NodeJS.WritableStream,
  );
  fed.catch(() => {}); // the loop throws, too
  for await (const member of members) {
    if (member.header.type === 'symlink')
      links.push(member.header); // later: no file is written through a link
    else await place(folder, member.header, member as AsyncIterable<Buffer>);
    member.resume(); // what nobody read, else there is no next
  }
  await fed;
  for (const header of links) await placeLink(folder, header);
  for (const header of links) await refuseStray(folder, header);
}

async function place(
  folder: string,
  { name, type, linkname, mode }: Header,
  content: AsyncIterable<Buffer>,
): Promise<void> {
  const path = pathOf(folder, name);
  if (path === folder) return;
  if (type === 'directory') {
    await mkdir(path, { recursive: true });
    return;
  }
  await makeRoom(path);
  if (type === 'file' || type === 'contiguous-file') {
    const file = await open(path, 'wx', (mode & 0o777) | 0o600);
    try {
      for await (const chunk of content) await file.writeFile(chunk);
    } finally {
      await file.close();
    }
  } else if (type === 'link') {
    const target = pathOf(folder, linkname);
    if (!(await lstat(target)).isFile()) throw new NameError(`${name} is a hard link to ${linkname}, which is no file`);
    await link(target, path);
  } else {
    throw new NameError(`${name} is a ${type}; only files, folders and links are unpacked`);
  }
}

async function placeLink(folder: string, { name, linkname }: Header): Promise<void> {
  const path = pathOf(folder, name);
  await makeRoom(path);
  await symlink(linkname, path);
}

/** A link may go by other links; where it ends is what counts. */
async function refuseStray(folder: string, { name, linkname }: Header): Promise<void> {
  const end = await realpath(pathOf(folder, name)).catch(() => undefined);
  const root = await realpath(folder);
  if (end === root || end?.startsWith(root + sep)) return;
  throw new NameError(`${name} is a link to ${linkname}, which is ${end === undefined ? 'not there' : 'outside'}`);
}

/** As tar, the last member of a name counts. */
async function makeRoom(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
}

/** The path of a member; archives may write `./a` or `a//b` for `a` and `a/b`. */
function pathOf(folder: string, name: string): string {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (name.startsWith('/')) throw new NameError(`${JSON.stringify(name)} is absolute, and must lie below a folder`);
  return parts.length === 0 ? folder : below(folder, parts.join('/'));
}
