import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  CreateModelPackageCommand,
  DescribeEndpointCommand,
  DescribeModelPackageCommand,
  type InferenceSpecification,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseS3Uri } from '../../lib/core';
import { csv, flights, requests } from './flights';
import { Loop } from './loop';

describe('a model is deployed as it was judged', () => {
  let loop: Loop;
  let sagemaker: SageMakerClient;
  beforeAll(async () => {
    loop = await Loop.start({ autoApprove: false });
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
  }, 180_000);
  afterAll(() => loop.stop());

  /** Trains, and gives the version that waits for a person. */
  const train = async (month: number) => {
    const { runs } = await loop.upload(`incoming/${month}.csv`, csv(await flights(month, 8000)));
    const end = runs.at(-1)?.ended;
    return { run: runs.at(-1), end, arn: end?.modelPackageArn as string };
  };
  const versionOf = async (arn: string) => {
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: arn }));
    const [{ ModelDataUrl = '' } = {}] = found.InferenceSpecification?.Containers ?? [];
    return { ...found, metadata: found.CustomerMetadataProperties ?? {}, ...parseS3Uri(ModelDataUrl) };
  };
  const approve = async (ModelPackageArn: string) => {
    loop.engine.advance(60_000);
    await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));
    return (await loop.rest()).deployments.at(-1);
  };
  /** Registers the same model once more, as another run would. */
  const registerCopy = async (arn: string) => {
    const { key, metadata, InferenceSpecification, ModelPackageGroupName } = await versionOf(arn);
    const copy = 'runs/by-hand/sealed/j/model.tar.gz';
    const [container] = InferenceSpecification?.Containers ?? [];
    const Body = await loop.bytes(key);
    const { VersionId = '', ChecksumSHA256 = '' } = await loop.s3.send(
      new PutObjectCommand({ Bucket: loop.bucket, Key: copy, Body, ChecksumAlgorithm: 'SHA256' }),
    );
    const { ModelPackageArn } = await sagemaker.send(
      new CreateModelPackageCommand({
        ModelPackageGroupName,
        ModelApprovalStatus: 'PendingManualApproval',
        CustomerMetadataProperties: { ...metadata, modelVersionId: VersionId, modelSha256: ChecksumSHA256 },
        InferenceSpecification: {
          ...InferenceSpecification,
          Containers: [{ ...container, ModelDataUrl: `s3://${loop.bucket}/${copy}` }],
        } as InferenceSpecification,
      }),
    );
    return ModelPackageArn as string;
  };
  const overwrite = (s3: S3Client, Key: string, Body = 'another model') =>
    s3.send(new PutObjectCommand({ Bucket: loop.bucket, Key, Body }));
  const serving = async () => {
    const { EndpointConfigName } = await sagemaker.send(new DescribeEndpointCommand({ EndpointName: 'flights' }));
    return EndpointConfigName;
  };
  let first: string;
  let second: string;

  test('is registered by the copy that no job may write, with its version and checksum', async () => {
    const { run, end, arn } = await train(1);
    expect(end).toMatchObject({ outcome: 'AWAITING_APPROVAL' });
    first = arn;
    const { key, metadata } = await versionOf(arn);
    expect(key).toBe(`runs/${run?.runId}/sealed/${run?.attempts[0]?.job}/model.tar.gz`);
    const head = await loop.s3.send(new HeadObjectCommand({ Bucket: loop.bucket, Key: key, ChecksumMode: 'ENABLED' }));
    expect(metadata).toMatchObject({ modelVersionId: head.VersionId, modelSha256: head.ChecksumSHA256 });
    expect(head.ChecksumSHA256).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  }, 240_000);

  test('cannot be overwritten by a training job, by a scoring one, or by the endpoint', async () => {
    const { key } = await versionOf(first);
    for (const id of ['FlightsTrainingTrainingRole', 'FlightsTrainingScoringRole', 'FlightsDeploymentServingRole']) {
      const s3 = new S3Client(loop.engine.clientConfigAs(loop.role(id)));
      await expect(overwrite(s3, key)).rejects.toMatchObject({ name: 'AccessDenied' });
      s3.destroy();
    }
  });

  test('what a training job makes of its own archive afterwards changes nothing', async () => {
    const { key } = await versionOf(first);
    const written = key.replace('/sealed/', '/models/').replace('/model.tar.gz', '/output/model.tar.gz');
    const s3 = new S3Client(loop.engine.clientConfigAs(loop.role('FlightsTrainingTrainingRole')));
    await overwrite(s3, written);
    s3.destroy();

    expect(await approve(first)).toMatchObject({ outcome: 'DEPLOYED', modelVersion: 1 });
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
  }, 180_000);

  test('an administrator who overwrites it after the judgement finds its deployment refused, and the endpoint as it was', async () => {
    second = await registerCopy(first);
    const before = await serving();
    const { key, metadata } = await versionOf(second);
    const { VersionId } = await overwrite(loop.s3, key);

    const deployment = await approve(second);
    expect(deployment).toMatchObject({ outcome: 'FAILED', modelVersion: 2, error: { name: 'Perennial.ModelChanged' } });
    expect(deployment?.error?.cause).toContain(`must be the one that was judged, version ${metadata.modelVersionId}`);
    expect(deployment?.error?.cause).toContain(`got version ${VersionId}`);
    expect(await serving()).toBe(before);
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
    expect((await versionOf(second)).ModelApprovalStatus).toBe('Rejected');

    await loop.s3.send(new DeleteObjectCommand({ Bucket: loop.bucket, Key: key, VersionId }));
    expect(await approve(second)).toMatchObject({ outcome: 'DEPLOYED', modelVersion: 2 });
  }, 240_000);

  test('nor is a candidate compared with a champion that was overwritten: the run says so', async () => {
    const { key } = await versionOf(second);
    await overwrite(loop.s3, key);

    const { end } = await train(3);
    expect(end).toMatchObject({ outcome: 'FAILED', error: { name: 'Perennial.ModelChanged' } });
    expect(end?.error?.cause).toContain(`the archive of ${second}`);
  }, 240_000);

  test('nothing was denied but what was tried', () => {
    const denied = loop.engine.log.filter(({ message }) => /AccessDenied/.test(message));
    expect(denied.filter(({ detail }) => !/assumed-role\/.*\/local/.test(String(detail?.by)))).toEqual([]);
  });
});
