import { PerennialError } from '../errors';
import { shortened } from '../listed';
import { type Failure, failed, NOT_BEGUN, type Range, type Search, untried, worked } from './search';

/** Codes of a network that failed for a moment. */
const NETWORK = new Set([
  ...['ECONNRESET', 'ECONNREFUSED', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH'],
  ...['ENETUNREACH', 'ERR_STREAM_PREMATURE_CLOSE', 'UND_ERR_SOCKET'],
]);

/** Codes and messages of a memory or a disk that is full. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'ENOMEM', 'ERR_MEMORY_ALLOCATION_FAILED', 'ERR_STRING_TOO_LONG']);
const FULL_MESSAGE =
  /Out of Memory|No space left|max_temp_directory_size|Array buffer allocation failed|Invalid string length|bad_alloc/i;

interface AnyError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  /** Of what a service of AWS's answered. */
  readonly $metadata?: unknown;
  readonly cause?: unknown;
}

/**
 * What an error says about the data that was being prepared.
 *
 * @returns undefined if it says nothing about it: a service refused a call, or the network failed for a moment
 */
export function kindOf(error: unknown): Exclude<Failure['kind'], 'DIED'> | undefined {
  const { name = '', message = '', code = '', $metadata } = (error ?? {}) as AnyError;
  if (FULL.has(code) || FULL_MESSAGE.test(message)) return 'CAPACITY';
  return NETWORK.has(code) || name === 'TimeoutError' || $metadata !== undefined ? undefined : 'FAULT';
}

/** The words of an error, with its name if it says anything. */
function wordsOf(error: unknown): string {
  const { name = 'Error', message = String(error) } = (error ?? {}) as AnyError;
  return name === 'Error' ? message : `${name}: ${message}`;
}

/** Characters of a failure that are noted. */
const MOST_WORDS = 500;

/** What was being done when an error came. */
export interface Attempted {
  readonly step: 'PREPARE' | 'TRY';
  readonly range: Range;
  /** The files that were being read; absent if all were read. */
  readonly reading?: Range;
}

/**
 * The search after an error, and whether it goes on; if it does not, the error ends the attempt.
 *
 * An error of ours says itself what is wrong with which file. To what is only tried that is as good as success, because
 * the run says it when it reads those files itself.
 */
export function afterError(
  search: Search,
  { step, range, reading }: Attempted,
  error: unknown,
): { readonly search: Search; readonly goesOn: boolean } {
  if (error instanceof PerennialError) {
    return step === 'TRY' ? { search: worked(search, range), goesOn: true } : { search: NOT_BEGUN, goesOn: false };
  }
  const kind = kindOf(error);
  if (kind === undefined) return { search: untried(search), goesOn: false };
  const because = shortened(wordsOf(error), MOST_WORDS);
  return { search: failed(search, { range, kind, because, ...(reading && { reading }) }), goesOn: true };
}
