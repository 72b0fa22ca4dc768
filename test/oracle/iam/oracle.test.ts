import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cases, isAllowed } from './ours';

test('the engine decides as an independent simulator of IAM has decided', () => {
  const answers = readFileSync(new URL('answers.txt', import.meta.url), 'utf8').trim();
  const ours = [...cases(1, answers.length)].map((one) => (isAllowed(one) ? 'A' : '-')).join('');
  expect(answers).toHaveLength(3_000);
  expect(answers.match(/A/g)?.length).toBeGreaterThan(600); // both answers are frequent
  expect(ours).toBe(answers);
});
