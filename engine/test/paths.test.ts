import { join, resolve, sep } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { below } from '../src/engine/paths';

const FOLDER = resolve('/srv/job/data');

describe('a path below a folder', () => {
  test.each([
    'a.csv',
    'deep/er/a.csv',
    '.hidden',
    '...',
    'a..b',
    'ä b+c',
    '~',
    '$(id)',
    "x'; id #",
    '-rf',
    'a\nb',
    'con.csv',
  ])('is that of an honest name: %j', (name) => {
    expect(below(FOLDER, name, 'linux')).toBe(join(FOLDER, name));
  });

  test.each([
    ...['..', '../a', 'a/..', 'a/../b', 'a/../../b', '.', './a', 'a/./b', '/a', '/', '', 'a//b', 'a/', '//a', '/../a'],
    ...['a\0', `a/${'x'.repeat(256)}`, 'ä'.repeat(128)],
  ])('is refused for %j', (name) => {
    expect(() => below(FOLDER, name, 'linux')).toThrow(/cannot be a file's name below a folder: it has /);
  });

  test.each([
    ...[
      'a\\b',
      '..\\a',
      'C:',
      'C:\\a',
      'a:stream',
      'a?',
      'a*',
      '<a',
      'a|b',
      '"a"',
      'a\u0001',
      'a.',
      'a ',
      'a./b',
      'x/a ',
    ],
    ...['con', 'CON', 'aux.csv', 'nul', 'deep/COM1.tar.gz', 'lpt9', 'PRN.', 'com²'],
  ])('is refused on Windows for %j', (name) => {
    expect(() => below(FOLDER, name, 'win32')).toThrow(/it has /);
  });

  test.each(['console.csv', 'common', 'com', 'com10', 'nulls.csv', 'a.b', 'lpt'])(
    'is not refused there for %j',
    (name) => {
      expect(below(FOLDER, name, 'win32')).toBe(join(FOLDER, name));
    },
  );

  test('never leaves the folder, and no two names have one', () => {
    const part = fc.oneof(
      fc.constantFrom('..', '.', '', 'a', '..a', '\0', '~', '%2e%2e', '\\..', 'A'),
      fc.string({ maxLength: 4 }),
    );
    const name = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
    const seen = new Map<string, string>();
    let taken = 0;
    fc.assert(
      fc.property(name, (given) => {
        let path: string;
        try {
          path = below(FOLDER, given, 'linux');
        } catch {
          return;
        }
        taken += 1;
        expect(resolve(path)).toBe(path);
        expect(path.startsWith(FOLDER + sep)).toBe(true);
        expect(seen.get(path) ?? given).toBe(given);
        seen.set(path, given);
      }),
      { numRuns: 20_000 },
    );
    expect(taken).toBeGreaterThan(1000);
  });
});
