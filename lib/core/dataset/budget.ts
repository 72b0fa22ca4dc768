/** Runs that were started by themselves on a day. */
export interface SpentDay {
  /** ISO date (UTC). */
  readonly day: string;
  readonly started: number;
}

/** What a lease remembers of the daily budget. */
export interface Spent {
  /** ISO date (UTC) on which it was looked last. */
  readonly day?: string;
  /** Runs started by themselves on {@link day}. */
  readonly startedToday: number;
  /** Other days that a clock has shown, for the case that it shows them again; the last first. */
  readonly otherDays?: readonly SpentDay[];
}

/** So many other days are remembered; a clock that shows more of them is beyond help. */
const MOST_DAYS = 8;

/**
 * What is spent, as of now.
 *
 * A new day is a new budget. A day that was there before is not: a clock that goes back, or forward and back, finds
 * what was spent. Nor is one that lies before all that were, of which nothing is known: what was spent last counts, until
 * the next midnight of that clock, so that no wrong date locks the budget for ever.
 */
export function spentOn(now: Date, spent: Spent): Spent {
  const day = now.toISOString().slice(0, 10);
  if (spent.day === undefined) return { day, startedToday: 0 };
  if (spent.day === day) return spent;
  const { otherDays = [] } = spent;
  const before = otherDays.find((other) => other.day === day)?.started;
  const others = [{ day: spent.day, started: spent.startedToday }, ...otherDays.filter((other) => other.day !== day)];
  return {
    day,
    startedToday: day > spent.day ? (before ?? 0) : Math.max(before ?? 0, spent.startedToday),
    otherDays: others.slice(0, MOST_DAYS),
  };
}

/** Whether the clock shows a day before the one that it showed last. */
export function isBehind({ day }: Spent, now: Date): boolean {
  return day !== undefined && now.toISOString().slice(0, 10) < day;
}

/** What is spent after a run was started by itself; while a clock is behind, it counts on the days ahead of it as well. */
export function charged(now: Date, spent: Spent): Spent {
  const { day = '', startedToday, otherDays } = spentOn(now, spent);
  return {
    day,
    startedToday: startedToday + 1,
    ...(otherDays !== undefined && {
      otherDays: otherDays.map((other) => (other.day > day ? { ...other, started: other.started + 1 } : other)),
    }),
  };
}
