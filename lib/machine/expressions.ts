import { LONGEST_MESSAGE } from '../core/errors';
import type { CaughtError } from '../core/train/failures';
import { expression, jsonata, type Templated } from './jsonata';

/** The id of the run: its execution's name. */
export const RUN_ID = expression<string>('$states.context.Execution.Name');

/** ISO time at which the run's execution began; the same on every retry. */
export const STARTED_AT = expression<string>('$states.context.Execution.StartTime');

/** Which try of a state this is, redrives of the execution and retries of the state: `0-0`, `0-1`, `1-0`. */
export const TRY = expression<string>(
  '$string($exists($states.context.Execution.RedriveCount) ? $states.context.Execution.RedriveCount : 0) ' +
    "& '-' & $string($states.context.State.RetryCount)",
);

/** The run's id in names that SageMaker keeps: what they may not hold, replaced; at most 17 characters. */
export const RUN_SLUG = expression<string>(`$substring($replace(${RUN_ID}, /[^a-zA-Z0-9]+/, '-'), 0, 17)`);

/** Tells this execution from every other in such names, also from one of the same id: ids come again. */
export const EXECUTION_HASH = expression<string>(`$substring($hash(${RUN_ID} & ${STARTED_AT}, 'SHA-256'), 0, 8)`);

/** Stand for an escaped backslash and an escaped quote while the quote is looked for that ends a text. */
const BACKSLASH = '\ue000';
const QUOTE = '\ue001';

/**
 * What went wrong, as `{ name, cause }`, from the error output of a Catch: Lambda's and SageMaker's causes are JSON in
 * a string, of which a person wants the message alone.
 *
 * Step Functions cuts a cause off at 32,768 characters, and `$parse` fails on half a JSON, in a Catch that nothing
 * catches. So the message is cut out of the text, whole or not; an expression that cannot fail.
 */
export const CAUGHT = {
  name: jsonata(expression<string>('$states.errorOutput.Error')),
  cause: jsonata(
    expression<string>(
      "($cause := $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : 'no cause given'; " +
        `$said := function($start) { $contains($cause, $start) ? ($escaped := $substringAfter($cause, $start); ` +
        String.raw`$text := $substringBefore($replace($replace($escaped, '\\\\', '${BACKSLASH}'), '\\"', '${QUOTE}'), '"'); ` +
        String.raw`$plain := $replace($replace($replace($text, '\\n', '\n'), '\\r', '\r'), '\\t', '\t'); ` +
        String.raw`$replace($replace($plain, '${QUOTE}', '"'), '${BACKSLASH}', '\\')) }; ` +
        `$message := $said('"errorMessage":"'); $reason := $said('"FailureReason":"'); ` +
        `$substring($substring($cause, 0, 1) != '{' ? $cause : ` +
        `$exists($message) ? $message : $exists($reason) ? $reason : $cause, 0, ${LONGEST_MESSAGE}))`,
    ),
  ),
} satisfies Templated<CaughtError>;
