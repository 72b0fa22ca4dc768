import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  begun,
  blamed,
  type Failure,
  failed,
  filesOf,
  MOST_ATTEMPTS,
  NOT_BEGUN,
  nextStep,
  type Range,
  type Search,
  worked,
} from '../../lib/core/prepare/search';

/** Whether some files can be prepared together, and if not how that shows. */
type World = (files: readonly number[], attempt: number) => Pick<Failure, 'kind' | 'reading'> | undefined;

interface Outcome {
  readonly end: 'PREPARED' | 'FOUND' | 'TOO_MUCH' | 'UNEXPLAINED';
  readonly guilty: readonly number[];
  readonly attempts: number;
}

/** Prepares files in a world as `lambdas/prepare/prepare.handler.ts` does: each death ends an attempt, and so does each step. */
function search(count: number, world: World): Outcome {
  let state: Search = NOT_BEGUN;
  for (let attempts = 1; attempts < 1000; attempts++) {
    const { under, ...rest } = { ...state, attempts: state.attempts + 1 };
    state = under === undefined ? rest : failed(rest, { ...under, kind: 'DIED', because: 'it died' });
    let next = nextStep(state, count);
    while (next.step === 'GUILTY') {
      state = blamed(state, next.file, next.failure);
      next = nextStep(state, count);
    }
    if (next.step === 'END') {
      return { end: next.end, guilty: state.guilty.map(({ file }) => file).sort((a, b) => a - b), attempts };
    }
    const range: Range = next.step === 'TRY' ? next.range : { from: 0, to: count };
    const trouble = world(filesOf(state, range), attempts);
    state = begun(state, range, 'now', trouble?.reading);
    if (trouble?.kind === 'DIED') continue; // nothing more is noted
    if (trouble !== undefined) state = failed(state, { range, because: 'it failed', ...trouble });
    else if (next.step === 'PREPARE') return { end: 'PREPARED', guilty: [], attempts };
    else state = worked(state, range);
  }
  throw new Error('it goes on for ever');
}

const alone = (file: number): Range => ({ from: file, to: file + 1 });

/** Some files spoil whatever they are in. */
function spoiltBy(bad: readonly number[], kind: Failure['kind'], tells: boolean): World {
  return (files) => {
    const [first] = bad.filter((file) => files.includes(file));
    return first === undefined ? undefined : { kind, ...(tells && { reading: alone(first) }) };
  };
}

const kinds = fc.constantFrom<Failure['kind']>('DIED', 'CAPACITY', 'FAULT');

describe('the search for a file that cannot be prepared', () => {
  test('finds the one that spoils all, however it shows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.nat(), kinds, fc.boolean(), (count, at, kind, tells) => {
        const bad = at % count;
        const { end, guilty, attempts } = search(count, spoiltBy([bad], kind, tells));
        expect([end, guilty]).toEqual(['FOUND', [bad]]);
        expect(attempts).toBeLessThanOrEqual(MOST_ATTEMPTS);
      }),
    );
  });

  test('finds two of some', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 40 }),
        fc.nat(),
        fc.nat(),
        kinds,
        fc.boolean(),
        (count, a, b, kind, tells) => {
          const bad = [...new Set([a % count, b % count])].sort((x, y) => x - y);
          expect(search(count, spoiltBy(bad, kind, tells))).toMatchObject({ end: 'FOUND', guilty: bad });
        },
      ),
    );
  });

  test('finds all of ten that say where they are', () => {
    const bad = [0, 1, 2, 3, 4, 50, 51, 97, 98, 99];
    for (const kind of ['DIED', 'FAULT'] as const) {
      expect(search(100, spoiltBy(bad, kind, true))).toMatchObject({ end: 'FOUND', guilty: bad });
    }
  });

  test('names what it has found when it has tried for long enough', () => {
    const bad = Array.from({ length: 20 }, (_, i) => 50 * i);
    const { end, guilty, attempts } = search(1000, spoiltBy(bad, 'DIED', false));
    expect(end).toBe('FOUND');
    expect(guilty.length).toBeGreaterThan(0);
    expect(bad).toEqual(expect.arrayContaining([...guilty]));
    expect(attempts).toBeLessThanOrEqual(MOST_ATTEMPTS + 1);
  });

  test('blames none where all together are too much', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 500 }), kinds, fc.boolean(), fc.nat(), (count, kind, tells, at) => {
        const room = Math.max(1, Math.floor(count * 0.7));
        const world: World = (files) =>
          files.length > room
            ? { kind, ...(tells && { reading: alone(files[at % files.length] as number) }) }
            : undefined;
        const { end, guilty } = search(count, world);
        expect(guilty).toEqual([]);
        expect(end).toBe(kind === 'FAULT' ? 'UNEXPLAINED' : 'TOO_MUCH');
      }),
    );
  });

  test('blames none where every file fails: it is what they have in common', () => {
    fc.assert(
      fc.property(fc.integer({ min: 4, max: 100 }), kinds, fc.boolean(), (count, kind, tells) => {
        const world: World = (files) => ({ kind, ...(tells && { reading: alone(files[0] as number) }) });
        expect(search(count, world).end).toBe(kind === 'FAULT' ? 'UNEXPLAINED' : 'TOO_MUCH');
      }),
    );
  });

  test('prepares after a function that ended by chance', () => {
    for (const tells of [true, false]) {
      const world: World = (_, attempt) =>
        attempt === 1 ? { kind: 'DIED', ...(tells && { reading: alone(3) }) } : undefined;
      expect(search(10, world)).toMatchObject({ end: 'PREPARED' });
      expect(search(1, (_, attempt) => (attempt === 1 ? { kind: 'DIED' } : undefined))).toMatchObject({
        end: 'PREPARED',
      });
    }
  });

  test('needs a second death before it blames a file for the first', () => {
    const deaths: number[][] = [];
    search(10, (files) => {
      if (!files.includes(7)) return undefined;
      deaths.push([...files]);
      return { kind: 'DIED', reading: alone(7) };
    });
    expect(deaths.slice(0, 2)).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [7]]);
  });

  test('says that a person is needed where files fail together alone', () => {
    const world: World = (files) => (files.includes(0) && files.includes(9) ? { kind: 'FAULT' } : undefined);
    expect(search(10, world)).toMatchObject({ end: 'UNEXPLAINED', guilty: [] });
  });
});
