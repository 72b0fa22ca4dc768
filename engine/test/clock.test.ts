import { describe, expect, test } from 'vitest';
import { ManualClock, ScaledClock } from '../src/engine/clock';

describe('ScaledClock', () => {
  test('counts a shortened wait in full', async () => {
    const clock = new ScaledClock(0.001);
    const [begin, really] = [clock.now(), performance.now()];
    await clock.sleep(60_000);
    expect(clock.now() - begin).toBeGreaterThanOrEqual(60_000);
    expect(performance.now() - really).toBeLessThan(10_000);
  });

  test('counts waits at the same time once', async () => {
    const clock = new ScaledClock(0);
    const begin = clock.now();
    await Promise.all([clock.sleep(60_000), clock.sleep(60_000)]);
    expect(clock.now() - begin).toBeLessThan(90_000);
  });

  test('takes waits that are longer than a timer can be', async () => {
    const clock = new ScaledClock(0);
    const begin = clock.now();
    await clock.sleep(2 ** 40);
    expect(clock.now() - begin).toBeGreaterThanOrEqual(2 ** 40);
  });

  test('ends a wait early when its signal aborts, and does not count it', async () => {
    const clock = new ScaledClock();
    const abort = new AbortController();
    const begin = clock.now();
    const sleeping = clock.sleep(3_600_000, abort.signal);
    abort.abort();
    await sleeping;
    await clock.sleep(3_600_000, abort.signal);
    expect(clock.now() - begin).toBeLessThan(60_000);
  });
});

describe('ManualClock', () => {
  test('stands still until it is moved', async () => {
    const clock = new ManualClock(new Date('2026-01-01T00:00:00Z'));
    let awake = false;
    void clock.sleep(1000).then(() => {
      awake = true;
    });
    await clock.advance(999);
    expect([awake, clock.now()]).toEqual([false, Date.parse('2026-01-01T00:00:00.999Z')]);
    await clock.advance(1);
    expect(awake).toBe(true);
  });

  test('wakes each sleeper at its own moment, and those that sleep again', async () => {
    const clock = new ManualClock();
    const seen: string[] = [];
    const tick = async (name: string, every: number) => {
      for (;;) {
        await clock.sleep(every);
        seen.push(`${name}${clock.now()}`);
      }
    };
    void tick('a', 20);
    void tick('b', 30);
    await clock.advance(65);
    expect(seen).toEqual(['a20', 'b30', 'a40', 'b60', 'a60']);
    expect(clock.now()).toBe(65);
  });

  test('ends a wait early when its signal aborts', async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const sleeping = clock.sleep(1000, abort.signal);
    abort.abort();
    await sleeping;
    expect(clock.now()).toBe(0);
  });
});
