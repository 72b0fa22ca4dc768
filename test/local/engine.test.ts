import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { Engine } from '../../lib/local/engine';
import { assemblyOf } from '../support/assembly';

describe('Engine', () => {
  test('starts on the smallest app and stops', async () => {
    const engine = await Engine.start({
      assembly: assemblyOf({ Bucket: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } } }),
    });
    console.log(Object.keys(engine.services));
    expect(engine.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const s3 = new S3Client(engine.clientConfig);
    await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'a', Body: 'hello' }));
    const got = await s3.send(new GetObjectCommand({ Bucket: 'data', Key: 'a' }));
    expect(await got.Body?.transformToString()).toBe('hello');
    await engine.idle();
    await engine.stop();
    await engine.stop();
  });
});
