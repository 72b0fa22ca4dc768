import { SignatureV4 } from '@smithy/signature-v4';
import type { ClientConfig } from '../../src/engine/engine';
import { Sha256 } from '../../src/gateway/signature';

/** A request to be signed as an SDK would. */
export interface Unsigned {
  /** @default GET, or POST with a body */
  readonly method?: string;
  /** @default / */
  readonly path?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** When it was signed. @default now */
  readonly at?: Date;
}

type Signer = Pick<ClientConfig, 'endpoint' | 'region' | 'credentials'>;

/** The URL and the rest of a signed request, as `fetch` takes them. */
export async function signed(to: Signer, service: string, request: Unsigned = {}): Promise<[string, RequestInit]> {
  const { at: signingDate = new Date(), body } = request;
  const made = await signer(to, service).sign(unsigned(to, request), { signingDate });
  const { host: _, ...headers } = made.headers; // fetch sends it by itself
  return [urlOf(to, made), { method: made.method, headers, ...(body !== undefined && { body }) }];
}

/** A URL that anybody may use who has it. @param expiresIn seconds */
export async function presigned(
  to: Signer,
  service: string,
  expiresIn: number,
  request: Unsigned = {},
): Promise<string> {
  const { at: signingDate = new Date() } = request;
  const plain = {
    ...unsigned(to, request),
    headers: { host: new URL(to.endpoint).host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
  };
  return urlOf(to, await signer(to, service).presign(plain, { signingDate, expiresIn }));
}

function signer({ region, credentials }: Signer, service: string): SignatureV4 {
  return new SignatureV4({ service, region, credentials, sha256: Sha256, uriEscapePath: service !== 's3' });
}

function unsigned({ endpoint }: Signer, { path = '/', query = {}, headers = {}, body, method }: Unsigned) {
  return {
    ...{ protocol: 'http:', hostname: '127.0.0.1', path, query: { ...query }, body },
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: { host: new URL(endpoint).host, ...headers },
  };
}

function urlOf({ endpoint }: Signer, { path, query = {} }: { path: string; query?: object }): string {
  const search = Object.entries(query).map(([name, value]) => `${encode(name)}=${encode(String(value))}`);
  return `${endpoint}${path}${search.length > 0 ? `?${search.join('&')}` : ''}`;
}

/** As SDKs escape a part of a path or a query. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}
