import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Context } from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';
import type { HistoryEvent } from './history';
import type { Entered, Progress, Resumed, StateEntry } from './progress';
import type { StateMachine, Summary } from './summary';

/** What is looked at of an execution that is kept. */
export interface Keepable {
  readonly machine: StateMachine;
  readonly name: string;
  readonly arn: string;
  readonly history: { readonly events: readonly HistoryEvent[] };
  /** Bytes of its history on the disk, of one that has ended. */
  readonly historySize?: number;
  summary(): Summary;
}

/** What is kept of an execution that has ended and that nobody asks for every day. */
export interface Past {
  readonly events: readonly HistoryEvent[];
  /** Where a redrive would go on. */
  readonly place?: StateEntry;
}

/** An execution that an earlier start left. */
export interface Left {
  readonly summary: Summary;
  /** Of one that was running; none if it had entered no state that takes time. */
  readonly resumed?: Resumed;
  readonly events: readonly HistoryEvent[];
}

type KeptEntered = Omit<Entered, 'variables'> & { readonly variables: readonly [string, unknown][] };

/** The end of the name of a file that is being written. */
const PART = '.part';
/** The longest name of an execution that is the name of its file. */
const LONGEST_NAME = 200;

/** The newest executions of a machine that have ended are kept; AWS keeps them for 90 days. */
export const KEPT_EXECUTIONS = 1_000;

/**
 * Executions on the disk: what DescribeExecution says, and of those that run what goes on, in the engine's state;
 * the histories of those that have ended in a file each, which is read when it is asked for.
 */
export class KeptExecutions {
  private readonly folder: string;
  private readonly summaries: Kept<Summary>;
  private readonly entered: Kept<KeptEntered>;
  private readonly progress: Kept<Progress>;
  /** Events of those that run, in portions. */
  private readonly events: Kept<{ readonly execution: string; readonly events: readonly HistoryEvent[] }>;
  /** How many events of each that runs are kept, and the keys under which. */
  private readonly written = new Map<string, { count: number; readonly keys: string[] }>();

  constructor(private readonly context: Context) {
    const { store, stateDir } = context;
    this.folder = join(stateDir, 'states');
    this.summaries = store.collection('states/executions', {
      ...{ arn: 'string', name: 'string', stateMachineArn: 'string', status: 'string', startDate: 'object' },
      ...{ input: 'string', redriveCount: 'number', definition: 'string' },
    });
    this.entered = store.collection('states/entered', {
      ...{ state: 'string', variables: 'list', entered: 'string', eventId: 'number' },
    });
    this.progress = store.collection('states/progress', { phase: 'object', attempts: 'list' });
    this.events = store.collection('states/events', { execution: 'string', events: 'list' });
  }

  /**
   * What earlier starts left, in no particular order.
   *
   * @param known throws unless the template has the state machine
   */
  restore(known: (stateMachineArn: string) => unknown): Left[] {
    const entered = new Map<string, Entered>();
    const progress = new Map<string, Progress>();
    const events = new Map<string, HistoryEvent[]>();
    this.entered.restore((one, arn) => entered.set(arn, { ...one, variables: new Map(one.variables) }));
    this.progress.restore((one, arn) => progress.set(arn, one));
    this.events.restore((portion, key) => {
      const written = this.written.get(portion.execution) ?? { count: 0, keys: [] };
      this.written.set(portion.execution, written);
      written.count += portion.events.length;
      written.keys.push(key);
      events.set(portion.execution, [...(events.get(portion.execution) ?? []), ...portion.events]);
    });
    const left: Left[] = [];
    this.summaries.restore((summary, arn) => {
      known(summary.stateMachineArn);
      const [where, how] = [entered.get(arn), progress.get(arn)];
      const resumed = where && { entered: where, ...(how && { progress: how }) };
      const own = (events.get(arn) ?? []).sort((one, other) => one.id - other.id);
      left.push({ summary, events: own, ...(resumed && { resumed }) });
    });
    return left;
  }

  /** Sets aside what the folder has besides the histories of these executions, and names those that it lacks. */
  checkFiles(executions: Iterable<Keepable>): void {
    const missing = new Map<string, Keepable>();
    const known = new Map([...executions].map((execution) => [this.path(execution), execution]));
    for (const [path, execution] of known) if (execution.historySize !== undefined) missing.set(path, execution);
    for (const path of this.files()) {
      const execution = known.get(path);
      const why = execution === undefined ? 'it is the history of no execution' : damage(execution, path);
      if (path.endsWith(PART)) rmSync(path);
      else if (why !== undefined) this.context.store.aside.file(path, why);
      else missing.delete(path);
    }
    for (const { name } of missing.values()) this.context.recovered(`the history of the execution ${name} is gone`);
  }

  private files(): string[] {
    return namesIn(this.folder).flatMap((machine) =>
      namesIn(join(this.folder, machine))
        .filter((name) => !name.startsWith('.'))
        .map((name) => join(this.folder, machine, name)),
    );
  }

  /** Keeps what an execution began, or goes on, with. */
  begin(execution: Keepable): void {
    this.context.store.together(() => {
      this.writeEvents(execution);
      this.summaries.put(execution.arn, execution.summary());
    });
  }

  /** Notes that a state was entered, with what has happened until then. */
  enter(execution: Keepable, { variables, ...entered }: Entered): void {
    this.context.store.together(() => {
      this.writeEvents(execution);
      this.progress.delete(execution.arn);
      this.entered.put(execution.arn, { ...entered, variables: [...variables] });
    });
  }

  progressed(execution: Keepable, progress: Progress): void {
    this.context.store.together(() => {
      this.writeEvents(execution);
      this.progress.put(execution.arn, progress);
    });
  }

  /** Writes the history of an execution that has ended; gives its size. To be followed by {@link close}. */
  writePast(execution: Keepable, { events, place }: Past): number {
    const path = this.path(execution);
    const text = Buffer.from(JSON.stringify({ events, ...(place && { place: plain(place) }) }));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path + PART, text);
    renameSync(path + PART, path);
    return text.length;
  }

  /** Keeps how an execution ended, instead of how far it had come. */
  close(execution: Keepable): void {
    const { arn } = execution;
    this.summaries.put(arn, execution.summary());
    this.entered.delete(arn);
    this.progress.delete(arn);
    for (const key of this.written.get(arn)?.keys ?? []) this.events.delete(key);
    this.written.delete(arn);
  }

  /** The history of an execution that has ended; an empty one, and a word in the log, if it cannot be read. */
  readPast(execution: Keepable): Past {
    const path = this.path(execution);
    try {
      const { events, place } = JSON.parse(readFileSync(path, 'utf8')) as Past & { place?: ReturnType<typeof plain> };
      return {
        events: events.map((event) => ({ ...event, timestamp: new Date(event.timestamp) })),
        ...(place && { place: { ...place, variables: new Map(place.variables) } }),
      };
    } catch (error) {
      this.context.log('states', `the history of ${execution.name} cannot be read: ${(error as Error).message}`);
      return { events: [] };
    }
  }

  drop(execution: Keepable): void {
    this.summaries.delete(execution.arn);
    this.context.store.afterwards(() => rmSync(this.path(execution), { force: true }));
  }

  private writeEvents({ arn, history }: Keepable): void {
    const written = this.written.get(arn) ?? { count: 0, keys: [] };
    this.written.set(arn, written);
    const events = history.events.slice(written.count);
    if (events.length === 0) return;
    const key = `${arn}#${written.count}`;
    this.events.put(key, { execution: arn, events });
    written.keys.push(key);
    written.count += events.length;
  }

  private path({ machine, name }: { readonly machine: StateMachine; readonly name: string }): string {
    const encoded = encodeURIComponent(name);
    const short = encoded.length <= LONGEST_NAME ? encoded : fingerprint(name); // a file's name has at most 255 bytes
    return join(this.folder, machine.name, `${short}.json`);
  }
}

/** What is wrong with the history of an execution that has ended; undefined if nothing is. */
function damage({ historySize }: Keepable, path: string): string | undefined {
  const { size } = statSync(path);
  if (historySize === undefined || historySize === size) return undefined; // one that runs will write it anew
  return `the history must have ${historySize} bytes, got ${size}`;
}

function plain({ variables, ...place }: StateEntry) {
  return { ...place, variables: [...variables] };
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // none has ended yet, or it is no folder
  }
}
