import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { charged, type Spent, spentOn } from '../../lib/core/dataset/budget';

const at = (day: string) => new Date(`${day}T12:00:00Z`);
const MOST = 3;

/** Starts as many runs as the budget lets, at most `runs`, and gives how many those were. */
function spend(spent: Spent, day: string, runs = 99): [Spent, number] {
  let [now, started] = [spentOn(at(day), spent), 0];
  while (started < runs && spentOn(at(day), now).startedToday < MOST) {
    now = charged(at(day), now);
    started++;
  }
  return [now, started];
}

describe('the daily budget', () => {
  test('is new every day', () => {
    let spent: Spent = { startedToday: 0 };
    for (const day of ['2026-03-01', '2026-03-02', '2026-03-05']) {
      const [next, started] = spend(spent, day);
      expect(started).toBe(MOST);
      spent = next;
    }
  });

  test.each(['2026-02-28', '2026-01-01', '1970-01-01'])('is not refilled by a clock that goes back to %s', (day) => {
    const [spent] = spend({ startedToday: 0 }, '2026-03-01');

    expect(spend(spent, day)[1]).toBe(0);
    expect(spend(spend(spent, day)[0], '2026-03-01')[1]).toBe(0);
  });

  test('counts what was started while the clock was back on the day that is spent then', () => {
    const [spent] = spend({ startedToday: 0 }, '2026-03-01', 1);
    const [back, started] = spend(spent, '2026-02-20', 1);

    expect(started).toBe(1);
    expect(spend(back, '2026-03-01')[1]).toBe(MOST - 2);
  });

  test('is not locked by a clock that was far ahead: the next midnight makes it new', () => {
    const [wrong] = spend({ startedToday: 0 }, '2099-01-01');
    const [right, started] = spend(wrong, '2026-03-01');

    expect(started).toBe(0);
    expect(spend(right, '2026-03-02')[1]).toBe(MOST);
    expect(spend(spend(right, '2026-03-02')[0], '2099-01-01')[1]).toBe(0); // and what was spent then stays spent
  });

  test('is never more on any day than it may be, whatever the clock does', () => {
    const day = fc.integer({ min: 1, max: 7 }).map((n) => `2026-03-0${n}`);
    fc.assert(
      fc.property(fc.array(fc.tuple(day, fc.nat(4)), { maxLength: 40 }), (looks) => {
        const started = new Map<string, number>();
        let spent: Spent = { startedToday: 0 };
        for (const [on, runs] of looks) {
          const [next, more] = spend(spent, on, runs);
          started.set(on, (started.get(on) ?? 0) + more);
          spent = next;
        }
        for (const runs of started.values()) expect(runs).toBeLessThanOrEqual(MOST);
      }),
    );
  });
});
