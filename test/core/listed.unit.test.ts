import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { listed, shortened } from '../../lib/core/listed';

describe('listed', () => {
  test.each([
    [[], 10, ''],
    [['a'], 10, 'a'],
    [['a', 'b'], 2, 'a, b'],
    [['a', 'b', 'c'], 2, 'a, b and 1 more'],
    [Array.from({ length: 2000 }, (_, i) => `n${i}`), 3, 'n0, n1, n2 and 1,997 more'],
  ])('names as many as asked, and counts the rest: %#', (names, most, text) => {
    expect(listed(names, most)).toBe(text);
  });

  test('is bounded, however many and long the names are, and never cuts an S3 key', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 3000 }), { maxLength: 30 }), (names) => {
        expect(listed(names).length).toBeLessThan(11_000);
      }),
    );
    expect(listed(['k'.repeat(1024)])).toHaveLength(1024);
  });
});

describe('shortened', () => {
  test('says how much is left out, and cuts no character in two', () => {
    expect(shortened('abc', 3)).toBe('abc');
    expect(shortened('abcdef', 3)).toBe('abc… (3 more characters)');
    expect(shortened('ab😀', 3)).toBe('ab… (2 more characters)');
  });
});
