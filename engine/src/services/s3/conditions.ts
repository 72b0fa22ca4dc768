import type { IncomingMessage } from 'node:http';
import { ApiError } from '../../service';
import type { ObjectVersion } from './store';

/**
 * Checks the `If-…` headers of a read, or of a copy's source with their prefix.
 *
 * @returns whether the client has the object already (304)
 */
export function unmodified(request: IncomingMessage, version: ObjectVersion, prefix = ''): boolean {
  const header = (name: string) => request.headers[`${prefix}${name}`] as string | undefined;
  const ifMatch = header('if-match');
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) throw preconditionFailed('If-Match');
  } else if (version.lastModified > (time(header('if-unmodified-since')) ?? Number.POSITIVE_INFINITY)) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  const ifNoneMatch = header('if-none-match');
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, version.etag);
  return version.lastModified <= (time(header('if-modified-since')) ?? Number.NEGATIVE_INFINITY);
}

/** Checks the `If-…` headers of a write against what is there. */
export function checkWrite(request: IncomingMessage, current: ObjectVersion | undefined): void {
  const ifNoneMatch = request.headers['if-none-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new ApiError('NotImplemented', `If-None-Match of a write must be '*', got '${ifNoneMatch}'`, 501);
  }
  if (ifNoneMatch !== undefined && current) throw preconditionFailed('If-None-Match');
  const ifMatch = request.headers['if-match'];
  if (ifMatch === undefined) return;
  if (!current) throw new ApiError('NoSuchKey', 'The specified key does not exist.', 404);
  if (!matches(ifMatch, current.etag)) throw preconditionFailed('If-Match');
}

export function preconditionFailed(condition: string): ApiError {
  return new ApiError('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', 412, {
    Condition: condition,
  });
}

function matches(header: string, etag: string): boolean {
  return header.split(',').some((one) => {
    const wanted = one.trim().replace(/^W\//, '').replace(/^"|"$/g, '');
    return wanted === '*' || wanted === etag;
  });
}

function time(header: string | undefined): number | undefined {
  const parsed = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(parsed) ? undefined : parsed;
}

/** The bytes that a `Range` header asks for; undefined if it asks for none that S3 understands. */
export function range(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const found = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!found || (found[1] === '' && found[2] === '')) return undefined;
  const start = found[1] === '' ? Math.max(size - Number(found[2]), 0) : Number(found[1]);
  const end = found[1] === '' || found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1);
  if (found[1] !== '' && found[2] !== '' && Number(found[2]) < start) return undefined;
  if (start >= size || (found[1] === '' && Number(found[2]) === 0)) {
    throw new ApiError('InvalidRange', 'The requested range is not satisfiable', 416, {
      RangeRequested: header,
      ActualObjectSize: size,
    });
  }
  return { start, end };
}
