import { createHash } from 'node:crypto';
import { chmodSync, createReadStream, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectTaggingCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { digestOf } from '../src/services/s3/checksums';
import { compareKeys } from '../src/services/s3/listing';
import { S3 } from '../src/services/s3/service';
import { ServedContext } from './support/served-context';
import { presigned } from './support/signed';

const Bucket = 'data';
let context: ServedContext;
let s3: S3;
let client: S3Client;

beforeEach(async () => {
  context = new ServedContext();
  s3 = new S3(context);
  s3.load([bucketResource()]);
  await context.serve(s3);
  client = new S3Client(context.client);
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

function bucketResource(versioning: object | undefined = { Status: 'Enabled' }) {
  return {
    stack: 'App',
    logicalId: 'Data',
    path: 'App/Data',
    type: 'AWS::S3::Bucket',
    physicalId: Bucket,
    arn: `arn:aws:s3:::${Bucket}`,
    properties: {
      VersioningConfiguration: versioning,
      NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
    },
  };
}

const put = (Key: string, Body: PutObjectCommandInput['Body'] = 'x', rest: Partial<PutObjectCommandInput> = {}) =>
  client.send(new PutObjectCommand({ Bucket, Key, Body, ...rest }));

async function text(Key: string, rest: object = {}): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...rest }));
  return (await Body?.transformToString()) ?? '';
}

/** The error's name and HTTP status. */
async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('no failure'),
    (caught) => caught,
  );
  return `${error.name} ${error.$metadata?.httpStatusCode}`;
}

const contentFiles = () => readdirSync(join(context.stateDir, 's3', 'content'));

describe('objects', () => {
  test('come back with what was stored beside them', async () => {
    await put('a/b c+ü&.csv', 'one,two', {
      ContentType: 'text/csv',
      ContentEncoding: 'identity',
      CacheControl: 'no-store',
      Metadata: { origin: 'unit' },
    });
    const object = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b c+ü&.csv' }));
    expect(await object.Body?.transformToString()).toBe('one,two');
    expect(object).toMatchObject({
      ContentType: 'text/csv',
      ContentEncoding: 'identity',
      CacheControl: 'no-store',
      ContentLength: 7,
      Metadata: { origin: 'unit' },
      ETag: `"${createHash('md5').update('one,two').digest('hex')}"`,
    });
  });

  test('keep dots and slashes of their keys', async () => {
    for (const key of ['a/../b', './x', 'c//d', 'e/']) {
      await put(key, key);
      expect(await text(key)).toBe(key);
    }
  });

  test('may be empty', async () => {
    await put('empty', '');
    expect(await text('empty')).toBe('');
  });

  test('are read in ranges', async () => {
    await put('k', '0123456789');
    expect(await text('k', { Range: 'bytes=2-4' })).toBe('234');
    expect(await text('k', { Range: 'bytes=7-' })).toBe('789');
    expect(await text('k', { Range: 'bytes=-3' })).toBe('789');
    expect(await text('k', { Range: 'bytes=8-100' })).toBe('89');
    const part = await client.send(new GetObjectCommand({ Bucket, Key: 'k', Range: 'bytes=2-4' }));
    expect(part).toMatchObject({ ContentRange: 'bytes 2-4/10', ContentLength: 3 });
    expect(await failure(text('k', { Range: 'bytes=10-11' }))).toBe('InvalidRange 416');
  });

  test('of a stream of unknown length are decoded and checked', async () => {
    const Body = Readable.from([Buffer.alloc(70_000, 'a'), Buffer.alloc(10, 'b')]);
    await new Upload({ client, params: { Bucket, Key: 'streamed', Body } }).done();
    expect(await text('streamed')).toBe('a'.repeat(70_000) + 'b'.repeat(10));
  });

  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const)(
    'carry a %s that clients verify',
    async (algorithm) => {
      if (algorithm === 'CRC64NVME') {
        const digest = digestOf(algorithm);
        digest.update(Buffer.from('payload'));
        await put('k', 'payload', { ChecksumCRC64NVME: digest.digest().toString('base64') });
      } else {
        await put('k', Buffer.from('payload'), { ChecksumAlgorithm: algorithm });
      }
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
      const digest = digestOf(algorithm);
      digest.update(Buffer.from('payload'));
      expect(head).toMatchObject({
        [`Checksum${algorithm}`]: digest.digest().toString('base64'),
        ChecksumType: 'FULL_OBJECT',
      });
      expect(await text('k')).toBe('payload');
    },
  );

  test('whose digest does not fit are refused and leave nothing', async () => {
    expect(await failure(put('k', 'payload', { ContentMD5: Buffer.alloc(16).toString('base64') }))).toBe(
      'BadDigest 400',
    );
    expect(await failure(put('k', 'payload', { ChecksumSHA256: Buffer.alloc(32).toString('base64') }))).toBe(
      'BadDigest 400',
    );
    expect(contentFiles()).toEqual([]);
    expect(context.events).toEqual([]);
  });

  test('whose upload breaks off leave nothing', async () => {
    const url = await presigned(context.client, 's3', 60, { method: 'PUT', path: `/${Bucket}/k` });
    const broken = httpRequest(url, { method: 'PUT', headers: { 'content-length': 1_000_000 } });
    broken.on('error', () => {});
    broken.write(Buffer.alloc(1000));
    await until(() => contentFiles().length === 1);
    broken.destroy();
    await until(() => contentFiles().length === 0);
    expect(await failure(text('k'))).toBe('NoSuchKey 404');
  });

  test('are written under conditions', async () => {
    await put('k', 'first', { IfNoneMatch: '*' });
    expect(await failure(put('k', 'second', { IfNoneMatch: '*' }))).toBe('PreconditionFailed 412');
    const { ETag } = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    expect(await failure(put('k', 'second', { IfMatch: '"0"' }))).toBe('PreconditionFailed 412');
    await put('k', 'second', { IfMatch: ETag });
    expect(await text('k')).toBe('second');
    expect(await failure(put('new', 'x', { IfMatch: ETag }))).toBe('NoSuchKey 404');
  });

  test('of many writers at once with If-None-Match are written once', async () => {
    const results = await Promise.all(
      [...'abcdefgh'].map((one) =>
        put('once', one, { IfNoneMatch: '*' }).then(
          () => one,
          (error) => error.name,
        ),
      ),
    );
    const [winner, ...more] = results.filter((one) => one.length === 1);
    expect(more).toEqual([]);
    expect(results.filter((one) => one === 'PreconditionFailed')).toHaveLength(7);
    expect(await text('once')).toBe(winner);
    expect(context.events).toHaveLength(1);
  });

  test('are read under conditions', async () => {
    const { ETag } = await put('k');
    expect(await failure(text('k', { IfNoneMatch: ETag }))).toMatch(/ 304$/);
    expect(await failure(text('k', { IfMatch: '"0"' }))).toBe('PreconditionFailed 412');
    expect(await failure(text('k', { IfModifiedSince: new Date(Date.now() + 60_000) }))).toMatch(/ 304$/);
    expect(await failure(text('k', { IfUnmodifiedSince: new Date(0) }))).toBe('PreconditionFailed 412');
    expect(await text('k', { IfMatch: ETag })).toBe('x');
  });

  test('are copied, with or without new metadata', async () => {
    await put('from', 'body', { Metadata: { a: '1' }, Tagging: 'k=v' });
    await client.send(new CopyObjectCommand({ Bucket, Key: 'same', CopySource: `${Bucket}/from` }));
    await client.send(
      new CopyObjectCommand({
        Bucket,
        Key: 'other',
        CopySource: `${Bucket}/from`,
        MetadataDirective: 'REPLACE',
        Metadata: { b: '2' },
      }),
    );
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'same' }))).Metadata).toEqual({ a: '1' });
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'other' }))).Metadata).toEqual({ b: '2' });
    expect((await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'same' }))).TagSet).toEqual([
      { Key: 'k', Value: 'v' },
    ]);
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'from' }));
    expect(await text('same')).toBe('body');
    expect(
      await failure(client.send(new CopyObjectCommand({ Bucket, Key: 'same', CopySource: `${Bucket}/same` }))),
    ).toBe('InvalidRequest 400');
  });

  test('carry tags that may be changed', async () => {
    await put('k');
    await client.send(
      new PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet: [{ Key: 'a', Value: '1 & 2' }] } }),
    );
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' }));
    expect(TagSet).toEqual([{ Key: 'a', Value: '1 & 2' }]);
  });
});

describe('versions', () => {
  test('stay readable after an overwrite and a delete', async () => {
    const { VersionId: first } = await put('k', 'one');
    const { VersionId: second } = await put('k', 'two');
    const marker = await client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
    expect(marker.DeleteMarker).toBe(true);
    expect(await failure(text('k'))).toBe('NoSuchKey 404');
    expect(await text('k', { VersionId: first })).toBe('one');

    const listed = await client.send(new ListObjectVersionsCommand({ Bucket }));
    expect(listed.Versions?.map(({ VersionId, IsLatest }) => [VersionId, IsLatest])).toEqual([
      [second, false],
      [first, false],
    ]);
    expect(listed.DeleteMarkers).toMatchObject([{ VersionId: marker.VersionId, IsLatest: true }]);

    await client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: marker.VersionId }));
    expect(await text('k')).toBe('two');
  });

  test('are listed page by page', async () => {
    for (const key of ['a', 'b', 'b', 'b', 'c']) await put(key);
    const seen: (string | undefined)[] = [];
    let page: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
    while (page) {
      const listed: Awaited<ReturnType<typeof listPage>> = await listPage(page);
      seen.push(...(listed.Versions ?? []).map(({ Key }) => Key));
      page = listed.IsTruncated
        ? { KeyMarker: listed.NextKeyMarker, VersionIdMarker: listed.NextVersionIdMarker }
        : undefined;
    }
    expect(seen).toEqual(['a', 'b', 'b', 'b', 'c']);
    function listPage(from: object) {
      return client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, ...from }));
    }
  });

  test('are not kept in a bucket without versioning', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'plain' }));
    const one = await client.send(new PutObjectCommand({ Bucket: 'plain', Key: 'k', Body: 'one' }));
    await client.send(new PutObjectCommand({ Bucket: 'plain', Key: 'k', Body: 'two' }));
    expect(one.VersionId).toBeUndefined();
    expect(contentFiles()).toHaveLength(1);
    await client.send(new DeleteObjectCommand({ Bucket: 'plain', Key: 'k' }));
    expect(contentFiles()).toHaveLength(0);
  });

  test('stop when versioning is suspended, and old ones stay', async () => {
    const { VersionId } = await put('k', 'one');
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }));
    expect((await put('k', 'two')).VersionId).toBe('null');
    expect(await text('k', { VersionId })).toBe('one');
  });
});

describe('uploads in parts', () => {
  const MiB = 1024 ** 2;

  test('become one object with an etag of its parts', async () => {
    const Body = Buffer.alloc(12 * MiB, 'abcdefg');
    const done = await new Upload({
      client,
      params: { Bucket, Key: 'big', Body, Metadata: { m: '1' } },
      partSize: 5 * MiB,
    }).done();
    const md5s = [0, 5, 10].map((start) =>
      createHash('md5')
        .update(Body.subarray(start * MiB, (start + 5) * MiB))
        .digest(),
    );
    const etag = createHash('md5').update(Buffer.concat(md5s)).digest('hex');
    expect(done.ETag).toBe(`"${etag}-3"`);
    const object = await client.send(new GetObjectCommand({ Bucket, Key: 'big' }));
    expect(Body.equals(Buffer.from((await object.Body?.transformToByteArray()) ?? []))).toBe(true);
    expect(object.Metadata).toEqual({ m: '1' });
    expect(context.events.map(({ detail }) => detail.reason)).toEqual(['CompleteMultipartUpload']);
    const second = await client.send(new GetObjectCommand({ Bucket, Key: 'big', PartNumber: 3 }));
    expect(second).toMatchObject({ ContentLength: 2 * MiB, PartsCount: 3 });
    expect(contentFiles()).toHaveLength(1);
  });

  test('may be copied from objects, listed and aborted', async () => {
    await put('from', Buffer.alloc(6 * MiB, 'x'));
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'to' }));
    const copy = await client.send(
      new UploadPartCopyCommand({
        Bucket,
        Key: 'to',
        UploadId,
        PartNumber: 1,
        CopySource: `${Bucket}/from`,
        CopySourceRange: `bytes=0-${5 * MiB - 1}`,
      }),
    );
    const last = await client.send(new UploadPartCommand({ Bucket, Key: 'to', UploadId, PartNumber: 7, Body: 'end' }));
    const parts = await client.send(new ListPartsCommand({ Bucket, Key: 'to', UploadId }));
    expect(parts.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [1, 5 * MiB],
      [7, 3],
    ]);
    const complete = (Parts: object[]) =>
      client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'to', UploadId, MultipartUpload: { Parts } }));
    const first = { PartNumber: 1, ETag: copy.CopyPartResult?.ETag };
    const second = { PartNumber: 7, ETag: last.ETag };
    expect(await failure(complete([second, first]))).toBe('InvalidPartOrder 400');
    expect(await failure(complete([first, { PartNumber: 8, ETag: last.ETag }]))).toBe('InvalidPart 400');
    expect(await failure(complete([first, { ...second, ETag: '"0"' }]))).toBe('InvalidPart 400');
    await complete([first, second]);
    expect((await text('to')).slice(-5)).toBe('xxend');
    expect(await failure(client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'to', UploadId })))).toBe(
      'NoSuchUpload 404',
    );
  });

  test('with a small part in the middle are refused, and an abort leaves nothing', async () => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
    const Parts: { PartNumber: number; ETag?: string }[] = [];
    for (const PartNumber of [1, 2]) {
      const { ETag } = await client.send(
        new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber, Body: 'small' }),
      );
      Parts.push({ PartNumber, ETag });
    }
    const complete = new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload: { Parts } });
    expect(await failure(client.send(complete))).toBe('EntityTooSmall 400');
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'k', UploadId }));
    expect(contentFiles()).toEqual([]);
  });
});

describe('listings', () => {
  test('roll keys up at the delimiter and go on where a page ended', async () => {
    for (const key of ['a', 'd/1', 'd/2', 'e/x/1', 'f', 'z']) await put(key);
    const seen: string[] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys: 1, ContinuationToken }),
      );
      expect(page.KeyCount).toBe(1);
      seen.push(
        ...(page.Contents ?? []).map(({ Key }) => `${Key}`),
        ...(page.CommonPrefixes ?? []).map(({ Prefix }) => `${Prefix}`),
      );
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken);
    expect(seen).toEqual(['a', 'd/', 'e/', 'f', 'z']);
  });

  test('start after a key, in both versions of the API', async () => {
    for (const key of ['a b', 'b&<', 'c']) await put(key);
    const second = await client.send(new ListObjectsV2Command({ Bucket, StartAfter: 'a b', EncodingType: 'url' }));
    expect(second.Contents?.map(({ Key }) => Key)).toEqual(['b%26%3C', 'c']);
    const first = await client.send(new ListObjectsCommand({ Bucket, Marker: 'a b' }));
    expect(first.Contents?.map(({ Key }) => Key)).toEqual(['b&<', 'c']);
  });

  test('order keys by their bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), (keys) => {
        const ours = [...keys].sort(compareKeys);
        const bytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(ours).toEqual(bytes);
      }),
    );
  });
});

describe('deletes', () => {
  test('of many keys tell each one’s result', async () => {
    await put('a');
    await put('b');
    context.denied.clear();
    const { Deleted } = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }, { Key: 'b' }, { Key: '<&>' }] } }),
    );
    expect(Deleted?.map(({ Key }) => Key)).toEqual(['a', 'b', '<&>']);
    context.denied.add('s3:DeleteObject');
    const { Errors } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }] } }));
    expect(Errors).toMatchObject([{ Key: 'a', Code: 'AccessDenied' }]);
  });
});

describe('events', () => {
  test('tell of created and deleted objects, with sequencers that increase', async () => {
    const { VersionId } = await put('in/a b.csv', 'body');
    await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/in/a%20b.csv` }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'copy' }));
    expect(context.events[0]).toMatchObject({
      source: 'aws.s3',
      'detail-type': 'Object Created',
      resources: ['arn:aws:s3:::data'],
      detail: {
        version: '0',
        bucket: { name: Bucket },
        object: { key: 'in/a b.csv', size: 4, etag: '841a2d689ad86bd1611447453c22c6fc', 'version-id': VersionId },
        requester: '111122223333',
        reason: 'PutObject',
      },
    });
    expect(context.events[1].detail.reason).toBe('CopyObject');
    expect(context.events[2]).toMatchObject({
      'detail-type': 'Object Deleted',
      detail: { reason: 'DeleteObject', 'deletion-type': 'Delete Marker Created' },
    });
    const sequencers = context.events.map(({ detail }) => detail.object.sequencer);
    expect([...sequencers].sort()).toEqual(sequencers);
    expect(new Set(sequencers).size).toBe(3);
  });

  test('come only from buckets that have EventBridge on', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'quiet' }));
    await client.send(new PutObjectCommand({ Bucket: 'quiet', Key: 'k', Body: 'x' }));
    expect(context.events).toEqual([]);
  });

  test('of a CDK custom resource are turned on without its Lambda', async () => {
    const plain = { ...bucketResource(undefined), physicalId: 'own', properties: {} };
    const custom = {
      ...plain,
      type: 'Custom::S3BucketNotifications',
      properties: { BucketName: 'own', NotificationConfiguration: { EventBridgeConfiguration: {} } },
    };
    s3.load([custom, plain]);
    await client.send(new PutObjectCommand({ Bucket: 'own', Key: 'k', Body: 'x' }));
    expect(context.events).toHaveLength(1);
    expect(() =>
      s3.load([
        { ...custom, properties: { BucketName: 'own', NotificationConfiguration: { QueueConfigurations: [{}] } } },
      ]),
    ).toThrow('notifications to Queue are not implemented');
  });
});

describe('permissions', () => {
  test('are asked for by S3’s own names', async () => {
    const { VersionId } = await put('k');
    await text('k');
    await text('k', { VersionId });
    await client.send(new ListObjectsV2Command({ Bucket, Prefix: 'p/' }));
    expect(context.asked).toEqual([
      { action: 's3:PutObject', resource: 'arn:aws:s3:::data/k', conditions: {} },
      { action: 's3:GetObject', resource: 'arn:aws:s3:::data/k' },
      { action: 's3:GetObjectVersion', resource: 'arn:aws:s3:::data/k' },
      {
        action: 's3:ListBucket',
        resource: 'arn:aws:s3:::data',
        conditions: { 's3:prefix': 'p/', 's3:max-keys': '1000' },
      },
    ]);
  });

  test('hide from those who may not list whether a key exists', async () => {
    context.denied.add('s3:ListBucket');
    expect(await failure(text('missing'))).toBe('AccessDenied 403');
  });

  test('are needed to write', async () => {
    context.denied.add('s3:PutObject');
    expect(await failure(put('k', Buffer.alloc(3_000_000)))).toBe('AccessDenied 403');
    expect(contentFiles()).toEqual([]);
  });
});

test('a bucket that does not exist, and one that exists', async () => {
  expect(await failure(client.send(new GetObjectCommand({ Bucket: 'none', Key: 'k' })))).toBe('NoSuchBucket 404');
  expect(await failure(client.send(new CreateBucketCommand({ Bucket })))).toBe('BucketAlreadyOwnedByYou 409');
  expect((await client.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBe('eu-west-1');
});

test('what is not implemented says so by name', async () => {
  await put('k');
  const error = await client.send(new GetObjectAclCommand({ Bucket, Key: 'k' })).catch((caught) => caught);
  expect(error).toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } });
  expect(error.message).toContain('GET object acl');
});

test('everything is there again after a restart on the same folder', async () => {
  const { VersionId } = await put('k', 'one', { Metadata: { a: 'b' } });
  await put('k', 'two');
  await put('gone');
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
  const before = context.events.at(-1)?.detail.object.sequencer;
  context.restart();
  const leftBehind = 'f'.repeat(32);
  writeFileSync(join(context.stateDir, 's3', 'content', leftBehind), 'an upload that a crash ended');
  writeFileSync(join(context.stateDir, 's3', 'content', 'notes.txt'), "somebody's own");

  const again = new S3(context);
  again.load([bucketResource()]);
  const root = { kind: 'root' } as const;
  expect(readFileSync(await again.file(Bucket, 'k', root), 'utf8')).toBe('two');
  expect(readFileSync(await again.file(Bucket, 'k', root, VersionId), 'utf8')).toBe('one');
  expect((await again.list(Bucket, '', root)).map(({ key }) => key)).toEqual(['k']);
  expect(contentFiles()).not.toContain(leftBehind);
  expect(context.store.aside.told).toEqual([expect.stringContaining('s3/content/notes.txt is set aside')]);
  await again.put(Bucket, 'k', Buffer.from('three'), root);
  expect(context.events.at(-1)?.detail.object.sequencer > before).toBe(true);
});

test('an upload in parts goes on after a restart', async () => {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  const part = (PartNumber: number, Body: string) => ({ Bucket, Key: 'k', UploadId, PartNumber, Body });
  await client.send(new UploadPartCommand(part(1, 'replaced')));
  const { ETag } = await client.send(new UploadPartCommand(part(1, 'whole')));
  context.restart();
  await context.serve(new S3(context));
  const again = new S3Client(context.client);
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await again.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload }));
  const { Body } = await again.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  expect(await Body?.transformToString()).toBe('whole');
  expect(contentFiles()).toHaveLength(1);
  expect(context.store.aside.told).toEqual([]);
});

test.each([
  ['cut off', (file: string) => writeFileSync(file, 'o')],
  ['gone', (file: string) => rmSync(file)],
])('an object whose bytes are %s is set aside, and the others are there', async (_, spoil) => {
  const root = { kind: 'root' } as const;
  await put('good', 'fine');
  await put('bad', 'one');
  const file = await s3.file(Bucket, 'bad', root);
  chmodSync(file, 0o644);
  spoil(file);
  context.restart();
  const again = new S3(context);
  expect((await again.list(Bucket, '', root)).map(({ key }) => key)).toEqual(['good']);
  expect(context.store.aside.told[0]).toMatch(
    /"bad".*is set aside.*its bytes, s3\/content\/\w+, (are gone|must be 3, got 1)$/,
  );
});

test('bytes are set aside, not removed, where what named them could not be read', async () => {
  await put('k', 'precious');
  const file = await s3.file(Bucket, 'k', { kind: 'root' });
  const journal = join(context.stateDir, 'journal.jsonl');
  writeFileSync(journal, readFileSync(journal, 'utf8').replace(/.*s3\/versions.*/, '["s3/versions","k",{"buck'));
  context.restart();
  new S3(context);
  expect(readFileSync(join(context.stateDir, 'set-aside', basename(file)), 'utf8')).toBe('precious');
});

test('services inside reach objects without HTTP', async () => {
  const root = { kind: 'root' } as const;
  const source = join(context.stateDir, 'model.tar.gz');
  writeFileSync(source, 'model');
  const stored = await s3.put(Bucket, 'models/m', { file: source }, root);
  expect(stored).toMatchObject({ key: 'models/m', size: 5, etag: createHash('md5').update('model').digest('hex') });
  expect(context.events.at(-1)?.detail).toMatchObject({ reason: 'PutObject', object: { key: 'models/m' } });
  const read = createReadStream(await s3.file(Bucket, 'models/m', root, stored.versionId));
  expect(Buffer.concat(await read.toArray()).toString()).toBe('model');
  expect(await s3.list(Bucket, 'models/', root)).toEqual([stored]);
});

describe('checksums', () => {
  test.each([
    ['CRC32', 'cbf43926'],
    ['CRC32C', 'e3069283'],
    ['CRC64NVME', 'ae8b14860a799888'],
  ] as const)('%s of the catalogue’s check string', (algorithm, expected) => {
    const digest = digestOf(algorithm);
    digest.update(Buffer.from('123456789'));
    expect(digest.digest().toString('hex')).toBe(expected);
  });

  test.each(['CRC32C', 'CRC64NVME'] as const)('%s does not depend on how the bytes are cut', (algorithm) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
        const whole = digestOf(algorithm);
        whole.update(bytes);
        const parts = digestOf(algorithm);
        parts.update(bytes.subarray(0, cut));
        parts.update(bytes.subarray(cut));
        expect(parts.digest()).toEqual(whole.digest());
      }),
    );
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 2));
}
