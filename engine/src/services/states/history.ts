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
        `The execution reached the maximum number of history events (${MOST_EVENTS}).`,
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

/** What ends an execution names the newest event, also one that was passed by. */
const ENDS = ['ExecutionSucceeded', 'ExecutionFailed'];
/** What ends it from outside names none. */
const STOPS = ['ExecutionAborted', 'ExecutionTimedOut'];

/**
 * One line of events through a history: each event names the one before it on its line.
 *
 * Numbered as recordings of Step Functions are: the first state of an execution names no event; some events are
 * passed by, so that the next one names the event before them.
 */
export class Trail {
  /** What the next event names. */
  private last = 0;
  /** The newest event of the line, though it may have been passed by. */
  private newest = 0;
  /** What the newest event names. */
  private before = 0;

  constructor(
    private readonly history: History,
    from = 0,
  ) {
    this.goOn(from);
  }

  /** Records an event; the next one names it. */
  add(type: string, details?: Record<string, unknown>): number {
    const previous = STOPS.includes(type) ? 0 : ENDS.includes(type) ? this.newest : this.last;
    const id = this.history.add(type, details, previous);
    if (type === 'ExecutionStarted') return id; // the first state's entry does not name it
    this.before = previous;
    this.goOn(id);
    return id;
  }

  /** Begins once more after the one event that there is: the first state's entry does not name it. */
  restart(): void {
    this.goOn(0);
  }

  /** Records an event that is passed by, like `MapStateSucceeded`: the next event names the one before it. */
  aside(type: string): void {
    this.before = this.newest;
    this.newest = this.history.add(type, undefined, this.newest);
  }

  /** Records an event that names what the next one will name too, like the abortion of a branch. */
  beside(type: string, details?: Record<string, unknown>): void {
    this.before = this.last;
    this.newest = this.history.add(type, details, this.last);
  }

  /** Records that an expression failed while a state was being entered or left: it names what the event before it names. */
  instead(type: string, details: Record<string, unknown>): void {
    this.goOn(this.history.add(type, details, this.before));
  }

  /** A line of its own from here on, for a branch. */
  fork(): Trail {
    return new Trail(this.history, this.last);
  }

  /** Goes on where the last of these lines ends. */
  join(lines: readonly Trail[]): void {
    this.goOn(Math.max(this.last, ...lines.map(({ last }) => last)));
  }

  /** Goes on where another line ends, because what happened there ended this one's state. */
  follow({ last }: Trail): void {
    this.goOn(last);
  }

  private goOn(from: number): void {
    this.last = from;
    this.newest = from;
  }
}

/** `TaskStateEntered` → `stateEnteredEventDetails`, `TaskFailed` → `taskFailedEventDetails`. */
function detailsKey(type: string): string {
  const state = /State(Entered|Exited)$/.exec(type);
  if (state !== null) return `state${state[1]}EventDetails`;
  return `${type.charAt(0).toLowerCase()}${type.slice(1)}EventDetails`;
}

export const INCLUDED = { truncated: false } as const;
