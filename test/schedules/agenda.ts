import { Dice } from '../fuzz/fuzz';
import { watched } from '../support/memory';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;

/** What happens when, in simulated time; a seed fixes all of it. */
export class Agenda {
  /** Milliseconds. */
  time = Date.parse('2026-03-01T00:00:00Z');
  readonly dice: Dice;
  /** By time, and those of one time as they were added; the next is the last. */
  private readonly entries: Array<{ readonly at: number; readonly what: () => unknown }> = [];

  /** @param passes is told of every stretch of time that passes */
  constructor(
    seed: number,
    private readonly passes: (milliseconds: number) => void,
  ) {
    this.dice = new Dice(seed);
  }

  in(milliseconds: number, what: () => unknown): void {
    const at = this.time + Math.max(0, milliseconds);
    const before = this.entries.findLastIndex((entry) => entry.at > at);
    this.entries.splice(before + 1, 0, { at, what });
  }

  /** Lets everything happen that falls before a time. */
  async until(end: number): Promise<void> {
    for (let next = this.entries.at(-1); next !== undefined && next.at <= end; next = this.entries.at(-1)) {
      this.entries.pop();
      this.pass(next.at);
      await next.what();
    }
    this.pass(end);
  }

  iso(): string {
    return new Date(this.time).toISOString();
  }

  private pass(to: number): void {
    this.passes(to - this.time);
    this.time = to;
  }
}

/** How bad a day is. */
export interface Weather {
  /** Shares of events that are lost, doubled, or late by up to three hours. */
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  /** Share of calls that fail, half of them after their effect. */
  readonly failing: number;
  /** Share of looks at executions that show what was a moment ago. */
  readonly stale: number;
}

export const CALM: Weather = { lost: 0, doubled: 0, late: 0, failing: 0, stale: 0 };

export function weather(dice: Dice): Weather {
  return {
    lost: dice.pick([0, 0.1, 0.5, 1]),
    doubled: dice.pick([0, 0.1, 0.5]),
    late: dice.pick([0, 0.1, 0.5]),
    failing: dice.pick([0, 0, 0.002, 0.01, 0.05]),
    stale: dice.pick([0, 0.1]),
  };
}

/** What happened in a schedule, by name. */
export class Counts {
  readonly of: Record<string, number> = {};

  add(what: string, times = 1): void {
    this.of[what] = (this.of[what] ?? 0) + times;
  }
}

/** Delivers events as a bus does on a day like this. */
export function deliver(agenda: Agenda, counts: Counts, { lost, doubled, late }: Weather, arrive: () => void): void {
  const { dice } = agenda;
  counts.add('events');
  if (dice.chance(lost)) {
    counts.add('lost');
    return;
  }
  const copies = dice.chance(doubled) ? 2 + dice.whole(2) : 1;
  if (copies > 1) counts.add('doubled');
  for (let copy = 0; copy < copies; copy++) {
    const isLate = dice.chance(late);
    if (isLate) counts.add('late');
    agenda.in(isLate ? dice.whole(180) * MINUTE : dice.whole(30_000), arrive);
  }
}

/** Ports whose calls fail now and then, before their effect or after it, and of which others slip in between. */
export function faulty<T extends object>(ports: T, dice: Dice, counts: Counts, failing: () => number): T {
  return watched(ports, async (name, call) => {
    const fails = dice.chance(failing());
    const after = dice.chance(0.5);
    if (fails) counts.add('failed calls');
    for (let turns = dice.whole(3); turns > 0; turns--) await undefined;
    if (fails && !after) throw new Error(`ThrottlingException: ${name}`);
    const result = await call();
    if (fails) throw new Error(`the answer of ${name} was lost`);
    return result;
  });
}
