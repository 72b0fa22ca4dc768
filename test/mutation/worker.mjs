import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Milliseconds after which a file that a mutant has made endless is given up. */
const MOST = 150_000;

/**
 * Runs test files with mutants in a process of its own, and gives what happened.
 *
 * A mutant that makes a file endless is noticed by that: the process is ended, and another goes on with the next.
 *
 * @param specifications [file, mutant's id, or undefined for none], in their order
 * @param tell called for every event as it comes
 */
export async function run(
  specifications,
  { red = [], whole = false, loops = false, env = {}, tell = () => undefined },
) {
  const mutants = [...new Set(specifications.map(([, mutant]) => mutant).filter(Boolean))];
  const numbered = specifications.map(([file, mutant]) => [file, mutants.indexOf(mutant)]);
  let rest = numbered;
  while (rest.length > 0) {
    const stuck = await batch({ specifications: rest, mutants, red, whole }, { loops, env, tell });
    if (stuck === undefined) return;
    const { mutant, file } = stuck;
    if (mutant === undefined) throw new Error(`${file} does not end, with nothing broken`);
    tell({ type: 'noticed', mutant, by: `${file} > does not end`, because: `no end in ${MOST / 1000} s` });
    const last = rest.findLastIndex(([, number]) => number === mutants.indexOf(mutant));
    rest = rest.slice(last + 1);
  }
}

/** Runs until all is done, or a file is stuck: which. */
async function batch(job, { loops, env, tell }) {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-mutants-'));
  const events = join(folder, 'events.jsonl');
  writeFileSync(join(folder, 'job.json'), JSON.stringify({ ...job, events }));
  const child = spawn(process.execPath, [join('test', 'mutation', 'batch.mjs')], {
    env: {
      ...process.env,
      TMPDIR: folder,
      PERENNIAL_MUTANTS: join(folder, 'job.json'),
      // nothing but the engine reads what assets are made of
      ...(!loops && { CDK_CONTEXT_JSON: JSON.stringify({ 'aws:cdk:disable-asset-staging': true }) }),
      ...env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
    detached: true, // a group of its own, to end what it has started with it
  });
  const end = () => {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // all of its group have ended
    }
    rmSync(folder, { recursive: true, force: true });
  };
  const stop = () => process.exit(130);
  process.once('exit', end).once('SIGINT', stop).once('SIGTERM', stop);
  let read = 0;
  let current;
  let at = Date.now();
  const look = () => {
    const lines = existsSync(events) ? readFileSync(events, 'utf8').split('\n').slice(0, -1) : [];
    for (const line of lines.slice(read)) {
      const event = JSON.parse(line);
      at = Date.now();
      current = event.type === 'begins' ? event : event.type === 'ended' ? undefined : current;
      if (event.type !== 'begins') tell(event);
    }
    read = lines.length;
  };
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    for (;;) {
      const code = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500, 'runs'))]);
      look();
      if (code === 0) return undefined;
      if (code === 'runs' && Date.now() - at < (loops ? 4 * MOST : MOST)) continue;
      if (current === undefined) throw new Error(`the process of the mutants ended with ${code}`);
      return current;
    }
  } finally {
    end();
    process.off('exit', end).off('SIGINT', stop).off('SIGTERM', stop);
  }
}
