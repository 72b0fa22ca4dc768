import { DeleteObjectCommand, ListObjectVersionsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { S3 } from '../../engine/src/services/s3/service';
import { ServedContext } from '../../engine/test/support/served-context';
import { emptyBucket } from '../../lambdas/clean-up/empty-bucket';

const Bucket = 'data';
let context: ServedContext;
let client: S3Client;

beforeEach(async () => {
  context = new ServedContext();
  const s3 = new S3(context);
  const resource = { stack: 'S', logicalId: 'B', path: 'S/B', arn: `arn:aws:s3:::${Bucket}`, physicalId: Bucket };
  s3.load([{ ...resource, type: 'AWS::S3::Bucket', properties: { VersioningConfiguration: { Status: 'Enabled' } } }]);
  await context.serve(s3);
  client = new S3Client(context.client);
  for (const Key of ['a', 'a', 'b']) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'b' }));
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

const left = async () => {
  const { Versions = [], DeleteMarkers = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
  return Versions.length + DeleteMarkers.length;
};

describe('emptying a bucket', () => {
  test('deletes all versions, and the marks of what was deleted', async () => {
    expect(await left()).toBe(4);
    expect(await emptyBucket(client, Bucket, () => true)).toBe(true);
    expect(await left()).toBe(0);
  });

  test('stops when time is up, and goes on the next time', async () => {
    expect(await emptyBucket(client, Bucket, () => false)).toBe(false);
    expect(await left()).toBe(4);
  });

  test('has nothing to do where there is no bucket', async () => {
    expect(await emptyBucket(client, 'no-such-bucket', () => true)).toBe(true);
  });

  test('names an object that it may not delete', async () => {
    context.denied.add('s3:DeleteObjectVersion');
    await expect(emptyBucket(client, Bucket, () => true)).rejects.toThrow(
      /of the bucket data must be deletable, got AccessDenied/,
    );
  });
});
