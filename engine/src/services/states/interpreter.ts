import type { Catcher, Machine, State } from './definition';
import { Aborted, asStatesError, EvaluationError, payload, StatesError, TERMINAL } from './errors';
import { type Frame, type Host, LONGEST_SECONDS, lost, type Runner, type Scope, unexpected } from './frame';
import { INCLUDED, type Trail } from './history';
import { runMap } from './map';
import type { Phase, Resumed } from './progress';
import { Attempts, matches } from './retry';
import { StateFailure, together } from './side-by-side';
import { runTask } from './task';

interface Step {
  readonly output: unknown;
  readonly next?: string;
}

/** Runs state machines. */
export class Interpreter implements Runner {
  constructor(readonly host: Host) {}

  /**
   * Runs a machine's states from `from`, or the first, to their end; gives the last one's output.
   *
   * @param resumed what an earlier start of the engine had begun of the first
   */
  async run(
    machine: Machine,
    input: unknown,
    scope: Scope,
    from = machine.StartAt,
    resumed?: Resumed,
  ): Promise<unknown> {
    let name: string | undefined = from;
    let value = input;
    let begun = resumed;
    while (name !== undefined) {
      if (scope.signal.aborted) throw new Aborted();
      scope.entering?.({ state: name, input: value, variables: new Map(scope.variables) });
      const state: State | undefined = machine.States[name];
      if (state === undefined) throw new StatesError('States.Runtime', `there is no state '${name}'`);
      const step: Step = await this.state(name, state, value, scope, begun);
      begun = undefined;
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

  /** Evaluates a field that must be a whole number from `least` to `most`. */
  async whole(frame: Frame, field: string, template: unknown, least: number, most?: number): Promise<number> {
    const value = await this.evaluate(frame, field, template);
    if (typeof value !== 'number') throw unexpected(field, template, 'number', value);
    if (!Number.isInteger(value)) {
      throw new EvaluationError(`The ${field} field cannot be parsed as an integer: ${value}`, field);
    }
    if (value >= least && value <= (most ?? value)) return value;
    const range = most === undefined ? 'cannot be negative.' : `must be between ${least} and ${most} but was: ${value}`;
    throw new EvaluationError(`${field} ${range}`, field);
  }

  private async state(
    name: string,
    state: State,
    input: unknown,
    scope: Scope,
    resumed: Resumed | undefined,
  ): Promise<Step> {
    const { trail, signal, journal } = scope;
    const { entered, eventId } = resumed?.entered ?? this.enter(name, state, input, scope);
    const attempts = new Attempts(state.Retry ?? [], resumed?.progress?.attempts);
    const note = (phase: Phase) => journal?.progressed({ phase, attempts: attempts.each });
    let phase = resumed?.progress?.phase;
    if (phase?.kind === 'retrying') {
      await this.until(phase.until, signal);
      phase = undefined;
    }
    for (;;) {
      const State = { Name: name, EnteredTime: entered, RetryCount: attempts.total };
      const frame: Frame = {
        name,
        state,
        eventId,
        input,
        scope,
        note,
        states: { input, context: { ...scope.context, State } },
      };
      try {
        if (signal.aborted) throw new Aborted();
        const step = await this.once(frame, phase);
        return this.exit(frame, step);
      } catch (thrown) {
        phase = undefined;
        if (signal.aborted) throw aborted(thrown, state.Type);
        const failure = this.located(frame, asStatesError(thrown));
        const seconds = attempts.next(failure, () => this.host.random());
        if (seconds !== undefined) {
          const until = this.host.clock.now() + seconds * 1000;
          note({ kind: 'retrying', until });
          await this.until(until, signal);
          if (signal.aborted) throw aborted(undefined, state.Type);
          continue;
        }
        const index = (state.Catch ?? []).findIndex((candidate) => matches(candidate, failure));
        const catcher = state.Catch?.[index];
        // Recordings of a Parallel whose failure is caught hold no ParallelStateFailed.
        const recorded = state.Type === 'Map' || (state.Type === 'Parallel' && catcher === undefined);
        if (recorded && !TERMINAL.includes(failure.error)) trail.add(`${state.Type}StateFailed`);
        if (catcher === undefined) throw new StateFailure(failure, state.Type);
        return await this.caught(frame, catcher, `Catch[${index}]/`, failure);
      }
    }
  }

  private enter(name: string, state: State, input: unknown, { trail, journal, variables }: Scope) {
    const entered = new Date(this.host.clock.now()).toISOString();
    const text = payload(input, name);
    const eventId = trail.add(`${state.Type}StateEntered`, { name, input: text, inputDetails: INCLUDED });
    // the others are over at once, and change nothing: they can be run again
    if (TAKE_TIME.includes(state.Type)) journal?.entered({ state: name, input, variables, entered, eventId });
    return { entered, eventId };
  }

  private until(time: number, signal: AbortSignal): Promise<void> {
    return this.host.clock.sleep(Math.max(0, time - this.host.clock.now()), signal);
  }

  private async caught(frame: Frame, catcher: Catcher, at: string, failure: StatesError): Promise<Step> {
    const errorOutput = {
      Error: failure.error ?? '',
      ...(failure.reason !== undefined && { Cause: failure.reason }),
    };
    const caught: Frame = { ...frame, states: { ...frame.states, errorOutput } };
    try {
      const output = await this.finish(caught, catcher, errorOutput, at);
      return this.exit(frame, { ...output, next: catcher.Next });
    } catch (thrown) {
      throw new StateFailure(this.located(frame, asStatesError(thrown)), frame.state.Type);
    }
  }

  private exit({ name, state, scope }: Frame, step: Step & { assigned?: Record<string, unknown> }): Step {
    const output = payload(step.output, name);
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

  /** Says where an expression's failure happened, as Step Functions does, and records it. */
  private located({ name, state, scope, eventId }: Frame, failure: StatesError): StatesError {
    if (!(failure instanceof EvaluationError)) return failure;
    const { error, reason, location } = failure;
    const cause = `An error occurred while executing the state '${name}' (entered at the event id #${eventId}). ${reason}`;
    const details = { error, cause, ...(location !== undefined && { location }), state: name };
    // A Wait has been entered for good before its time is looked at; the others are entered and looked at in one.
    if (state.Type === 'Wait') scope.trail.add('EvaluationFailed', details);
    else scope.trail.instead('EvaluationFailed', details);
    return new StatesError(error, cause);
  }

  /** Evaluates `Assign` and `Output`, both with the variables as they were before. */
  private async finish(
    frame: Frame,
    from: { readonly Assign?: unknown; readonly Output?: unknown },
    otherwise: unknown,
    at = '',
  ): Promise<{ output: unknown; assigned?: Record<string, unknown> }> {
    const output = 'Output' in from ? await this.evaluate(frame, `${at}Output`, from.Output) : otherwise;
    if (from.Assign === undefined) return { output };
    const assigned = (await this.evaluate(frame, `${at}Assign`, from.Assign)) as Record<string, unknown>;
    payload(assigned, frame.name);
    return { output, assigned };
  }

  /** @param begun what an earlier start of the engine had begun of it */
  private async once(frame: Frame, begun?: Phase): Promise<Step & { assigned?: Record<string, unknown> }> {
    const { state, states, input, scope } = frame;
    const next = state.End === true ? undefined : state.Next;
    switch (state.Type) {
      case 'Pass':
        return { ...(await this.finish(frame, state, 'Result' in state ? state.Result : input)), next };
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
        await this.wait(frame, begun);
        if (scope.signal.aborted) throw new Aborted();
        return { ...(await this.finish(frame, state, input)), next };
      case 'Task':
        states.result = await runTask(this, frame, begun);
        break;
      case 'Parallel':
        if (begun !== undefined) throw new StatesError('States.BranchFailed', lost('its branches'));
        frame.note({ kind: 'branches' });
        states.result = await this.parallel(frame);
        break;
      case 'Map':
        if (begun !== undefined) throw new StatesError('States.TaskFailed', lost('its iterations'));
        frame.note({ kind: 'branches' });
        states.result = await runMap(this, frame);
        break;
    }
    return { ...(await this.finish(frame, state, states.result)), next };
  }

  private async text(frame: Frame, field: string, template: unknown): Promise<string> {
    const value = await this.evaluate(frame, field, template);
    if (typeof value !== 'string') throw unexpected(field, template, 'string', value);
    return value;
  }

  private async choose(frame: Frame): Promise<Step & { assigned?: Record<string, unknown> }> {
    const { state, input } = frame;
    for (const [index, rule] of (state.Choices ?? []).entries()) {
      const at = `Choices[${index}]/`;
      const holds = await this.evaluate(frame, `${at}Condition`, rule.Condition);
      if (typeof holds !== 'boolean') throw unexpected(`${at}Condition`, rule.Condition, 'boolean', holds);
      if (holds) return { ...(await this.finish(frame, rule, input, at)), next: rule.Next };
    }
    if (state.Default === undefined) {
      throw new StatesError(
        'States.Runtime',
        `An error occurred while executing the state '${frame.name}' (entered at the event id #${frame.eventId}). Failed to transition out of the state. The state does not point to a next state.`,
      );
    }
    return { ...(await this.finish(frame, state, input)), next: state.Default };
  }

  private async wait(frame: Frame, begun: Phase | undefined): Promise<void> {
    const until = begun?.kind === 'waiting' ? begun.until : await this.endOfWait(frame);
    frame.note({ kind: 'waiting', until });
    await this.until(until, frame.scope.signal);
  }

  private async endOfWait(frame: Frame): Promise<number> {
    const { state } = frame;
    if (state.Seconds !== undefined) {
      const seconds = await this.whole(frame, 'Seconds', state.Seconds, 0, LONGEST_SECONDS);
      return this.host.clock.now() + seconds * 1000;
    }
    const timestamp = await this.evaluate(frame, 'Timestamp', state.Timestamp);
    if (typeof timestamp !== 'string') throw unexpected('Timestamp', state.Timestamp, 'string', timestamp);
    const until = instant(timestamp);
    if (until === undefined) {
      throw new EvaluationError(
        `The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: ${timestamp}`,
        'Timestamp',
      );
    }
    return until;
  }

  private async parallel(frame: Frame): Promise<unknown[]> {
    const { state, states, scope, input, name } = frame;
    const given = 'Arguments' in state ? await this.evaluate(frame, 'Arguments', state.Arguments) : input;
    scope.trail.add('ParallelStateStarted');
    const trails = (state.Branches ?? []).map(() => scope.trail.fork());
    const branches = (state.Branches ?? []).map(
      (branch, index) => (signal: AbortSignal) =>
        this.run(branch, given, {
          variables: new Map(scope.variables),
          trail: trails[index] as Trail,
          signal,
          context: states.context,
        }),
    );
    const { results, failed, left } = await together(branches, branches.length, scope.signal);
    if (failed !== undefined) {
      scope.trail.follow(trails[failed.index] as Trail);
      for (const types of left) for (const type of types) scope.trail.beside(`${type}StateAborted`);
      throw failed.failure;
    }
    scope.trail.join(trails);
    payload(results, name);
    scope.trail.aside('ParallelStateSucceeded');
    return results;
  }
}

/** The states that take time, or do something: where an execution goes on when the engine starts again. */
const TAKE_TIME: readonly string[] = ['Task', 'Wait', 'Parallel', 'Map'];

/** What an aborted state throws: the states that it leaves unfinished, itself among them if it was at work. */
function aborted(thrown: unknown, type: string): Aborted {
  const inner = thrown instanceof Aborted ? thrown.states : [];
  return new Aborted(TAKE_TIME.includes(type) ? [...inner, type] : inner);
}

const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/i;

/** Milliseconds since the epoch; undefined for what is no RFC 3339 timestamp, or no real date. */
function instant(value: string): number | undefined {
  const parts = TIMESTAMP.exec(value);
  if (parts === null) return undefined;
  const [text, year, month, day] = parts;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  const time = Date.parse(text);
  return Number(month) > 12 || Number(day) > days || Number(day) === 0 || Number.isNaN(time) ? undefined : time;
}
