import { runKeys } from '../core/names';

/** The id of the run: its execution's name. */
export const RUN_ID = '$states.context.Execution.Name';

/** ISO time at which the run's execution began; the same on every retry. */
export const STARTED_AT = '$states.context.Execution.StartTime';

/** Which try of a state this is, redrives of the execution and retries of the state: `0-0`, `0-1`, `1-0`. */
export const TRY =
  '$string($exists($states.context.Execution.RedriveCount) ? $states.context.Execution.RedriveCount : 0) ' +
  "& '-' & $string($states.context.State.RetryCount)";

/** A JSONata field. */
export const jsonata = (expression: string) => `{% ${expression} %}`;

/**
 * The S3 address of one of the run's documents, as JSONata; the variable `$data` holds `s3://<bucket>/`.
 *
 * @param key picks the document from {@link runKeys}
 * @param below an expression for what comes after the key
 */
export function runUri(key: (keys: ReturnType<typeof runKeys>) => string, below?: string): string {
  const [before, after] = key(runKeys('\0')).split('\0');
  return jsonata(`$data & '${before}' & ${RUN_ID} & '${after}'${below === undefined ? '' : ` & ${below}`}`);
}

/**
 * What went wrong, as `{ name, cause }`, from the error output of a Catch: Lambda's and SageMaker's
 * causes are JSON in a string, of which a person wants the message alone.
 */
export const CAUGHT = {
  name: jsonata('$states.errorOutput.Error'),
  cause: jsonata(
    '($cause := $states.errorOutput.Cause; $said := $substring($cause, 0, 1) = "{" ? $parse($cause); ' +
      '$exists($said.errorMessage) ? $said.errorMessage : $exists($said.FailureReason) ? $said.FailureReason : ' +
      '$exists($cause) ? $cause : "no cause given")',
  ),
};
