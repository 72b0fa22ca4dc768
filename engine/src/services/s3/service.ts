import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import {
  ApiError,
  type Caller,
  type Context,
  type Objects,
  type Operation,
  type Resource,
  type Sent,
  type Service,
  type Shape,
  type StoredObject,
} from '../../service';
import * as buckets from './buckets';
import { type ChecksumAlgorithm, digestOf } from './checksums';
import { askedEncryption, checkReadable, defaultEncryption, mayEncrypt, underKey } from './encryption';
import { list } from './listing';
import * as multipart from './multipart';
import * as objects from './objects';
import { RESOURCES } from './resources';
import { announce, authorize, bucketArn, readable, S3Request } from './s3-request';
import { type Bucket, type Draft, type ObjectVersion, Store } from './store';

type Handler = (x: S3Request) => void | Promise<void>;

/** What a request asks for: by method, whether it names a key, and the subresource in its query. */
const HANDLERS: Readonly<Record<string, readonly [operation: string, handler: Handler]>> = {
  'GET service': ['ListBuckets', buckets.listBuckets],
  'PUT bucket': ['CreateBucket', buckets.createBucket],
  'DELETE bucket': ['DeleteBucket', buckets.deleteBucket],
  'HEAD bucket': ['HeadBucket', buckets.headBucket],
  'GET bucket': ['ListObjects', buckets.listObjects],
  'GET bucket versions': ['ListObjectVersions', buckets.listObjectVersions],
  'GET bucket location': ['GetBucketLocation', buckets.bucketLocation],
  'GET bucket versioning': ['GetBucketVersioning', buckets.bucketVersioning],
  'PUT bucket versioning': ['PutBucketVersioning', buckets.bucketVersioning],
  'GET bucket notification': ['GetBucketNotificationConfiguration', buckets.bucketNotification],
  'PUT bucket notification': ['PutBucketNotificationConfiguration', buckets.bucketNotification],
  'GET bucket uploads': ['ListMultipartUploads', multipart.listUploads],
  'POST bucket delete': ['DeleteObjects', objects.deleteObjects],
  'GET object': ['GetObject', objects.getObject],
  'HEAD object': ['HeadObject', objects.getObject],
  'PUT object': ['PutObject', objects.putObject],
  'PUT object copy': ['CopyObject', objects.copyObject],
  'DELETE object': ['DeleteObject', objects.deleteObject],
  'GET object tagging': ['GetObjectTagging', objects.objectTagging],
  'PUT object tagging': ['PutObjectTagging', objects.objectTagging],
  'DELETE object tagging': ['DeleteObjectTagging', objects.objectTagging],
  'GET object attributes': ['GetObjectAttributes', objects.objectAttributes],
  'POST object uploads': ['CreateMultipartUpload', multipart.createUpload],
  'PUT object uploadId': ['UploadPart', multipart.uploadPart],
  'PUT object uploadId copy': ['UploadPartCopy', multipart.copyPart],
  'POST object uploadId': ['CompleteMultipartUpload', multipart.completeUpload],
  'DELETE object uploadId': ['AbortMultipartUpload', multipart.abortUpload],
  'GET object uploadId': ['ListParts', multipart.listParts],
};

/** Query parameters that refine a request and do not make it another one. */
const MODIFIERS = new Set(
  (
    'x-id list-type prefix delimiter marker max-keys continuation-token start-after fetch-owner encoding-type ' +
    'key-marker version-id-marker versionid partnumber part-number-marker max-parts max-uploads upload-id-marker ' +
    'max-buckets bucket-region response-cache-control response-content-disposition response-content-encoding ' +
    'response-content-language response-content-type response-expires'
  ).split(' '),
);

/** Objects of up to this size are handed out whole to calls from inside (`aws-sdk:s3:getObject`). */
const LARGEST_INLINE = 6 * 1024 ** 2;

/** S3: buckets with versions, on this machine's disk. */
export class S3 implements Service, Objects {
  readonly name = 's3';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly handles = Object.values(HANDLERS).map(([operation]) => operation);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly store: Store;

  constructor(private readonly context: Context) {
    this.store = new Store(context.stateDir, context.clock, context.store);
    this.operations = this.insideOperations();
  }

  load(resources: readonly Resource[]): void {
    for (const { type, physicalId, properties } of resources) {
      if (type !== 'AWS::S3::Bucket') continue;
      this.configure(physicalId, properties.NotificationConfiguration, properties.VersioningConfiguration?.Status);
      this.store.configure(this.store.bucket(physicalId), { encryption: defaultEncryption(this.context, properties) });
    }
    for (const { type, properties } of resources) {
      // What the CDK's L2 Bucket makes of `eventBridgeEnabled`: done here, without its Lambda.
      if (type === 'Custom::S3BucketNotifications') {
        this.configure(properties.BucketName, properties.NotificationConfiguration);
      }
    }
  }

  holds({ type, physicalId }: Resource): boolean {
    return type === 'AWS::S3::Bucket' && this.store.buckets.has(physicalId);
  }

  unload(resource: Resource): void {
    if (this.holds(resource)) this.store.deleteBucket(this.store.bucket(resource.physicalId));
  }

  /** Makes a bucket unless it is there. */
  ensureBucket(name: string): void {
    if (!this.store.buckets.has(name)) this.store.createBucket(name);
  }

  private configure(name: string, notification: Shape | undefined, versioning?: 'Enabled' | 'Suspended'): void {
    const bucket = this.store.buckets.get(name) ?? this.store.createBucket(name);
    if (versioning) this.store.configure(bucket, { versioning });
    if (!notification) return;
    buckets.refuseOtherNotifications(notification);
    const eventBridge = notification.EventBridgeConfiguration;
    const enabled = eventBridge !== undefined && String(eventBridge.EventBridgeEnabled ?? true) !== 'false';
    this.store.configure(bucket, { eventBridge: enabled });
  }

  async handle(request: IncomingMessage, response: ServerResponse, _url: URL, sent: Sent): Promise<boolean> {
    // Not the parsed URL: that would resolve `..` in keys.
    const [path, search = ''] = (request.url ?? '/').split(/\?(.*)/s, 2);
    const query = new URLSearchParams(search);
    const slash = path.indexOf('/', 1);
    const bucket = path.slice(1, slash < 0 ? undefined : slash);
    const key = decode(slash < 0 ? '' : path.slice(slash + 1));
    const x = new S3Request(this.context, this.store, request, response, sent, bucket, key ?? '', query);
    try {
      if (key === undefined) throw new ApiError('InvalidURI', `Couldn't parse the specified URI: ${path}`);
      if (Buffer.byteLength(x.key) > 1024) throw new ApiError('KeyTooLongError', 'Your key is too long');
      await route(x)(x);
    } catch (error) {
      x.replyError(error);
    }
    if (!request.readableEnded) request.resume(); // what a refused client still sends
    return true;
  }

  async list(bucketName: string, prefix: string, caller: Caller): Promise<StoredObject[]> {
    authorize(this.context, caller, 'ListBucket', bucketName, '', { 's3:prefix': prefix });
    const bucket = this.store.bucket(bucketName);
    const { items } = list(bucket.keys(), (key) => [bucket.current(key)].filter((version) => version !== undefined), {
      prefix,
      delimiter: '',
      after: '',
      limit: Number.POSITIVE_INFINITY,
    });
    return items.map((version) => this.shown(bucketName, version));
  }

  async file(bucketName: string, key: string, caller: Caller, versionId?: string): Promise<string> {
    return this.store.path(this.read(bucketName, key, caller, versionId));
  }

  /** The version of an object whose bytes a caller may read. */
  private read(bucketName: string, key: string, caller: Caller, versionId?: string): ObjectVersion {
    const bucket = this.store.bucket(bucketName);
    const version = readable(this.context, caller, bucket, key, versionId);
    checkReadable(this.context, caller, bucket, version);
    return version;
  }

  async put(
    bucketName: string,
    key: string,
    body: Buffer | { readonly file: string },
    caller: Caller,
    kmsKey?: string,
  ): Promise<StoredObject> {
    authorize(this.context, caller, 'PutObject', bucketName, key);
    const encryption = kmsKey === undefined ? undefined : underKey(this.context, kmsKey);
    const version = await this.write(bucketName, key, body, caller, { ...(encryption && { encryption }) });
    return this.shown(bucketName, version);
  }

  private async write(
    bucketName: string,
    key: string,
    body: Buffer | { readonly file: string },
    caller: Caller,
    {
      headers = {},
      encryption = this.store.bucket(bucketName).settings.encryption,
    }: Pick<Partial<Draft>, 'headers' | 'encryption'>,
  ): Promise<ObjectVersion> {
    mayEncrypt(this.context, caller, bucketName, key, encryption);
    const { name, path } = this.store.newFile();
    const digests = (['MD5', 'CRC32'] as const).map(digestOf);
    let size = 0;
    const take = (chunk: Buffer) => {
      size += chunk.length;
      for (const digest of digests) digest.update(chunk);
    };
    try {
      if (Buffer.isBuffer(body)) {
        take(body);
        writeFileSync(path, body, { flag: 'wx' });
      } else {
        const source = createReadStream(body.file, { highWaterMark: 1 << 20 });
        source.on('data', (chunk) => take(chunk as Buffer));
        await pipeline(source, createWriteStream(path, { flags: 'wx', highWaterMark: 1 << 20 }));
      }
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
    const [md5, crc32] = digests.map((digest) => digest.digest());
    const bucket = this.store.bucket(bucketName);
    const draft: Draft = {
      key,
      file: name,
      size,
      etag: md5.toString('hex'),
      headers: { 'content-type': 'binary/octet-stream', ...headers },
      ...(encryption && { encryption }),
      checksum: {
        algorithm: 'CRC32' satisfies ChecksumAlgorithm,
        value: crc32.toString('base64'),
        type: 'FULL_OBJECT',
      },
    };
    return this.context.store.together(() => {
      const version = this.store.put(bucket, draft);
      announce(this.context, bucket, version, { type: 'Object Created', reason: 'PutObject' }, randomUUID());
      return version;
    });
  }

  private shown(bucketName: string, version: ObjectVersion): StoredObject {
    const versioned = this.store.bucket(bucketName).settings.versioning !== undefined;
    return {
      key: version.key,
      size: version.size,
      etag: version.etag,
      ...(versioned && { versionId: version.versionId }),
      lastModified: new Date(version.lastModified),
    };
  }

  private delete(bucket: Bucket, key: string): Shape {
    const { marker, removed } = this.store.deleteObject(bucket, key);
    const version = marker ?? removed;
    const deletion = marker ? 'Delete Marker Created' : 'Permanently Deleted';
    const change = { type: 'Object Deleted', reason: 'DeleteObject', deletion } as const;
    if (version) announce(this.context, bucket, version, change, randomUUID());
    return marker ? { DeleteMarker: true, VersionId: marker.versionId } : {};
  }

  /** The few operations that a state machine calls (`aws-sdk:s3:…`); clients come through {@link handle}. */
  private insideOperations(): Record<string, Operation> {
    const needs =
      (action: string) =>
      ({ Bucket, Key = '' }: Shape) => [{ action: `s3:${action}`, resource: bucketArn(this.context, Bucket, Key) }];
    const head = (version: ObjectVersion) => ({
      ContentLength: version.size,
      ContentType: version.headers['content-type'],
      ETag: `"${version.etag}"`,
      LastModified: new Date(version.lastModified),
      ...(version.versionId !== 'null' && { VersionId: version.versionId }),
      Metadata: metadataOf(version),
    });
    return {
      PutObject: {
        needs: needs('PutObject'),
        run: async ({ Bucket, Key, Body = '', ContentType, Metadata = {}, ...input }, caller) => {
          const headers: Record<string, string> = ContentType ? { 'content-type': ContentType } : {};
          for (const [name, value] of Object.entries(Metadata)) {
            headers[`x-amz-meta-${name.toLowerCase()}`] = String(value);
          }
          const body = Buffer.from(typeof Body === 'string' ? Body : JSON.stringify(Body));
          const encryption = askedEncryption(this.context, input);
          const version = await this.write(Bucket, Key, body, caller, { headers, ...(encryption && { encryption }) });
          const shown = this.shown(Bucket, version);
          return { ETag: `"${shown.etag}"`, ...(shown.versionId && { VersionId: shown.versionId }) };
        },
      },
      GetObject: {
        needs: () => [], // `read` asks
        run: async (input, caller) => {
          const version = this.read(input.Bucket, input.Key, caller, input.VersionId);
          if (version.size > LARGEST_INLINE) {
            throw new ApiError(
              'EntityTooLarge',
              `s3://${input.Bucket}/${input.Key} has ${version.size} bytes; at most ${LARGEST_INLINE} can be a state's data`,
            );
          }
          const chunks: Buffer[] = [];
          for await (const chunk of createReadStream(this.store.path(version))) chunks.push(chunk as Buffer);
          return { ...head(version), Body: Buffer.concat(chunks).toString('utf8') };
        },
      },
      HeadObject: {
        needs: () => [],
        run: ({ Bucket, Key, VersionId }, caller) =>
          head(readable(this.context, caller, this.store.bucket(Bucket), Key, VersionId)),
      },
      ListObjectsV2: {
        needs: () => [],
        run: async ({ Bucket, Prefix = '', MaxKeys = 1000 }, caller) => {
          const found = await this.list(Bucket, Prefix, caller);
          const page = found.slice(0, Math.min(MaxKeys, 1000));
          return {
            Name: Bucket,
            Prefix,
            KeyCount: page.length,
            IsTruncated: page.length < found.length,
            Contents: page.map(({ key, size, etag, lastModified }) => ({
              Key: key,
              Size: size,
              ETag: `"${etag}"`,
              LastModified: lastModified,
              StorageClass: 'STANDARD',
            })),
          };
        },
      },
      DeleteObject: {
        needs: needs('DeleteObject'),
        run: ({ Bucket, Key }) => this.context.store.together(() => this.delete(this.store.bucket(Bucket), Key)),
      },
    };
  }
}

function metadataOf(version: ObjectVersion): Record<string, string> {
  const prefix = 'x-amz-meta-';
  return Object.fromEntries(
    Object.entries(version.headers)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

function route(x: S3Request): Handler {
  const target = x.bucketName === '' ? 'service' : x.key === '' ? 'bucket' : 'object';
  const subresources = [...x.query.keys()].filter((name) => {
    const lower = name.toLowerCase();
    return !MODIFIERS.has(lower) && !lower.startsWith('x-amz-');
  });
  const words = [x.request.method, target, ...subresources];
  if (x.header('x-amz-copy-source') !== undefined) words.push('copy');
  const [, handler] = HANDLERS[words.join(' ')] ?? [];
  if (handler) return handler;
  throw new ApiError('NotImplemented', `the local engine's S3 does not implement: ${words.join(' ')}`, 501);
}
