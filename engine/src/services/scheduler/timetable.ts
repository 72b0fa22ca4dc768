import type { Context } from '../../service';
import type { Kept } from '../../state/state-store';
import { readSchedule } from './schedule-expression';

/** What is kept of a schedule. */
interface Entry {
  readonly expression: string;
  /** From when its rate counts. */
  readonly start: number;
  /** What it last fired for; its start, before it has. */
  readonly last: number;
}

/** A schedule, as far as time goes. */
export interface Timed {
  /** Tells it from all others. */
  readonly id: string;
  /** `rate(…)`, `cron(…)` or `at(…)` */
  readonly expression: string;
  readonly timeZone?: string;
  /** Milliseconds since the epoch, within which it fires. */
  readonly from?: number;
  readonly to?: number;
}

/**
 * Fires schedules on time, and keeps what each last fired for: a restart begins no interval anew, and what was due
 * while the engine was off is made good once, however often it was due.
 */
export class Timetable {
  private readonly kept: Kept<Entry>;
  private readonly entries = new Map<string, Entry>();

  /** @param name in the store, e.g. `events/timetable` */
  constructor(
    private readonly context: Context,
    name: string,
  ) {
    this.kept = context.store.collection(name, { expression: 'string', start: 'number', last: 'number' });
    this.kept.restore((entry, id) => this.entries.set(id, entry));
  }

  /**
   * Fires until the signal aborts or nothing is due any more.
   *
   * @param fire told of the moment for which it fires; must not wait
   * @throws ApiError `ValidationException` for an expression that is none
   */
  async keep(timed: Timed, signal: AbortSignal, fire: (due: number) => void): Promise<void> {
    const { clock, store } = this.context;
    const { to = Number.POSITIVE_INFINITY } = timed;
    let entry = this.entryOf(timed);
    const schedule = readSchedule(timed.expression, entry.start, timed.timeZone);
    let after = entry.last; // the first one may have been due while the engine was off
    while (!signal.aborted) {
      const due = schedule.next(after);
      if (due === undefined || due > to) return;
      await clock.sleep(Math.max(0, due - clock.now()), signal);
      if (signal.aborted) return;
      const fired = { ...entry, last: due };
      try {
        store.together(() => {
          this.put(timed.id, fired);
          fire(due);
        });
      } catch (error) {
        this.context.log('schedules', `${timed.id} failed to fire: ${(error as Error).message}`);
      }
      entry = fired;
      after = Math.max(due, clock.now()); // moments missed meanwhile are skipped
    }
  }

  /** Drops what is known of a schedule: one that is made anew begins anew. */
  forget(id: string): void {
    if (this.entries.delete(id)) this.kept.delete(id);
  }

  private entryOf({ id, expression, from = 0 }: Timed): Entry {
    const known = this.entries.get(id);
    if (known?.expression === expression) return known;
    const start = Math.max(this.context.clock.now(), from);
    const entry = { expression, start, last: start };
    this.put(id, entry);
    return entry;
  }

  private put(id: string, entry: Entry): void {
    this.entries.set(id, entry);
    this.kept.put(id, entry);
  }
}
