import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import { TABLE } from '../../core/dataset/kind';
import type { EndpointConfiguration, ServingSettings } from '../../core/deploy/documents';
import { Prefix, VARIANT_NAME } from '../../core/names';
import { kmsKeyId } from '../../private/keys';

/**
 * How an endpoint serves whatever model, as SageMaker's request has it.
 *
 * @param diskKey what encrypts the disks of the instances, if anything does
 */
export function configurationOf(
  { instanceType, instanceCount, capturePercent }: ServingSettings,
  data: s3.IBucket,
  diskKey: kms.IKey | undefined,
): EndpointConfiguration {
  return {
    ProductionVariants: [
      {
        VariantName: VARIANT_NAME,
        InstanceType: instanceType,
        InitialInstanceCount: instanceCount,
        InitialVariantWeight: 1,
      },
    ],
    DataCaptureConfig: {
      EnableCapture: capturePercent > 0,
      InitialSamplingPercentage: capturePercent,
      DestinationS3Uri: `s3://${data.bucketName}/${Prefix.CAPTURE.slice(0, -1)}`,
      CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
      // what is not named here is captured as base64
      CaptureContentTypeHeader: { CsvContentTypes: [TABLE.requests.contentType] },
      ...kmsKeyId(data.encryptionKey),
    },
    ...kmsKeyId(diskKey),
  };
}
