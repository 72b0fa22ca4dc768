import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createScope, getCanonicalHeaders, getSigningKey, SignatureV4Base } from '@smithy/signature-v4';
import { ApiError, type ChunkSignatures, type Verified } from '../service';
import { type Claim, denied } from './claim';
import type { IssuedKeys, KeyRing } from './keys';

/** How far a signature's date may be from the time, as on AWS. */
const SKEW_MS = 15 * 60_000;

/** SHA-256 and its HMAC as the signing library asks for them, by Node's own code. */
export class Sha256 {
  private readonly hash;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string | Uint8Array);
  }

  update(data: Uint8Array): void {
    this.hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.hash.digest();
  }
}

/** Verifies requests by Signature Version 4, with the keys of this start. */
export class Signatures {
  private readonly rest = new Canonical(true);
  private readonly s3 = new Canonical(false);

  /** @param now the engine's time, in milliseconds since the epoch */
  constructor(
    private readonly keys: KeyRing,
    private readonly now: () => number,
  ) {}

  /** The keys that a claim names; throws unless they are of this start and still good. */
  keysOf({ accessKeyId, service, token }: Claim): IssuedKeys {
    const keys = this.keys.find(accessKeyId);
    if (keys === undefined) {
      throw denied(
        'key',
        service,
        `the access key ${accessKeyId} is none of this engine's, whose keys are made anew at every start: use those that it printed`,
      );
    }
    if (keys.sessionToken !== token) throw denied('token', service, `the security token is not that of ${accessKeyId}`);
    if (keys.until !== undefined && keys.until <= Date.now()) {
      throw denied('expired', service, 'The security token included in the request is expired');
    }
    return keys;
  }

  /**
   * Throws unless the request was signed with the keys that it names.
   *
   * @param path as the request has it, without the query
   * @param body whole; undefined for S3, which holds a stream to what the signature says of it
   */
  async verify(
    claim: Claim,
    { method = '', headers }: IncomingMessage,
    path: string,
    query: URLSearchParams,
    body: Buffer | undefined,
  ): Promise<Verified> {
    const keys = this.keysOf(claim);
    this.checkDate(claim, keys);
    const { day, region, service, date, signedHeaders, signature } = claim;
    const unsigned = Object.keys(headers).filter(
      (name) => (name === 'host' || name.startsWith('x-amz-')) && !signedHeaders.includes(name),
    );
    if (unsigned.length > 0) {
      const names = unsigned.join(', ');
      throw denied('unsigned', service, `There were headers present in the request which were not signed: ${names}`);
    }
    const payload = body === undefined ? declaredPayload(claim, headers, query) : sha256(body);
    const canonical = service === 's3' ? this.s3 : this.rest;
    const scope = createScope(day, region, service);
    const text = await canonical.stringToSign(
      date,
      scope,
      method,
      path,
      query,
      signed(headers, signedHeaders),
      payload,
    );
    const key = await getSigningKey(Sha256, keys, day, region, service);
    if (!isEqual(hmac(key, text), signature)) {
      throw denied(
        'mismatch',
        service,
        'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      );
    }
    const isChunked = payload.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD');
    return { caller: keys.caller, ...(isChunked && { chunks: new SignedChunks(key, date, scope, signature) }) };
  }

  private checkDate({ service, date, day, expires }: Claim, keys: IssuedKeys): void {
    const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    if (Number.isNaN(signedAt) || !date.startsWith(day)) {
      throw denied('incomplete', service, `the date must be like 20260131T235959Z and of the day ${day}, got ${date}`);
    }
    const [real, engines] = [Date.now(), this.now()];
    if (expires !== undefined) {
      const holds = (now: number) => signedAt - SKEW_MS <= now && now < signedAt + expires * 1000;
      if (!holds(real) && !holds(engines)) throw new ApiError('AccessDenied', 'Request has expired', 403);
      return;
    }
    // a child's clock is the engine's, as it was when its work began
    const isChilds =
      keys.sessionToken !== undefined && keys.since - SKEW_MS <= signedAt && signedAt <= engines + SKEW_MS;
    if (isChilds || Math.abs(signedAt - real) <= SKEW_MS) return;
    const now = new Date(real).toISOString();
    throw denied(
      'time',
      service,
      `The difference between the request time and the current time is too large: ${date}, now ${now}`,
    );
  }
}

/** The chain of signatures of an upload's chunks, each of which covers the one before. */
export class SignedChunks implements ChunkSignatures {
  constructor(
    private readonly key: Uint8Array,
    private readonly date: string,
    private readonly scope: string,
    private previous: string,
  ) {}

  isChunkSigned(digest: string, signature: string): boolean {
    return this.isNext('PAYLOAD', [sha256(''), digest], signature);
  }

  isTrailerSigned(lines: string, signature: string): boolean {
    return this.isNext('TRAILER', [sha256(lines)], signature);
  }

  private isNext(kind: string, digests: readonly string[], signature: string): boolean {
    const lines = [`AWS4-HMAC-SHA256-${kind}`, this.date, this.scope, this.previous, ...digests];
    this.previous = hmac(this.key, lines.join('\n'));
    return isEqual(this.previous, signature);
  }
}

/** The signing library's canonical form of requests. */
class Canonical extends SignatureV4Base {
  /** @param isPathEscaped whether paths are escaped once more, as for every service but S3 */
  constructor(private readonly isPathEscaped: boolean) {
    super({
      ...{ service: '', region: '', credentials: { accessKeyId: '', secretAccessKey: '' } },
      ...{ sha256: Sha256, uriEscapePath: isPathEscaped },
    });
  }

  stringToSign(
    date: string,
    scope: string,
    method: string,
    path: string,
    query: URLSearchParams,
    headers: Record<string, string>,
    payload: string,
  ): Promise<string> {
    const all: Record<string, string[]> = {};
    for (const name of new Set(query.keys())) all[name] = query.getAll(name);
    const request = {
      ...{ protocol: 'http:', hostname: '', method, query: all, headers },
      path: this.isPathEscaped ? path : reescaped(path),
    };
    const canonical = getCanonicalHeaders(request, undefined, new Set(Object.keys(headers)));
    const text = this.createCanonicalRequest(request, canonical, payload);
    return this.createStringToSign(date, scope, text, 'AWS4-HMAC-SHA256');
  }
}

/** The digest of a body, or how its bytes are signed. */
const PAYLOAD =
  /^([0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-UNSIGNED-PAYLOAD-TRAILER|STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?)$/;

/** What the signature says about a body that is not here yet: its digest, or how it is to be read. */
function declaredPayload({ expires }: Claim, headers: IncomingHttpHeaders, query: URLSearchParams): string {
  const declared = headers['x-amz-content-sha256'] ?? query.get('X-Amz-Content-Sha256');
  if (typeof declared === 'string' && PAYLOAD.test(declared)) return declared;
  if (typeof declared === 'string') {
    throw new ApiError(
      'InvalidArgument',
      `x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value, got ${declared}`,
    );
  }
  if (expires !== undefined) return 'UNSIGNED-PAYLOAD';
  throw new ApiError('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
}

/** The headers that a signature covers. */
function signed(headers: IncomingHttpHeaders, names: readonly string[]): Record<string, string> {
  const all: Record<string, string> = {};
  for (const name of names) if (headers[name] !== undefined) all[name] = String(headers[name]);
  return all;
}

/** A path escaped as AWS does it, whatever the client left as it is. */
function reescaped(path: string): string {
  try {
    return path
      .split('/')
      .map((part) =>
        encodeURIComponent(decodeURIComponent(part)).replace(
          /[!'()*]/g,
          (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
        ),
      )
      .join('/');
  } catch {
    return path; // no URI: S3 says so
  }
}

function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Uint8Array, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function isEqual(expected: string, given: string): boolean {
  const [one, other] = [Buffer.from(expected), Buffer.from(given)];
  return one.length === other.length && timingSafeEqual(one, other);
}
