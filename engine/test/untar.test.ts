import { execFileSync } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, gzipSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';
import { beforeEach, describe, expect, test } from 'vitest';
import { unpack } from '../src/services/sagemaker/untar';

/** What a member is: a file's content, or what its header says. */
type Member = readonly [name: string, content: string | Partial<Header>];

let around: string;
let folder: string;
let archive: string;

beforeEach(() => {
  around = mkdtempSync(join(tmpdir(), 'untar-'));
  folder = join(around, 'deep/job');
  archive = join(around, 'archive.tar.gz');
  writeFileSync(join(around, 'outside'), 'of the user');
  mkdirSync(join(around, 'outer'));
});

async function write(...members: Member[]): Promise<void> {
  const made = pack();
  for (const [name, content] of members) {
    if (typeof content === 'string') made.entry({ name }, content);
    else made.entry({ name, ...content }, '');
  }
  made.finalize();
  await pipeline(made as unknown as NodeJS.ReadableStream, createGzip(), createWriteStream(archive));
}

/** Everything there is beside the archive and the folder. */
const outside = () =>
  readdirSync(around, { recursive: true })
    .filter((name) => !/^(archive|deep)/.test(String(name)))
    .sort();

describe('an archive', () => {
  test('gives its files, folders and links', async () => {
    await write(
      ['./', { type: 'directory' }],
      ['./code/', { type: 'directory' }],
      ['./code/inference.py', 'first'],
      ['code//inference.py', 'code'],
      [`${'long/'.repeat(40)}name`, 'deep'],
      ['latest', { type: 'symlink', linkname: 'code/inference.py' }],
      ['code/up', { type: 'symlink', linkname: '../long' }],
      ['same', { type: 'link', linkname: './code/inference.py' }],
      ['run.sh', '#!/bin/sh'],
    );
    await unpack(archive, folder);
    const read = (name: string) => readFileSync(join(folder, name), 'utf8');
    expect(read('code/inference.py')).toBe('code'); // the last of a name counts
    expect(read(`${'long/'.repeat(40)}name`)).toBe('deep');
    expect([read('latest'), read('same')]).toEqual(['code', 'code']);
    expect(readlinkSync(join(folder, 'code/up'))).toBe('../long');
  });

  test.each(['ustar', 'gnu', 'pax'])('of the system is read, in the format %s', async (format) => {
    const source = join(around, 'outer');
    mkdirSync(join(source, 'a/b'), { recursive: true });
    writeFileSync(join(source, 'a/b/run.sh'), '#!/bin/sh', { mode: 0o755 });
    writeFileSync(join(source, `a/${'x'.repeat(90)}`), 'x');
    symlinkSync('b', join(source, 'a/link'));
    execFileSync('tar', [`--format=${format}`, '-czf', archive, '-C', source, '.']);
    await unpack(archive, folder);
    expect(statSync(join(folder, 'a/b/run.sh')).mode & 0o777).toBe(0o755);
    expect(readFileSync(join(folder, `a/link/run.sh`), 'utf8')).toBe('#!/bin/sh');
    expect(existsSync(join(folder, `a/${'x'.repeat(90)}`))).toBe(true);
  });

  const link = (linkname: string): Partial<Header> => ({ type: 'symlink', linkname });
  const hard = (linkname: string): Partial<Header> => ({ type: 'link', linkname });
  test.each<[string, Member[]]>([
    ['a name with ..', [['../pwned', 'x']]],
    ['a name with .. further in', [['a/b/../../../pwned', 'x']]],
    ['a name that ends in ..', [['a/..', { type: 'directory' }]]],
    ['a name that is ..', [['..', 'x']]],
    ['a folder with ..', [['../pwned/', { type: 'directory' }]]],
    ['an absolute name', [['/tmp/pwned', 'x']]],
    ['an absolute name behind dots', [['/../pwned', 'x']]],
    ['a link to outside', [['l', link('../../outside')]]],
    ['a link to an absolute path', [['l', link('/etc/passwd')]]],
    ['a link to a folder outside', [['l', link('../..')]]],
    ['a link to what is not there', [['l', link('nothing')]]],
    ['a link to itself', [['l', link('l')]]],
    [
      'links that leave together',
      [
        ['a/b/l', link('../..')],
        ['a/x', 'x'],
        ['m', link('a/b/l/../../outside')],
      ],
    ],
    [
      'links that come before what they lead to',
      [
        ['m', link('l/../../outside')],
        ['l', link('.')],
      ],
    ],
    [
      'a file through a link',
      [
        ['d', link('../../outer')],
        ['d/pwned', 'x'],
      ],
    ],
    [
      'a file through an absolute link',
      [
        ['d', link('/tmp')],
        ['d/pwned', 'x'],
      ],
    ],
    [
      'a file over a link',
      [
        ['f', link('../../outside')],
        ['f', 'pwned'],
        ['f', link('../../outside')],
      ],
    ],
    ['a hard link to outside', [['h', hard('../../outside')]]],
    ['a hard link to an absolute path', [['h', hard('/etc/passwd')]]],
    ['a hard link to what is not there', [['h', hard('nothing')]]],
    [
      'a hard link to a folder',
      [
        ['d/', { type: 'directory' }],
        ['h', hard('d')],
      ],
    ],
    [
      'a hard link through a link',
      [
        ['d', link('../..')],
        ['h', hard('d/outside')],
      ],
    ],
    ['a pipe', [['p', { type: 'fifo' }]]],
    ['a device', [['p', { type: 'character-device', devmajor: 1, devminor: 3 }]]],
    ['a name that is too long', [[`a/${'x'.repeat(300)}`, 'x']]],
    [
      'a file in the place of a folder',
      [
        ['a/b', 'x'],
        ['a', 'x'],
      ],
    ],
    [
      'a folder below a file',
      [
        ['a', 'x'],
        ['a/b', 'x'],
      ],
    ],
  ])('with %s is refused, and touches nothing outside', async (_, members) => {
    await write(['good.txt', 'good'], ...members);
    const before = outside();
    await expect(unpack(archive, folder)).rejects.toThrow();
    expect(outside()).toEqual(before);
    expect(readFileSync(join(around, 'outside'), 'utf8')).toBe('of the user');
  });

  test.each<[string, Member, RegExp]>([
    ['a name', ['a/../../b', 'x'], /^"a\/\.\.\/\.\.\/b" cannot be a file's name below a folder: it has a part \.\.$/],
    ['a link', ['l', link('../../outside')], /^l is a link to \.\.\/\.\.\/outside, which is outside$/],
    ['a device', ['p', { type: 'fifo' }], /^p is a fifo; only files, folders and links are unpacked$/],
  ])('is refused by the name of %s', async (_, member, message) => {
    await write(member);
    await expect(unpack(archive, folder)).rejects.toThrow(message);
  });

  test('gives no file rights beyond those of its owner, group and others', async () => {
    await write(['suid', { mode: 0o6755 }], ['unreadable', { mode: 0 }]);
    await unpack(archive, folder);
    expect(statSync(join(folder, 'suid')).mode & 0o7000).toBe(0);
    expect(statSync(join(folder, 'unreadable')).mode & 0o600).toBe(0o600);
  });

  test('that is broken is refused', async () => {
    writeFileSync(archive, 'no archive');
    await expect(unpack(archive, join(around, 'deep/1'))).rejects.toThrow('incorrect header check');
    writeFileSync(archive, gzipSync('no tar'.repeat(200)));
    await expect(unpack(archive, join(around, 'deep/2'))).rejects.toThrow();
    await write(['a', 'x'.repeat(100_000)]);
    truncateSync(archive, 100);
    await expect(unpack(archive, join(around, 'deep/3'))).rejects.toThrow();
  });
});
