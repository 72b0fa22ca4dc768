import { Duration, Stack } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as scheduler from 'aws-cdk-lib/aws-scheduler';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { CONTROLLER_DEFAULTS, type ControllerRules } from '../core/dataset/controller';
import { ENDED } from '../core/messages';
import { EnvName, Events, Prefix } from '../core/names';
import type { IRunLedger } from '../ledger/run-ledger';
import { deadLetterAlarm, failedExecutionAlarm } from '../private/alarms';
import { stopFeedingBefore } from '../private/clean-up';
import { tellFunction } from '../private/environment';
import { allowEvents, grantList, grantObjects } from '../private/grants';
import { Handler } from '../private/handler';
import { keyOf } from '../private/keys';
import { allowCandidates } from '../private/owner-tags';
import { reconcileMistake, reconcileSchedule } from '../private/reconcile';
import { QueueTarget } from '../private/targets';
import { claim } from '../private/two-of-a-kind';
import { newestFilesMistake, noCount, outside, pipelineNameMistake, refuse } from '../private/validate';
import type { IModelRegistry } from '../registry/model-registry';
import { TrainingPipeline } from '../training-pipeline';
import type { IDataset } from './dataset';
import { DriftTrigger, NewDataTrigger, RequestTrigger } from './event-triggers';
import type { ITrigger } from './trigger';
import { TriggerQueue } from './trigger-queue';

/** Properties of a {@link RetrainController}. */
export interface RetrainControllerProps {
  /** The pipeline's data. */
  readonly dataset: IDataset;

  /** Where decisions and the lease are kept. */
  readonly ledger: IRunLedger;

  /** The pipeline's name in the ledger and in events. */
  readonly pipelineName: string;

  /** The training machine. */
  readonly machine: sfn.IStateMachine;

  /**
   * The registry of the {@link TrainingPipeline}. With it the controller takes away the models with which runs scored
   * their candidates that were stopped before they could do so.
   *
   * @default - nothing is taken away: the machine is not a TrainingPipeline's
   */
  readonly registry?: IModelRegistry;

  /**
   * Train on the newest so many files.
   *
   * @default - all files
   */
  readonly newestFiles?: number;

  /**
   * What starts a run.
   *
   * @default - new data, drift, and requests by hand
   */
  readonly triggers?: ITrigger[];

  /**
   * How long triggers are collected, so that a hundred files make one run; 0 to 300 seconds.
   *
   * @default Duration.minutes(1)
   */
  readonly batchingWindow?: Duration;

  /**
   * How long after a run drift does not start another.
   *
   * @default Duration.hours(1)
   */
  readonly cooldown?: Duration;

  /**
   * The most runs a day (UTC), not counting those that somebody asks for.
   *
   * @default 24
   */
  readonly maxRunsPerDay?: number;

  /**
   * After so many runs in a row without a better model, drift and schedules start no more: training is not the cure.
   * New data and requests by hand still do.
   *
   * @default 3
   */
  readonly maxRunsWithoutPromotion?: number;

  /**
   * How often it is looked for what no event has told of, events being best effort: a run that has ended, an upload,
   * and what waits since the day's runs were spent. 1 minute to 1 day.
   *
   * @default Duration.hours(1)
   */
  readonly reconcileEvery?: Duration;

  /**
   * The key of yours that encrypts queues, logs and the function's environment.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * Decides when to train: one run at a time, once for the same data, not too often, and no trigger is lost.
 *
 * Defines the queue that all triggers send to, with its dead-letter queue and an alarm on it, and the function
 * that takes the lease and starts the training machine.
 */
export class RetrainController extends Construct {
  /** The queue of triggers. */
  public readonly queue: sqs.Queue;

  /** Where triggers go that could not be handled. */
  public readonly deadLetterQueue: sqs.Queue;

  /** The function that decides. */
  public readonly handler: lambda.Function;

  /** The rule that tells of every end of a run, so that the next one may begin. */
  public readonly ended: events.Rule;

  /** Looks for what no event has told of. */
  public readonly reconcile: scheduler.Schedule;

  /** Fires when a trigger could not be handled. */
  public readonly lostTriggerAlarm: cloudwatch.Alarm;

  /** Fires when a run fails or runs out of time. */
  public readonly failedRunAlarm: cloudwatch.Alarm;

  private readonly pipelineName: string;

  constructor(scope: Construct, id: string, props: RetrainControllerProps) {
    super(scope, id);
    this.pipelineName = props.pipelineName;
    const { dataset, ledger, machine, pipelineName, registry } = props;
    const data = dataset.bucket;
    const encryptionKey = keyOf(this, props.encryptionKey);
    const batchingWindow = props.batchingWindow ?? Duration.minutes(1);
    const reconcileEvery = props.reconcileEvery ?? Duration.hours(1);
    const triggers = props.triggers ?? [new NewDataTrigger(), new DriftTrigger(), new RequestTrigger()];
    const rules: ControllerRules = {
      cooldownMinutes: props.cooldown?.toMinutes({ integral: false }) ?? CONTROLLER_DEFAULTS.cooldownMinutes,
      maxRunsPerDay: props.maxRunsPerDay ?? CONTROLLER_DEFAULTS.maxRunsPerDay,
      maxRunsWithoutPromotion: props.maxRunsWithoutPromotion ?? CONTROLLER_DEFAULTS.maxRunsWithoutPromotion,
      uploads: triggers.some((trigger) => trigger instanceof NewDataTrigger),
      ...(props.newestFiles !== undefined && { newestFiles: props.newestFiles }),
    };
    refuse(this, [
      pipelineNameMistake(pipelineName),
      claim(this, 'pipelineName of a RetrainController', pipelineName),
      outside(batchingWindow.toSeconds(), 0, 300) &&
        `batchingWindow must be 0 to 300 seconds, got ${batchingWindow.toHumanString()}`,
      newestFilesMistake(props.newestFiles),
      noCount(rules.maxRunsPerDay, 1, 1000) &&
        `maxRunsPerDay must be a whole number from 1 to 1000, got ${rules.maxRunsPerDay}`,
      noCount(rules.maxRunsWithoutPromotion, 1, 1000) &&
        `maxRunsWithoutPromotion must be a whole number from 1 to 1000, got ${rules.maxRunsWithoutPromotion}`,
      reconcileMistake(reconcileEvery),
    ]);

    const handler = new Handler(this, 'Handler', {
      bundle: 'controller',
      description: 'Decides when to train (lambdas/dataset/controller.handler.ts)',
      timeout: Duration.minutes(2),
      memorySize: 512,
      encryptionKey,
      environment: {
        [EnvName.DATA_BUCKET]: data.bucketName,
        [EnvName.TRAINING_MACHINE]: machine.stateMachineArn,
        ...(registry && { [EnvName.MODEL_PACKAGE_GROUP]: registry.groupName }),
        [EnvName.SETTINGS]: JSON.stringify(rules),
      },
    });
    this.handler = handler.function;
    grantList(handler.role, data, [Prefix.INCOMING, Prefix.GROUND_TRUTH], ['s3:ListBucketVersions']);
    grantObjects(handler.role, data, ['s3:GetObject', 's3:PutObject'], [Prefix.SNAPSHOTS]);
    grantList(handler.role, data, [Prefix.SNAPSHOTS]); // else a missing key answers 403
    ledger.grantRead(handler.function, pipelineName);
    ledger.grantLease(handler.function, pipelineName);
    machine.grantStartExecution(handler.role);
    machine.grantExecution(handler.role, 'states:DescribeExecution');
    machine.grant(handler.role, 'states:ListExecutions');
    allowEvents(handler.role);
    if (registry !== undefined) {
      allowCandidates(handler.role, Stack.of(this), { pipeline: pipelineName, registry: registry.groupName });
    }

    const { queue, deadLetterQueue } = new TriggerQueue(this, 'Triggers', {
      handler: this.handler,
      batchingWindow,
      encryptionKey,
    });
    const { scope: owner } = machine.node;
    if (owner instanceof TrainingPipeline) stopFeedingBefore(owner.cleanUp, this.handler);
    this.queue = queue;
    this.deadLetterQueue = deadLetterQueue;
    for (const [i, trigger] of triggers.entries()) {
      trigger.bind(new Construct(this, `Trigger${i + 1}`), { pipelineName, queue, deadLetterQueue, dataset });
    }
    this.ended = new events.Rule(this, 'Ended', {
      description: 'The end of a run lets the next one begin',
      eventPattern: {
        $or: [
          {
            source: ['aws.states'],
            'detail-type': ['Step Functions Execution Status Change'],
            detail: {
              stateMachineArn: [machine.stateMachineArn],
              status: ENDED,
            },
          },
          { source: [Events.SOURCE], 'detail-type': [Events.RUN_ENDED], detail: { pipeline: [pipelineName] } },
        ],
      } as events.EventPattern,
      targets: [new QueueTarget(queue, deadLetterQueue)],
    });

    this.reconcile = reconcileSchedule(this, {
      scheduleName: `${pipelineName}-controller`,
      pipelineName,
      every: reconcileEvery,
      queue,
      deadLetterQueue,
    });

    this.lostTriggerAlarm = deadLetterAlarm(
      this,
      'LostTriggerAlarm',
      deadLetterQueue,
      `A trigger of ${pipelineName} could not be handled`,
    );
    this.failedRunAlarm = failedExecutionAlarm(
      this,
      'FailedRunAlarm',
      machine,
      `A run of ${pipelineName} failed or ran out of time; 'perennial runs' tells why`,
    );
  }

  /**
   * Allows to ask for a run: by an event `Perennial Run Requested` of the source `perennial` on the default bus, with the
   * detail `{ pipeline, requestedBy, note? }`. A function finds the pipeline's name in `PIPELINE`.
   */
  public grantRequestRun(grantee: iam.IGrantable): iam.Grant {
    return this.grantEvent(grantee, Events.RUN_REQUESTED);
  }

  /**
   * Allows to report drift: by an event `Perennial Drift Detected` of the source `perennial` on the default bus, with the
   * detail `{ pipeline, windowId, windowEnd, modelVersion, reportKey, summary }`. A function finds the pipeline's name in
   * `PIPELINE`. A report once more of the same window starts nothing.
   */
  public grantReportDrift(grantee: iam.IGrantable): iam.Grant {
    return this.grantEvent(grantee, Events.DRIFT_DETECTED);
  }

  private grantEvent(grantee: iam.IGrantable, detailType: string): iam.Grant {
    tellFunction(grantee, { [EnvName.PIPELINE]: this.pipelineName });
    const bus = Stack.of(this).formatArn({ service: 'events', resource: 'event-bus', resourceName: 'default' });
    return iam.Grant.addToPrincipal({
      grantee,
      actions: ['events:PutEvents'],
      resourceArns: [bus],
      conditions: { StringEquals: { 'events:source': Events.SOURCE, 'events:detail-type': detailType } },
    });
  }
}
