import { StatesError } from './errors';

/** An event as `GetExecutionHistory` gives it; its details lie under the key of its kind. */
export interface HistoryEvent {
  readonly id: number;
  readonly previousEventId: number;
  readonly timestamp: Date;
  readonly type: string;
  readonly [details: string]: unknown;
}

/** Step Functions ends an execution whose history would grow beyond this. */
const MOST_EVENTS = 25_000;

/** What happened in an execution, in order. */
export class History {
  readonly events: HistoryEvent[] = [];

  constructor(
    private readonly now: () => number,
    events: readonly HistoryEvent[] = [],
  ) {
    this.events.push(...events);
  }

  add(type: string, details: Record<string, unknown> | undefined, previousEventId: number): number {
    const id = this.events.length + 1;
    if (id >= MOST_EVENTS && !type.startsWith('Execution')) {
      throw new StatesError(
        'States.Runtime',
        `The execution reached the maximum number of history events (${MOST_EVENTS}). Start another execution for the rest of the work, or poll more slowly.`,
      );
    }
    const key = details === undefined ? undefined : detailsKey(type);
    this.events.push({
      timestamp: new Date(this.now()),
      type,
      id,
      previousEventId,
      ...(key !== undefined && { [key]: details }),
    });
    return id;
  }
}

/** One line of events through a history: each event names the one before it on its line. */
export class Trail {
  constructor(
    private readonly history: History,
    private previous = 0,
  ) {}

  add(type: string, details?: Record<string, unknown>): number {
    this.previous = this.history.add(type, details, this.previous);
    return this.previous;
  }

  /** A line of its own from here on, for a branch. */
  fork(): Trail {
    return new Trail(this.history, this.previous);
  }
}

/** `TaskStateEntered` → `stateEnteredEventDetails`, `TaskFailed` → `taskFailedEventDetails`. */
function detailsKey(type: string): string {
  const state = /State(Entered|Exited)$/.exec(type);
  if (state !== null) return `state${state[1]}EventDetails`;
  return `${type.charAt(0).toLowerCase()}${type.slice(1)}EventDetails`;
}

export const INCLUDED = { truncated: false } as const;
