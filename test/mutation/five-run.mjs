import { readFileSync } from 'node:fs';
import { run } from './worker.mjs';

/** Breaks the product in the five ways, and fails unless every test that is named for one notices it. */
export async function five(say) {
  const named = Object.entries(JSON.parse(readFileSync('test/mutation/five.json', 'utf8')));
  const files = (tests) => [...new Set(tests.map((test) => test.split(' > ')[0]))];
  const all = files(named.flatMap(([, tests]) => tests));
  const failed = new Map();
  await run(
    [
      ...all.map((file) => [file, undefined]),
      ...named.flatMap(([id, tests]) => files(tests).map((file) => [file, id])),
    ],
    {
      whole: true,
      tell: ({ type, mutant, file, failures }) => {
        if (type === 'ended')
          failed.set(mutant, [...(failed.get(mutant) ?? []), ...failures.map((test) => `${file} > ${test}`)]);
      },
    },
  );
  const red = failed.get(undefined) ?? [];
  const missing = named.flatMap(([id, tests]) => {
    const unaware = tests.filter((test) => red.includes(test) || !failed.get(id)?.includes(test));
    if (tests.length === 0) return [`${id}: no test is named`];
    return unaware.map((test) => `${id}: not noticed by ${test}`);
  });
  for (const [id, tests] of named) say(`${id}:\n${tests.map((test) => `  ${test}`).join('\n')}`);
  if (missing.length > 0) throw new Error(`the tests do not notice what they must:\n${missing.join('\n')}`);
  say(`${named.length} breaks, each noticed by the tests above`);
}
