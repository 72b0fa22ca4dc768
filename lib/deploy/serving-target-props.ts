import type { Duration } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { IDataset } from '../dataset/dataset';
import type { IModelRegistry } from '../registry/model-registry';

/** What a serving target is told when it is bound: whose versions serve there, and where its states go on to. */
export interface ServingTargetOptions {
  /** The pipeline's name in the ledger, in events and in tags. */
  readonly pipelineName: string;

  /** Where the models' archives are, and where requests may be captured. */
  readonly dataset: IDataset;

  /** Whose approved versions are deployed. */
  readonly registry: IModelRegistry;

  /** The tags by name that everything must have that is made at run time: they tell whose it is. */
  readonly tags: { readonly [name: string]: string };

  /** What a Catch assigns before it goes on to an end, so that the record says what went wrong. */
  readonly caught: { readonly [name: string]: unknown };

  /** Where to go on when nothing can be done yet: after 30 s at first and later 2 minutes the version is planned anew. */
  readonly planAgain: sfn.IChainable;

  /** Where to go on when the version serves already. */
  readonly skipped: sfn.IChainable;

  /** Where to go on when what served before serves again, or nothing does, with what went wrong assigned. */
  readonly rolledBack: sfn.IChainable;

  /** Where to go on after a failure, with what went wrong assigned. */
  readonly failed: sfn.IChainable;

  /**
   * The key of yours that encrypts what can be.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * How versions are brought to serve: states of the deployment machine, all in JSONata, which a version goes through in
 * the order `make`, `smokeTest`, and `undo` if it does not answer.
 *
 * They find what is to be deployed in variables: `$modelPackageArn`, and `$plan` with `version`, `runId` and `archive`
 * (`uri`, an S3 address, `versionId` and `sha256`), the archive that was judged. Each of their tasks must catch all errors.
 */
export interface ServingTargetConfig {
  /**
   * The name under which versions serve: 1 to 40 lower-case letters, digits and inner hyphens. Only one target of a name
   * may be in an account and region.
   */
  readonly name: string;

  /** The first state of those that put the version of `$plan` into service. They go on to `smokeTest`. */
  readonly make: sfn.IChainable;

  /** Asks what serves now whether it works. It has no next state; if it fails, `undo` follows. */
  readonly smokeTest: sfn.TaskStateBase;

  /** The first state of those that bring back what served before. They go on to `rolledBack`. */
  readonly undo: sfn.IChainable;

  /**
   * The SageMaker endpoint of this name that serves, if one does. `$plan` then has names for model and configuration and
   * what to do with the endpoint, too; what is out of use is cleared up, and all of it is taken away with the stack.
   *
   * @default - no endpoint of SageMaker's serves
   */
  readonly endpoint?: ServedEndpoint;

  /**
   * The alarms on what serves.
   *
   * @default - none
   */
  readonly alarms?: cloudwatch.IAlarm[];

  /**
   * Where requests and answers are captured in the dataset's bucket: what their keys begin with, below `capture/`.
   *
   * @default - nothing is captured
   */
  readonly capturePrefix?: string;

  /**
   * What is wrong with the target's own properties: told along with every other mistake of the deployment.
   *
   * @default - nothing
   */
  readonly mistakes?: string[];
}

/** An endpoint of SageMaker's, however it infers: in real time, serverless or asynchronously. */
export interface ServedEndpoint {
  /** How it serves whatever model: the request `CreateEndpointConfig` without names, tags and the variants' models. */
  readonly configuration: { readonly [member: string]: unknown };

  /** The role under which models serve. */
  readonly role: iam.IRole;
}

/** Properties of a real-time endpoint. */
export interface RealTimeEndpointProps {
  /**
   * The endpoint's name, which clients use and which never changes: 1 to 40 lower-case letters, digits and inner hyphens.
   *
   * @default - the pipeline's name
   */
  readonly endpointName?: string;

  /**
   * The instance that serves.
   *
   * @default 'ml.m5.large'
   */
  readonly instanceType?: string;

  /**
   * How many instances serve. From two on, a new model first gets a part of the traffic.
   *
   * @default 1
   */
  readonly instanceCount?: number;

  /**
   * The share of requests that is captured for the monitor, in per cent, 0 to 100.
   *
   * @default 100
   */
  readonly capturePercent?: number;

  /**
   * The 99th percentile of the model's latency from which a deployment is rolled back.
   *
   * @default Duration.seconds(1)
   */
  readonly maxLatency?: Duration;

  /**
   * How long alarms are watched before a new model has all the traffic, 0 to 60 minutes.
   *
   * @default Duration.minutes(5)
   */
  readonly bakeTime?: Duration;

  /**
   * How long instances are waited for that a full quota or a lack of capacity refuses, 0 to 4 hours; a new model
   * needs as many as serve already beside those. Then the version stays approved, and can be approved again.
   *
   * @default Duration.hours(1)
   */
  readonly quotaWait?: Duration;

  /**
   * The ARN of the repository that the models' image comes from, e.g. `TrainingPipeline.imageRepositoryArn`.
   *
   * @default - the repository of SageMaker's XGBoost image in the stack's region
   */
  readonly imageRepositoryArn?: string;
}
