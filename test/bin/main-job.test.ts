import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';

test('an option that the main job does not know is refused with the one that it knows', () => {
  const { status, stderr } = spawnSync(process.execPath, ['dist/bin/main-job.mjs', '--kep'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toBe("Unknown option '--kep'; the only option is --keep: npm start -- --keep\n");
});

/** A folder like the repository's, whose months are cut already; what is in them does not matter here. */
function checkout(files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'checkout-'));
  for (const name of ['dist', 'node_modules', 'examples', 'training', 'lib'])
    symlinkSync(resolve(name), join(folder, name));
  const months = [1, 2, 3, 4, 5, 6].map((month) => `.perennial/flights/2001-0${month}.parquet`);
  for (const file of [...months, ...files]) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), 'mine');
  }
  return folder;
}

/** Starts the main job, and kills it once its engine answers: what it said of that. */
async function startIn(cwd: string): Promise<string> {
  const child = spawn(process.execPath, [resolve('dist/bin/main-job.mjs')], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...{ timeout: 120_000, killSignal: 'SIGKILL' },
  });
  let told = '';
  for await (const text of child.stdout.setEncoding('utf8')) {
    told += text;
    if (/engine answers.*\n/.test(told)) child.kill('SIGKILL');
  }
  return told;
}

test('a start has a folder of its own, says which, and leaves alone what lies there', async () => {
  const files = ['.perennial/state/journal.jsonl', '.perennial/start/2001-01-01T00-00-00/x', 'cdk.out/mine'];
  const folder = checkout(files);
  const [, own = ''] = /its state is in (\S+), which no later start touches/.exec(await startIn(folder)) ?? [];
  expect(own).toMatch(/\/\.perennial\/start\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$/);
  expect(existsSync(join(own, 'journal.jsonl'))).toBe(true);
  for (const file of files) expect(readFileSync(join(folder, file), 'utf8')).toBe('mine');
});
