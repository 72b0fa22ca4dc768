import { describe, expect, test } from 'vitest';
import { isConfigAsRequested, isModelAsRequested } from '../../lib/core/deploy/as-requested';

const request = { modelPackageArn: 'arn:package/3', servingRole: 'arn:role' };
const [ours, other] = [{ ModelPackageName: 'arn:package/3' }, { ModelPackageName: 'arn:package/2' }];

describe('isModelAsRequested', () => {
  test.each([
    ['the version under the role', { ExecutionRoleArn: 'arn:role', PrimaryContainer: ours }, true],
    ['a chain of the version alone', { ExecutionRoleArn: 'arn:role', Containers: [ours, ours] }, true],
    ['another version', { ExecutionRoleArn: 'arn:role', PrimaryContainer: other }, false],
    ['a chain with another version', { ExecutionRoleArn: 'arn:role', Containers: [ours, other] }, false],
    ['another role', { ExecutionRoleArn: 'arn:other', PrimaryContainer: ours }, false],
    ['a container that is of no version', { ExecutionRoleArn: 'arn:role', PrimaryContainer: {} }, false],
  ])('%s: %s', (_, model, expected) => {
    expect(isModelAsRequested(model, request)).toBe(expected);
  });
});

describe('isConfigAsRequested', () => {
  const configuration = {
    ProductionVariants: [{ VariantName: 'main', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 }],
    DataCaptureConfig: { DestinationS3Uri: 's3://bucket/capture', CaptureOptions: [{ CaptureMode: 'Input' }] },
  };
  const [variant] = configuration.ProductionVariants;
  const described = {
    EndpointConfigName: 'c',
    CreationTime: new Date(0),
    DataCaptureConfig: { ...configuration.DataCaptureConfig, EnableCapture: true },
    ProductionVariants: [{ ...variant, ModelName: 'm', InitialVariantWeight: 1 }],
  };

  test.each<[string, object, boolean]>([
    ['what was asked for, and more', {}, true],
    [
      'another instance type',
      { ProductionVariants: [{ ...variant, ModelName: 'm', InstanceType: 'ml.c5.large' }] },
      false,
    ],
    ['another model', { ProductionVariants: [{ ...variant, ModelName: 'n' }] }, false],
    ['one more variant', { ProductionVariants: [described.ProductionVariants[0], { VariantName: 'x' }] }, false],
    ['no variant', { ProductionVariants: undefined }, false],
    ['no capture', { DataCaptureConfig: undefined }, false],
    ['other captured parts', { DataCaptureConfig: { ...described.DataCaptureConfig, CaptureOptions: [] } }, false],
  ])('%s: %s', (_, changed, expected) => {
    expect(isConfigAsRequested({ ...described, ...changed }, 'm', { configuration })).toBe(expected);
  });
});
