import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePattern, matchesPattern } from '../src/services/events/event-pattern/pattern';
import fixtures from './fixtures/event-patterns.json';

const matches = (pattern: unknown, event: unknown) => matchesPattern(compilePattern(pattern), event);

describe('an event pattern', () => {
  for (const { name, pattern, event, ...expected } of fixtures) {
    if ('refused' in expected) {
      test(`is refused: ${name}`, () => {
        expect(() => compilePattern(pattern)).toThrow(
          expect.objectContaining({ name: 'InvalidEventPatternException', message: expected.refused }),
        );
      });
    } else {
      test(`${expected.matches ? 'matches' : 'does not match'}: ${name}`, () => {
        expect(matches(pattern, event)).toBe(expected.matches);
      });
    }
  }

  test('is refused when its wildcards could stand in too many places', () => {
    expect(() => compilePattern({ k: [{ wildcard: '*-*-*-*-*-*-*' }] })).toThrow('Rule is too complex');
    expect(matches({ k: [{ wildcard: 'a/*/b/*/c' }] }, { k: 'a/1/b/2/3/c' })).toBe(true);
  });

  test('is refused when its alternatives multiply beyond a thousand', () => {
    const alternatives = Array.from({ length: 11 }, (_, i) => ({ a: [i] }));
    const pattern = { x: { $or: alternatives }, y: { $or: alternatives }, z: { $or: alternatives } };
    expect(() => compilePattern(pattern)).toThrow('Rule is too complex');
  });

  test('may be text or already parsed', () => {
    expect(matches('{"source":["a"]}', { source: 'a' })).toBe(true);
  });

  test('matches one of two things exactly when the alternatives say so', () => {
    const event = fc.record({ a: fc.nat(2), b: fc.nat(2) });
    fc.assert(
      fc.property(event, fc.nat(2), fc.nat(2), (event, a, b) => {
        expect(matches({ $or: [{ a: [a] }, { b: [b] }] }, event)).toBe(event.a === a || event.b === b);
      }),
    );
  });

  test('excludes exactly what the same expression includes', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (value, part) => {
        for (const type of ['prefix', 'suffix']) {
          const included = matches({ v: [{ [type]: part }] }, { v: value });
          expect(matches({ v: [{ 'anything-but': { [type]: part } }] }, { v: value })).toBe(!included);
        }
      }),
    );
  });
});
