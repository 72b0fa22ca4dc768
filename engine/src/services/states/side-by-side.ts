import { Aborted, asStatesError, StatesError, TERMINAL } from './errors';

/** A state's failure that nothing in its scope caught. */
export class StateFailure extends StatesError {
  constructor(
    { error, reason }: StatesError,
    readonly type: string,
  ) {
    super(error, reason);
  }
}

/** How work that was done side by side ended. */
export interface Ends<T> {
  readonly results: T[];
  /** The first that failed. */
  readonly failed?: { readonly index: number; readonly failure: StatesError };
  /** The types of the states that each left unfinished, where a failure stopped it or is its own. */
  readonly left: readonly (readonly string[])[];
}

/** Runs work in order, at most `width` at once. The first failure stops the rest; all have ended when this does. */
export async function together<T>(
  work: readonly ((signal: AbortSignal) => Promise<T>)[],
  width: number,
  outer: AbortSignal,
): Promise<Ends<T>> {
  const stop = new AbortController();
  const results = new Array<T>(work.length);
  const left = work.map((): readonly string[] => []);
  let failed: Ends<T>['failed'];
  const abort = () => stop.abort();
  outer.addEventListener('abort', abort);
  if (outer.aborted) abort();
  let started = 0;
  const worker = async () => {
    while (started < work.length && !stop.signal.aborted) {
      const index = started++;
      try {
        results[index] = await (work[index] as (signal: AbortSignal) => Promise<T>)(stop.signal);
      } catch (thrown) {
        if (thrown instanceof Aborted) left[index] = thrown.states;
        else {
          failed ??= { index, failure: asStatesError(thrown) };
          left[index] = unfinished(thrown);
        }
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, work.length) }, worker));
  outer.removeEventListener('abort', abort);
  if (outer.aborted) throw new Aborted(left.flat());
  return { results, left, ...(failed !== undefined && { failed }) };
}

/** A Task whose failure ends its branch counts as aborted there, on top of having failed. */
function unfinished(thrown: unknown): readonly string[] {
  const own = thrown instanceof StateFailure && thrown.type === 'Task' && !TERMINAL.includes(thrown.error);
  return own ? ['Task'] : [];
}
