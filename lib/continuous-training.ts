import { CfnOutput, type Duration, type RemovalPolicy } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import type { DataContract } from './data-contract';
import { DatasetBucket } from './dataset-bucket';
import { DriftMonitor } from './drift-monitor';
import { ModelDeployment } from './model-deployment';
import { ModelRegistry } from './model-registry';
import { RetrainController } from './retrain-controller';
import { RunLedger } from './run-ledger';
import type { Trainer } from './trainer';
import { type Budget, type Patience, type Promotion, TrainingPipeline } from './training-pipeline';
import type { ITrigger } from './triggers/trigger';
import type { Tuning } from './tuning';

/** Properties of a {@link ContinuousTraining}. */
export interface ContinuousTrainingProps {
  /** What the data must look like, and what is predicted. */
  readonly contract: DataContract;

  /** How a model is trained. */
  readonly trainer: Trainer;

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
   * How long machines are waited for, beyond what the trainer's offers say.
   *
   * @default - a full quota for an hour, and the offers three times over, a quarter of an hour apart
   */
  readonly patience?: Patience;

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
   * What starts a run.
   *
   * @default - new data, drift, and requests by hand
   */
  readonly triggers?: ITrigger[];

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
  readonly drop?: number;

  /**
   * What happens to data, ledger and registry when the stack is deleted.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;
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

  /** Watches the model in service. */
  public readonly monitor: DriftMonitor;

  constructor(scope: Construct, id: string, props: ContinuousTrainingProps) {
    super(scope, id);
    const { removalPolicy } = props;

    this.dataset = new DatasetBucket(this, 'Dataset', { removalPolicy });
    const data = this.dataset.bucket;
    this.ledger = new RunLedger(this, 'Ledger', { removalPolicy });
    const { ledger } = this;
    this.registry = new ModelRegistry(this, 'Registry', { removalPolicy });
    const { registry } = this;

    this.training = new TrainingPipeline(this, 'Training', {
      data,
      ledger,
      registry,
      contract: props.contract,
      trainer: props.trainer,
      pipelineName: props.pipelineName,
      newestFiles: props.newestFiles,
      promotion: props.promotion,
      autoApprove: props.autoApprove,
      patience: props.patience,
      budget: props.budget,
      tuning: props.tuning,
    });
    const { pipelineName } = this.training;
    this.controller = new RetrainController(this, 'Controller', {
      data,
      ledger,
      pipelineName,
      machine: this.training.machine,
      newestFiles: props.newestFiles,
      triggers: props.triggers,
    });
    this.deployment = new ModelDeployment(this, 'Deployment', {
      data,
      ledger,
      registry,
      pipelineName,
      imageRepositoryArn: this.training.imageRepositoryArn,
      instanceType: props.servingInstanceType,
    });
    this.monitor = new DriftMonitor(this, 'Monitor', {
      data,
      ledger,
      pipelineName,
      endpointName: this.deployment.endpointName,
      interval: props.monitorInterval,
      drop: props.drop,
    });

    const outputs = {
      Pipeline: pipelineName,
      DataBucket: data.bucketName,
      LedgerTable: ledger.table.tableName,
      TrainingMachine: this.training.machine.stateMachineArn,
      DeploymentMachine: this.deployment.machine.stateMachineArn,
      ModelPackageGroup: registry.groupName,
      Endpoint: this.deployment.endpointName,
    };
    for (const [name, value] of Object.entries(outputs)) new CfnOutput(this, name, { value });
  }
}
