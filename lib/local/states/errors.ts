/** A failure as a state machine sees it: a name to match in `Retry` and `Catch`, and a cause for people. */
export class StatesError extends Error {
  constructor(
    readonly error: string | undefined,
    readonly reason: string | undefined,
    /** The field whose expression failed, e.g. `Arguments/Key`. */
    readonly location?: string,
  ) {
    super(`${error ?? 'the state machine failed'}: ${reason ?? 'no cause given'}`);
    this.name = error ?? 'Error';
  }
}

/** The execution, or the branch that the state belongs to, was told to stop. */
export class Aborted extends Error {}

/** No `Retry` or `Catch` sees these: Step Functions fails the execution whatever the definition says. */
export const TERMINAL: readonly (string | undefined)[] = ['States.Runtime', 'States.DataLimitExceeded'];

export const QUERY_ERROR = 'States.QueryEvaluationError';

/** What anything thrown means to a state machine. */
export function asStatesError(thrown: unknown): StatesError {
  if (thrown instanceof StatesError) return thrown;
  return new StatesError('States.Runtime', thrown instanceof Error ? thrown.message : String(thrown));
}

/** The most that Step Functions passes between states, in bytes of JSON. */
export const PAYLOAD_LIMIT = 262_144;

/** The JSON of a value that a state takes or gives. */
export function payload(value: unknown, what: string): string {
  const text = JSON.stringify(value) ?? 'null';
  // A character is at most three bytes in UTF-8 (four for two characters): most payloads need no counting.
  if (text.length * 3 > PAYLOAD_LIMIT && Buffer.byteLength(text) > PAYLOAD_LIMIT) {
    throw new StatesError(
      'States.DataLimitExceeded',
      `${what} has ${Buffer.byteLength(text)} bytes, exceeding the maximum number of bytes service limit, ${PAYLOAD_LIMIT}. Pass a reference (an S3 key) instead of the data.`,
    );
  }
  return text;
}
