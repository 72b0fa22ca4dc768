import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Caller, type ChunkSignatures, type Context, type Shape, type Verified } from '../../service';
import type { Bucket, ObjectVersion, Store } from './store';
import { document } from './xml';

/** One request to S3 and its reply. */
export class S3Request {
  readonly requestId = randomBytes(8).toString('hex').toUpperCase();

  constructor(
    readonly context: Context,
    readonly store: Store,
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    private readonly sent: Verified,
    readonly bucketName: string,
    readonly key: string,
    readonly query: URLSearchParams,
  ) {}

  get caller(): Caller {
    return this.sent.caller;
  }

  /** The chain of signatures of a body whose chunks are signed one by one. */
  get chunks(): ChunkSignatures | undefined {
    return this.sent.chunks;
  }

  get bucket(): Bucket {
    return this.store.bucket(this.bucketName);
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** Throws unless the caller may do this to the object, or with an empty key to the bucket. */
  authorize(action: string, conditions?: Readonly<Record<string, string>>, key = this.key): void {
    authorize(this.context, this.caller, action, this.bucketName, key, conditions);
  }

  reply(status: number, headers: Readonly<Record<string, string | number | undefined>> = {}, body = ''): void {
    this.response.statusCode = status;
    this.response.setHeader('x-amz-request-id', this.requestId);
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) this.response.setHeader(name, value);
    }
    if (status !== 204 && status !== 304) {
      if (!this.response.hasHeader('content-length')) {
        this.response.setHeader('content-length', Buffer.byteLength(body));
      }
      if (body !== '') this.response.setHeader('content-type', 'application/xml');
    }
    this.response.end(this.request.method === 'HEAD' ? undefined : body);
  }

  replyXml(root: string, content: Shape, headers: Readonly<Record<string, string | undefined>> = {}): void {
    this.reply(200, headers, document(root, content));
  }

  replyError(error: unknown): void {
    if (!(error instanceof ApiError)) {
      this.context.log('s3', `internal error: ${error instanceof Error ? error.stack : String(error)}`);
    }
    if (this.response.headersSent || this.response.destroyed) {
      this.response.destroy(); // the client sees a body that ends early
      return;
    }
    const { code, message, status, details } =
      error instanceof ApiError ? error : new ApiError('InternalError', String(error), 500);
    const name = code === 'AccessDeniedException' ? 'AccessDenied' : code; // S3's own word
    const content = { Code: name, Message: message, ...details, Resource: this.request.url, RequestId: this.requestId };
    this.reply(status, {}, document('Error', content, ''));
  }

  /** For a reply's header: only buckets that keep versions show them. */
  shownVersion(version: ObjectVersion): string | undefined {
    return this.bucket.settings.versioning === undefined ? undefined : version.versionId;
  }

  /** Tells the log, and if the bucket says so the event bus. */
  changed(version: ObjectVersion, change: Change): void {
    announce(this.context, this.bucket, version, change, this.requestId);
  }
}

export function bucketArn(context: Context, bucket: string, key = ''): string {
  return `arn:${context.aws.partition}:s3:::${bucket}${key && `/${key}`}`;
}

export function authorize(
  context: Context,
  caller: Caller,
  action: string,
  bucket: string,
  key: string,
  conditions?: Readonly<Record<string, string>>,
): void {
  context.authorize(caller, {
    action: `s3:${action}`,
    resource: bucketArn(context, bucket, key),
    ...(conditions && { conditions }),
  });
}

/** The version of an object that a caller may read; without the right to list, a missing one is denied, as on AWS. */
export function readable(
  context: Context,
  caller: Caller,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
): ObjectVersion {
  authorize(context, caller, versionId === undefined ? 'GetObject' : 'GetObjectVersion', bucket.name, key);
  const version = versionId === undefined ? bucket.versions.get(key)?.[0] : bucket.version(key, versionId);
  if (version && !version.deleteMarker) return version;
  authorize(context, caller, 'ListBucket', bucket.name, '');
  if (versionId !== undefined && version === undefined) {
    throw new ApiError('NoSuchVersion', 'The specified version does not exist.', 404, {
      Key: key,
      VersionId: versionId,
    });
  }
  if (versionId !== undefined) {
    throw new ApiError('MethodNotAllowed', 'The specified method is not allowed against this resource.', 405);
  }
  throw new ApiError('NoSuchKey', 'The specified key does not exist.', 404, { Key: key });
}

/** What happened to an object, as S3's events tell it. */
export interface Created {
  readonly type: 'Object Created';
  readonly reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload';
}
export type Change =
  | Created
  | {
      readonly type: 'Object Deleted';
      readonly reason: 'DeleteObject';
      readonly deletion: 'Permanently Deleted' | 'Delete Marker Created';
    };

export function announce(
  context: Context,
  bucket: Bucket,
  version: ObjectVersion,
  change: Change,
  requestId: string,
): void {
  context.log('s3', `${change.type}: s3://${bucket.name}/${version.key}`, {
    reason: change.reason,
    size: version.size,
    versionId: version.versionId,
  });
  if (!bucket.settings.eventBridge) return;
  context.emit({
    source: 'aws.s3',
    'detail-type': change.type,
    resources: [bucketArn(context, bucket.name)],
    detail: {
      version: '0',
      bucket: { name: bucket.name },
      object: {
        key: version.key,
        ...(change.type === 'Object Created' && { size: version.size }),
        ...(version.etag !== '' && { etag: version.etag }),
        ...(bucket.settings.versioning !== undefined && { 'version-id': version.versionId }),
        sequencer: version.sequencer,
      },
      'request-id': requestId,
      requester: context.aws.account,
      'source-ip-address': '127.0.0.1',
      reason: change.reason,
      ...(change.type === 'Object Deleted' && { 'deletion-type': change.deletion }),
    },
  });
}
