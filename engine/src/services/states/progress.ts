/** A state about to run. */
export interface StateEntry {
  readonly state: string;
  readonly input: unknown;
  readonly variables: ReadonlyMap<string, unknown>;
}

/** A state at work, as it was entered: where the execution goes on when the engine starts again. */
export interface Entered extends StateEntry {
  /** When, as ISO 8601 says it. */
  readonly entered: string;
  /** The event that recorded the entry. */
  readonly eventId: number;
}

/**
 * What a state at work has begun, and what must not be begun twice.
 *
 * `waiting` is the wait of a Wait, `retrying` the one before a further attempt. A Task that was `submitted` can be
 * waited for again; one that was only `scheduled` may have been done or not. Of `branches` it is not known how far each was.
 */
export type Phase =
  | { readonly kind: 'waiting' | 'retrying'; readonly until: number }
  | { readonly kind: 'scheduled' }
  | Submitted
  | { readonly kind: 'branches' };

/** A Task that waits for what it has started. */
export interface Submitted {
  readonly kind: 'submitted';
  readonly arguments: unknown;
  /** What the service answered. */
  readonly output: unknown;
  /** The token that is waited for, and what its holder has reported, if that is all that is left to do. */
  readonly token?: string;
  readonly report?: Report;
}

/** What the holder of a task token says. */
export type Report = { readonly output: unknown } | { readonly error: string | undefined; readonly cause?: string };

/** A phase, with the attempts that each of the state's retriers has made. */
export interface Progress {
  readonly phase: Phase;
  readonly attempts: readonly number[];
}

/** Keeps how far the outermost states of an execution have come. */
export interface Journal {
  entered(entered: Entered): void;
  progressed(progress: Progress): void;
}

/** Where an execution goes on, and what had been begun there. */
export interface Resumed {
  readonly entered: Entered;
  readonly progress?: Progress;
}
