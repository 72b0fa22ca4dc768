import type { Clock } from '../clock';
import type { Catcher, Machine, State } from './definition';
import { Aborted, asStatesError, payload, QUERY_ERROR, StatesError } from './errors';
import { INCLUDED, type Trail } from './history';
import type { Evaluator } from './jsonata';
import { runMap } from './map';
import { Attempts, matches } from './retry';
import { runTask, type TaskCall } from './task';

/** What an execution needs of the world around it. */
export interface Host {
  readonly clock: Clock;
  readonly evaluator: Evaluator;
  readonly region: string;
  random(): number;
  /** Does a Task's work; rejects with a {@link StatesError}. */
  task(call: TaskCall): Promise<unknown>;
  /** A new task token, and what its holder will report. */
  token(): PendingToken;
  /** Told when a Distributed Map begins; throws if the role may not start its executions. */
  distribute(): void;
  /** The items of a Distributed Map. */
  read(reader: ReaderCall): Promise<unknown[]>;
  /** Stores a Distributed Map's results; gives what the state returns instead of them. */
  write(writer: WriterCall): Promise<unknown>;
}

export interface PendingToken {
  readonly token: string;
  readonly result: Promise<unknown>;
  /** Milliseconds since the epoch of the last sign of life. */
  lastSign(): number;
  forget(): void;
}

export interface ReaderCall {
  readonly resource: string;
  readonly arguments: Record<string, unknown>;
  readonly config: Record<string, unknown>;
}

export interface WriterCall {
  readonly arguments: Record<string, unknown>;
  readonly mapRunArn: string;
  readonly results: readonly MapResult[];
}

export interface MapResult {
  readonly input: unknown;
  readonly output?: unknown;
  readonly error?: StatesError;
}

/** What the states of one scope share. */
export interface Scope {
  readonly variables: Map<string, unknown>;
  readonly trail: Trail;
  readonly signal: AbortSignal;
  readonly context: Record<string, unknown>;
  /** Told before each state of the outermost scope; where a redrive goes on. */
  readonly entering?: (place: Place) => void;
}

/** A state about to run. */
export interface Place {
  readonly state: string;
  readonly input: unknown;
  readonly variables: ReadonlyMap<string, unknown>;
}

/** A state at work: what its fields are evaluated with. */
export interface Frame {
  readonly name: string;
  readonly state: State;
  readonly input: unknown;
  readonly scope: Scope;
  /** `$states` */
  readonly states: { input: unknown; context: Record<string, unknown>; result?: unknown; errorOutput?: unknown };
}

interface Step {
  readonly output: unknown;
  readonly next?: string;
}

/** Runs state machines. */
export class Interpreter {
  constructor(readonly host: Host) {}

  /** Runs a machine's states from `from`, or the first, to their end; gives the last one's output. */
  async run(machine: Machine, input: unknown, scope: Scope, from = machine.StartAt): Promise<unknown> {
    let name: string | undefined = from;
    let value = input;
    while (name !== undefined) {
      if (scope.signal.aborted) throw new Aborted();
      scope.entering?.({ state: name, input: value, variables: new Map(scope.variables) });
      const state: State | undefined = machine.States[name];
      if (state === undefined) throw new StatesError('States.Runtime', `there is no state '${name}'`);
      const step: Step = await this.state(name, state, value, scope);
      value = step.output;
      name = step.next;
    }
    return value;
  }

  /** Evaluates a field of a state. */
  evaluate(frame: Frame, field: string, template: unknown): Promise<unknown> {
    const bindings: Record<string, unknown> = Object.fromEntries(frame.scope.variables);
    bindings.states = frame.states;
    return this.host.evaluator.evaluate(template, bindings, field);
  }

  /** Evaluates a field that must be a whole number of at least `least`. */
  async whole(frame: Frame, field: string, template: unknown, least: number): Promise<number> {
    const value = await this.evaluate(frame, field, template);
    if (typeof value === 'number' && Number.isInteger(value) && value >= least) return value;
    throw unexpected(field, template, `a whole number of at least ${least}`, value);
  }

  private async state(name: string, state: State, input: unknown, scope: Scope): Promise<Step> {
    const { trail, signal } = scope;
    const entered = new Date(this.host.clock.now()).toISOString();
    const text = payload(input, `The input of the state '${name}'`);
    const eventId = trail.add(`${state.Type}StateEntered`, { name, input: text, inputDetails: INCLUDED });
    const attempts = new Attempts(state.Retry ?? []);
    for (;;) {
      const State = { Name: name, EnteredTime: entered, RetryCount: attempts.total };
      const frame: Frame = { name, state, input, scope, states: { input, context: { ...scope.context, State } } };
      try {
        const step = await this.once(frame);
        return this.exit(frame, step);
      } catch (thrown) {
        if (signal.aborted) {
          if (['Task', 'Wait', 'Map', 'Parallel'].includes(state.Type)) trail.add(`${state.Type}StateAborted`);
          throw new Aborted();
        }
        const failure = this.located(frame, asStatesError(thrown), eventId);
        const unfinished = thrown instanceof BranchFailure ? thrown.unfinished : [];
        const seconds = attempts.next(failure, () => this.host.random());
        if (seconds !== undefined) {
          for (const type of unfinished) trail.add(`${type}StateAborted`);
          await this.host.clock.sleep(seconds * 1000, signal);
          if (!signal.aborted) continue;
          trail.add(`${state.Type}StateAborted`);
          throw new Aborted();
        }
        const catcher = (state.Catch ?? []).find((candidate) => matches(candidate, failure));
        if (state.Type === 'Map') trail.add('MapStateFailed');
        else if (state.Type === 'Parallel' && catcher === undefined) trail.add('ParallelStateFailed');
        else for (const type of unfinished) trail.add(`${type}StateAborted`);
        if (catcher === undefined) throw new StateFailure(failure, state.Type);
        return await this.caught(frame, catcher, failure, eventId);
      }
    }
  }

  private async caught(frame: Frame, catcher: Catcher, failure: StatesError, eventId: number): Promise<Step> {
    const errorOutput = {
      Error: failure.error ?? '',
      ...(failure.reason !== undefined && { Cause: failure.reason }),
    };
    const caught: Frame = { ...frame, states: { ...frame.states, errorOutput } };
    try {
      const output = await this.finish(caught, catcher, errorOutput);
      return this.exit(frame, { ...output, next: catcher.Next });
    } catch (thrown) {
      throw new StateFailure(this.located(frame, asStatesError(thrown), eventId), frame.state.Type);
    }
  }

  private exit({ name, state, scope }: Frame, step: Step & { assigned?: Record<string, unknown> }): Step {
    const output = payload(step.output, `The output of the state '${name}'`);
    for (const [variable, value] of Object.entries(step.assigned ?? {})) scope.variables.set(variable, value);
    const assigned = Object.entries(step.assigned ?? {}).map(([key, value]) => [key, JSON.stringify(value)]);
    scope.trail.add(`${state.Type}StateExited`, {
      name,
      output,
      outputDetails: INCLUDED,
      ...(assigned.length > 0 && {
        assignedVariables: Object.fromEntries(assigned),
        assignedVariablesDetails: INCLUDED,
      }),
    });
    return { output: step.output, next: step.next };
  }

  /** Records an expression's failure, and says where it happened as Step Functions does. */
  private located({ name, scope }: Frame, failure: StatesError, eventId: number): StatesError {
    if (failure.error !== QUERY_ERROR && failure.error !== 'States.DataLimitExceeded') return failure;
    if (failure.error === QUERY_ERROR && failure.location !== undefined) {
      const { error, reason: cause, location } = failure;
      scope.trail.add('EvaluationFailed', { error, cause, location, state: name });
    }
    return new StatesError(
      failure.error,
      `An error occurred while executing the state '${name}' (entered at the event id #${eventId}). ${failure.reason}`,
    );
  }

  /** Evaluates `Assign` and `Output`, both with the variables as they were before. */
  private async finish(
    frame: Frame,
    from: { readonly Assign?: unknown; readonly Output?: unknown },
    otherwise: unknown,
  ): Promise<{ output: unknown; assigned?: Record<string, unknown> }> {
    const output = 'Output' in from ? await this.evaluate(frame, 'Output', from.Output) : otherwise;
    if (from.Assign === undefined) return { output };
    const assigned = (await this.evaluate(frame, 'Assign', from.Assign)) as Record<string, unknown>;
    payload(assigned, `The variables that the state '${frame.name}' assigns`);
    return { output, assigned };
  }

  private async once(frame: Frame): Promise<Step & { assigned?: Record<string, unknown> }> {
    const { state, states, input, scope } = frame;
    const next = state.End === true ? undefined : state.Next;
    switch (state.Type) {
      case 'Pass':
        return { ...(await this.finish(frame, state, input)), next };
      case 'Succeed':
        return await this.finish(frame, state, input);
      case 'Fail': {
        const error = state.Error === undefined ? undefined : await this.text(frame, 'Error', state.Error);
        const cause = state.Cause === undefined ? undefined : await this.text(frame, 'Cause', state.Cause);
        throw new StatesError(error, cause);
      }
      case 'Choice':
        return await this.choose(frame);
      case 'Wait':
        await this.wait(frame);
        if (scope.signal.aborted) throw new Aborted();
        return { ...(await this.finish(frame, state, input)), next };
      case 'Task':
        states.result = await runTask(this, frame);
        break;
      case 'Parallel':
        states.result = await this.parallel(frame);
        break;
      case 'Map':
        states.result = await runMap(this, frame);
        break;
    }
    return { ...(await this.finish(frame, state, states.result)), next };
  }

  private async text(frame: Frame, field: string, template: unknown): Promise<string> {
    const value = await this.evaluate(frame, field, template);
    if (typeof value !== 'string') throw unexpected(field, template, "'string'", value);
    return value;
  }

  private async choose(frame: Frame): Promise<Step & { assigned?: Record<string, unknown> }> {
    const { state, input } = frame;
    for (const [index, rule] of (state.Choices ?? []).entries()) {
      const field = `Choices[${index}]/Condition`;
      const holds = await this.evaluate(frame, field, rule.Condition);
      if (typeof holds !== 'boolean') throw unexpected(field, rule.Condition, "'boolean'", holds);
      if (holds) return { ...(await this.finish(frame, rule, input)), next: rule.Next };
    }
    if (state.Default === undefined) {
      throw new StatesError('States.NoChoiceMatched', 'No choice rule holds, and the state has no Default');
    }
    return { ...(await this.finish(frame, state, input)), next: state.Default };
  }

  private async wait(frame: Frame): Promise<void> {
    const { state, scope } = frame;
    const { clock } = this.host;
    if (state.Seconds !== undefined) {
      const seconds = await this.evaluate(frame, 'Seconds', state.Seconds);
      if (!(Number.isInteger(seconds) && Number(seconds) >= 0 && Number(seconds) <= 99_999_999)) {
        throw unexpected('Seconds', state.Seconds, 'a whole number from 0 to 99999999', seconds);
      }
      return await clock.sleep(Number(seconds) * 1000, scope.signal);
    }
    const timestamp = await this.evaluate(frame, 'Timestamp', state.Timestamp);
    const until = instant(timestamp);
    if (until === undefined) {
      throw unexpected('Timestamp', state.Timestamp, "an RFC 3339 timestamp like '2026-11-23T12:00:00Z'", timestamp);
    }
    await clock.sleep(Math.max(0, until - clock.now()), scope.signal);
  }

  private async parallel(frame: Frame): Promise<unknown[]> {
    const { state, states, scope, input } = frame;
    const given = 'Arguments' in state ? await this.evaluate(frame, 'Arguments', state.Arguments) : input;
    scope.trail.add('ParallelStateStarted');
    const branches = (state.Branches ?? []).map(
      (branch) => (signal: AbortSignal) =>
        this.run(branch, given, {
          variables: new Map(scope.variables),
          trail: scope.trail.fork(),
          signal,
          context: states.context,
        }),
    );
    const results = await together(branches, branches.length, scope.signal);
    payload(results, `The result of the state '${frame.name}'`);
    scope.trail.add('ParallelStateSucceeded');
    return results;
  }
}

/** A state's failure that nothing in its scope caught. */
class StateFailure extends StatesError {
  constructor(
    { error, reason }: StatesError,
    readonly type: string,
  ) {
    super(error, reason);
  }
}

/** The failure of a branch; with the types of the states that it leaves unfinished. */
class BranchFailure extends StatesError {
  readonly unfinished: readonly string[];

  constructor(thrown: unknown) {
    const failure = asStatesError(thrown);
    super(failure.error, failure.reason);
    this.unfinished = thrown instanceof StateFailure && thrown.type === 'Task' ? [thrown.type] : [];
  }
}

/**
 * Runs work in order, at most `width` at once. The first failure stops the rest, and is
 * thrown once they have stopped.
 */
export async function together<T>(
  work: readonly ((signal: AbortSignal) => Promise<T>)[],
  width: number,
  outer: AbortSignal,
): Promise<T[]> {
  const stop = new AbortController();
  const results = new Array<T>(work.length);
  const failures: unknown[] = [];
  const abort = () => stop.abort();
  outer.addEventListener('abort', abort);
  if (outer.aborted) abort();
  let started = 0;
  const worker = async () => {
    while (started < work.length && !stop.signal.aborted) {
      const index = started++;
      try {
        results[index] = await (work[index] as (signal: AbortSignal) => Promise<T>)(stop.signal);
      } catch (error) {
        if (!(error instanceof Aborted)) failures.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, work.length) }, worker));
  outer.removeEventListener('abort', abort);
  if (outer.aborted) throw new Aborted();
  if (failures.length > 0) throw new BranchFailure(failures[0]);
  return results;
}

/** The failure of an expression, or of a literal, that gave another thing than its field takes. */
export function unexpected(field: string, template: unknown, expected: string, got: unknown): StatesError {
  const kind = got === null ? 'null' : Array.isArray(got) ? 'array' : typeof got;
  return new StatesError(
    QUERY_ERROR,
    `The value '${typeof template === 'string' ? template : JSON.stringify(template)}' specified for the field '${field}' returned an unexpected result. Expected ${expected}, but was '${kind}' for value: ${JSON.stringify(got)}`,
    field,
  );
}

const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch; undefined for what is no RFC 3339 timestamp, or no real date. */
function instant(value: unknown): number | undefined {
  const parts = typeof value === 'string' ? TIMESTAMP.exec(value) : null;
  if (parts === null) return undefined;
  const [text, year, month, day] = parts;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  const time = Date.parse(text);
  return Number(month) > 12 || Number(day) > days || Number(day) === 0 || Number.isNaN(time) ? undefined : time;
}
