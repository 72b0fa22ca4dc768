import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type { IConstruct } from 'constructs';

/**
 * The data of a pipeline, in one bucket: what is uploaded (`incoming/`, `ground-truth/`), what runs make of it
 * (`snapshots/`, `runs/`), what an endpoint was asked (`capture/`), and what the monitor found (`monitor/`).
 */
export interface IDataset extends IConstruct {
  /** The bucket: versioned, and telling EventBridge about every object. */
  readonly bucket: s3.IBucket;

  /**
   * Allows to upload labelled data to `incoming/` and true outcomes to `ground-truth/`, and to use the bucket's key for it.
   * A function finds the bucket's name in `DATA_BUCKET`.
   */
  grantUpload(grantee: iam.IGrantable): iam.Grant;

  /**
   * Allows to list and read all objects, and to use the bucket's key for it. A function finds the bucket's name in
   * `DATA_BUCKET`.
   */
  grantRead(grantee: iam.IGrantable): iam.Grant;
}
