import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { Transform, type TransformCallback, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, type ChunkSignatures } from '../../service';
import { AwsChunkedDecoder } from './aws-chunked';
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

/** A request whose body is to be read. */
export interface Upload {
  readonly request: IncomingMessage;
  /** The chain of signatures of a body whose chunks are signed one by one. */
  readonly chunks: ChunkSignatures | undefined;
}

/**
 * Writes a request's body to a new file, checking every digest that the client declared.
 * If anything is amiss, the file is gone again.
 */
export async function receiveFile(upload: Upload, path: string): Promise<Received> {
  try {
    return await receive(upload, createWriteStream(path, { flags: 'wx', highWaterMark: 1 << 20 }));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** A request's body as text, for the small XML documents. */
export async function receiveText(upload: Upload): Promise<string> {
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
  await receive(upload, sink);
  return Buffer.concat(chunks).toString('utf8');
}

async function receive({ request, chunks }: Upload, sink: Writable): Promise<Received> {
  const { headers } = request;
  const signed = String(headers['x-amz-content-sha256'] ?? '');
  const chunked = signed.startsWith('STREAMING-') || /\baws-chunked\b/.test(headers['content-encoding'] ?? '');
  const none = headers['transfer-encoding'] === undefined && !chunked ? 0 : Number.NaN;
  const length = Number((chunked ? headers['x-amz-decoded-content-length'] : headers['content-length']) ?? none);
  if (Number.isNaN(length)) {
    throw new ApiError('MissingContentLength', 'You must provide the Content-Length HTTP header.', 411);
  }
  if (length > LARGEST_PUT) {
    throw new ApiError('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', 400, {
      ProposedSize: length,
      MaxSizeAllowed: LARGEST_PUT,
    });
  }
  const algorithm = declaredAlgorithm(request);
  const tap = new Tap(algorithm, /^[0-9a-f]{64}$/.test(signed));
  const decoder = chunked ? new AwsChunkedDecoder(length, chunks, signed.endsWith('-TRAILER')) : undefined;
  try {
    await (decoder ? pipeline(request, decoder, tap, sink) : pipeline(request, tap, sink));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('IncompleteBody', `The request body ended early: ${(error as Error).message}`);
  }
  if (decoder) decoder.check();
  if (tap.size !== length) {
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
