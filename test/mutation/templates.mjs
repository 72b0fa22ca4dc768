import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOf, holds, keep, known } from './results.mjs';
import { run } from './worker.mjs';

/** How many mutants share a process, which takes some seconds to begin. */
const AT_ONCE = 40;

/** Tests that come to templates in milliseconds to seconds. */
const CHEAP = globSync('test/**/*.test.ts', {
  exclude: ['loop', 'training', 'fuzz', 'schedules', 'kills', 'bin', 'mutation'].map((name) => `test/${name}/**`),
}).filter((file) => /support\/stacks|assertions'|played-states/.test(readFileSync(file, 'utf8')));
const BASELINE = join('.perennial', 'mutation', 'baseline.json');
const LOOPS = globSync('test/loop/*.test.ts').sort();

/** All mutants of the variants. */
export async function enumerate() {
  const folder = mkdtempSync(join(tmpdir(), 'perennial-mutants-'));
  const list = join(folder, 'mutants.json');
  await run([['test/mutation/enumerate.ts', undefined]], { env: { MUTANTS: list } });
  const mutants = JSON.parse(readFileSync(list, 'utf8'));
  rmSync(folder, { recursive: true });
  return mutants;
}

/**
 * Tries the mutants whose results do not hold any more.
 *
 * @param isChosen which to try
 * @param files the test files to ask, all if there are none
 * @param loops whether the whole loops, which take a minute each, are asked about what no other test has noticed
 */
export async function tryAll(mutants, { loops, isChosen, files, say }) {
  const tests = hashOf(...CHEAP, ...(loops ? LOOPS : []));
  const results = known();
  const due = mutants.filter(isChosen).filter((mutant) => !holds(results.get(mutant.id), mutant, tests));
  say(`${mutants.length} mutants, ${due.length} to try`);
  if (due.length === 0) return;
  const { red, noticing } = await baseline(files.length > 0 ? files : CHEAP, mutants, say);
  const filesOf = loops ? ({ id }) => [...noticing(id), ...LOOPS] : ({ id }) => noticing(id);
  const began = Date.now();
  for (let i = 0; i < due.length; i += AT_ONCE) {
    const some = due.slice(i, i + AT_ONCE);
    await tryMutants(some, { filesOf, red, tests, loops });
    say(`${Math.min(i + AT_ONCE, due.length)} of ${due.length}, ${Math.round((Date.now() - began) / 1000)} s`);
  }
}

async function tryMutants(mutants, { filesOf, red, tests, loops }) {
  const noticed = new Map();
  const specifications = mutants.flatMap((mutant) => filesOf(mutant).map((file) => [file, mutant.id]));
  await run(specifications, {
    red,
    loops,
    tell: (event) => {
      if (event.type === 'noticed') noticed.set(event.mutant, event);
    },
  });
  for (const { id, hash } of mutants) {
    const { by, because } = noticed.get(id) ?? {};
    keep({ id, hash, ...(by ? { by, because, test: hashOf(by.split(' > ')[0]) } : { tests }) });
  }
}

/** What is red with nothing broken, and which files come to templates that have a place for a mutant, quickest first. */
async function baseline(asked, mutants, say) {
  const key = `${asked} ${hashOf(...asked)} ${mutants.map(({ hash }) => hash).join()}`;
  const kept = existsSync(BASELINE) ? JSON.parse(readFileSync(BASELINE, 'utf8')) : {};
  const files = kept.key === key ? kept.files : await runUnbroken(asked);
  mkdirSync(join('.perennial', 'mutation'), { recursive: true });
  writeFileSync(BASELINE, JSON.stringify({ key, files }));

  const red = files.flatMap(({ file, failures }) => failures.map((test) => `${file} > ${test}`));
  if (red.length > 0) say(`red with nothing broken, and not asked: ${red.join('; ')}`);
  const sorted = files.toSorted((a, b) => a.ms - b.ms).map(({ file, places }) => ({ file, places: new Set(places) }));
  const noticing = (id) => sorted.filter(({ places }) => places.has(id)).map(({ file }) => file);
  return { red, noticing };
}

async function runUnbroken(asked) {
  const files = [];
  const specifications = asked.map((file) => [file, undefined]);
  await run(specifications, { tell: (event) => event.type === 'ended' && files.push(event) });
  return files;
}
