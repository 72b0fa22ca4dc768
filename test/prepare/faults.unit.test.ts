import { describe, expect, test } from 'vitest';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { afterError } from '../../lib/core/prepare/faults';
import { begun, decideNext, NOT_BEGUN, resumed, type Search } from '../../lib/core/prepare/search';

const range = { from: 0, to: 4 };
const since = '2026-03-01T00:00:00.000Z';
const search = begun({ ...NOT_BEGUN, attempts: 1 }, range, since);

describe('afterError', () => {
  const ours = new PerennialError(ErrorName.DATA_REJECTED, 'bad rows');

  test('of ours: it ends the run, and nothing is left of the search', () => {
    expect(afterError(search, { step: 'PREPARE', range }, ours)).toEqual({ search: NOT_BEGUN, goesOn: false });
  });

  test('of ours, where files are only tried: they can be read', () => {
    expect(afterError(search, { step: 'TRY', range }, ours)).toEqual({
      search: { ...NOT_BEGUN, attempts: 1, passed: [range] },
      goesOn: true,
    });
  });

  test('of the network: says nothing about the files, and another attempt may succeed', () => {
    const error = Object.assign(new Error('x'), { code: 'ECONNRESET' });
    expect(afterError(search, { step: 'PREPARE', range }, error)).toEqual({
      search: { ...NOT_BEGUN, attempts: 1 },
      goesOn: false,
    });
  });

  test('of a full disk: the files have failed, with what was being read', () => {
    const error = Object.assign(new Error('x'.repeat(600)), { code: 'ENOSPC' });
    const reading = { from: 1, to: 2 };
    const after = afterError(search, { step: 'PREPARE', range, reading }, error);
    expect(after.goesOn).toBe(true);
    expect(after.search.failures).toEqual([
      { range, reading, kind: 'CAPACITY', because: `${'x'.repeat(500)}… (100 more characters)` },
    ]);
  });

  test('that nobody thought of: the files have failed, in the words of the error', () => {
    const after = afterError(search, { step: 'TRY', range }, new TypeError('it is odd'));
    expect(after.search.failures).toEqual([{ range, kind: 'FAULT', because: 'TypeError: it is odd' }]);
  });
});

describe('resumed', () => {
  test('counts the attempt', () => {
    expect(resumed(NOT_BEGUN)).toEqual({ ...NOT_BEGUN, attempts: 1 });
  });

  test.each([
    ['computing', undefined],
    ['reading', { from: 2, to: 3 }],
  ])('what the attempt before was doing when it died has failed: %s', (what, reading) => {
    const { under, failures } = resumed(begun(NOT_BEGUN, range, since, reading));
    expect(under).toBeUndefined();
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ range, kind: 'DIED' });
    expect(failures[0]?.reading).toEqual(reading);
    expect(failures[0]?.because).toContain(`while it was ${what} (begun at ${since})`);
  });

  test('begins anew where the note is not a search', () => {
    expect(resumed({ attempts: 'many' })).toEqual({ ...NOT_BEGUN, attempts: 1 });
  });
});

test('decideNext names every file that is known to fail alone before it goes on', () => {
  const alone = (file: number) => ({ range: { from: file, to: file + 1 }, kind: 'FAULT', because: 'odd' }) as const;
  const both: Search = {
    ...NOT_BEGUN,
    attempts: 1,
    failures: [alone(0), alone(1), { ...alone(0), range: { from: 0, to: 2 } }],
  };
  const { search, next } = decideNext(both, 2);
  expect(search.guilty.map(({ file }) => file)).toEqual([0]);
  expect(next).toEqual({ step: 'TRY', range: { from: 0, to: 2 } });
});
