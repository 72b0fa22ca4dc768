import { ErrorName, PerennialError } from '../../lib/core/errors';
import { EnvName } from '../../lib/core/names';
import { flag, isObject, mapOf, number, readDocument } from '../../lib/core/shape';

/** What Lambda itself tells every function. */
type LambdaName = 'AWS_REGION' | 'AWS_LAMBDA_FUNCTION_NAME';

/** The value of an environment variable that the function's construct sets, or Lambda. */
export function env(name: EnvName | LambdaName): string {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} must be set, got nothing`);
  return value;
}

/** The handler's rules, from its construct: numbers and flags, or groups of numbers. What is not said is as by default. */
export function settings<T extends object>(defaults: T): T {
  const must = `the environment variable ${EnvName.SETTINGS} must be the rules of the function as JSON`;
  const fix = 'its construct sets it: deploy the stack again';
  let given: unknown;
  try {
    given = JSON.parse(env(EnvName.SETTINGS));
  } catch (cause) {
    throw new PerennialError(ErrorName.INVALID_DOCUMENT, `${must}, got ${(cause as Error).message}; ${fix}`, { cause });
  }
  return { ...defaults, ...(readDocument(RULES, given, must, fix) as T) };
}

const RULES = mapOf<unknown>({
  is: 'a number, a flag, or an object of numbers',
  read: (value, at, mistakes) =>
    (isObject(value) ? mapOf(number()) : typeof value === 'boolean' ? flag : number()).read(value, at, mistakes),
});
