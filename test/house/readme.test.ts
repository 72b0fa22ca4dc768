import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const quotes = ['README.md', 'engine/README.md'].flatMap((readme) =>
  [...readFileSync(readme, 'utf8').matchAll(/```(?:ts|js) file=(\S+)#(\S+)\n(.*?)```/gs)].map(
    ([, file, region, code]) => ({ readme, file: String(file), region: String(region), code }),
  ),
);

test.each(['README.md', 'engine/README.md'])('%s quotes examples', (readme) => {
  expect(quotes.filter((quote) => quote.readme === readme).length).toBeGreaterThan(0);
});

test.each(quotes)('$readme quotes $file#$region as it is', ({ file, region, code }) => {
  const [, body] =
    readFileSync(file, 'utf8').match(new RegExp(`// #region ${region}\\n(.*?) *// #endregion`, 's')) ?? [];
  const indent = /^ */.exec(body ?? '')?.[0] ?? '';
  expect(code).toBe((body ?? '').replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
});
