import { expect, test } from 'vitest';
import { lazy } from '../../lambdas/shared/lazy';

test('is made once, at the first call', () => {
  let made = 0;
  const value = lazy(() => ({ number: ++made }));
  expect(made).toBe(0);
  expect(value()).toBe(value());
  expect(made).toBe(1);
});

test('is tried again after it could not be made', () => {
  let tries = 0;
  const value = lazy(() => {
    if (++tries === 1) throw new Error('an environment variable must be set');
    return tries;
  });
  expect(value).toThrow('must be set');
  expect(value()).toBe(2);
});
