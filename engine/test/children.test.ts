import { spawn, spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { WATCHER } from '../src/engine/children';

const MARK = 'PERENNIAL_TEST_ENGINE=3f1c';

/** Starts a process that has others below it, one of them without its environment; gives all their ids. */
async function family(): Promise<number[]> {
  const code =
    "import os, subprocess, sys, time; a = subprocess.Popen(['env', '-i', 'sleep', '600']); b = subprocess.Popen(['sh', '-c', 'trap \"\" TERM; sleep 600 & wait']); print(os.getpid(), a.pid, b.pid, flush=True); time.sleep(600)";
  const [name = '', value = ''] = MARK.split('=');
  const child = spawn('python3', ['-c', code], { detached: true, env: { PATH: process.env.PATH, [name]: value } });
  const line = await new Promise((done) => child.stdout.once('data', done));
  return String(line).trim().split(' ').map(Number);
}

/** Whether a process runs; the dead that nobody has waited for do not. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

describe('the watcher', () => {
  test.each(process.platform === 'linux' ? ['search', 'told'] : ['told'])(
    'kills a process and all below it once nobody writes to it any more (%s)',
    async (mode) => {
      const watcher = spawn('/bin/sh', ['-c', WATCHER, 'watcher', MARK, mode], {
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      const [kept = 0, ...others] = await family();
      const bystander = spawn('sleep', ['600']);
      watcher.stdin.write(`+ ${bystander.pid}\n+ ${kept}\n- ${bystander.pid}\n`);
      await sleep(300);
      expect([kept, ...others].map(isAlive)).toEqual([true, true, true]);

      watcher.stdin.end();
      expect(await new Promise((done) => watcher.on('exit', done))).toBe(0);
      expect([kept, ...others].map(isAlive)).toEqual([false, false, false]);
      expect(isAlive(bystander.pid as number)).toBe(true);
      bystander.kill();
    },
  );

  test('outlives the signals that a terminal sends to all its processes', async () => {
    const watcher = spawn('/bin/sh', ['-c', WATCHER, 'watcher', MARK, 'told'], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    await sleep(200);
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const) watcher.kill(signal);
    await sleep(200);
    expect(watcher.exitCode ?? watcher.signalCode).toBeNull();
    watcher.stdin.end();
    expect(await new Promise((done) => watcher.on('exit', done))).toBe(0);
  });
});
