import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ensurePython, findPython, PythonError } from '../src/containers/python';

const folder = mkdtempSync(join(tmpdir(), 'python-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
function requirements(text: string): string {
  const file = join(folder, `requirements-${files++}.txt`);
  writeFileSync(file, text);
  return file;
}

function program(name: string, script: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('ensurePython', () => {
  it('makes an environment once, also when asked twice at the same time', async () => {
    const file = requirements('# nothing\n');
    const told: string[] = [];
    const options = { folder, progress: (line: string) => told.push(line) };

    const [first, second] = await Promise.all([ensurePython(file, options), ensurePython(file, options)]);
    const third = await ensurePython(file, options);

    expect(second).toBe(first);
    expect(third).toBe(first);
    expect(told.filter((line) => line.startsWith('making'))).toHaveLength(1);
    expect(execFileSync(first, ['-c', 'import sys; print(sys.prefix)'], { encoding: 'utf8' }).trim()).toContain(folder);
  });

  it('makes an environment again that was cut off, and ignores the lock of a dead process', async () => {
    const file = requirements('# cut off\n');
    const python = await ensurePython(file, { folder });
    const target = join(python, '..', '..');
    rmSync(join(target, 'ready'));
    rmSync(python);
    execFileSync('mkdir', [`${target}.lock`]);
    writeFileSync(`${target}.lock/pid`, '999999');

    await ensurePython(file, { folder });

    expect(existsSync(python)).toBe(true);
    expect(readdirSync(folder).filter((name) => name.endsWith('.lock'))).toEqual([]);
  });

  it('says that the index cannot be reached', async () => {
    const file = requirements('a-package-of-nobody==1.0\n');

    const made = ensurePython(file, {
      folder,
      pipArguments: ['--isolated', '--retries', '1', '--index-url', 'http://127.0.0.1:9/simple'],
    });

    await expect(made).rejects.toThrow(/package index cannot be reached.*PIP_INDEX_URL/s);
  });

  it('says which package no index has', async () => {
    const file = requirements('a-package-of-nobody==1.0\n');

    const made = ensurePython(file, { folder, pipArguments: ['--isolated', '--no-index'] });

    await expect(made).rejects.toThrow(/no a-package-of-nobody==1.0 for this Python/);
  });

  it('says that the venv module is missing', async () => {
    const python = program(
      'no-venv',
      'case "$1" in -c) echo 3.11.2;; *) echo "ensurepip is not available" >&2; exit 1;; esac',
    );

    const made = ensurePython(requirements('# x\n'), { folder, candidates: [python] });

    await expect(made).rejects.toThrow(/venv module is missing; install it/);
  });
});

describe('findPython', () => {
  it('says what it found and what it needs', async () => {
    const old = program('old', 'echo 3.9.1');

    await expect(findPython([old])).rejects.toThrow(PythonError);
    await expect(findPython([old])).rejects.toThrow(/needs Python 3.11 or later, got .*old is 3.9.1.*PERENNIAL_PYTHON/);
    await expect(findPython(['no-such-python'])).rejects.toThrow(/got none of no-such-python on the path/);
  });
});
