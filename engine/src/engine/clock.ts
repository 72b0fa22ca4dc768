/** The engine's time. Every wait that AWS would make goes through it, so that tests and demos need not wait. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Waits; ends early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Moves time on at once. */
  advance(milliseconds: number): void;
  /** Drops every wait: what sleeps will never go on. For the end of an engine. */
  stop?(): void;
}

/** The longest wait that `setTimeout` takes. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Real time, with waits shortened by a factor: a wait of `d` takes `d * scale` and then
 * counts in full, so that time as services see it runs on.
 */
export class ScaledClock implements Clock {
  private lead: number;
  private readonly timers = new Set<NodeJS.Timeout>();

  /**
   * @param scale what a wait of 1 takes
   * @param start the time at which it begins; now, if absent
   * @param changed told of its lead over this machine's clock, in milliseconds, whenever that grows
   */
  constructor(
    private readonly scale = 1,
    start?: Date,
    private readonly changed: (lead: number) => void = () => {},
  ) {
    this.lead = start === undefined ? 0 : start.getTime() - Date.now();
    if (this.lead !== 0) changed(this.lead);
  }

  now(): number {
    return Date.now() + this.lead;
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const until = this.now() + milliseconds;
    const { timers } = this;
    let left = Math.max(0, milliseconds) * this.scale;
    while (left >= 0 && !signal?.aborted) {
      const step = Math.min(left, LONGEST_TIMER_MS);
      await new Promise<void>((done) => {
        const timer = setTimeout(finish, step);
        timers.add(timer);
        signal?.addEventListener('abort', finish);
        function finish() {
          clearTimeout(timer);
          timers.delete(timer);
          signal?.removeEventListener('abort', finish);
          done();
        }
      });
      left = left > step ? left - step : -1;
    }
    if (!signal?.aborted) this.advance(until - this.now());
  }

  /** Waits that are under way end when they would have ended. */
  advance(milliseconds: number): void {
    if (milliseconds <= 0) return;
    this.lead += milliseconds;
    this.changed(this.lead);
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }
}

/** Time that stands still until a test moves it on. */
export class ManualClock implements Clock {
  private time: number;
  private sleepers: { readonly until: number; wake(): void }[] = [];

  constructor(start: Date | number = 0) {
    this.time = Number(start);
  }

  now(): number {
    return this.time;
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (milliseconds <= 0 || signal?.aborted) return;
    await new Promise<void>((done) => {
      const sleeper = { until: this.time + milliseconds, wake };
      this.sleepers.push(sleeper);
      const drop = () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        wake();
      };
      function wake() {
        signal?.removeEventListener('abort', drop);
        done();
      }
      signal?.addEventListener('abort', drop);
    });
  }

  /** Moves time on, waking every sleeper at its own moment, in order. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds;
    for (;;) {
      const [next] = this.sleepers.filter((sleeper) => sleeper.until <= end).sort((a, b) => a.until - b.until);
      if (next === undefined) break;
      this.sleepers = this.sleepers.filter((sleeper) => sleeper !== next);
      this.time = Math.max(this.time, next.until);
      next.wake();
      await new Promise((done) => setImmediate(done)); // what it wakes may sleep again before `end`
    }
    this.time = end;
  }

  stop(): void {
    this.sleepers = [];
  }
}
