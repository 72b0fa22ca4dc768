import { HeartbeatTimeout, type StatesError, TERMINAL } from './errors';

/** A retrier or catcher, as far as matching goes. */
export interface Matcher {
  readonly ErrorEquals: readonly string[];
}

export interface Retrier extends Matcher {
  readonly IntervalSeconds?: number;
  readonly MaxAttempts?: number;
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
  readonly JitterStrategy?: 'FULL' | 'NONE';
}

/** Whether one of the names in `ErrorEquals` stands for this error. */
export function matches(matcher: Matcher, failure: StatesError): boolean {
  const { error } = failure;
  if (TERMINAL.includes(error)) return false;
  return matcher.ErrorEquals.some(
    (name) =>
      name === error ||
      name === 'States.ALL' ||
      (name === 'States.TaskFailed' && error !== 'States.Timeout') ||
      (name === 'States.HeartbeatTimeout' && failure instanceof HeartbeatTimeout),
  );
}

/** Seconds to wait before the retrier's attempt number `attempt`, the first being 0. */
export function delay(retrier: Retrier, attempt: number, random: () => number): number {
  const { IntervalSeconds = 1, BackoffRate = 2, MaxDelaySeconds = Number.POSITIVE_INFINITY } = retrier;
  const seconds = Math.min(IntervalSeconds * BackoffRate ** attempt, MaxDelaySeconds);
  return retrier.JitterStrategy === 'FULL' ? seconds * random() : seconds;
}

/** The attempts that a state's retriers have made, counted each by itself. */
export class Attempts {
  private readonly made: number[];

  /** @param made by an earlier start of the engine */
  constructor(
    private readonly retriers: readonly Retrier[],
    made: readonly number[] = [],
  ) {
    this.made = retriers.map((_, index) => made[index] ?? 0);
  }

  /** How many each retrier has made. */
  get each(): readonly number[] {
    return [...this.made];
  }

  /** All retries so far: `$states.context.State.RetryCount`. */
  get total(): number {
    return this.made.reduce((sum, made) => sum + made, 0);
  }

  /** Seconds until the next attempt; undefined if there is none. The first retrier that matches decides. */
  next(error: StatesError, random: () => number): number | undefined {
    const index = this.retriers.findIndex((retrier) => matches(retrier, error));
    const retrier = this.retriers[index];
    const made = this.made[index];
    if (retrier === undefined || made === undefined || made >= (retrier.MaxAttempts ?? 3)) return undefined;
    this.made[index] = made + 1;
    return delay(retrier, made, random);
  }
}
