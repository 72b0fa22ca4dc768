import { Annotations, CfnResource, type CustomResource, Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { EnvName, Prefix } from '../core/names';
import { CleanUp } from '../private/clean-up';
import { tellFunction } from '../private/environment';
import { grantObjects } from '../private/grants';
import { keyOf } from '../private/keys';
import type { IDataset } from './dataset';

/** Properties of a {@link DatasetBucket}. */
export interface DatasetBucketProps {
  /**
   * What happens to the data when the stack is deleted. `DESTROY` is dangerous: the bucket is emptied and deleted, with
   * all that was ever uploaded, trained and captured.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * The bucket that receives the server access logs.
   *
   * @default - no access logs are written
   */
  readonly accessLogs?: s3.IBucket;

  /**
   * The key of yours that encrypts the objects.
   *
   * @default - S3's own key
   */
  readonly encryptionKey?: kms.IKey;
}

abstract class DatasetBase extends Construct implements IDataset {
  public abstract readonly bucket: s3.IBucket;

  public grantUpload(grantee: iam.IGrantable): iam.Grant {
    const prefixes = [Prefix.INCOMING, Prefix.GROUND_TRUTH];
    // whoever uploads in parts must be able to take an upload back that fails
    return this.grant(grantee, ['s3:PutObject', 's3:AbortMultipartUpload'], prefixes);
  }

  public grantRead(grantee: iam.IGrantable): iam.Grant {
    const list = iam.Grant.addToPrincipal({
      grantee,
      actions: ['s3:ListBucket'],
      resourceArns: [this.bucket.bucketArn],
    });
    return list.combine(this.grant(grantee, ['s3:GetObject', 's3:GetObjectVersion'], ['']));
  }

  private grant(grantee: iam.IGrantable, actions: string[], prefixes: string[]): iam.Grant {
    tellFunction(grantee, { [EnvName.DATA_BUCKET]: this.bucket.bucketName });
    return grantObjects(grantee, this.bucket, actions, prefixes);
  }
}

/**
 * Holds the data of a pipeline: what is uploaded, what runs make of it, what the endpoint was asked.
 *
 * Defines one bucket: versioned, so that a run's snapshot can name exactly what it read; encrypted;
 * closed to the public and to connections without TLS; telling EventBridge about every object.
 */
export class DatasetBucket extends DatasetBase {
  /**
   * A bucket that was made elsewhere. It must be versioned and tell EventBridge about its objects: synthesis fails where
   * the app defines a bucket that does not, and warns where it cannot know.
   *
   * @param bucket if it is imported and under a key of yours, with its `encryptionKey`: nothing else says that there is one
   */
  public static fromBucket(scope: Construct, id: string, bucket: s3.IBucket): IDataset {
    const dataset = new ImportedDataset(scope, id, bucket);
    const resource = bucket.node.defaultChild;
    if (resource instanceof s3.CfnBucket) {
      // once all is defined: a bucket may be told later
      dataset.node.addValidation({ validate: () => mistakesOf(bucket, resource) });
    } else {
      Annotations.of(dataset).addWarningV2(
        'perennial:imported-bucket',
        `the bucket ${bucket.bucketName} is not in this app: see that it is versioned and sends its events to EventBridge, ` +
          'else runs cannot keep to the versions that they read, and uploads start none',
      );
    }
    return dataset;
  }

  /** The bucket. */
  public readonly bucket: s3.IBucket;

  /** What empties the bucket before it is deleted, where it is to be. */
  public readonly cleanUp?: CustomResource;

  constructor(scope: Construct, id: string, props: DatasetBucketProps = {}) {
    super(scope, id);
    const encryptionKey = keyOf(this, props.encryptionKey);
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    this.bucket = new s3.Bucket(this, 'Resource', {
      versioned: true,
      ...(encryptionKey === undefined
        ? { encryption: s3.BucketEncryption.S3_MANAGED }
        : { encryption: s3.BucketEncryption.KMS, encryptionKey, bucketKeyEnabled: true }), // fewer calls of KMS, each paid for
      enforceSSL: true,
      minimumTLSVersion: 1.2,
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      serverAccessLogsBucket: props.accessLogs,
      lifecycleRules: [{ abortIncompleteMultipartUploadAfter: Duration.days(7) }], // unseen, and yet paid for
      removalPolicy,
    });
    // `eventBridgeEnabled` would bring a custom resource with a function of its own for this one property.
    (this.bucket.node.defaultChild as s3.CfnBucket).notificationConfiguration = {
      eventBridgeConfiguration: { eventBridgeEnabled: true },
    };
    if (removalPolicy === RemovalPolicy.DESTROY) {
      const cleanUp = CleanUp.of(this, encryptionKey);
      cleanUp.allow(['s3:ListBucketVersions'], [this.bucket.bucketArn]);
      cleanUp.allow(['s3:DeleteObject', 's3:DeleteObjectVersion'], [this.bucket.arnForObjects('*')]);
      this.cleanUp = cleanUp.take(this, { What: 'bucket', Bucket: this.bucket.bucketName }, [this.bucket]);
    }
  }
}

class ImportedDataset extends DatasetBase {
  constructor(
    scope: Construct,
    id: string,
    public readonly bucket: s3.IBucket,
  ) {
    super(scope, id);
  }
}

/** What a bucket of the app lacks to be a dataset. */
function mistakesOf(bucket: s3.IBucket, resource: s3.CfnBucket): string[] {
  const { versioningConfiguration, notificationConfiguration } = Stack.of(bucket).resolve({
    versioningConfiguration: resource.versioningConfiguration,
    notificationConfiguration: resource.notificationConfiguration,
  });
  const tells = notificationConfiguration?.eventBridgeConfiguration !== undefined || tellsByItsOwnResource(bucket);
  const { path } = bucket.node;
  return [
    versioningConfiguration?.status !== 'Enabled' &&
      `the bucket ${path} must be versioned, so that a run can keep to the versions that it reads, got one that is not; set versioned: true`,
    !tells &&
      `the bucket ${path} must tell EventBridge about its objects, so that an upload starts a run, got one that does not; set eventBridgeEnabled: true`,
  ].filter((mistake) => mistake !== false);
}

/** Whether the custom resource that the CDK makes of `eventBridgeEnabled` is there. */
function tellsByItsOwnResource(bucket: s3.IBucket): boolean {
  return bucket.node
    .findAll()
    .filter((child) => CfnResource.isCfnResource(child))
    .filter(({ cfnResourceType }) => cfnResourceType === 'Custom::S3BucketNotifications')
    .map((resource) => Stack.of(bucket).resolve(resource._toCloudFormation()))
    .some(({ Resources }) => JSON.stringify(Resources).includes('"EventBridgeConfiguration"'));
}
