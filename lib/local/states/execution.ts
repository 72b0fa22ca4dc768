import type { Clock } from '../clock';
import type { Shape } from '../service';
import type { Machine } from './definition';
import { Aborted, asStatesError } from './errors';
import { History, type HistoryEvent, INCLUDED, Trail } from './history';
import { type Host, Interpreter, type Place } from './interpreter';
import { after } from './task';

export type Status = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

/** A state machine of the template. */
export interface StateMachine {
  readonly arn: string;
  readonly name: string;
  readonly roleArn: string;
  readonly type: 'STANDARD' | 'EXPRESS';
  readonly definition: Machine;
  readonly created: Date;
}

/** An execution as it is kept on disk, between runs of the engine. */
export interface StoredExecution {
  readonly name: string;
  readonly stateMachineArn: string;
  readonly status: Status;
  readonly startDate: number;
  readonly stopDate?: number;
  readonly input: string;
  readonly output?: string;
  readonly error?: string;
  readonly cause?: string;
  readonly redriveCount: number;
  readonly redriveDate?: number;
  readonly failedAt?: { readonly state: string; readonly input: unknown; readonly variables: [string, unknown][] };
  readonly events: readonly (Omit<HistoryEvent, 'timestamp'> & { timestamp: string })[];
}

/** One execution of a state machine: runs it, and knows what DescribeExecution says. */
export class Execution {
  status: Status = 'RUNNING';
  readonly arn: string;
  startDate: Date;
  stopDate?: Date;
  output?: string;
  error?: string;
  cause?: string;
  redriveCount = 0;
  history: History;
  /** Resolves once the execution is over. */
  ended: Promise<void> = Promise.resolve();
  private redriveDate?: Date;
  private place?: Place;
  private stopping?: { readonly status: 'ABORTED' | 'TIMED_OUT'; readonly error?: string; readonly cause?: string };
  private aborter = new AbortController();

  constructor(
    readonly machine: StateMachine,
    readonly name: string,
    readonly input: string,
    private readonly clock: Clock,
  ) {
    this.arn = `${machine.arn.replace(':stateMachine:', ':execution:')}:${name}`;
    this.startDate = new Date(clock.now());
    this.history = new History(() => clock.now());
  }

  /** Begins, or goes on at `from` after a failure. `changed` is told of every status. */
  start(host: Host, changed: (execution: Execution) => void, from?: Place): void {
    const trail = new Trail(this.history, this.history.events.at(-1)?.id ?? 0);
    if (from === undefined) {
      trail.add('ExecutionStarted', { input: this.input, inputDetails: INCLUDED, roleArn: this.machine.roleArn });
    } else {
      trail.add('ExecutionRedriven', { redriveCount: this.redriveCount });
    }
    changed(this);
    this.ended = this.run(host, trail, from).then(() => {
      this.stopDate = new Date(this.clock.now());
      changed(this);
    });
  }

  /** Ends the execution; resolves once it has ended. */
  async stop(error?: string, cause?: string): Promise<void> {
    if (this.status !== 'RUNNING') return;
    this.abort({ status: 'ABORTED', ...(error !== undefined && { error }), ...(cause !== undefined && { cause }) });
    await this.ended;
  }

  /** Where a redrive would go on; undefined if there is nothing to redrive. */
  get redrivable(): Place | undefined {
    const over = this.status !== 'RUNNING' && this.status !== 'SUCCEEDED';
    return over && this.machine.type === 'STANDARD' && this.history.events.length < 24_999 ? this.place : undefined;
  }

  /** Makes an ended execution ready to {@link start} again. */
  reopen(): Place {
    const place = this.redrivable;
    if (place === undefined) throw new Error(`${this.arn} cannot be redriven`);
    this.status = 'RUNNING';
    this.redriveCount += 1;
    this.redriveDate = new Date(this.clock.now());
    this.stopDate = undefined;
    this.output = this.error = this.cause = undefined;
    this.stopping = undefined;
    this.aborter = new AbortController();
    return place;
  }

  private async run(host: Host, trail: Trail, from: Place | undefined): Promise<void> {
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
        },
        from?.state,
      );
      this.output = JSON.stringify(output) ?? 'null';
      this.status = 'SUCCEEDED';
      trail.add('ExecutionSucceeded', { output: this.output, outputDetails: INCLUDED });
    } catch (thrown) {
      const reason =
        thrown instanceof Aborted
          ? (this.stopping ?? { status: 'ABORTED' as const })
          : { status: 'FAILED' as const, error: asStatesError(thrown).error, cause: asStatesError(thrown).reason };
      this.end(reason, trail);
    } finally {
      clearTimeout(timer);
    }
  }

  private end(reason: { status: Status; error?: string | undefined; cause?: string | undefined }, trail: Trail): void {
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

  private abort(reason: NonNullable<Execution['stopping']>): void {
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
      redriveStatus: this.redrivable === undefined ? 'NOT_REDRIVABLE' : 'REDRIVABLE',
    };
  }

  stored(): StoredExecution {
    const { name, status, input, output, error, cause, redriveCount, place } = this;
    return {
      name,
      stateMachineArn: this.machine.arn,
      status,
      startDate: this.startDate.getTime(),
      ...(this.stopDate !== undefined && { stopDate: this.stopDate.getTime() }),
      input,
      ...(output !== undefined && { output }),
      ...(error !== undefined && { error }),
      ...(cause !== undefined && { cause }),
      redriveCount,
      ...(this.redriveDate !== undefined && { redriveDate: this.redriveDate.getTime() }),
      ...(place !== undefined &&
        status !== 'SUCCEEDED' && {
          failedAt: { state: place.state, input: place.input, variables: [...place.variables] },
        }),
      events: this.history.events.map((event) => ({ ...event, timestamp: event.timestamp.toISOString() })),
    };
  }

  /** An execution of an earlier run of the engine; one that was running then has been aborted by its end. */
  static restore(machine: StateMachine, kept: StoredExecution, clock: Clock): Execution {
    const execution = new Execution(machine, kept.name, kept.input, clock);
    const { status, output, error, cause, redriveCount } = kept;
    Object.assign(execution, { status, output, error, cause, redriveCount });
    execution.startDate = new Date(kept.startDate);
    if (kept.stopDate !== undefined) execution.stopDate = new Date(kept.stopDate);
    if (kept.redriveDate !== undefined) execution.redriveDate = new Date(kept.redriveDate);
    if (kept.failedAt !== undefined) {
      execution.place = { ...kept.failedAt, variables: new Map(kept.failedAt.variables) };
    }
    const events = kept.events.map((event) => ({ ...event, timestamp: new Date(event.timestamp) }) as HistoryEvent);
    execution.history = new History(() => clock.now(), events);
    if (status === 'RUNNING') {
      const trail = new Trail(execution.history, events.length);
      execution.end({ status: 'ABORTED', cause: 'The local engine ended while this execution was running.' }, trail);
      execution.stopDate = new Date(clock.now());
    }
    return execution;
  }
}
