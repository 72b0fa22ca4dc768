import { ApiError, type Shape } from '../../service';
import { receiveText } from './body';
import { compareKeys, list } from './listing';
import { bucketArn, type S3Request } from './s3-request';
import type { ObjectVersion } from './store';
import { parse } from './xml';

export function listBuckets(x: S3Request): void {
  x.context.authorize(x.caller, { action: 's3:ListAllMyBuckets', resource: '*' });
  const prefix = x.query.get('prefix') ?? '';
  const buckets = [...x.store.buckets.values()]
    .filter(({ name }) => name.startsWith(prefix))
    .sort((a, b) => compareKeys(a.name, b.name))
    .map(({ name, created }) => ({ Name: name, CreationDate: new Date(created).toISOString() }));
  x.replyXml('ListAllMyBucketsResult', { Owner: owner(x), Buckets: { Bucket: buckets } });
}

export async function createBucket(x: S3Request): Promise<void> {
  x.authorize('CreateBucket');
  await receiveText(x); // the location constraint: there is one region
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(x.bucketName)) {
    throw new ApiError('InvalidBucketName', 'The specified bucket is not valid.', 400, { BucketName: x.bucketName });
  }
  if (x.store.buckets.has(x.bucketName)) {
    throw new ApiError(
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
      409,
      { BucketName: x.bucketName },
    );
  }
  x.store.createBucket(x.bucketName);
  x.context.log('s3', `created bucket ${x.bucketName}`);
  x.reply(200, { location: `/${x.bucketName}`, 'x-amz-bucket-arn': bucketArn(x.context, x.bucketName) });
}

export function deleteBucket(x: S3Request): void {
  x.authorize('DeleteBucket');
  x.store.deleteBucket(x.bucket);
  x.context.log('s3', `deleted bucket ${x.bucketName}`);
  x.reply(204);
}

export function headBucket(x: S3Request): void {
  x.authorize('ListBucket');
  void x.bucket;
  x.reply(200, { 'x-amz-bucket-region': x.context.aws.region });
}

export function bucketLocation(x: S3Request): void {
  x.authorize('GetBucketLocation');
  void x.bucket;
  const { region } = x.context.aws;
  x.replyXml('LocationConstraint', region === 'us-east-1' ? '' : region);
}

export async function bucketVersioning(x: S3Request): Promise<void> {
  if (x.request.method === 'GET') {
    x.authorize('GetBucketVersioning');
    x.replyXml('VersioningConfiguration', { Status: x.bucket.settings.versioning });
    return;
  }
  x.authorize('PutBucketVersioning');
  const status = parse(await receiveText(x), 'VersioningConfiguration').Status;
  if (status !== 'Enabled' && status !== 'Suspended') {
    throw new ApiError('MalformedXML', `Status must be Enabled or Suspended, got '${status}'`);
  }
  x.store.configure(x.bucket, { versioning: status });
  x.reply(200);
}

export async function bucketNotification(x: S3Request): Promise<void> {
  if (x.request.method === 'GET') {
    x.authorize('GetBucketNotification');
    const EventBridgeConfiguration = x.bucket.settings.eventBridge ? '' : undefined;
    x.replyXml('NotificationConfiguration', { EventBridgeConfiguration });
    return;
  }
  x.authorize('PutBucketNotification');
  const wanted = parse(await receiveText(x), 'NotificationConfiguration') as Shape;
  refuseOtherNotifications(wanted);
  x.store.configure(x.bucket, { eventBridge: wanted.EventBridgeConfiguration !== undefined });
  x.reply(200);
}

/** Buckets tell EventBridge alone: whoever asks for more must hear it. */
export function refuseOtherNotifications(configuration: Shape): void {
  for (const kind of ['Queue', 'Topic', 'CloudFunction', 'LambdaFunction']) {
    const wanted = configuration[`${kind}Configuration`] ?? configuration[`${kind}Configurations`];
    if (wanted !== undefined && !(Array.isArray(wanted) && wanted.length === 0)) {
      throw new ApiError(
        'NotImplemented',
        `bucket notifications to ${kind} are not implemented; turn on EventBridgeConfiguration and use a rule`,
        501,
      );
    }
  }
}

export function listObjects(x: S3Request): void {
  const second = x.query.get('list-type') === '2';
  const prefix = x.query.get('prefix') ?? '';
  const delimiter = x.query.get('delimiter') ?? '';
  authorizeListing(x, 'ListBucket', prefix, delimiter);
  const bucket = x.bucket;
  const token = x.query.get('continuation-token');
  const from = second ? (x.query.get('start-after') ?? '') : (x.query.get('marker') ?? '');
  const limit = maxKeys(x);
  const found = list(
    bucket.keys(),
    (key) => {
      const version = bucket.current(key);
      return version ? [version] : [];
    },
    { prefix, delimiter, after: token ? Buffer.from(token, 'base64url').toString() : from, limit },
  );
  const text = encoder(x);
  const withOwner = !second || x.query.get('fetch-owner') === 'true';
  x.replyXml('ListBucketResult', {
    Name: bucket.name,
    Prefix: text(prefix),
    Delimiter: delimiter === '' ? undefined : text(delimiter),
    MaxKeys: limit,
    EncodingType: x.query.get('encoding-type') ?? undefined,
    IsTruncated: found.truncated,
    ...(second
      ? {
          KeyCount: found.items.length + found.commonPrefixes.length,
          ContinuationToken: token ?? undefined,
          NextContinuationToken: found.truncated ? Buffer.from(found.last).toString('base64url') : undefined,
          StartAfter: from === '' ? undefined : text(from),
        }
      : { Marker: text(from), NextMarker: found.truncated && delimiter !== '' ? text(found.last) : undefined }),
    Contents: found.items.map((version) => ({
      Key: text(version.key),
      ...shown(version),
      Owner: withOwner ? owner(x) : undefined,
    })),
    CommonPrefixes: found.commonPrefixes.map((common) => ({ Prefix: text(common) })),
  });
}

export function listObjectVersions(x: S3Request): void {
  const prefix = x.query.get('prefix') ?? '';
  const delimiter = x.query.get('delimiter') ?? '';
  authorizeListing(x, 'ListBucketVersions', prefix, delimiter);
  const bucket = x.bucket;
  const keyMarker = x.query.get('key-marker') ?? '';
  const versionMarker = x.query.get('version-id-marker') ?? '';
  const limit = maxKeys(x);
  const found = list(bucket.keys(), (key) => bucket.versions.get(key) ?? [], {
    prefix,
    delimiter,
    after: keyMarker,
    rest: (versions) => restOfKey(versions, versionMarker),
    limit,
  });
  const last = found.items.at(-1);
  const text = encoder(x);
  const entry = (version: ObjectVersion) => ({
    Key: text(version.key),
    VersionId: version.versionId,
    IsLatest: bucket.versions.get(version.key)?.[0] === version,
    ...(version.deleteMarker ? { LastModified: new Date(version.lastModified).toISOString() } : shown(version)),
    Owner: owner(x),
  });
  x.replyXml('ListVersionsResult', {
    Name: bucket.name,
    Prefix: text(prefix),
    Delimiter: delimiter === '' ? undefined : text(delimiter),
    KeyMarker: text(keyMarker),
    VersionIdMarker: versionMarker,
    MaxKeys: limit,
    EncodingType: x.query.get('encoding-type') ?? undefined,
    IsTruncated: found.truncated,
    ...(found.truncated && {
      NextKeyMarker: text(found.last),
      NextVersionIdMarker: last?.key === found.last ? last.versionId : undefined,
    }),
    Version: found.items.filter((version) => !version.deleteMarker).map(entry),
    DeleteMarker: found.items.filter((version) => version.deleteMarker).map(entry),
    CommonPrefixes: found.commonPrefixes.map((common) => ({ Prefix: text(common) })),
  });
}

/** What follows a version within its key. */
function restOfKey(versions: readonly ObjectVersion[], after: string): readonly ObjectVersion[] {
  if (after === '') return [];
  return versions.slice(versions.findIndex((version) => version.versionId === after) + 1);
}

function authorizeListing(x: S3Request, action: string, prefix: string, delimiter: string): void {
  x.authorize(action, {
    's3:prefix': prefix,
    ...(delimiter !== '' && { 's3:delimiter': delimiter }),
    's3:max-keys': String(maxKeys(x)),
  });
}

function maxKeys(x: S3Request): number {
  const given = x.query.get('max-keys') ?? '1000';
  if (!/^\d+$/.test(given)) {
    throw new ApiError('InvalidArgument', `max-keys must be an integer from 0, got '${given}'`);
  }
  return Math.min(Number(given), 1000);
}

function encoder(x: S3Request): (text: string) => string {
  const encoding = x.query.get('encoding-type');
  if (encoding !== null && encoding !== 'url') {
    throw new ApiError('InvalidArgument', `encoding-type must be url, got '${encoding}'`);
  }
  if (encoding === null) return (text) => text;
  return (text) => encodeURIComponent(text).replaceAll('%2F', '/');
}

function shown(version: ObjectVersion): Shape {
  return {
    LastModified: new Date(version.lastModified).toISOString(),
    ETag: `"${version.etag}"`,
    ChecksumAlgorithm: version.checksum?.algorithm,
    ChecksumType: version.checksum?.type,
    Size: version.size,
    StorageClass: 'STANDARD',
  };
}

function owner(x: S3Request): Shape {
  return { ID: x.context.aws.account };
}
