import { link, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ApiError, type Shape } from '../../service';
import { algorithmNamed, type Checksum, receiveFile, receiveText } from './body';
import { digestsOfFile } from './checksums';
import { checkWrite, preconditionFailed, range, unmodified } from './conditions';
import { checkReadable, encryptionHeaders, mayEncrypt, wantedEncryption } from './encryption';
import { authorize, type Created, readable, type S3Request } from './s3-request';
import type { Draft, Encryption, ObjectVersion } from './store';
import { parse } from './xml';

/** Headers that are stored with an object and replied on every read. */
const KEPT = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
];

/** Reads GET, PUT, DELETE … of an object, `/<bucket>/<key>`, without a subresource. */
export async function getObject(x: S3Request): Promise<void> {
  const version = readable(x.context, x.caller, x.bucket, x.key, versionIdOf(x));
  const wantsChecksum = x.header('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED';
  // of an object under a key, HEAD shows all but the checksum to who may not decrypt
  if (x.request.method === 'GET' || wantsChecksum) checkReadable(x.context, x.caller, x.bucket, version);
  const headers: Record<string, string | number | undefined> = {
    ...version.headers,
    'accept-ranges': 'bytes',
    etag: `"${version.etag}"`,
    'last-modified': new Date(version.lastModified).toUTCString(),
    'x-amz-version-id': x.shownVersion(version),
    ...encryptionHeaders(version.encryption),
    'x-amz-tagging-count': version.tags && Object.keys(version.tags).length,
  };
  if (unmodified(x.request, version)) {
    x.reply(304, { etag: headers.etag, 'last-modified': headers['last-modified'] });
    return;
  }
  for (const name of KEPT) headers[name] = x.query.get(`response-${name}`) ?? headers[name];

  const part = partOf(x, version);
  const wanted = part ?? range(x.header('range'), version.size);
  const { start, end } = wanted ?? { start: 0, end: version.size - 1 };
  if (part) headers['x-amz-mp-parts-count'] = version.parts?.length;
  if (wanted) headers['content-range'] = `bytes ${start}-${end}/${version.size}`;
  if (!wanted && wantsChecksum) Object.assign(headers, checksumHeaders(version.checksum));
  headers['content-length'] = end - start + 1;
  const status = wanted ? 206 : 200;
  if (x.request.method === 'HEAD' || version.size === 0) {
    x.reply(status, headers);
    return;
  }
  const file = await open(x.store.path(version)); // from here on a delete does not disturb the reader
  x.response.writeHead(status, {
    'x-amz-request-id': x.requestId,
    ...Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)),
  });
  await pipeline(file.createReadStream({ start, end, highWaterMark: 1 << 18 }), x.response).catch(() => {}); // the client left
}

function partOf(x: S3Request, version: ObjectVersion): { start: number; end: number } | undefined {
  const number = x.query.get('partNumber');
  if (number === null) return undefined;
  const parts = version.parts ?? [{ size: version.size }];
  const index = Number(number) - 1;
  if (!parts[index]) {
    throw new ApiError('InvalidPartNumber', 'The requested partnumber is not satisfiable', 416, {
      ActualPartCount: parts.length,
    });
  }
  const start = parts.slice(0, index).reduce((sum, part) => sum + part.size, 0);
  return { start, end: start + parts[index].size - 1 };
}

export async function putObject(x: S3Request): Promise<void> {
  const bucket = x.bucket;
  const encryption = authorizeWrite(x);
  checkWrite(x.request, bucket.current(x.key));
  const { name, path } = x.store.newFile();
  const tags = taggingHeader(x);
  const received = await receiveFile(x, path);
  const draft: Draft = {
    key: x.key,
    file: name,
    size: received.size,
    etag: received.md5,
    headers: keptHeaders(x),
    ...(tags && { tags }),
    ...(received.checksum && { checksum: received.checksum }),
    ...(encryption && { encryption }),
  };
  const version = commit(x, draft, 'PutObject');
  x.reply(200, {
    etag: `"${version.etag}"`,
    'x-amz-version-id': x.shownVersion(version),
    ...encryptionHeaders(encryption),
    ...checksumHeaders(version.checksum),
  });
}

/** Stores a draft if what the write asks for still holds, and tells of it; else its bytes are gone. */
export function commit(x: S3Request, draft: Draft, reason: Created['reason']): ObjectVersion {
  try {
    const bucket = x.bucket; // it may have been deleted meanwhile
    checkWrite(x.request, bucket.current(x.key));
    return x.context.store.together(() => {
      const version = x.store.put(bucket, draft);
      x.changed(version, { type: 'Object Created', reason });
      return version;
    });
  } catch (error) {
    x.store.dropFile(draft);
    throw error;
  }
}

/** Throws unless the caller may write the object. @returns how it is to be encrypted */
export function authorizeWrite(x: S3Request): Encryption | undefined {
  authorizePut(x);
  const encryption = wantedEncryption(x);
  mayEncrypt(x.context, x.caller, x.bucketName, x.key, encryption);
  return encryption;
}

/** The same as far as the bucket goes. */
export function authorizePut(x: S3Request): void {
  const conditions: Record<string, string> = {};
  for (const name of ['x-amz-server-side-encryption', 'x-amz-server-side-encryption-aws-kms-key-id', 'x-amz-acl']) {
    const value = x.header(name);
    if (value !== undefined) conditions[`s3:${name}`] = value;
  }
  if (x.header('x-amz-server-side-encryption-customer-algorithm') !== undefined) {
    throw new ApiError('NotImplemented', 'encryption with keys of the customer (SSE-C) is not implemented', 501);
  }
  x.authorize('PutObject', conditions);
  if (x.header('if-match') !== undefined) x.authorize('GetObject');
  if (x.header('x-amz-tagging') !== undefined) x.authorize('PutObjectTagging');
}

export function keptHeaders(x: S3Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of KEPT) {
    const value = x.header(name);
    if (value !== undefined) headers[name] = value;
  }
  if (headers['content-encoding'] !== undefined) {
    const left = headers['content-encoding'].split(',').filter((coding) => coding.trim() !== 'aws-chunked');
    delete headers['content-encoding'];
    if (left.length > 0) headers['content-encoding'] = left.join(',').trim();
  }
  headers['content-type'] ??= 'binary/octet-stream';
  let metadata = 0;
  for (const name of Object.keys(x.request.headers).filter((name) => name.startsWith('x-amz-meta-'))) {
    headers[name] = x.header(name) as string;
    metadata += name.length - 'x-amz-meta-'.length + headers[name].length;
  }
  if (metadata > 2048) {
    throw new ApiError('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size', 400, {
      Size: metadata,
      MaxSizeAllowed: 2048,
    });
  }
  return headers;
}

export function taggingHeader(x: S3Request): Record<string, string> | undefined {
  const header = x.header('x-amz-tagging');
  return header === undefined ? undefined : checkedTags([...new URLSearchParams(header)]);
}

export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (!checksum) return {};
  return {
    [`x-amz-checksum-${checksum.algorithm.toLowerCase()}`]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  };
}

/** The object that a copy reads, `x-amz-copy-source`; checks the right to read it and the copy's conditions. */
export function copySource(x: S3Request): { source: ObjectVersion; bucket: string } {
  const header = x.header('x-amz-copy-source') as string;
  const [path, query] = header.split('?', 2);
  let decoded: string;
  try {
    decoded = decodeURIComponent(path).replace(/^\//, '');
  } catch {
    throw new ApiError('InvalidArgument', `the copy source must be URL-encoded, got '${header}'`);
  }
  const slash = decoded.indexOf('/');
  if (slash < 1) throw new ApiError('InvalidArgument', `the copy source must be <bucket>/<key>, got '${header}'`);
  const bucket = x.store.bucket(decoded.slice(0, slash));
  const versionId = new URLSearchParams(query).get('versionId') ?? undefined;
  const source = readable(x.context, x.caller, bucket, decoded.slice(slash + 1), versionId);
  checkReadable(x.context, x.caller, bucket, source);
  if (unmodified(x.request, source, 'x-amz-copy-source-')) throw preconditionFailed('x-amz-copy-source-If-None-Match');
  return { source, bucket: bucket.name };
}

export async function copyObject(x: S3Request): Promise<void> {
  const { source, bucket } = copySource(x);
  const encryption = authorizeWrite(x);
  const replace = x.header('x-amz-metadata-directive') === 'REPLACE';
  if (!replace && bucket === x.bucketName && source.key === x.key && source === x.bucket.current(x.key)) {
    throw new ApiError(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing the object’s metadata',
    );
  }
  const replaceTags = x.header('x-amz-tagging-directive') === 'REPLACE';
  if (!replaceTags && source.tags) {
    authorize(x.context, x.caller, 'GetObjectTagging', bucket, source.key);
    x.authorize('PutObjectTagging');
  }
  const tags = replaceTags ? taggingHeader(x) : source.tags;
  const asked = x.header('x-amz-checksum-algorithm');
  const algorithm = asked ? algorithmNamed(asked) : source.checksum?.algorithm;
  const { name, path } = x.store.newFile();
  await link(x.store.path(source), path);

  let etag = source.etag;
  let checksum = source.checksum;
  if (source.parts || checksum?.type === 'COMPOSITE' || checksum?.algorithm !== algorithm) {
    const [md5, value] = await digestsOfFile(path, algorithm ? ['MD5', algorithm] : ['MD5']);
    etag = md5.toString('hex');
    checksum = algorithm && { algorithm, value: value.toString('base64'), type: 'FULL_OBJECT' };
  }
  const draft: Draft = {
    key: x.key,
    file: name,
    size: source.size,
    etag,
    headers: replace ? keptHeaders(x) : source.headers,
    ...(tags && { tags }),
    ...(checksum && { checksum }),
    ...(encryption && { encryption }),
  };
  const version = commit(x, draft, 'CopyObject');
  x.replyXml(
    'CopyObjectResult',
    {
      LastModified: new Date(version.lastModified).toISOString(),
      ETag: `"${version.etag}"`,
      ...(checksum && { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type }),
    },
    {
      ...encryptionHeaders(encryption),
      'x-amz-version-id': x.shownVersion(version),
      'x-amz-copy-source-version-id': source.versionId === 'null' ? undefined : source.versionId,
    },
  );
}

/** Deletes one object or version; to delete what is not there succeeds. */
export function deleteOne(
  x: S3Request,
  key: string,
  versionId: string | undefined,
): { version?: ObjectVersion; marker: boolean } {
  x.authorize(versionId === undefined ? 'DeleteObject' : 'DeleteObjectVersion', undefined, key);
  return x.context.store.together(() => remove(x, key, versionId));
}

function remove(
  x: S3Request,
  key: string,
  versionId: string | undefined,
): { version?: ObjectVersion; marker: boolean } {
  const bucket = x.bucket;
  if (versionId !== undefined) {
    const removed = x.store.removeVersion(bucket, key, versionId);
    if (removed) x.changed({ ...removed, sequencer: x.store.nextSequencer() }, PERMANENTLY);
    return { version: removed, marker: removed?.deleteMarker === true };
  }
  const { marker, removed } = x.store.deleteObject(bucket, key);
  if (marker) x.changed(marker, { ...PERMANENTLY, deletion: 'Delete Marker Created' });
  if (removed) x.changed({ ...removed, sequencer: x.store.nextSequencer() }, PERMANENTLY);
  return { version: marker, marker: marker !== undefined };
}

const PERMANENTLY = { type: 'Object Deleted', reason: 'DeleteObject', deletion: 'Permanently Deleted' } as const;

export function deleteObject(x: S3Request): void {
  const { version, marker } = deleteOne(x, x.key, versionIdOf(x));
  x.reply(204, {
    'x-amz-version-id': version && x.shownVersion(version),
    'x-amz-delete-marker': marker ? 'true' : undefined,
  });
}

export async function deleteObjects(x: S3Request): Promise<void> {
  const bucket = x.bucket;
  const request = parse(await receiveText(x), 'Delete');
  const wanted: { Key?: string; VersionId?: string }[] = request.Object ?? [];
  if (wanted.length === 0 || wanted.length > 1000 || wanted.some(({ Key }) => !Key)) {
    throw new ApiError('MalformedXML', `a Delete must name 1 to 1000 keys, got ${wanted.length}`);
  }
  const deleted: Shape[] = [];
  const errors: Shape[] = [];
  for (const { Key = '', VersionId } of wanted) {
    try {
      const { version, marker } = deleteOne(x, Key, VersionId);
      deleted.push({
        Key,
        VersionId,
        ...(marker && version && { DeleteMarker: true, DeleteMarkerVersionId: version.versionId }),
      });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const Code = error.code === 'AccessDeniedException' ? 'AccessDenied' : error.code;
      errors.push({ Key, VersionId, Code, Message: error.message });
    }
  }
  const quiet = request.Quiet === 'true';
  context(x, `deleted ${deleted.length} of ${wanted.length} from s3://${bucket.name}`);
  x.replyXml('DeleteResult', { Deleted: quiet ? [] : deleted, Error: errors });
}

function context(x: S3Request, message: string): void {
  x.context.log('s3', message);
}

/** The version of a request that changes or shows what belongs to it. */
function existing(x: S3Request): ObjectVersion {
  const versionId = versionIdOf(x);
  const version = versionId === undefined ? x.bucket.current(x.key) : x.bucket.version(x.key, versionId);
  if (version && !version.deleteMarker) return version;
  throw versionId === undefined
    ? new ApiError('NoSuchKey', 'The specified key does not exist.', 404, { Key: x.key })
    : new ApiError('NoSuchVersion', 'The specified version does not exist.', 404, { Key: x.key, VersionId: versionId });
}

export async function objectTagging(x: S3Request): Promise<void> {
  const verb = { GET: 'Get', PUT: 'Put', DELETE: 'Delete' }[x.request.method ?? ''];
  x.authorize(`${verb}Object${versionIdOf(x) === undefined ? '' : 'Version'}Tagging`);
  const version = existing(x);
  const headers = { 'x-amz-version-id': x.shownVersion(version) };
  if (verb === 'Get') {
    const Tag = Object.entries(version.tags ?? {}).map(([Key, Value]) => ({ Key, Value }));
    x.replyXml('Tagging', { TagSet: { Tag } }, headers);
    return;
  }
  const { tags: _, ...untagged } = version;
  if (verb === 'Delete') {
    x.store.amend(x.bucket, untagged);
    x.reply(204, headers);
    return;
  }
  const given: { Key: string; Value: string }[] = parse(await receiveText(x), 'Tagging').TagSet?.Tag ?? [];
  const tags = checkedTags(given.map(({ Key, Value }) => [Key, Value]));
  x.store.amend(x.bucket, { ...untagged, tags });
  x.reply(200, headers);
}

function checkedTags(tags: readonly (readonly [string, string])[]): Record<string, string> {
  if (tags.length > 10) throw new ApiError('BadRequest', `Object tags cannot be greater than 10, got ${tags.length}`);
  for (const [key, value] of tags) {
    if (!key || key.length > 128) throw new ApiError('InvalidTag', `a tag's key must have 1 to 128 characters`);
    if (value.length > 256) throw new ApiError('InvalidTag', `a tag's value must have at most 256 characters`);
  }
  return Object.fromEntries(tags);
}

export function objectAttributes(x: S3Request): void {
  x.authorize('GetObjectAttributes');
  const version = readable(x.context, x.caller, x.bucket, x.key, versionIdOf(x));
  const wanted = new Set((x.header('x-amz-object-attributes') ?? '').split(',').map((name) => name.trim()));
  if (wanted.has('Checksum')) checkReadable(x.context, x.caller, x.bucket, version);
  const { checksum, parts } = version;
  x.replyXml(
    'GetObjectAttributesResponse',
    {
      ETag: wanted.has('ETag') ? version.etag : undefined,
      Checksum:
        wanted.has('Checksum') && checksum
          ? { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: checksum.type }
          : undefined,
      ObjectParts: wanted.has('ObjectParts') && parts ? { PartsCount: parts.length } : undefined,
      StorageClass: wanted.has('StorageClass') ? 'STANDARD' : undefined,
      ObjectSize: wanted.has('ObjectSize') ? version.size : undefined,
    },
    {
      'last-modified': new Date(version.lastModified).toUTCString(),
      'x-amz-version-id': x.shownVersion(version),
    },
  );
}

export function versionIdOf(x: S3Request): string | undefined {
  const id = x.query.get('versionId');
  if (id === '') throw new ApiError('InvalidArgument', 'Version id cannot be the empty string');
  return id ?? undefined;
}
