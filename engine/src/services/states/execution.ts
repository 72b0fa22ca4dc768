import type { Clock } from '../../engine/clock';
import type { Shape } from '../../service';
import { Aborted, asStatesError } from './errors';
import type { Host } from './frame';
import { History, type HistoryEvent, INCLUDED, Trail } from './history';
import { Interpreter } from './interpreter';
import type { Keepable, KeptExecutions, Past } from './kept-executions';
import type { Journal, Resumed, StateEntry } from './progress';
import type { StateMachine, Status, Summary } from './summary';
import { after } from './task';

interface Reason {
  readonly status: Status;
  readonly error?: string | undefined;
  readonly cause?: string | undefined;
}

/** One execution of a state machine: runs it, and knows what DescribeExecution says. */
export class Execution implements Keepable {
  status: Status = 'RUNNING';
  readonly arn: string;
  startDate: Date;
  stopDate?: Date;
  output?: string;
  error?: string;
  cause?: string;
  redriveCount = 0;
  /** What has happened; of a standard execution that has ended, {@link past} tells it. */
  history: History;
  /** Bytes of what {@link past} reads. */
  historySize?: number;
  /** Resolves once the execution is over, or the engine is. */
  ended: Promise<void> = Promise.resolve();
  private redriveDate?: Date;
  private place?: StateEntry;
  private isRedrivable = false;
  private isSuspended = false;
  private stopping?: Reason;
  private aborter = new AbortController();

  /** @param kept where a standard execution outlives the engine; an express one does not */
  constructor(
    readonly machine: StateMachine,
    readonly name: string,
    readonly input: string,
    private readonly clock: Clock,
    private readonly kept: KeptExecutions,
    private definition = machine.fingerprint,
  ) {
    this.arn = `${machine.arn.replace(':stateMachine:', ':execution:')}:${name}`;
    this.startDate = new Date(clock.now());
    this.history = new History(() => clock.now());
  }

  /** An execution of an earlier start of the engine. */
  static restore(
    machine: StateMachine,
    summary: Summary,
    events: readonly HistoryEvent[],
    clock: Clock,
    kept: KeptExecutions,
  ): Execution {
    const { name, input, definition, status, startDate, redriveCount, redrivable = false } = summary;
    const execution = new Execution(machine, name, input, clock, kept, definition);
    execution.isRedrivable = redrivable;
    execution.history = new History(() => clock.now(), events);
    const { stopDate, output, error, cause, redriveDate, historySize } = summary;
    Object.assign(execution, { status, startDate, redriveCount });
    Object.assign(execution, { stopDate, output, error, cause, redriveDate, historySize });
    return execution;
  }

  /** Begins, or goes on at `from` after a failure. `changed` is told of every status. */
  start(host: Host, changed: (execution: Execution) => void, from?: StateEntry): void {
    const trail = new Trail(this.history, this.history.events.at(-1)?.id ?? 0);
    if (from === undefined) {
      trail.add('ExecutionStarted', { input: this.input, inputDetails: INCLUDED, roleArn: this.machine.roleArn });
    } else {
      trail.add('ExecutionRedriven', { redriveCount: this.redriveCount });
    }
    this.definition = this.machine.fingerprint;
    changed(this);
    this.begin(host, changed, trail, from);
  }

  /** Goes on where an earlier start of the engine left it. */
  resume(host: Host, changed: (execution: Execution) => void, resumed?: Resumed): void {
    const trail = new Trail(this.history, this.history.events.at(-1)?.id ?? 0);
    if (resumed === undefined) trail.restart();
    this.begin(host, changed, trail, resumed?.entered, resumed);
  }

  /** Ends one that cannot go on where an earlier start of the engine left it. */
  abandon(cause: string, changed: (execution: Execution) => void): void {
    const trail = new Trail(this.history, this.history.events.length);
    this.end({ status: 'ABORTED', cause }, trail);
    this.close(changed);
  }

  /** Whether its state machine still says what it began with. */
  get isCurrent(): boolean {
    return this.definition === this.machine.fingerprint;
  }

  /** Ends the execution; resolves once it has ended. */
  async stop(error?: string, cause?: string): Promise<void> {
    if (this.status !== 'RUNNING') return;
    this.abort({ status: 'ABORTED', ...(error !== undefined && { error }), ...(cause !== undefined && { cause }) });
    await this.ended;
  }

  /** Lets go of a running execution, because the engine ends: the next start goes on with it. */
  async suspend(): Promise<void> {
    this.isSuspended = true;
    this.aborter.abort();
    await this.ended;
  }

  /** What has happened, from the disk if the execution has ended. */
  past(): Past {
    const { events } = this.history;
    return this.historySize === undefined
      ? { events, ...(this.place && { place: this.place }) }
      : this.kept.readPast(this);
  }

  /** Whether a redrive would go on somewhere. */
  get redrivable(): boolean {
    return this.isRedrivable && this.status !== 'RUNNING';
  }

  /** Makes an ended execution ready to {@link start} again. */
  reopen(): StateEntry {
    const { events, place } = this.past();
    if (!this.redrivable || place === undefined) throw new Error(`${this.arn} cannot be redriven`);
    this.history = new History(() => this.clock.now(), events);
    this.historySize = undefined;
    this.status = 'RUNNING';
    this.redriveCount += 1;
    this.redriveDate = new Date(this.clock.now());
    this.stopDate = undefined;
    this.output = this.error = this.cause = undefined;
    this.stopping = undefined;
    this.aborter = new AbortController();
    return place;
  }

  private begin(
    host: Host,
    changed: (execution: Execution) => void,
    trail: Trail,
    from?: StateEntry,
    resumed?: Resumed,
  ): void {
    this.ended = this.run(host, trail, from, resumed).then(() => {
      if (!this.isSuspended) this.close(changed);
    });
  }

  private async run(host: Host, trail: Trail, from?: StateEntry, resumed?: Resumed): Promise<void> {
    const { definition } = this.machine;
    const limit = definition.TimeoutSeconds;
    const timer = limit === undefined ? undefined : after(limit, () => this.abort({ status: 'TIMED_OUT' }));
    try {
      const output = await new Interpreter(host).run(
        definition,
        from === undefined ? JSON.parse(this.input) : from.input,
        {
          variables: new Map(from?.variables),
          trail,
          signal: this.aborter.signal,
          context: this.context(),
          entering: (place) => {
            this.place = place;
          },
          ...(this.machine.type === 'STANDARD' && { journal: this.journal() }),
        },
        from?.state,
        resumed,
      );
      this.output = JSON.stringify(output) ?? 'null';
      this.status = 'SUCCEEDED';
      trail.add('ExecutionSucceeded', { output: this.output, outputDetails: INCLUDED });
    } catch (thrown) {
      const reason =
        thrown instanceof Aborted
          ? (this.stopping ?? { status: 'ABORTED' as const })
          : { status: 'FAILED' as const, error: asStatesError(thrown).error, cause: asStatesError(thrown).reason };
      if (!this.isSuspended) this.end(reason, trail);
    } finally {
      clearTimeout(timer);
    }
  }

  private journal(): Journal {
    return {
      entered: (entered) => !this.isSuspended && this.kept.enter(this, entered),
      progressed: (progress) => !this.isSuspended && this.kept.progressed(this, progress),
    };
  }

  private end(reason: Reason, trail: Trail): void {
    this.status = reason.status;
    const details = {
      ...(reason.error !== undefined && { error: reason.error }),
      ...(reason.cause !== undefined && { cause: reason.cause }),
    };
    Object.assign(this, details);
    if (reason.status === 'TIMED_OUT') return void trail.add('ExecutionTimedOut', { error: 'States.Timeout' });
    const type = reason.status === 'ABORTED' ? 'ExecutionAborted' : 'ExecutionFailed';
    trail.add(type, details);
  }

  /** Takes its history to the disk, and tells of its end. */
  private close(changed: (execution: Execution) => void): void {
    this.stopDate = new Date(this.clock.now());
    if (this.machine.type === 'STANDARD') {
      const { events } = this.history;
      const place = this.status !== 'SUCCEEDED' && events.length < 24_999 ? this.place : undefined;
      this.isRedrivable = place !== undefined;
      this.historySize = this.kept.writePast(this, { events, ...(place && { place }) });
      this.history = new History(() => this.clock.now());
      this.place = undefined;
    }
    changed(this);
  }

  private abort(reason: Reason): void {
    this.stopping ??= reason;
    this.aborter.abort();
  }

  private context(): Record<string, unknown> {
    return {
      Execution: {
        Id: this.arn,
        Input: JSON.parse(this.input),
        Name: this.name,
        RoleArn: this.machine.roleArn,
        StartTime: this.startDate.toISOString(),
        RedriveCount: this.redriveCount,
        ...(this.redriveDate !== undefined && { RedriveTime: this.redriveDate.toISOString() }),
      },
      StateMachine: { Id: this.machine.arn, Name: this.machine.name },
    };
  }

  describe(): Shape {
    return {
      executionArn: this.arn,
      stateMachineArn: this.machine.arn,
      name: this.name,
      status: this.status,
      startDate: this.startDate,
      ...(this.stopDate !== undefined && { stopDate: this.stopDate }),
      input: this.input,
      inputDetails: { included: true },
      ...(this.output !== undefined && { output: this.output, outputDetails: { included: true } }),
      ...(this.error !== undefined && { error: this.error }),
      ...(this.cause !== undefined && { cause: this.cause }),
      redriveCount: this.redriveCount,
      ...(this.redriveDate !== undefined && { redriveDate: this.redriveDate }),
      redriveStatus: this.redrivable ? 'REDRIVABLE' : 'NOT_REDRIVABLE',
    };
  }

  summary(): Summary {
    const { arn, name, definition, status, startDate, input, redriveCount } = this;
    const { stopDate, output, error, cause, redriveDate, historySize } = this;
    return {
      ...{ arn, name, stateMachineArn: this.machine.arn, definition, status, startDate, input, redriveCount },
      ...(stopDate !== undefined && { stopDate }),
      ...(output !== undefined && { output }),
      ...(error !== undefined && { error }),
      ...(cause !== undefined && { cause }),
      ...(redriveDate !== undefined && { redriveDate }),
      ...(historySize !== undefined && { historySize }),
      ...(this.isRedrivable && { redrivable: true }),
    };
  }
}
