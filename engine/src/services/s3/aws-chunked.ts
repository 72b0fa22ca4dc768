import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { ApiError, type ChunkSignatures } from '../../service';

/** Longer than any chunk header or trailer line that a client sends. */
const LONGEST_LINE = 8192;

const MOST_TRAILERS = 20;

/**
 * Takes the bytes out of `aws-chunked` framing: `<hex size>[;chunk-signature=…]`, the bytes, and after the chunk of
 * size 0 the trailers.
 */
export class AwsChunkedDecoder extends Transform {
  readonly trailers: Record<string, string> = {};
  private state: 'size' | 'data' | 'data end' | 'trailers' | 'end' = 'size';
  private left = 0;
  private line = '';
  private size = 0;
  private digest: Hash | undefined;
  private signature = '';
  private isTrailerSigned = false;
  private problem: ApiError | undefined;

  /**
   * @param length what the bytes come to
   * @param chunks where they are signed one by one
   * @param hasTrailer whether trailing headers may follow
   */
  constructor(
    private readonly length: number,
    private readonly chunks: ChunkSignatures | undefined,
    private readonly hasTrailer: boolean,
  ) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0;
    while (at < chunk.length && this.state !== 'end' && this.problem === undefined) {
      if (this.state === 'data') {
        const taken = chunk.subarray(at, at + this.left);
        this.digest?.update(taken);
        this.push(taken);
        at += taken.length;
        this.left -= taken.length;
        if (this.left === 0) this.chunkEnds();
      } else {
        const newline = chunk.indexOf(10, at);
        const end = newline < 0 ? chunk.length : newline;
        this.line += chunk.toString('latin1', at, end);
        at = end + 1;
        if (this.line.length > LONGEST_LINE) this.fail('a chunk header is too long');
        else if (newline >= 0) this.lineEnds(this.line.replace(/\r$/, ''));
      }
    }
    done(); // after a problem the rest is read and dropped, so that the client can be answered
  }

  private lineEnds(line: string): void {
    this.line = '';
    if (this.state === 'size') {
      this.chunkBegins(line);
    } else if (this.state === 'data end') {
      if (line !== '') this.fail('a chunk is longer than its header says');
      this.state = 'size';
    } else if (line === '') {
      this.state = 'end';
    } else {
      const colon = line.indexOf(':');
      const [name, value] = [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      if (name === 'x-amz-trailer-signature') this.trailerEnds(value);
      else this.trailers[name] = value;
      if (Object.keys(this.trailers).length > MOST_TRAILERS) this.fail(`it has more than ${MOST_TRAILERS} trailers`);
    }
  }

  private chunkBegins(line: string): void {
    const [, size, signature = ''] = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?(?:;|$)/.exec(line) ?? [];
    if (size === undefined) this.fail(`expected a chunk's size, got '${line.slice(0, 80)}'`);
    this.left = Number.parseInt(size ?? '0', 16);
    this.size += this.left;
    if (this.size > this.length) this.fail(`it has more than the ${this.length} bytes that it declares`);
    this.signature = signature;
    this.digest = this.chunks && createHash('sha256');
    this.state = 'data';
    if (this.left === 0) this.chunkEnds('trailers');
  }

  private chunkEnds(next: typeof this.state = 'data end'): void {
    this.state = next;
    if (this.digest === undefined || this.chunks?.isChunkSigned(this.digest.digest('hex'), this.signature)) return;
    this.problem ??= forged('a chunk of the upload');
  }

  private trailerEnds(signature: string): void {
    const lines = Object.entries(this.trailers).map(([name, value]) => `${name}:${value}\n`);
    this.isTrailerSigned = this.chunks?.isTrailerSigned(lines.join(''), signature) ?? true;
  }

  private fail(why: string): void {
    this.problem ??= new ApiError('IncompleteBody', `The aws-chunked body is broken: ${why}`);
  }

  /** Throws if the body did not end as it must. */
  check(): void {
    // some clients leave out the last empty line
    if (this.state !== 'end' && this.state !== 'trailers') this.fail('it ended early');
    const trailers = Object.keys(this.trailers);
    if (trailers.length > 0 && !this.hasTrailer) this.fail(`it has trailers that it does not declare: ${trailers}`);
    if (this.chunks && this.hasTrailer && !this.isTrailerSigned) this.problem ??= forged('the trailer of the upload');
    if (this.problem !== undefined) throw this.problem;
  }
}

function forged(what: string): ApiError {
  return new ApiError('SignatureDoesNotMatch', `The signature of ${what} does not match what we calculated.`, 403);
}
