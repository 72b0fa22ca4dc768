import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { parseS3Uri } from '../../lib/core/names';
import type { Seal } from '../../lib/core/registry/sealed';

/** A version of an object. */
export interface Source {
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string;
  /** Bytes. */
  readonly size: number;
}

/** How much is copied at once, and at a time. */
export interface CopyLimits {
  /** Bytes of an object from which on it is copied in parts. */
  readonly whole: number;
  /** Bytes of a part. */
  readonly part: number;
  /** Parts at a time. */
  readonly atOnce: number;
}

/**
 * 5 GB are the most that S3 copies whole; parts of 512 MiB reach 5 TB with the 10,000 parts that an object may have.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
 */
const LIMITS: CopyLimits = { whole: 5e9, part: 512 * 2 ** 20, atOnce: 8 };

/** The newest version of an object. */
export async function newestVersion(s3: S3Client, bucket: string, key: string): Promise<Source> {
  const { VersionId, ContentLength = 0 } = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
  return { bucket, key, versionId: VersionId, size: ContentLength };
}

/** Copies a version to a key of the same bucket, within S3, and gives the copy's seal. */
export async function copyVersion(
  s3: S3Client,
  source: Source,
  key: string,
  limits: CopyLimits = LIMITS,
): Promise<Seal> {
  const copy = source.size <= limits.whole ? copyWhole : copyInParts;
  const versionId = await copy(s3, source, key, limits);
  const seal = await readSeal(s3, source.bucket, key, versionId);
  if (seal?.sha256 === undefined) {
    throw new Error(`the copy of ${source.key} at ${key} must have a SHA-256 from S3, got none; try again`);
  }
  return { versionId: seal.versionId, sha256: seal.sha256 };
}

/**
 * The seal of an object as it is now; undefined if there is none that may be read.
 *
 * @param versionId of this version, instead of the newest
 */
export async function readSeal(
  s3: S3Client,
  bucket: string,
  key: string,
  versionId?: string,
): Promise<(Partial<Seal> & Pick<Seal, 'versionId'>) | undefined> {
  try {
    const { VersionId = 'null', ChecksumSHA256 } = await s3.send(
      new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId, ChecksumMode: 'ENABLED' }),
    );
    return { versionId: VersionId, sha256: ChecksumSHA256 };
  } catch (error) {
    // who may not list is told 403 of what is missing
    const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
    if (status === 403 || status === 404) return undefined;
    throw error;
  }
}

/** The same of `s3://bucket/key`. */
export function readSealAt(s3: S3Client, uri: string): ReturnType<typeof readSeal> {
  const { bucket, key } = parseS3Uri(uri);
  return readSeal(s3, bucket, key);
}

function copySource({ bucket, key, versionId }: Source): string {
  const path = `${bucket}/${key}`.split('/').map(encodeURIComponent).join('/');
  return versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(versionId)}`;
}

async function copyWhole(s3: S3Client, source: Source, Key: string): Promise<string | undefined> {
  const { VersionId } = await s3.send(
    new CopyObjectCommand({
      Bucket: source.bucket,
      Key,
      CopySource: copySource(source),
      ChecksumAlgorithm: 'SHA256',
      TaggingDirective: 'REPLACE', // to copy tags needs a permission of its own
    }),
  );
  return VersionId;
}

async function copyInParts(
  s3: S3Client,
  source: Source,
  Key: string,
  { part, atOnce }: CopyLimits,
): Promise<string | undefined> {
  const target = { Bucket: source.bucket, Key };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: 'SHA256' }));
  try {
    const starts = Array.from({ length: Math.ceil(source.size / part) }, (_, i) => i * part);
    const Parts: Array<{ PartNumber: number; ETag?: string; ChecksumSHA256?: string }> = [];
    for (let i = 0; i < starts.length; i += atOnce) {
      const copied = starts.slice(i, i + atOnce).map(async (start, j) => {
        const PartNumber = i + j + 1;
        const end = Math.min(start + part, source.size) - 1;
        const { CopyPartResult } = await s3.send(
          new UploadPartCopyCommand({
            ...target,
            UploadId,
            PartNumber,
            CopySource: copySource(source),
            CopySourceRange: `bytes=${start}-${end}`,
          }),
        );
        return { PartNumber, ETag: CopyPartResult?.ETag, ChecksumSHA256: CopyPartResult?.ChecksumSHA256 };
      });
      Parts.push(...(await Promise.all(copied)));
    }
    const { VersionId } = await s3.send(
      new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }),
    );
    return VersionId;
  } catch (error) {
    await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId }));
    throw error;
  }
}
