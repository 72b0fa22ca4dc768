import type { Execution, Executions } from '../../lambdas/shared/executions';
import type { Agenda } from './agenda';

/** Milliseconds for which Step Functions may show what was. */
const STALE = 5000;

interface Run {
  input: string;
  startedAt: Date;
  status: string;
  stoppedAt?: Date;
  /** By no clock that jumps. */
  changedAt: number;
  /** What a stale look shows. */
  before?: Execution;
}

/** A state machine, of which a look may come too soon. */
export class Machine implements Executions {
  readonly all = new Map<string, Run>();
  /** Runs that were begun beside another. */
  readonly beside: string[] = [];

  constructor(
    private readonly agenda: Agenda,
    private readonly stale: () => number,
    private readonly begun: (name: string) => void,
    /** The clock of Step Functions. */
    private readonly now: () => Date = () => new Date(agenda.time),
  ) {}

  async start(name: string, input: string): Promise<boolean> {
    if (Buffer.byteLength(input) > 256 * 1024) throw new Error('ValidationException: the input exceeds 256 KB');
    const known = this.all.get(name);
    if (known !== undefined) return known.status === 'RUNNING' && known.input === input;
    if (this.names().length > 0) this.beside.push(name);
    this.all.set(name, { input, startedAt: this.now(), status: 'RUNNING', changedAt: this.agenda.time });
    this.begun(name);
    return true;
  }

  async find(name: string): Promise<Execution | undefined> {
    const run = this.all.get(name);
    if (run === undefined) return undefined;
    return this.isStale(run) ? run.before : described(run);
  }

  async running(): Promise<string[]> {
    return [...this.all]
      .filter(([, run]) => (this.isStale(run) ? run.before?.status : run.status) === 'RUNNING')
      .map(([name]) => name);
  }

  names(): string[] {
    return [...this.all].filter(([, { status }]) => status === 'RUNNING').map(([name]) => name);
  }

  /** Ends an execution, or takes it up again; gives the detail of the event that tells it. */
  turn(name: string, status: string): object {
    const run = this.all.get(name) as Run;
    run.before = described(run);
    run.status = status;
    run.changedAt = this.agenda.time;
    run.stoppedAt = status === 'RUNNING' ? undefined : this.now();
    const { input, startedAt, stoppedAt } = run;
    return { name, status, input, startDate: startedAt.getTime(), stopDate: stoppedAt?.getTime() ?? null };
  }

  private isStale({ changedAt }: Run): boolean {
    return this.agenda.time - changedAt < STALE && this.agenda.dice.chance(this.stale());
  }
}

function described({ status, startedAt, stoppedAt, input }: Run): Execution {
  const ended = stoppedAt && { endedAt: stoppedAt.toISOString() };
  return { status, input, startedAt: startedAt.toISOString(), ...ended };
}
