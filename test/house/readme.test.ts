import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const readme = readFileSync('README.md', 'utf8');
const quotes = [...readme.matchAll(/```(?:ts|js) file=(\S+)#(\S+)\n(.*?)```/gs)];

test('the README quotes examples', () => {
  expect(quotes.length).toBeGreaterThan(0);
});

test.each(quotes.map(([, file, region, code]) => [file as string, region as string, code as string]))(
  'README quotes %s#%s as it is',
  (file, region, code) => {
    const [, body] =
      readFileSync(file, 'utf8').match(new RegExp(`// #region ${region}\\n(.*?) *// #endregion`, 's')) ?? [];
    const indent = /^ */.exec(body ?? '')?.[0] ?? '';
    expect(code).toBe((body ?? '').replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
  },
);
