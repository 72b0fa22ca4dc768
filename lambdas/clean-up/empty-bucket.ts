import { DeleteObjectsCommand, ListObjectVersionsCommand, NoSuchBucket, type S3Client } from '@aws-sdk/client-s3';

/**
 * Deletes all versions of all objects, a thousand at a time.
 *
 * @returns false if time was up before all were deleted
 */
export async function emptyBucket(s3: S3Client, Bucket: string, hasTime: () => boolean): Promise<boolean> {
  try {
    while (hasTime()) {
      const { Versions = [], DeleteMarkers = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket }));
      const Objects = [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
      if (Objects.length === 0) return true;
      const { Errors: [error] = [] } = await s3.send(
        new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }),
      );
      if (error !== undefined) {
        throw new Error(`${error.Key} of the bucket ${Bucket} must be deletable, got ${error.Code}: ${error.Message}`);
      }
    }
    return false;
  } catch (error) {
    if (error instanceof NoSuchBucket || (error as Error).name === 'NoSuchBucket') return true;
    throw error;
  }
}
