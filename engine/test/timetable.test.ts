import { beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../src/engine/clock';
import { type Timed, Timetable } from '../src/services/scheduler/timetable';
import { FakeContext } from './support/fake-context';

const MINUTE = 60_000;
const RATE: Timed = { id: 'hourly', expression: 'rate(1 hour)' };

let clock: ManualClock;
let context: FakeContext;
let timetable: Timetable;
let fired: string[];
let stop: AbortController;
beforeEach(() => {
  clock = new ManualClock(Date.UTC(2026, 0, 1));
  context = new FakeContext(clock);
  start();
});

function start(): void {
  timetable = new Timetable(context, 'timetable');
  fired = [];
  stop = new AbortController();
}

function restart(): void {
  stop.abort();
  context.restart();
  start();
}

function keep(timed: Timed): void {
  void timetable.keep(timed, stop.signal, (due) => fired.push(new Date(due).toISOString().slice(11, 16)));
}

describe('a schedule', () => {
  test('begins no interval anew when the engine starts again', async () => {
    keep(RATE);
    for (let i = 0; i < 6; i++) {
      await clock.advance(25 * MINUTE);
      restart();
      keep(RATE);
    }
    await clock.advance(0);
    expect(fired).toEqual([]);
    await clock.advance(30 * MINUTE); // three hours in all; the engine was started every 25 minutes
    expect(fired).toEqual(['03:00']);
  });

  test('makes good once what was due while the engine was off, and is then on time again', async () => {
    keep(RATE);
    await clock.advance(90 * MINUTE);
    expect(fired).toEqual(['01:00']);
    stop.abort();
    await clock.advance(300 * MINUTE);
    restart();
    keep(RATE);
    await clock.advance(0);
    expect(fired).toEqual(['02:00']);
    await clock.advance(60 * MINUTE);
    expect(fired).toEqual(['02:00', '07:00']);
  });

  test('is not fired again for what it had fired for', async () => {
    keep(RATE);
    await clock.advance(60 * MINUTE);
    expect(fired).toEqual(['01:00']);
    restart();
    keep(RATE);
    await clock.advance(59 * MINUTE);
    expect(fired).toEqual([]);
  });

  test('that says something else begins anew', async () => {
    keep(RATE);
    await clock.advance(50 * MINUTE);
    restart();
    keep({ ...RATE, expression: 'rate(30 minutes)' });
    await clock.advance(29 * MINUTE);
    expect(fired).toEqual([]);
    await clock.advance(MINUTE);
    expect(fired).toEqual(['01:20']);
  });

  test('that is made anew under the same name begins anew', async () => {
    keep(RATE);
    await clock.advance(50 * MINUTE);
    stop.abort();
    timetable.forget(RATE.id);
    stop = new AbortController();
    keep(RATE);
    await clock.advance(30 * MINUTE);
    expect(fired).toEqual([]);
  });
});
