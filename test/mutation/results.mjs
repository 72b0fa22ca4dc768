import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** One line a mutant that was tried; the last one counts. */
const FILE = join('.perennial', 'mutation', 'templates.jsonl');

/** What a file holds, in short. */
export function hashOf(...files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

/** The results so far, by the mutant's id. */
export function known() {
  const lines = existsSync(FILE) ? readFileSync(FILE, 'utf8').split('\n').filter(Boolean) : [];
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.id, result]));
}

export function keep(result) {
  mkdirSync(dirname(FILE), { recursive: true });
  appendFileSync(FILE, `${JSON.stringify(result)}\n`);
}

/**
 * Whether a result still holds: what the mutant breaks is as it was, and so is the test that noticed it, or, if none did,
 * all of them.
 */
export function holds(result, { hash }, tests) {
  if (result === undefined || result.hash !== hash) return false;
  if (result.by === undefined) return result.tests === tests;
  const [file] = result.by.split(' > ');
  return existsSync(file) && hashOf(file) === result.test;
}

/** The page with the score of each group and every survivor. */
export function page(mutants, results, exceptions, core) {
  const groups = [...new Set(mutants.map(({ group }) => group))];
  const tried = mutants.filter(({ id }) => results.has(id));
  const isNoticed = ({ id }) => results.get(id).by !== undefined;
  const survivors = tried.filter((mutant) => !isNoticed(mutant));
  const row = (name, of) => {
    const done = of.filter(({ id }) => results.has(id));
    const noticed = done.filter(isNoticed).length;
    const justified = done.filter((mutant) => !isNoticed(mutant) && exceptions[mutant.id]).length;
    const share = done.length === 0 ? '' : `${((100 * noticed) / (done.length - justified)).toFixed(1)} %`;
    return `| ${name} | ${of.length} | ${done.length} | ${noticed} | ${justified} | ${share} |`;
  };
  return [
    '# What the tests notice',
    '',
    `Written by \`npm run mutate\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit()}. How it works: [README.md](README.md).`,
    '',
    '## Templates',
    '',
    'The score is what was noticed, of what was tried and is no justified exception.',
    '',
    '| what is broken | mutants | tried | noticed | exceptions | score |',
    '|---|---:|---:|---:|---:|---:|',
    ...groups.map((group) =>
      row(
        group,
        mutants.filter((mutant) => mutant.group === group),
      ),
    ),
    row('**all**', mutants),
    '',
    '### Survivors',
    '',
    ...(survivors.length === 0 ? ['None.'] : []),
    ...survivors.map(({ id }) => `- ${id}: ${exceptions[id] ?? '**missing test**'}`),
    '',
    ...core,
  ].join('\n');
}

function commit() {
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
}
