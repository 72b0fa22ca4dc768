/** The engine's time. Every wait that AWS would make goes through it, so that tests and demos need not wait. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Waits; ends early, without an error, when the signal aborts. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Real time, with waits shortened by a factor: a wait of `d` takes `d * scale` and then
 * counts in full, so that time as services see it runs on.
 */
export class ScaledClock implements Clock {
  private ahead = 0;

  constructor(private readonly scale = 1) {}

  now(): number {
    return Date.now() + this.ahead;
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const until = this.now() + milliseconds;
    await new Promise<void>((done) => {
      const timer = setTimeout(finish, Math.min(milliseconds * this.scale, 2 ** 31 - 1));
      function finish() {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        done();
      }
      if (signal?.aborted) finish();
      else signal?.addEventListener('abort', finish);
    });
    if (!signal?.aborted) this.ahead = Math.max(this.ahead, until - Date.now());
  }
}
