import { createHash, randomBytes } from 'node:crypto';
import { GetObjectCommand, ListMultipartUploadsCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { S3 } from '../../engine/src/services/s3/service';
import { ServedContext } from '../../engine/test/support/served-context';
import { copyVersion, newestVersion, readSeal, type Source } from '../../lambdas/registry/archives';
import { type SealPorts, sealModel } from '../../lambdas/registry/seal-model.handler';

const Bucket = 'data';
const MODEL = 'runs/r/models/j/output/model.tar.gz';
const SEALED = 'runs/r/sealed/j/model.tar.gz';
let context: ServedContext;
let client: S3Client;

beforeEach(async () => {
  context = new ServedContext();
  const s3 = new S3(context);
  const resource = { stack: 'S', logicalId: 'B', path: 'S/B', arn: `arn:aws:s3:::${Bucket}`, physicalId: Bucket };
  const properties = { VersioningConfiguration: { Status: 'Enabled' } };
  s3.load([{ ...resource, type: 'AWS::S3::Bucket', properties }]);
  await context.serve(s3);
  client = new S3Client(context.client);
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

const put = async (Key: string, Body: Buffer) =>
  (await client.send(new PutObjectCommand({ Bucket, Key, Body }))).VersionId as string;
const bytes = async (Key: string, VersionId?: string) => {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, VersionId }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};
const sha256 = (body: Buffer) => createHash('sha256').update(body).digest('base64');

/** Parts of 5 MiB, the least that S3 takes. */
const PARTS = { whole: 6 * 2 ** 20, part: 5 * 2 ** 20, atOnce: 2 };

describe('sealing a model', () => {
  test('copies the version that was found, also if a job overwrites it meanwhile', async () => {
    const first = Buffer.from('the model that was trained');
    await put(MODEL, first);
    const source = await newestVersion(client, Bucket, MODEL);
    await put(MODEL, Buffer.from('another'));

    const seal = await copyVersion(client, source, SEALED);
    expect(await bytes(SEALED, seal.versionId)).toEqual(first);
    expect(seal.sha256).toBe(sha256(first));
    expect(await readSeal(client, Bucket, SEALED)).toEqual(seal);
  });

  test('copies in parts what is too large to be copied whole, with a checksum of all of them', async () => {
    const body = randomBytes(12 * 2 ** 20 + 7);
    await put(MODEL, body);
    const source = await newestVersion(client, Bucket, MODEL);

    const seal = await copyVersion(client, source, SEALED, PARTS);
    expect((await bytes(SEALED)).equals(body)).toBe(true);
    const parts = [0, 1, 2].map((i) => body.subarray(i * PARTS.part, (i + 1) * PARTS.part));
    const digests = parts.map((part) => createHash('sha256').update(part).digest());
    expect(seal.sha256).toBe(`${sha256(Buffer.concat(digests))}-3`);
    expect(await readSeal(client, Bucket, SEALED)).toEqual(seal);
  }, 30_000);

  test('leaves no parts behind that somebody would pay for, where a part fails', async () => {
    await put(MODEL, randomBytes(12 * 2 ** 20));
    const source = await newestVersion(client, Bucket, MODEL);
    const longer: Source = { ...source, size: source.size + PARTS.part };

    await expect(copyVersion(client, longer, SEALED, PARTS)).rejects.toThrow();
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(Uploads).toEqual([]);
  }, 30_000);

  test('made again after a failure gives another version: the last one that was told counts', async () => {
    await put(MODEL, Buffer.from('model'));
    const ports: SealPorts = {
      newestVersion: (bucket, key) => newestVersion(client, bucket, key),
      copyVersion: (source, key) => copyVersion(client, source, key),
    };
    const request = { runId: 'r', model: `s3://${Bucket}/${MODEL}` };
    const [first, second] = [await sealModel(ports, request), await sealModel(ports, request)];

    expect(first).toMatchObject({ uri: `s3://${Bucket}/${SEALED}`, sha256: sha256(Buffer.from('model')) });
    expect(second.versionId).not.toBe(first.versionId);
    expect(await readSeal(client, Bucket, SEALED)).toEqual({ versionId: second.versionId, sha256: second.sha256 });
  });

  test('is undone by nothing but a change: what is gone, or not to be read, has no seal', async () => {
    expect(await readSeal(client, Bucket, SEALED)).toBeUndefined();
    await put(SEALED, Buffer.from('model'));
    context.denied.add('s3:GetObject');
    expect(await readSeal(client, Bucket, SEALED)).toBeUndefined();
  });
});
