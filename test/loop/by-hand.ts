import { gzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import {
  CreateModelPackageCommand,
  DescribeModelPackageCommand,
  type InferenceSpecification,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import { createTar } from 'nanotar';
import type { Loop } from './loop';

/**
 * Registers and approves a version by hand: the package of another version, with a model that is this inference script.
 *
 * @param like the ARN of the version whose package is taken over
 * @returns the new version's ARN
 */
export async function approveByHand(loop: Loop, like: string, inference: string): Promise<string> {
  const sagemaker = new SageMakerClient(loop.engine.clientConfig);
  const { InferenceSpecification, ModelPackageGroupName, CustomerMetadataProperties } = await sagemaker.send(
    new DescribeModelPackageCommand({ ModelPackageName: like }),
  );
  const Key = 'runs/by-hand/sealed/broken/model.tar.gz';
  const Body = gzipSync(createTar([{ name: 'code/inference.py', data: inference }]));
  const { VersionId, ChecksumSHA256 } = await loop.s3.send(
    new PutObjectCommand({ Bucket: loop.bucket, Key, Body, ChecksumAlgorithm: 'SHA256' }),
  );
  const [container] = InferenceSpecification?.Containers ?? [];
  const { ModelPackageArn } = await sagemaker.send(
    new CreateModelPackageCommand({
      ModelPackageGroupName,
      CustomerMetadataProperties: {
        ...CustomerMetadataProperties,
        modelVersionId: VersionId as string,
        modelSha256: ChecksumSHA256 as string,
      },
      InferenceSpecification: {
        ...InferenceSpecification,
        Containers: [
          { Image: container?.Image, Environment: container?.Environment, ModelDataUrl: `s3://${loop.bucket}/${Key}` },
        ],
      } as InferenceSpecification,
      ModelApprovalStatus: 'PendingManualApproval',
    }),
  );
  await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));
  return ModelPackageArn as string;
}
