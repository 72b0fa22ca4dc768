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
  ModelDeployment,
  ModelRegistry,
  NewDataTrigger,
  Notifications,
  RetrainController,
  RunLedger,
  ScheduleTrigger,
  ServingTarget,
  Trainer,
  TrainingPipeline,
} from '../../lib';

const contract = DataContract.fromFile(join('examples', 'flights', 'contract.json'));

/** Trains and judges every Sunday, registers what is good, and leaves the deployment to others. */
export class TrainOnly extends Stack {
  readonly dataset = new DatasetBucket(this, 'Dataset');
  readonly ledger = new RunLedger(this, 'Ledger');
  readonly registry = new ModelRegistry(this, 'Registry', { groupName: 'sunday-flights' });

  constructor(scope: Construct, id: string) {
    super(scope, id);
    // #region train
    const { dataset, ledger, registry } = this;
    const training = new TrainingPipeline(this, 'Training', {
      dataset,
      ledger,
      registry,
      pipelineName: 'sunday-flights',
      contract,
      trainer: Trainer.xgboost({ compute: [CapacityOption.onDemand('ml.g5.xlarge')], maxDuration: Duration.hours(1) }),
      autoApprove: false,
    });
    new RetrainController(this, 'Controller', {
      dataset,
      ledger,
      registry,
      pipelineName: training.pipelineName,
      machine: training.machine,
      triggers: [new ScheduleTrigger(ScheduleExpression.cron({ weekDay: 'SUN', hour: '3', minute: '0' }))],
    });
    new Notifications(this, 'Notifications', { pipelineName: training.pipelineName, parts: [this] });
    // #endregion
  }
}

/** Deploys what a person approves of another stack's models, on two instances with a canary. */
export class DeployOnly extends Stack {
  constructor(scope: Construct, id: string, { dataset, ledger, registry }: TrainOnly) {
    super(scope, id);
    // #region deploy
    new ModelDeployment(this, 'Deployment', {
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

/** Watches an endpoint, tells people of drift by e-mail, and starts nothing but on drift and new data. */
export class WatchAndRetrain extends Stack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
    const dataset = new DatasetBucket(this, 'Dataset');
    const ledger = new RunLedger(this, 'Ledger');
    const registry = new ModelRegistry(this, 'Registry');
    const training = new TrainingPipeline(this, 'Training', {
      dataset,
      ledger,
      registry,
      contract,
      trainer: Trainer.xgboost(),
      pipelineName: 'watched',
    });
    // #region watch
    const monitor = new DriftMonitor(this, 'Monitor', {
      dataset,
      ledger,
      pipelineName: 'watched',
      endpointName: 'watched',
      interval: Duration.minutes(15),
      psiThreshold: 0.2,
    });
    monitor.feedback.addSubscription(new EmailSubscription('data@example.com'));
    new RetrainController(this, 'Controller', {
      dataset,
      ledger,
      registry,
      pipelineName: 'watched',
      machine: training.machine,
      triggers: [new DriftTrigger(), new NewDataTrigger()],
      cooldown: Duration.hours(12),
      maxRunsPerDay: 2,
    });
    new Notifications(this, 'Notifications', { pipelineName: 'watched', parts: [this], emails: ['ops@example.com'] });
    // #endregion
  }
}
