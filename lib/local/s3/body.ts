import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '../service';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm, type Digest, digestOf } from './checksums';

/** A checksum as S3 shows it. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Base64; a composite one ends in `-<parts>`. */
  readonly value: string;
  readonly type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface Received {
  readonly size: number;
  /** Of the body, in hex. */
  readonly md5: string;
  readonly checksum?: Checksum;
}

const LARGEST_PUT = 5 * 1024 ** 3;

/**
 * Writes a request's body to a new file, checking every digest that the client declared.
 * If anything is amiss, the file is gone again.
 */
export async function receiveFile(request: IncomingMessage, path: string): Promise<Received> {
  try {
    return await receive(request, createWriteStream(path, { flags: 'wx', highWaterMark: 1 << 20 }));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** A request's body as text, for the small XML documents. */
export async function receiveText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > 4 * 1024 ** 2) done(new ApiError('MaxMessageLengthExceeded', 'Your request was too big.'));
      else {
        chunks.push(chunk);
        done();
      }
    },
  });
  await receive(request, sink);
  return Buffer.concat(chunks).toString('utf8');
}

async function receive(request: IncomingMessage, sink: Writable): Promise<Received> {
  const { headers } = request;
  const signed = String(headers['x-amz-content-sha256'] ?? '');
  const chunked = signed.startsWith('STREAMING-') || /\baws-chunked\b/.test(headers['content-encoding'] ?? '');
  const length = Number((chunked ? headers['x-amz-decoded-content-length'] : headers['content-length']) ?? Number.NaN);
  if (length > LARGEST_PUT) {
    throw new ApiError('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', 400, {
      ProposedSize: length,
      MaxSizeAllowed: LARGEST_PUT,
    });
  }
  const algorithm = declaredAlgorithm(request);
  const tap = new Tap(algorithm, /^[0-9a-f]{64}$/.test(signed));
  const decoder = chunked ? new AwsChunkedDecoder() : undefined;
  try {
    await (decoder ? pipeline(request, decoder, tap, sink) : pipeline(request, tap, sink));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('IncompleteBody', `The request body ended early: ${(error as Error).message}`);
  }
  if (decoder) decoder.check();
  if (!Number.isNaN(length) && tap.size !== length) {
    throw new ApiError('IncompleteBody', `The request declared ${length} bytes and sent ${tap.size}`);
  }
  const md5 = tap.md5.digest();
  const declaredMd5 = headers['content-md5'];
  if (declaredMd5 !== undefined && declaredMd5 !== md5.toString('base64')) {
    throw new ApiError('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
  if (tap.sha256 && tap.sha256.digest().toString('hex') !== signed) {
    throw new ApiError(
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  if (!algorithm || !tap.checksum) return { size: tap.size, md5: md5.toString('hex') };

  const value = tap.checksum.digest().toString('base64');
  const name = `x-amz-checksum-${algorithm.toLowerCase()}`;
  const declared = headers[name] ?? decoder?.trailers[name];
  if (declared !== undefined && declared !== value) {
    throw new ApiError('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
  }
  return { size: tap.size, md5: md5.toString('hex'), checksum: { algorithm, value, type: 'FULL_OBJECT' } };
}

/** The algorithm that the request's headers, trailer or SDK name. */
export function declaredAlgorithm(request: IncomingMessage): ChecksumAlgorithm | undefined {
  const { headers } = request;
  const trailer = String(headers['x-amz-trailer'] ?? '').toLowerCase();
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const name = `x-amz-checksum-${algorithm.toLowerCase()}`;
    if (headers[name] !== undefined || trailer.includes(name)) return algorithm;
  }
  const named = headers['x-amz-sdk-checksum-algorithm'] ?? headers['x-amz-checksum-algorithm'];
  return named === undefined ? undefined : algorithmNamed(String(named));
}

export function algorithmNamed(name: string): ChecksumAlgorithm {
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === name.toUpperCase());
  if (!algorithm) {
    throw new ApiError(
      'NotImplemented',
      `the checksum algorithm '${name}' is not implemented; allowed: ${CHECKSUM_ALGORITHMS.join(', ')}`,
      501,
    );
  }
  return algorithm;
}

/** Lets bytes pass and takes their digests. */
class Tap extends Transform {
  size = 0;
  readonly md5 = digestOf('MD5');
  readonly checksum: Digest | undefined;
  readonly sha256: Digest | undefined;

  constructor(algorithm: ChecksumAlgorithm | undefined, sha256: boolean) {
    super({ highWaterMark: 1 << 20 });
    this.checksum = algorithm && digestOf(algorithm);
    this.sha256 = sha256 ? digestOf('SHA256') : undefined;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.size += chunk.length;
    this.md5.update(chunk);
    this.checksum?.update(chunk);
    this.sha256?.update(chunk);
    done(null, chunk);
  }
}

/** Longer than any chunk header or trailer line that a client sends. */
const LONGEST_LINE = 8192;

/**
 * Takes the bytes out of `aws-chunked` framing: `<hex size>[;chunk-signature=…]`, the
 * bytes, and after the chunk of size 0 the trailers.
 */
class AwsChunkedDecoder extends Transform {
  readonly trailers: Record<string, string> = {};
  private state: 'size' | 'data' | 'data end' | 'trailers' | 'end' = 'size';
  private left = 0;
  private line = '';
  private problem: string | undefined;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0;
    while (at < chunk.length && this.state !== 'end' && this.problem === undefined) {
      if (this.state === 'data') {
        const taken = Math.min(this.left, chunk.length - at);
        this.push(chunk.subarray(at, at + taken));
        at += taken;
        this.left -= taken;
        if (this.left === 0) this.state = 'data end';
      } else {
        const newline = chunk.indexOf(10, at);
        const end = newline < 0 ? chunk.length : newline;
        this.line += chunk.toString('latin1', at, end);
        at = end + 1;
        if (this.line.length > LONGEST_LINE) this.problem = 'a chunk header is too long';
        else if (newline >= 0) this.lineEnds(this.line.replace(/\r$/, ''));
      }
    }
    done(); // after a problem the rest is read and dropped, so that the client can be answered
  }

  private lineEnds(line: string): void {
    this.line = '';
    if (this.state === 'size') {
      const size = /^([0-9a-fA-F]{1,12})(;|$)/.exec(line)?.[1];
      if (size === undefined) {
        this.problem = `expected a chunk's size, got '${line.slice(0, 80)}'`;
        return;
      }
      this.left = Number.parseInt(size, 16);
      this.state = this.left === 0 ? 'trailers' : 'data';
    } else if (this.state === 'data end') {
      if (line !== '') this.problem = 'a chunk is longer than its header says';
      this.state = 'size';
    } else if (line === '') {
      this.state = 'end';
    } else {
      const colon = line.indexOf(':');
      this.trailers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
  }

  /** Throws if the body did not end as it must. */
  check(): void {
    // Some clients leave out the last empty line.
    if (this.problem === undefined && (this.state === 'end' || this.state === 'trailers')) return;
    throw new ApiError('IncompleteBody', `The aws-chunked body is broken: ${this.problem ?? 'it ended early'}`);
  }
}
