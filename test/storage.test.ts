import { RemovalPolicy } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Bucket } from 'aws-cdk-lib/aws-s3';
import { describe, expect, test } from 'vitest';
import { DataContract, DatasetBucket, ModelRegistry, RunLedger } from '../lib';
import { CONTRACT, emptyStack } from './support/stacks';

describe('DatasetBucket', () => {
  test('is versioned, encrypted, closed, tells EventBridge, and brings no function', () => {
    const stack = emptyStack();
    new DatasetBucket(stack, 'Dataset');
    const template = Template.fromStack(stack);
    template.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      Properties: {
        VersioningConfiguration: { Status: 'Enabled' },
        LifecycleConfiguration: { Rules: [{ AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 } }] },
        BucketEncryption: { ServerSideEncryptionConfiguration: Match.anyValue() },
        NotificationConfiguration: { EventBridgeConfiguration: { EventBridgeEnabled: true } },
        PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
      },
    });
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
        ]),
      },
    });
    template.resourceCountIs('AWS::Lambda::Function', 0);
  });

  test('can be deleted with its stack, and can log who reads it', () => {
    const stack = emptyStack();
    const logs = new Bucket(stack, 'Logs');
    new DatasetBucket(stack, 'Dataset', { removalPolicy: RemovalPolicy.DESTROY, accessLogs: logs });
    Template.fromStack(stack).hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Delete',
      Properties: { LoggingConfiguration: { DestinationBucketName: { Ref: Match.stringLikeRegexp('Logs') } } },
    });
  });
});

describe('RunLedger', () => {
  test('is one table that is kept, paid by the request and recoverable', () => {
    const stack = emptyStack();
    new RunLedger(stack, 'Ledger');
    Template.fromStack(stack).hasResource('AWS::DynamoDB::Table', {
      DeletionPolicy: 'Retain',
      Properties: {
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      },
    });
  });

  test('can be deleted with its stack', () => {
    const stack = emptyStack();
    new RunLedger(stack, 'Ledger', { removalPolicy: RemovalPolicy.DESTROY });
    Template.fromStack(stack).hasResource('AWS::DynamoDB::Table', { DeletionPolicy: 'Delete' });
  });
});

describe('ModelRegistry', () => {
  test('is one group that is kept unless its creation fails, with a name made from its path', () => {
    const stack = emptyStack();
    const registry = new ModelRegistry(stack, 'Registry');
    expect(registry.groupName).toMatch(/^stack-registry-?[a-z0-9-]+$/);
    Template.fromStack(stack).hasResource('AWS::SageMaker::ModelPackageGroup', {
      DeletionPolicy: 'RetainExceptOnCreate',
      Properties: { ModelPackageGroupName: registry.groupName },
    });
  });

  test('takes a name, and can be deleted with its stack', () => {
    const stack = emptyStack();
    new ModelRegistry(stack, 'Registry', { groupName: 'flights', removalPolicy: RemovalPolicy.DESTROY });
    Template.fromStack(stack).hasResource('AWS::SageMaker::ModelPackageGroup', {
      DeletionPolicy: 'Delete',
      Properties: { ModelPackageGroupName: 'flights' },
    });
  });

  test('refuses a name that SageMaker would refuse', () => {
    expect(() => new ModelRegistry(emptyStack(), 'Registry', { groupName: 'my_models' })).toThrow(
      "Stack/Registry: groupName must be 1 to 63 lower-case letters, digits and inner hyphens, got 'my_models'",
    );
    expect(() => new ModelRegistry(emptyStack(), 'Registry', { groupName: 'Flights' })).toThrow('lower-case');
  });
});

describe('DataContract', () => {
  test('names the file that is no contract', () => {
    expect(() => DataContract.fromFile('README.md')).toThrow('README.md must be a contract in JSON');
    expect(() => DataContract.fromFile('missing.json')).toThrow('missing.json must be a contract in JSON');
  });

  test('is refused where it is written, with all its mistakes', () => {
    expect(() => DataContract.fromObject({ ...CONTRACT, target: 'good', key: 'no' })).toThrow(/good.*|no.*/s);
  });
});
