import type { Clock } from '../../engine/clock';
import type { Machine, State } from './definition';
import { EvaluationError, type StatesError } from './errors';
import type { Trail } from './history';
import { type Evaluator, expression } from './jsonata';
import type { Journal, Phase, Report, StateEntry } from './progress';

/** What an execution needs of the world around it. */
export interface Host {
  readonly clock: Clock;
  readonly evaluator: Evaluator;
  readonly region: string;
  random(): number;
  /** Does a Task's work; rejects with a {@link StatesError}. */
  task(call: TaskCall): Promise<unknown>;
  /** A new task token, or one of an earlier start of the engine, and what its holder will report. */
  token(known?: string): PendingToken;
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
  /** Told of the report before its sender is answered. */
  reported?: (report: Report) => void;
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
  readonly entering?: (place: StateEntry) => void;
  /** Of the outermost scope. */
  readonly journal?: Journal;
}

/** A state at work: what its fields are evaluated with. */
export interface Frame {
  readonly name: string;
  readonly state: State;
  /** The event that recorded the state's entry. */
  readonly eventId: number;
  readonly input: unknown;
  readonly scope: Scope;
  /** Keeps what has been begun, so that a restart of the engine does not begin it again. */
  note(phase: Phase): void;
  /** `$states` */
  readonly states: { input: unknown; context: Record<string, unknown>; result?: unknown; errorOutput?: unknown };
}

/** What a Task asks of the outside. */
export interface TaskCall {
  readonly resource: Resource;
  readonly arguments: unknown;
  /** The role that `Credentials` names; none: the state machine's own. */
  readonly roleArn?: string;
  /** Aborts when nobody waits for the result any more; not after a result. */
  readonly signal: AbortSignal;
  /** Tells the history that the work is under way, with what the service answered. */
  submitted(output: unknown): void;
  /** What the service answered when an earlier start of the engine submitted it: it is to be waited for alone. */
  readonly resumed?: { readonly answer: unknown };
}

/** A Task's `Resource`, taken apart. */
export interface Resource {
  readonly arn: string;
  /** e.g. `sagemaker`, `aws-sdk:sagemaker`; `lambda-function` for a function's own ARN */
  readonly type: string;
  /** e.g. `createTrainingJob` */
  readonly action: string;
  readonly pattern?: 'sync' | 'sync:2' | 'waitForTaskToken';
}

/** What runs states, as those see it that do the work of one: {@link import('./interpreter').Interpreter}. */
export interface Runner {
  readonly host: Host;
  run(machine: Machine, input: unknown, scope: Scope): Promise<unknown>;
  evaluate(frame: Frame, field: string, template: unknown): Promise<unknown>;
  whole(frame: Frame, field: string, template: unknown, least: number, most?: number): Promise<number>;
}

/** Why something that was under way when the engine ended counts as failed. */
export function lost(what: string): string {
  return `The local engine ended while the state was at work; how far ${what} had come is not known.`;
}

/** The failure of an expression that gave another kind of thing than its field takes. */
export function unexpected(field: string, template: unknown, expected: string, got: unknown): EvaluationError {
  const kind = got === null ? 'null' : Array.isArray(got) ? 'array' : typeof got;
  const source = typeof template === 'string' ? (expression(template) ?? template) : JSON.stringify(template);
  return new EvaluationError(
    `The JSONata expression '${source}' specified for the field '${field}' returned an unexpected result type. Expected '${expected}', but was '${kind}' for value: ${JSON.stringify(got)}`,
    field,
  );
}

/** The most seconds that a state may wait, or a Task may take. */
export const LONGEST_SECONDS = 99_999_999;
