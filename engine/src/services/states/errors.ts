export const QUERY_ERROR = 'States.QueryEvaluationError';

/** A failure as a state machine sees it: a name to match in `Retry` and `Catch`, and a cause for people. */
export class StatesError extends Error {
  constructor(
    readonly error: string | undefined,
    readonly reason: string | undefined,
  ) {
    super(`${error ?? 'the state machine failed'}: ${reason ?? 'no cause given'}`);
    this.name = error ?? 'Error';
  }
}

/** An expression failed, or gave what its field does not take. */
export class EvaluationError extends StatesError {
  constructor(
    reason: string,
    /** The field, e.g. `Arguments/Key`; none where AWS names none. */
    readonly location?: string,
  ) {
    super(QUERY_ERROR, reason);
  }
}

/** A Task sent no heartbeat in time: history says `States.Timeout`, `Retry` and `Catch` may tell the two apart. */
export class HeartbeatTimeout extends StatesError {
  constructor() {
    super('States.Timeout', undefined);
  }
}

/** The execution, or the branch that the state belongs to, was told to stop. */
export class Aborted extends Error {
  constructor(
    /** The types of the states that were left unfinished, the innermost first. */
    readonly states: readonly string[] = [],
  ) {
    super('told to stop');
  }
}

/** No `Retry` or `Catch` sees these: Step Functions fails the execution whatever the definition says. */
export const TERMINAL: readonly (string | undefined)[] = ['States.Runtime', 'States.DataLimitExceeded'];

/** What anything thrown means to a state machine. */
export function asStatesError(thrown: unknown): StatesError {
  if (thrown instanceof StatesError) return thrown;
  return new StatesError('States.Runtime', thrown instanceof Error ? thrown.message : String(thrown));
}

/** The most that Step Functions passes between states, in bytes of JSON. */
export const PAYLOAD_LIMIT = 262_144;

/** The JSON of what a state, or the task of one, takes or gives. */
export function payload(value: unknown, who: string): string {
  const text = JSON.stringify(value) ?? 'null';
  // A character is at most three bytes in UTF-8 (four for two characters): most payloads need no counting.
  if (text.length * 3 > PAYLOAD_LIMIT && Buffer.byteLength(text) > PAYLOAD_LIMIT) {
    throw new StatesError(
      'States.DataLimitExceeded',
      `The state/task '${who}' returned a result with a size exceeding the maximum number of bytes service limit.`,
    );
  }
  return text;
}
