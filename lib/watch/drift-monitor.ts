import { Duration, Size } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as sns from 'aws-cdk-lib/aws-sns';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { EnvName, Events, MetricName, Prefix } from '../core/names';
import { MONITOR_DEFAULTS, type MonitorRules } from '../core/watch/documents';
import type { IDataset } from '../dataset/dataset';
import { encryptedQueue } from '../dataset/trigger-queue';
import type { IRunLedger } from '../ledger/run-ledger';
import { deadLetterAlarm } from '../private/alarms';
import { allowEvents, grantList, grantObjects } from '../private/grants';
import { Handler } from '../private/handler';
import { keyOf, letRulesSend } from '../private/keys';
import { pipelineMetric } from '../private/metrics';
import { scheduleInput } from '../private/schedule-input';
import { FunctionScheduleTarget, TopicTarget } from '../private/targets';
import { claim } from '../private/two-of-a-kind';
import { outside, pipelineNameMistake, refuse } from '../private/validate';

/** Properties of a {@link DriftMonitor}. */
export interface DriftMonitorProps {
  /** Captured requests, true outcomes and the models' baselines. */
  readonly dataset: IDataset;

  /** Where windows are recorded, and which model serves is read. */
  readonly ledger: IRunLedger;

  /** The pipeline's name in the ledger, in events and in metrics. */
  readonly pipelineName: string;

  /** The endpoint that is watched. */
  readonly endpointName: string;

  /**
   * How often captured requests are judged; an upload of true outcomes is judged at once.
   *
   * @default Duration.hours(1)
   */
  readonly interval?: Duration;

  /**
   * How far back captured requests are looked for, to join true outcomes with.
   *
   * @default Duration.days(45)
   */
  readonly lookBack?: Duration;

  /**
   * The chance of any significant finding in a window without drift, shared among all findings; above 0 and below 1.
   *
   * @default 0.05
   */
  readonly significanceLevel?: number;

  /**
   * Windows without drift between two false alarms, on average and at least.
   *
   * @default 720
   */
  readonly averageRunLength?: number;

  /**
   * From which shift of a feature's or the scores' distribution on it matters (population stability index, nats).
   *
   * @default 0.1
   */
  readonly psiThreshold?: number;

  /**
   * From which drop of AUC or accuracy on it matters, where the model is judged by one of them.
   *
   * @default 0.02
   */
  readonly scoreDropThreshold?: number;

  /**
   * From which rise of an error (RMSE, MAE, log loss, Brier) on it matters, as a share of the error when the model
   * was judged, where it is judged by one of them.
   *
   * @default 0.05
   */
  readonly errorIncreaseThreshold?: number;

  /**
   * The key of yours that encrypts queue, topic, logs and the function's environment.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * Compares what a model is asked, what it answers and what turns out true with what it was trained on.
 *
 * Defines the function that judges a window, the schedule and the rule that run it, the topic that tells people,
 * and an alarm for the case that nobody is watching any more. A drift verdict is an event, which a
 * {@link RetrainController} turns into a run.
 */
export class DriftMonitor extends Construct {
  /** The function that judges. */
  public readonly handler: lambda.Function;

  /** Runs the function from time to time. */
  public readonly schedule: scheduler.Schedule;

  /** Runs the function when true outcomes are uploaded. */
  public readonly groundTruth: events.Rule;

  /** Where uploads and windows go that could not be judged. */
  public readonly deadLetterQueue: sqs.Queue;

  /** Tells data engineers and experimenters of drift: subscribe to it. */
  public readonly feedback: sns.Topic;

  /** Fires when an upload of true outcomes or a window could not be judged. */
  public readonly lostWindowAlarm: cloudwatch.Alarm;

  /** Fires when no window has been judged for a day. */
  public readonly staleAlarm: cloudwatch.Alarm;

  private readonly pipelineName: string;

  constructor(scope: Construct, id: string, props: DriftMonitorProps) {
    super(scope, id);
    this.pipelineName = props.pipelineName;
    const { ledger, pipelineName, endpointName } = props;
    const data = props.dataset.bucket;
    const encryptionKey = keyOf(this, props.encryptionKey);
    const interval = props.interval ?? Duration.hours(1);
    const { lookBackDays, assess } = MONITOR_DEFAULTS;
    const rules: MonitorRules = {
      lookBackDays: props.lookBack?.toDays({ integral: false }) ?? lookBackDays,
      assess: {
        ...assess,
        significanceLevel: props.significanceLevel ?? assess.significanceLevel,
        averageRunLength: props.averageRunLength ?? assess.averageRunLength,
        psiThreshold: props.psiThreshold ?? assess.psiThreshold,
        scoreDropThreshold: props.scoreDropThreshold ?? assess.scoreDropThreshold,
        errorIncreaseThreshold: props.errorIncreaseThreshold ?? assess.errorIncreaseThreshold,
      },
    };
    refuse(this, [
      pipelineNameMistake(pipelineName),
      claim(this, 'pipelineName of a DriftMonitor', pipelineName),
      outside(interval.toMinutes({ integral: false }), 1, 60 * 24 * 365) &&
        `interval must be 1 minute to 365 days, got ${interval.toHumanString()}`,
      outside(rules.lookBackDays, 0.01, 365) && `lookBack must be at most 365 days, got ${rules.lookBackDays} days`,
      outside(rules.assess.significanceLevel, 1e-6, 0.5) &&
        `significanceLevel must be 0.000001 to 0.5, got ${props.significanceLevel}`,
      outside(rules.assess.averageRunLength, 1, 1e9) &&
        `averageRunLength must be at least 1, got ${props.averageRunLength}`,
      outside(rules.assess.psiThreshold, 1e-6, 100) && `psiThreshold must be above 0, got ${props.psiThreshold}`,
      outside(rules.assess.scoreDropThreshold, 1e-6, 1) &&
        `scoreDropThreshold must be above 0 and at most 1, got ${props.scoreDropThreshold}`,
      outside(rules.assess.errorIncreaseThreshold, 1e-6, 100) &&
        `errorIncreaseThreshold must be above 0 and at most 100, got ${props.errorIncreaseThreshold}`,
    ]);

    this.deadLetterQueue = encryptedQueue(this, 'DeadLetters', encryptionKey, { retentionPeriod: Duration.days(14) });
    letRulesSend(this, this.deadLetterQueue);
    this.lostWindowAlarm = deadLetterAlarm(
      this,
      'LostWindowAlarm',
      this.deadLetterQueue,
      `An upload or a window of ${pipelineName} could not be judged`,
    );
    const handler = new Handler(this, 'Handler', {
      bundle: 'data',
      entry: 'monitor.handler',
      description: 'Judges whether what the model sees is what it learnt (lambdas/watch/monitor.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: 3008,
      ephemeralStorageSize: Size.gibibytes(4),
      deadLetterQueue: this.deadLetterQueue,
      encryptionKey,
      environment: {
        [EnvName.DATA_BUCKET]: data.bucketName,
        [EnvName.ENDPOINT_NAME]: endpointName,
        [EnvName.SETTINGS]: JSON.stringify(rules),
      },
    });
    this.handler = handler.function;
    grantList(handler.role, data, [Prefix.CAPTURE]);
    grantObjects(handler.role, data, ['s3:GetObject'], [Prefix.CAPTURE, Prefix.RUNS]);
    grantObjects(handler.role, data, ['s3:GetObjectVersion'], [Prefix.GROUND_TRUTH]);
    grantObjects(handler.role, data, ['s3:PutObject'], [Prefix.MONITOR]);
    ledger.grantRead(handler.function, pipelineName);
    ledger.grantLease(handler.function, pipelineName);
    allowEvents(handler.role);

    this.schedule = new scheduler.Schedule(this, 'Schedule', {
      // fixed, so that CloudFormation refuses a second monitor of this pipeline
      scheduleName: `${pipelineName}-monitor`,
      description: 'Judges what was captured',
      schedule: scheduler.ScheduleExpression.rate(interval),
      target: new FunctionScheduleTarget(this.handler, {
        deadLetterQueue: this.deadLetterQueue,
        input: scheduleInput(pipelineName),
      }),
    });
    this.groundTruth = new events.Rule(this, 'GroundTruth', {
      description: 'An upload of true outcomes is judged at once',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: { bucket: { name: [data.bucketName] }, object: { key: [{ prefix: Prefix.GROUND_TRUTH }] } },
      },
      targets: [new targets.LambdaFunction(this.handler, { deadLetterQueue: this.deadLetterQueue })],
    });

    this.feedback = new sns.Topic(this, 'Feedback', { enforceSSL: true, masterKey: encryptionKey });
    new events.Rule(this, 'TellPeople', {
      description: 'Drift is told to the people who work on data and experiments',
      eventPattern: {
        source: [Events.SOURCE],
        detailType: [Events.DRIFT_DETECTED],
        detail: { pipeline: [pipelineName] },
      },
      targets: [new TopicTarget(this.feedback, this.deadLetterQueue)],
    });

    this.staleAlarm = new cloudwatch.Alarm(this, 'StaleAlarm', {
      alarmDescription: `Nothing of ${pipelineName} has been judged for a day: look at the monitor's log and dead-letter queue. What to do: lib/RUNBOOK.md, StaleAlarm`,
      metric: this.metricWindowsJudged({ period: Duration.days(1) }),
      comparisonOperator: cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.BREACHING,
    });
  }

  /** A metric that the monitor writes; the average of five minutes, unless told otherwise. */
  public metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return pipelineMetric(this.pipelineName, metricName, props);
  }

  /** Windows that were judged; the sum of five minutes, unless told otherwise. */
  public metricWindowsJudged(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(MetricName.WINDOWS_JUDGED, { statistic: cloudwatch.Stats.SUM, ...props });
  }

  /** The largest effect among a window's findings, 0 if there is none; the average of five minutes, unless told otherwise. */
  public metricDriftEffect(props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    return this.metric(MetricName.DRIFT_EFFECT, props);
  }
}
