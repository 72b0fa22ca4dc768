import { type CustomResource, Duration, RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { CleanUp } from '../private/clean-up';
import { keyOf } from '../private/keys';

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

/**
 * Holds the data of a pipeline: what is uploaded, what runs make of it, what the endpoint was asked.
 *
 * Defines one bucket: versioned, so that a run's snapshot can name exactly what it read; encrypted;
 * closed to the public and to connections without TLS; telling EventBridge about every object.
 */
export class DatasetBucket extends Construct {
  /** The bucket. */
  public readonly bucket: s3.Bucket;

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
