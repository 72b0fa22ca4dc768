import { CfnOutput, type Duration, type RemovalPolicy, type Size } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as sns from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { metricOf, problemOf } from './core/problem';
import { changeSetting } from './core/watch/findings';
import type { DataContract } from './dataset/data-contract';
import { DatasetBucket } from './dataset/dataset-bucket';
import { RetrainController } from './dataset/retrain-controller';
import type { ITrigger } from './dataset/trigger';
import { ModelDeployment } from './deploy/model-deployment';
import { ServingTarget } from './deploy/serving-target';
import { RunLedger } from './ledger/run-ledger';
import { LONGEST_QUOTA_WAIT } from './machine/retries';
import { Notifications } from './notifications';
import { CleanUp } from './private/clean-up';
import { keyOf } from './private/keys';
import { refuse } from './private/validate';
import { ModelRegistry } from './registry/model-registry';
import type { ITrainer } from './train/trainer';
import type { Tuning } from './train/tuning';
import { TrainingPipeline } from './training-pipeline';
import type { Budget, Promotion, RetryPolicy } from './training-pipeline-props';
import { DriftMonitor } from './watch/drift-monitor';
import type { IMonitor } from './watch/monitor';

/** Properties of a {@link ContinuousTraining}. */
export interface ContinuousTrainingProps {
  /** What the data must look like, and what is predicted. */
  readonly contract: DataContract;

  /** How a model is trained. */
  readonly trainer: ITrainer;

  /**
   * The pipeline's and the endpoint's name: 1 to 20 lower-case letters, digits and inner hyphens.
   *
   * @default - made from the construct's path
   */
  readonly pipelineName?: string;

  /**
   * Train on the newest so many files.
   *
   * @default - all files
   */
  readonly newestFiles?: number;

  /**
   * What is compared: `auc`, `logLoss`, `brier` or `accuracy` for a binary target, `rmse` or `mae` for a number.
   *
   * @default - `auc` or `rmse`
   */
  readonly metric?: string;

  /**
   * By how much a model may be worse and still count as not worse, 0 to 1: of AUC and accuracy as such, of an error
   * (RMSE, MAE, log loss, Brier) as a share of the champion's, so that the target's unit does not matter.
   *
   * @default - 0.005 of AUC and accuracy, 0.01 of an error
   */
  readonly margin?: number;

  /**
   * What the first model's metric must reach besides: at least, where more of it is better, else at most, in its unit.
   * It must always be better, beyond doubt, than the trivial answer: the training rows' base rate, mean or median.
   *
   * @default - to be better than the trivial answer is enough
   */
  readonly firstModelThreshold?: number;

  /**
   * The memory of the function that prepares data, 1,024 to 10,240 MiB. More memory brings more processors along, and
   * room for more data: some gigabytes fit the default.
   *
   * @default Size.mebibytes(3008)
   */
  readonly preparationMemory?: Size;

  /**
   * Which verdicts replace the model in service.
   *
   * @default Promotion.NOT_WORSE
   */
  readonly promotion?: Promotion;

  /**
   * Whether a model that passes is approved by this rule; else a person approves it in the registry.
   *
   * @default true
   */
  readonly autoApprove?: boolean;

  /**
   * How long machines are waited for, beyond what the trainer's capacity options say.
   *
   * @default - a full quota for an hour, and the capacity options three times over, a quarter of an hour apart
   */
  readonly retryPolicy?: RetryPolicy;

  /**
   * What training may cost; what would cost more is not begun.
   *
   * @default - any amount
   */
  readonly budget?: Budget;

  /**
   * How hyperparameters are searched for within a run.
   *
   * @default - the trainer's own are used
   */
  readonly tuning?: Tuning;

  /**
   * The instance that serves.
   *
   * @default 'ml.m5.large'
   */
  readonly servingInstanceType?: string;

  /**
   * How many instances serve. From two on, a new model first gets a part of the traffic.
   *
   * @default 1
   */
  readonly servingInstanceCount?: number;

  /**
   * What starts a run.
   *
   * @default - new data, drift, and requests by hand
   */
  readonly triggers?: ITrigger[];

  /**
   * What watches the model in service instead. Then the props of our own, `monitorInterval`, `scoreDropThreshold` and
   * `errorIncreaseThreshold`, must not be set.
   *
   * @default - a {@link DriftMonitor}
   */
  readonly monitor?: IMonitor;

  /**
   * How often captured requests are judged.
   *
   * @default Duration.hours(1)
   */
  readonly monitorInterval?: Duration;

  /**
   * From which drop of AUC or accuracy on a retraining pays.
   *
   * @default 0.02
   */
  readonly scoreDropThreshold?: number;

  /**
   * From which rise of an error (RMSE, MAE, log loss, Brier) on a retraining pays, as a share of the error when the
   * model was judged.
   *
   * @default 0.05
   */
  readonly errorIncreaseThreshold?: number;

  /**
   * The topic that tells people of failures, roll-backs, approvals that wait, drift and alarms. The policy of one that is
   * imported must let CloudWatch's alarms and EventBridge's rules publish.
   *
   * @default - a topic of its own, encrypted: subscribe to `notifications.topic`
   */
  readonly notificationTopic?: sns.ITopic;

  /**
   * E-mail addresses that are subscribed to that topic; each gets a mail in which the subscription must be confirmed.
   *
   * @default - none
   */
  readonly notificationEmails?: string[];

  /**
   * What happens to data, ledger and registry when the stack is deleted. `DESTROY` is dangerous: all that was uploaded,
   * trained and registered goes with it.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * The key of yours that encrypts everything that can be: objects, ledger, queues, topic, logs, the functions'
   * environments, and the disks and output of SageMaker's instances. Its policy must let the account's IAM policies
   * decide, as that of `kms.Key` does; what services need of it is added to it.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;

  /**
   * The key of the bucket of CDK's assets, where it is one of yours: `cdk bootstrap --bootstrap-kms-key-id`.
   *
   * @default - the bucket has no key, or one made by `cdk bootstrap`, whose policy lets everybody in who may read the bucket
   */
  readonly assetsKey?: kms.IKey;
}

/**
 * Keeps a model good: trains on what is uploaded, judges, deploys, watches, and trains again when the data drifts.
 *
 * Composes the constructs of this package, each of which is a member and can be used alone for more control.
 * Its outputs are what the command `perennial` finds its way by.
 */
export class ContinuousTraining extends Construct {
  /** Holds the data. */
  public readonly dataset: DatasetBucket;

  /** Remembers what happened. */
  public readonly ledger: RunLedger;

  /** Holds the model's versions. */
  public readonly registry: ModelRegistry;

  /** Trains, judges and registers. */
  public readonly training: TrainingPipeline;

  /** Decides when to train. */
  public readonly controller: RetrainController;

  /** Brings approved versions into service. */
  public readonly deployment: ModelDeployment;

  /** Watches the model in service, unless the prop `monitor` does. */
  public readonly monitor?: DriftMonitor;

  /** Tells people what they should know. */
  public readonly notifications: Notifications;

  constructor(scope: Construct, id: string, props: ContinuousTrainingProps) {
    super(scope, id);
    const { removalPolicy, encryptionKey } = props;

    this.dataset = new DatasetBucket(this, 'Dataset', { removalPolicy, encryptionKey });
    this.ledger = new RunLedger(this, 'Ledger', { removalPolicy, encryptionKey });
    this.registry = new ModelRegistry(this, 'Registry', { removalPolicy });
    const { dataset, ledger, registry } = this;

    this.training = new TrainingPipeline(this, 'Training', {
      dataset,
      ledger,
      registry,
      contract: props.contract,
      trainer: props.trainer,
      pipelineName: props.pipelineName,
      newestFiles: props.newestFiles,
      metric: props.metric,
      margin: props.margin,
      firstModelThreshold: props.firstModelThreshold,
      promotion: props.promotion,
      autoApprove: props.autoApprove,
      retryPolicy: props.retryPolicy,
      budget: props.budget,
      tuning: props.tuning,
      preparationMemory: props.preparationMemory,
      encryptionKey,
      assetsKey: props.assetsKey,
    });
    const metric = metricOf(problemOf(props.contract._contract.target.problem), props.metric);
    const setting = changeSetting(metric);
    const ofOurs = (['monitorInterval', 'scoreDropThreshold', 'errorIncreaseThreshold'] as const).filter(
      (name) => props[name] !== undefined,
    );
    refuse(this, [
      props.monitor !== undefined &&
        ofOurs.length > 0 &&
        `${ofOurs.join(', ')} must not be set beside monitor, which does not see them; tell it itself`,
      ...(['scoreDropThreshold', 'errorIncreaseThreshold'] as const).map(
        (name) =>
          props[name] !== undefined &&
          name !== setting &&
          `${name} must not be set for ${metric.name}, of which ${metric.higherIsBetter ? 'more' : 'less'} is better: set ${setting}`,
      ),
    ]);
    const { pipelineName } = this.training;
    this.controller = new RetrainController(this, 'Controller', {
      dataset,
      registry,
      ledger,
      pipelineName,
      machine: this.training.machine,
      newestFiles: props.newestFiles,
      triggers: props.triggers,
      encryptionKey,
    });
    this.deployment = new ModelDeployment(this, 'Deployment', {
      dataset,
      ledger,
      registry,
      pipelineName,
      target: ServingTarget.realTimeEndpoint({
        imageRepositoryArn: this.training.imageRepositoryArn,
        instanceType: props.servingInstanceType,
        instanceCount: props.servingInstanceCount,
        quotaWait: shorter(props.retryPolicy?.quotaWait, LONGEST_QUOTA_WAIT),
      }),
      encryptionKey,
    });
    const watched = { pipelineName, endpointName: this.deployment.serving.name, dataset, ledger };
    let watching: Construct;
    if (props.monitor === undefined) {
      watching = this.monitor = new DriftMonitor(this, 'Monitor', {
        ...watched,
        interval: props.monitorInterval,
        scoreDropThreshold: props.scoreDropThreshold,
        errorIncreaseThreshold: props.errorIncreaseThreshold,
        encryptionKey,
      });
    } else {
      watching = new Construct(this, 'Monitor');
      props.monitor.bind(watching, { ...watched, controller: this.controller });
    }

    const key = keyOf(this, encryptionKey);
    this.notifications = new Notifications(this, 'Notifications', {
      pipelineName,
      parts: [this.training, this.controller, this.deployment, watching, CleanUp.of(this, key)],
      topic: props.notificationTopic,
      emails: props.notificationEmails,
      encryptionKey,
    });

    const outputs = {
      Pipeline: pipelineName,
      DataBucket: dataset.bucket.bucketName,
      LedgerTable: ledger.table.tableName,
      TrainingMachine: this.training.machine.stateMachineArn,
      DeploymentMachine: this.deployment.machine.stateMachineArn,
      ModelPackageGroup: registry.groupName,
      Endpoint: this.deployment.serving.name,
      NotificationTopic: this.notifications.topic.topicArn,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}

function shorter(wait: Duration | undefined, longest: Duration): Duration | undefined {
  return wait !== undefined && wait.toSeconds() > longest.toSeconds() ? longest : wait;
}
