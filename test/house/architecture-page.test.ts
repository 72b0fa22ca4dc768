import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix as path } from 'node:path';
import { expect, test } from 'vitest';

const page = readFileSync('docs/architecture.md', 'utf8');
const walk = [...page.matchAll(/^\d+\. \[([^\]]+)\]\(\.\.\/([^)]+)\)/gm)].map(([, file, target]) => ({ file, target }));

test('the components are those of the constructs', () => {
  expect(page).toMatch(/```mermaid\nflowchart TB\n {2}Dataset\[/);
  execFileSync(process.execPath, ['scripts/diagram.mjs', '--check'], { stdio: ['ignore', 'inherit', 'inherit'] });
});

test('the walk of an upload is along files that are there, and changes its folder at most 35 times', () => {
  const folders = walk.map(({ file }) => path.dirname(String(file)));
  expect(walk.length).toBeGreaterThan(30);
  expect(walk.filter(({ file, target }) => file !== target || !existsSync(String(target)))).toEqual([]);
  expect(folders.filter((folder, index) => index > 0 && folder !== folders[index - 1]).length).toBeLessThanOrEqual(35);
});

test('the walk passes every function but those that watch and clean up', () => {
  const handlers = (readdirSync('lambdas', { recursive: true }) as string[])
    .filter((name) => name.endsWith('.handler.ts') && !/^(watch|clean-up)\//.test(name))
    .map((name) => `lambdas/${name}`);
  expect(handlers.length).toBeGreaterThan(9);
  expect(handlers.filter((handler) => !walk.some(({ file }) => file === handler))).toEqual([]);
});

test('every decision has a record with status, context, decision and consequence, and a row', () => {
  const names = readdirSync('docs/decisions').filter((name) => /^\d{4}-[a-z0-9-]+\.md$/.test(name));
  const index = readFileSync('docs/decisions/README.md', 'utf8');
  expect(names.map((name) => Number(name.slice(0, 4)))).toEqual(names.map((_, i) => i + 1));
  expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
  const form =
    /^# \d+\. .+\n\nStatus: (accepted|superseded by .+), \d{4}-\d\d-\d\d\n\n## Context\n\n[^#]+\n## Decision\n\n[^#]+\n## Consequence\n\n[^#]+$/;
  expect(names.filter((name) => !form.test(readFileSync(`docs/decisions/${name}`, 'utf8')))).toEqual([]);
});
