import type { IncomingMessage } from 'node:http';
import { ApiError } from '../service';

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** Seconds that a presigned URL holds at most: a week. */
const LONGEST_EXPIRY = 604_800;

/** A request's signature as it stands there, not yet believed. */
export interface Claim {
  readonly accessKeyId: string;
  /** e.g. `20260131` */
  readonly day: string;
  readonly region: string;
  /** The signing name, e.g. `states`. */
  readonly service: string;
  /** e.g. `20260131T235959Z` */
  readonly date: string;
  /** In lower case. */
  readonly signedHeaders: readonly string[];
  /** In hex. */
  readonly signature: string;
  readonly token: string | undefined;
  /** Seconds that a presigned URL holds; undefined for a signature in the header. */
  readonly expires?: number;
}

/** Reads a request's signature (SigV4): from its header or, for S3 alone, from its query. */
export function readClaim({ headers }: IncomingMessage, query: URLSearchParams): Claim {
  const { authorization } = headers;
  const isPresigned = query.has('X-Amz-Credential');
  if (authorization !== undefined && isPresigned) {
    throw new ApiError('InvalidArgument', 'Only one auth mechanism allowed', 403);
  }
  if (authorization !== undefined) return inHeader(authorization, headers);
  if (isPresigned) return inQuery(query);
  if (query.has('AWSAccessKeyId')) {
    throw new ApiError(
      'InvalidRequest',
      "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 (in boto3 and the AWS CLI, the S3 setting signature_version = 's3v4').",
      403,
    );
  }
  throw denied(
    'missing',
    's3',
    'the request is not signed: use an AWS SDK or the AWS CLI, with the address and the keys that the engine printed',
  );
}

function inHeader(authorization: string, headers: IncomingMessage['headers']): Claim {
  const [, credential, signedHeaders, signature] =
    /^AWS4-HMAC-SHA256 +Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization,
    ) ?? [];
  const scope = scopeOf(credential);
  const { 'x-amz-date': date, 'x-amz-security-token': token } = headers;
  if (scope === undefined || signedHeaders === undefined || signature === undefined || date === undefined) {
    throw denied(
      'incomplete',
      scope?.service ?? 's3',
      `the request must have the headers X-Amz-Date and Authorization: ${ALGORITHM} Credential=<key>/<day>/<region>/<service>/aws4_request, SignedHeaders=<names>, Signature=<hex>`,
    );
  }
  return { ...scope, date: String(date), signedHeaders: namesIn(signedHeaders), signature, token: token?.toString() };
}

function inQuery(query: URLSearchParams): Claim {
  const given = (name: string) => query.get(`X-Amz-${name}`) ?? '';
  const scope = scopeOf(given('Credential'));
  if (scope !== undefined && scope.service !== 's3') {
    throw denied(
      'missing',
      scope.service,
      `a signature in the query is for S3 alone: a request to ${scope.service} must carry it in the header Authorization`,
    );
  }
  const expires = Number(given('Expires'));
  const isInLimits = Number.isInteger(expires) && expires >= 1 && expires <= LONGEST_EXPIRY;
  if (scope === undefined || given('Algorithm') !== ALGORITHM || !isInLimits) {
    throw new ApiError(
      'AuthorizationQueryParametersError',
      `a presigned URL must have X-Amz-Algorithm=${ALGORITHM}, X-Amz-Credential=<key>/<day>/<region>/s3/aws4_request and X-Amz-Expires from 1 to ${LONGEST_EXPIRY}, got ${given('Algorithm')}, ${given('Credential')} and ${given('Expires')}`,
      403,
    );
  }
  return {
    ...scope,
    date: given('Date'),
    signedHeaders: namesIn(given('SignedHeaders')),
    signature: given('Signature'),
    token: query.get('X-Amz-Security-Token') ?? undefined,
    expires,
  };
}

function scopeOf(credential = ''): Pick<Claim, 'accessKeyId' | 'day' | 'region' | 'service'> | undefined {
  const [, accessKeyId, day, region, service] =
    /^([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request$/.exec(credential) ?? [];
  if (accessKeyId === undefined || day === undefined || region === undefined || service === undefined) return undefined;
  return { accessKeyId, day, region, service };
}

function namesIn(list: string): string[] {
  return list.toLowerCase().split(';');
}

/** Services that answer in XML, and know refusals by other names than those that answer in JSON. */
const XML_SERVICES: ReadonlySet<string> = new Set(['cloudformation', 'monitoring', 'sns', 'sts']);

/** What can be wrong with a signature, and how S3, the services that answer in XML, and those in JSON call it. */
const CODES = {
  missing: ['AccessDenied', 'MissingAuthenticationToken', 'MissingAuthenticationTokenException'],
  incomplete: ['AuthorizationHeaderMalformed', 'IncompleteSignature', 'IncompleteSignatureException'],
  key: ['InvalidAccessKeyId', 'InvalidClientTokenId', 'UnrecognizedClientException'],
  token: ['InvalidToken', 'InvalidClientTokenId', 'UnrecognizedClientException'],
  expired: ['ExpiredToken', 'ExpiredToken', 'ExpiredTokenException'],
  unsigned: ['AccessDenied', 'SignatureDoesNotMatch', 'InvalidSignatureException'],
  time: ['RequestTimeTooSkewed', 'SignatureDoesNotMatch', 'InvalidSignatureException'],
  mismatch: ['SignatureDoesNotMatch', 'SignatureDoesNotMatch', 'InvalidSignatureException'],
} as const;

/** A refusal because of the signature, in the words of the service that was asked. */
export function denied(why: keyof typeof CODES, service: string, message: string): ApiError {
  const [s3, xml, json] = CODES[why];
  return new ApiError(service === 's3' ? s3 : XML_SERVICES.has(service) ? xml : json, message, 403);
}
