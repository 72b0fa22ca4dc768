import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '../../service';
import { algorithmNamed, type Checksum, declaredAlgorithm, receiveFile, receiveText } from './body';
import { type ChecksumAlgorithm, digestOf, digestsOfFile } from './checksums';
import { checkWrite, range } from './conditions';
import { encryptionHeaders, mayDecrypt } from './encryption';
import {
  authorizePut,
  authorizeWrite,
  checksumHeaders,
  commit,
  copySource,
  keptHeaders,
  taggingHeader,
} from './objects';
import type { S3Request } from './s3-request';
import type { Upload, UploadedPart } from './store';
import { parse } from './xml';

const SMALLEST_PART = 5 * 1024 ** 2;
const MOST_PARTS = 10_000;

export function createUpload(x: S3Request): void {
  const encryption = authorizeWrite(x);
  const bucket = x.bucket;
  const named = x.header('x-amz-checksum-algorithm');
  const algorithm = named === undefined ? undefined : algorithmNamed(named);
  const type = x.header('x-amz-checksum-type') ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  if (algorithm && (type === 'FULL_OBJECT' ? algorithm.startsWith('SHA') : algorithm === 'CRC64NVME')) {
    throw new ApiError('InvalidRequest', `The ${type} checksum type cannot be used with the ${algorithm} checksum`);
  }
  const tags = taggingHeader(x);
  const upload: Upload = {
    id: randomBytes(24).toString('base64url'),
    key: x.key,
    initiated: x.context.clock.now(),
    headers: keptHeaders(x),
    ...(tags && { tags }),
    ...(encryption && { encryption }),
    ...(algorithm && { checksum: { algorithm, type: type as Checksum['type'] } }),
    parts: new Map(),
  };
  x.store.addUpload(bucket, upload);
  x.replyXml(
    'InitiateMultipartUploadResult',
    { Bucket: bucket.name, Key: x.key, UploadId: upload.id },
    {
      ...encryptionHeaders(encryption),
      'x-amz-checksum-algorithm': algorithm,
      'x-amz-checksum-type': algorithm && type,
    },
  );
}

export async function uploadPart(x: S3Request): Promise<void> {
  x.authorize('PutObject');
  const upload = decryptableUpload(x);
  const number = partNumber(x);
  const algorithm = declaredAlgorithm(x.request);
  if (algorithm && upload.checksum && algorithm !== upload.checksum.algorithm) {
    throw new ApiError(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${upload.checksum.algorithm.toLowerCase()}, actual checksum Type: ${algorithm.toLowerCase()}`,
    );
  }
  const { name, path } = x.store.newFile();
  const received = await receiveFile(x, path);
  keep(x, upload, number, { file: name, ...received, lastModified: x.context.clock.now() });
  x.reply(200, {
    etag: `"${received.md5}"`,
    ...encryptionHeaders(upload.encryption),
    ...checksumHeaders(received.checksum),
  });
}

export async function copyPart(x: S3Request): Promise<void> {
  const { source } = copySource(x);
  x.authorize('PutObject');
  const upload = decryptableUpload(x);
  const number = partNumber(x);
  const header = x.header('x-amz-copy-source-range');
  const wanted = range(header, source.size);
  if (header !== undefined && !wanted) {
    throw new ApiError('InvalidArgument', `x-amz-copy-source-range must be bytes=<first>-<last>, got '${header}'`);
  }
  const { name, path } = x.store.newFile();
  const from = x.store.path(source);
  try {
    await pipeline(createReadStream(from, wanted), createWriteStream(path, { flags: 'wx' }));
    const algorithm = upload.checksum?.algorithm;
    const [md5, value] = await digestsOfFile(path, algorithm ? ['MD5', algorithm] : ['MD5']);
    const part: UploadedPart = {
      file: name,
      size: wanted ? wanted.end - wanted.start + 1 : source.size,
      md5: md5.toString('hex'),
      ...(algorithm && { checksum: { algorithm, value: value.toString('base64'), type: 'FULL_OBJECT' } }),
      lastModified: x.context.clock.now(),
    };
    keep(x, upload, number, part);
    const content = {
      LastModified: new Date(part.lastModified).toISOString(),
      ETag: `"${part.md5}"`,
      ...shownChecksum(part.checksum),
    };
    x.replyXml('CopyPartResult', content, encryptionHeaders(upload.encryption));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** Takes a part in, unless the upload ended while its bytes came. */
function keep(x: S3Request, upload: Upload, number: number, part: UploadedPart): void {
  if (!x.store.buckets.get(x.bucketName)?.uploads.has(upload.id)) {
    x.store.dropFile(part);
    throw noSuchUpload(upload.id);
  }
  x.store.addPart(x.bucket, upload, number, part);
}

interface NamedPart {
  readonly PartNumber: string;
  readonly ETag: string;
  readonly [checksum: `Checksum${string}`]: string;
}

export async function completeUpload(x: S3Request): Promise<void> {
  authorizePut(x);
  const upload = decryptableUpload(x);
  checkWrite(x.request, x.bucket.current(x.key));
  const named: NamedPart[] = parse(await receiveText(x), 'CompleteMultipartUpload').Part ?? [];
  if (named.some((one, i) => i > 0 && Number(one.PartNumber) <= Number(named[i - 1].PartNumber))) {
    throw new ApiError('InvalidPartOrder', 'The list of parts was not in ascending order.');
  }
  const parts = named.map((one, i) => checkedPart(upload, named, i, one));
  if (parts.length === 0) throw new ApiError('MalformedXML', 'a completed upload must name at least one part');

  const { name, path } = x.store.newFile();
  const whole = upload.checksum?.type === 'FULL_OBJECT' ? digestOf(upload.checksum.algorithm) : undefined;
  const bytes = async function* () {
    for (const part of parts) {
      for await (const chunk of createReadStream(x.store.path(part), { highWaterMark: 1 << 20 })) {
        whole?.update(chunk as Buffer);
        yield chunk as Buffer;
      }
    }
  };
  let checksum: Checksum | undefined;
  try {
    await pipeline(bytes, createWriteStream(path, { flags: 'wx', highWaterMark: 1 << 20 }));
    checksum = checksumOf(upload, parts, whole?.digest());
    checkDeclared(x, checksum);
    uploadOf(x); // not completed or aborted meanwhile
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  const md5s = Buffer.concat(parts.map((part) => Buffer.from(part.md5, 'hex')));
  const draft = {
    key: x.key,
    file: name,
    size: parts.reduce((sum, part) => sum + part.size, 0),
    etag: `${createHash('md5').update(md5s).digest('hex')}-${parts.length}`,
    headers: upload.headers,
    ...(upload.tags && { tags: upload.tags }),
    ...(upload.encryption && { encryption: upload.encryption }),
    ...(checksum && { checksum }),
    parts: parts.map(({ size, checksum: own }) => ({ size, ...(own && { checksum: own.value }) })),
  };
  const version = x.context.store.together(() => {
    const committed = commit(x, draft, 'CompleteMultipartUpload');
    x.store.dropUpload(x.bucket, upload);
    return committed;
  });
  x.replyXml(
    'CompleteMultipartUploadResult',
    {
      Location: `${x.context.url()}/${x.bucketName}/${encodeURIComponent(x.key)}`,
      Bucket: x.bucketName,
      Key: x.key,
      ETag: `"${version.etag}"`,
      ...shownChecksum(checksum),
    },
    { 'x-amz-version-id': x.shownVersion(version), ...encryptionHeaders(upload.encryption) },
  );
}

function checkedPart(upload: Upload, named: readonly NamedPart[], i: number, one: NamedPart): UploadedPart {
  const number = Number(one.PartNumber);
  const part = upload.parts.get(number);
  const given = one.ETag?.replace(/^"|"$/g, '');
  const sum = part?.checksum && one[`Checksum${part.checksum.algorithm}`];
  if (!part || given !== part.md5 || (sum !== undefined && sum !== part.checksum?.value)) {
    throw new ApiError(
      'InvalidPart',
      'One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part’s entity tag.',
      400,
      { PartNumber: one.PartNumber, ETag: one.ETag },
    );
  }
  if (i < named.length - 1 && part.size < SMALLEST_PART) {
    throw new ApiError('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', 400, {
      ProposedSize: part.size,
      MinSizeAllowed: SMALLEST_PART,
      PartNumber: number,
    });
  }
  return part;
}

function checksumOf(upload: Upload, parts: readonly UploadedPart[], whole: Buffer | undefined): Checksum | undefined {
  if (!upload.checksum) return undefined;
  const { algorithm, type } = upload.checksum;
  if (whole) return { algorithm, type, value: whole.toString('base64') };
  const digest = digestOf(algorithm);
  for (const { checksum } of parts) {
    if (checksum?.algorithm !== algorithm) {
      throw new ApiError(
        'InvalidRequest',
        `The upload was created using a ${algorithm.toLowerCase()} checksum; its parts must carry one`,
      );
    }
    digest.update(Buffer.from(checksum.value, 'base64'));
  }
  return { algorithm, type, value: `${digest.digest().toString('base64')}-${parts.length}` };
}

function checkDeclared(x: S3Request, checksum: Checksum | undefined): void {
  const declared = checksum && x.header(`x-amz-checksum-${checksum.algorithm.toLowerCase()}`);
  // Of a composite checksum clients send the value with or without the number of parts.
  if (declared !== undefined && declared !== checksum?.value && declared !== checksum?.value.replace(/-\d+$/, '')) {
    throw new ApiError('BadDigest', `The ${checksum?.algorithm} you specified did not match the calculated checksum.`);
  }
}

export function abortUpload(x: S3Request): void {
  x.authorize('AbortMultipartUpload');
  x.store.dropUpload(x.bucket, uploadOf(x));
  x.reply(204);
}

export function listParts(x: S3Request): void {
  x.authorize('ListMultipartUploadParts');
  const upload = uploadOf(x);
  const marker = Number(x.query.get('part-number-marker') ?? 0);
  const limit = Math.min(Number(x.query.get('max-parts') ?? 1000), 1000);
  const rest = [...upload.parts].filter(([number]) => number > marker).sort(([a], [b]) => a - b);
  const page = rest.slice(0, limit);
  x.replyXml('ListPartsResult', {
    Bucket: x.bucketName,
    Key: x.key,
    UploadId: upload.id,
    PartNumberMarker: marker,
    NextPartNumberMarker: page.at(-1)?.[0],
    MaxParts: limit,
    IsTruncated: rest.length > page.length,
    Part: page.map(([PartNumber, part]) => ({
      PartNumber,
      LastModified: new Date(part.lastModified).toISOString(),
      ETag: `"${part.md5}"`,
      Size: part.size,
      ...shownChecksum(part.checksum, false),
    })),
    StorageClass: 'STANDARD',
  });
}

export function listUploads(x: S3Request): void {
  x.authorize('ListBucketMultipartUploads');
  const prefix = x.query.get('prefix') ?? '';
  const uploads = [...x.bucket.uploads.values()].filter(({ key }) => key.startsWith(prefix));
  x.replyXml('ListMultipartUploadsResult', {
    Bucket: x.bucketName,
    Prefix: prefix,
    MaxUploads: 1000,
    IsTruncated: false,
    Upload: uploads
      .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.initiated - b.initiated))
      .map(({ key, id, initiated }) => ({
        Key: key,
        UploadId: id,
        StorageClass: 'STANDARD',
        Initiated: new Date(initiated).toISOString(),
      })),
  });
}

function shownChecksum(checksum: Checksum | undefined, withType = true): Record<string, string> {
  if (!checksum) return {};
  return {
    [`Checksum${checksum.algorithm satisfies ChecksumAlgorithm}`]: checksum.value,
    ...(withType && { ChecksumType: checksum.type }),
  };
}

/** The upload, if S3 may read its parts for the caller. */
function decryptableUpload(x: S3Request): Upload {
  const upload = uploadOf(x);
  mayDecrypt(x.context, x.caller, x.bucketName, x.key, upload.encryption);
  return upload;
}

function uploadOf(x: S3Request): Upload {
  const id = x.query.get('uploadId') ?? '';
  const upload = x.bucket.uploads.get(id);
  if (!upload || upload.key !== x.key) throw noSuchUpload(id);
  return upload;
}

function noSuchUpload(id: string): ApiError {
  return new ApiError(
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
    404,
    { UploadId: id },
  );
}

function partNumber(x: S3Request): number {
  const number = Number(x.query.get('partNumber'));
  if (!Number.isInteger(number) || number < 1 || number > MOST_PARTS) {
    throw new ApiError('InvalidArgument', `Part number must be an integer between 1 and ${MOST_PARTS}, inclusive`);
  }
  return number;
}
