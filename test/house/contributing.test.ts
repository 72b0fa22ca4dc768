import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix as path } from 'node:path';
import { expect, test } from 'vitest';

const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'lib/README.md', 'lib/RUNBOOK.md'],
  ...['lambdas/README.md', 'engine/README.md', 'engine/CHANGELOG.md', 'bench/RESULTS.md'],
  ...['docs/architecture.md', 'docs/API.md', 'docs/decisions/README.md'],
];
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

/** The anchor that a heading has on a page. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, '');
  return plain.trim().replace(/\s/g, '-');
}

test.each(PAGES)('what %s points to is there', (page) => {
  const links = [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
  const dead = links.filter(([, file = '', anchor]) => {
    const target = file === '' ? page : path.join(path.dirname(page), file);
    if (!existsSync(target)) return true;
    if (anchor === undefined) return false;
    const headings = [...readFileSync(target, 'utf8').matchAll(/^#+ (.+)$/gm)];
    return !headings.some(([, heading]) => anchorOf(String(heading)) === anchor);
  });
  expect(dead.map(([link]) => link)).toEqual([]);
});

test.each(PAGES)('the commands that %s names are those of the package', (page) => {
  const named = [...readFileSync(page, 'utf8').matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => String(name));
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test('CONTRIBUTING names every folder of code, and every script but those that npm calls', () => {
  const page = readFileSync('CONTRIBUTING.md', 'utf8');
  const hidden = ['node_modules', 'dist', 'cdk.out', 'dev'];
  const folders = readdirSync('.', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !hidden.includes(entry.name))
    .map(({ name }) => name);
  expect(folders.filter((name) => !page.includes(`[${name}](${name}`))).toEqual([]);
  const called = ['start', 'build', 'check', 'synth', 'prepare', 'prepack'];
  const told = (name: string) => page.includes(`npm run ${name}\``) || page.includes(`npm ${name}\``);
  expect(Object.keys(scripts).filter((name) => !called.includes(name) && !told(name))).toEqual([]);
});

test('CI runs what contributors are told', () => {
  const workflow = readFileSync('.github/workflows/ci.yml', 'utf8');
  expect(workflow).toContain('run: bash .ci/run\n');
  expect(readFileSync('.ci/run', 'utf8')).toContain('npm ci && npm test');
});
