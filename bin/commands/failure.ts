import { PerennialError } from '../../lib/core/errors';

/** Where a command writes, and what it reads of its context; tests have their own. */
export interface CliContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder in which `cdk.out` is looked for. */
  readonly cwd: string;
  out(text: string): void;
  err(text: string): void;
}

/** A failure that its message explains to a person. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** What a person must change in the command itself. */
export class UsageError extends CommandError {}

/** What went wrong, in words for the person at the keyboard. */
export function describeError(error: unknown, endpoint: string | undefined): string {
  if (error instanceof CommandError || error instanceof PerennialError) return error.message;
  const { name, message, code } = error as Error & { code?: string };
  const codes = [code, ...((error as AggregateError).errors ?? []).map((one: { code?: string }) => one.code)];
  if (endpoint !== undefined && codes.some((one) => UNREACHABLE.has(one ?? ''))) {
    return `nothing answers at ${endpoint} (AWS_ENDPOINT_URL): start the engine with 'perennial local', or unset AWS_ENDPOINT_URL to use AWS`;
  }
  if (name === 'CredentialsProviderError') {
    return `no AWS credentials were found: configure them (aws configure, or AWS_PROFILE), or set AWS_ENDPOINT_URL to a local engine's address`;
  }
  if (/^Region is missing/.test(message)) return 'no AWS region is set: set AWS_REGION, e.g. AWS_REGION=eu-west-1';
  if (/^(ExpiredToken|UnrecognizedClient|InvalidClientTokenId|AccessDenied)/.test(name)) return `${name}: ${message}`;
  return name === 'Error' ? message : `${name}: ${message}`;
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EHOSTUNREACH',
  'ETIMEDOUT',
]);
