import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lockState } from '../src/state/state-lock';

/** A program that locks a folder, says so, and keeps it until it is killed; or says why not. */
let program: string;
beforeAll(async () => {
  program = join(mkdtempSync(join(tmpdir(), 'lock-')), 'program.mjs');
  const contents = `import { lockState } from './engine/src/state/state-lock';
    try { lockState(process.argv[2]); console.log('held'); setInterval(() => {}, 1e6); }
    catch (error) { console.log(error.message); }`;
  await build({
    stdin: { contents, resolveDir: '.', loader: 'ts' },
    ...{ bundle: true, platform: 'node', format: 'esm', outfile: program },
  });
});

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'lock-')), 'state');
});

/** Starts the program; gives what it says first. */
async function another() {
  const child = spawn(process.execPath, [program, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = await new Promise<string>((done) => child.stdout.once('data', (text) => done(String(text).trim())));
  return { child, said, exited: new Promise((done) => child.on('exit', done)) };
}

const REFUSAL = /^another engine \(process \d+\) runs on the state in .+: end it, or name another folder$/;

describe('the lock on a state folder', () => {
  test('refuses a second engine by name, in the same process too', async () => {
    const release = lockState(folder);
    expect(() => lockState(folder)).toThrow(REFUSAL);
    expect((await another()).said).toMatch(REFUSAL);
    release();
    lockState(folder)();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('counts for as long as its process lives', async () => {
    const holder = await another();
    expect(holder.said).toBe('held');
    expect(() => lockState(folder)).toThrow(`process ${holder.child.pid}`);
    holder.child.kill('SIGKILL');
    await holder.exited;
    lockState(folder)();
  });

  test('of a process whose number another one has now counts no more', () => {
    const other = spawnSync(process.execPath, ['-e', 'console.log(os.hostname())'], { encoding: 'utf8' });
    const host = other.stdout.trim();
    const holder = { pid: process.ppid, started: 'long before', host, id: 'x' };
    lockState(folder)();
    writeFileSync(join(folder, 'lock.7'), JSON.stringify(holder));
    const release = lockState(folder);
    expect(readdirSync(folder)).toEqual(['lock.8']);
    release();
  });

  test.each(['', '{"pid":', 'null', '{"pid":"1"}'])('that is torn counts no more: %s', (text) => {
    lockState(folder)();
    writeFileSync(join(folder, 'lock.1'), text);
    lockState(folder)();
  });

  test('of another machine is refused with what to do', () => {
    lockState(folder)();
    const holder = { pid: 1, started: 'x', host: 'elsewhere', id: 'x' };
    writeFileSync(join(folder, 'lock.3'), JSON.stringify(holder));
    expect(() => lockState(folder)).toThrow(/\(process 1 on elsewhere\).*or delete .*lock\.3 if it is gone/);
  });

  test('is got by one of several that start at once, after a crash too', async () => {
    const first = await another();
    first.child.kill('SIGKILL');
    await first.exited;
    const all = await Promise.all(Array.from({ length: 6 }, another));
    const holders = all.filter(({ said }) => said === 'held');
    expect(holders).toHaveLength(1);
    for (const { said } of all) if (said !== 'held') expect(said).toMatch(REFUSAL);
    for (const { child } of holders) child.kill('SIGKILL');
  });
});
