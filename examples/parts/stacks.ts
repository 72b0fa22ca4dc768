import { join } from 'node:path';
import { Duration, Stack } from 'aws-cdk-lib';
import { ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  DriftMonitor,
  DriftTrigger,
  type ITrainer,
  ModelDeployment,
  ModelRegistry,
  NewDataTrigger,
  Notifications,
  RequestTrigger,
  RetrainController,
  RunLedger,
  ScheduleTrigger,
  ServingTarget,
  Trainer,
  TrainingPipeline,
} from '../../lib';

const contract = DataContract.fromFile(join('examples', 'flights', 'contract.json'));
const onOneGpu = Trainer.xgboost({
  compute: [CapacityOption.onDemand('ml.g5.xlarge')],
  maxDuration: Duration.hours(1),
});

/** Trains on Sundays, on new data and on drift, registers what is good, and leaves the deployment to others. */
export class TrainOnly extends Stack {
  readonly dataset = new DatasetBucket(this, 'Dataset');
  readonly ledger = new RunLedger(this, 'Ledger');
  readonly registry = new ModelRegistry(this, 'Registry', { groupName: 'sunday-flights' });
  readonly controller: RetrainController;

  constructor(scope: Construct, id: string, trainer: ITrainer = onOneGpu) {
    super(scope, id);
    // #region train
    const { dataset, ledger, registry } = this;
    const training = new TrainingPipeline(this, 'Training', {
      dataset,
      ledger,
      registry,
      pipelineName: 'sunday-flights',
      contract,
      trainer,
      autoApprove: false,
    });
    const sundays = ScheduleExpression.cron({ weekDay: 'SUN', hour: '3', minute: '0' });
    this.controller = new RetrainController(this, 'Controller', {
      dataset,
      ledger,
      registry,
      pipelineName: training.pipelineName,
      machine: training.machine,
      triggers: [new ScheduleTrigger(sundays), new NewDataTrigger(), new DriftTrigger(), new RequestTrigger()],
      maxRunsPerDay: 4,
    });
    new Notifications(this, 'Notifications', { pipelineName: training.pipelineName, parts: [this] });
    // #endregion
  }
}

/** Deploys what a person approves of another stack's models, on two instances with a canary. */
export class DeployOnly extends Stack {
  readonly deployment: ModelDeployment;

  constructor(scope: Construct, id: string, { dataset, ledger, registry }: TrainOnly) {
    super(scope, id);
    // #region deploy
    this.deployment = new ModelDeployment(this, 'Deployment', {
      dataset,
      ledger,
      registry,
      pipelineName: 'sunday-flights',
      target: ServingTarget.realTimeEndpoint({
        instanceType: 'ml.m5.xlarge',
        instanceCount: 2,
        maxLatency: Duration.millis(200),
        bakeTime: Duration.minutes(10),
      }),
    });
    new Notifications(this, 'Notifications', { pipelineName: 'sunday-flights', parts: [this] });
    // #endregion
  }
}

/** Watches the endpoint of another stack, and tells people of drift by e-mail; the training stack's controller hears of it. */
export class WatchOnly extends Stack {
  constructor(scope: Construct, id: string, { dataset, ledger }: TrainOnly, { deployment }: DeployOnly) {
    super(scope, id);
    // #region watch
    const monitor = new DriftMonitor(this, 'Monitor', {
      dataset,
      ledger,
      pipelineName: 'sunday-flights',
      endpointName: deployment.serving.name,
      interval: Duration.minutes(15),
      psiThreshold: 0.2,
    });
    monitor.feedback.addSubscription(new EmailSubscription('data@example.com'));
    new Notifications(this, 'Notifications', {
      pipelineName: 'sunday-flights',
      parts: [this],
      emails: ['ops@example.com'],
    });
    // #endregion
  }
}
