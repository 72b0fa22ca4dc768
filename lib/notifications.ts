import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct, type IConstruct } from 'constructs';
import type { DeploymentOutcome } from './core/deploy/documents';
import type { Outcome } from './core/ledger/documents';
import { Events } from './core/names';
import { encryptedQueue } from './dataset/trigger-queue';
import { deadLetterAlarm } from './private/alarms';
import { keyOf } from './private/keys';
import { letAlarms, TopicTarget } from './private/targets';
import { refuse } from './private/validate';

/** Properties of {@link Notifications}. */
export interface NotificationsProps {
  /** The pipeline whose events are told. */
  readonly pipelineName: string;

  /**
   * The constructs of the pipeline, or the stack that holds them: every alarm notifies that they hold by then, and every
   * execution of their state machines that is stopped or runs out of time.
   */
  readonly parts: IConstruct[];

  /**
   * The topic to publish to. The policy of one that is imported must let CloudWatch's alarms and EventBridge's rules publish.
   *
   * @default - a topic of its own, encrypted
   */
  readonly topic?: sns.ITopic;

  /**
   * E-mail addresses that are subscribed to the topic; each gets a mail in which the subscription must be confirmed.
   *
   * @default - none
   */
  readonly emails?: string[];

  /**
   * The key of yours that encrypts a topic of its own, and the queue of what could not be published.
   *
   * @default - the topic has a key of its own, for neither CloudWatch nor EventBridge may use SNS's; the queue has SQS's
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * Tells people what they should know of a pipeline, and nothing else.
 *
 * Defines one topic, unless one is given, and the rules that publish there: runs and deployments that failed, ran out
 * of time or were stopped, deployments that were rolled back, approvals that wait, drift, drift that no new data
 * has come to cure, and a day's budget of runs that is used up. All alarms of the parts publish there as well.
 */
export class Notifications extends Construct {
  /** Where everything is published: subscribe to it. */
  public readonly topic: sns.ITopic;

  /**
   * What is told, by the rule's id: `RunFailed`, `ApprovalWaits`, `DeploymentFailed`, `DeploymentRolledBack`, `Drift`,
   * `DataNeeded`, `BudgetReached`, and `Stopped` where the parts have a state machine.
   */
  public readonly rules: Record<string, events.Rule>;

  /** Where messages go that could not be published. */
  public readonly deadLetterQueue: sqs.Queue;

  /** Fires when a message could not be published. */
  public readonly lostNotificationAlarm: cloudwatch.Alarm;

  constructor(scope: Construct, id: string, props: NotificationsProps) {
    super(scope, id);
    const { pipelineName, parts, emails = [] } = props;
    refuse(this, [
      parts.length === 0 && 'parts must name at least one construct of the pipeline, got none',
      ...emails.map((email) => !/^[^\s@]+@[^\s@]+$/.test(email) && `emails must be addresses, got '${email}'`),
    ]);
    const encryptionKey = keyOf(this, props.encryptionKey);
    this.topic = props.topic ?? this.ownTopic(encryptionKey);
    for (const email of emails) this.topic.addSubscription(new subscriptions.EmailSubscription(email));
    letAlarms(this, this.topic);

    this.deadLetterQueue = encryptedQueue(this, 'DeadLetters', encryptionKey, { retentionPeriod: Duration.days(14) });
    this.lostNotificationAlarm = deadLetterAlarm(
      this,
      'LostNotificationAlarm',
      this.deadLetterQueue,
      `A notification of ${pipelineName} could not be published`,
    );
    const machines = parts.flatMap((part) => part.node.findAll()).filter((node) => node instanceof sfn.StateMachine);
    const told = [...saidBy(pipelineName), ...(machines.length > 0 ? [stopped(pipelineName, machines)] : [])];
    this.rules = Object.fromEntries(told.map((one) => [one.id, this.rule(one)]));

    const alarms = parts.flatMap((part) => part.node.findAll()).filter((node) => node instanceof cloudwatch.Alarm);
    for (const alarm of new Set([...alarms, this.lostNotificationAlarm]))
      alarm.addAlarmAction(new actions.SnsAction(this.topic));
  }

  private rule({ id, description, eventPattern, text }: Told): events.Rule {
    const input = events.RuleTargetInput.fromText(`${text} (lib/RUNBOOK.md, ${id})`);
    return new events.Rule(this, id, {
      description,
      eventPattern,
      targets: [new TopicTarget(this.topic, this.deadLetterQueue, input)],
    });
  }

  private ownTopic(encryptionKey: kms.IKey | undefined): sns.Topic {
    const masterKey =
      encryptionKey ??
      new kms.Key(this, 'Key', {
        description: `Notifications of ${this.node.path}`,
        enableKeyRotation: true,
        removalPolicy: RemovalPolicy.DESTROY, // messages that were delivered need it no more
      });
    return new sns.Topic(this, 'Topic', { enforceSSL: true, masterKey });
  }
}

/** What people are told. */
interface Told {
  /** The rule's id, and the section of the runbook. */
  readonly id: string;
  readonly description: string;
  readonly eventPattern: events.EventPattern;
  readonly text: string;
}

/** What the pipeline itself says. */
function saidBy(pipeline: string): Told[] {
  const own = (id: string, description: string, type: string, outcome?: Outcome | DeploymentOutcome): Told => ({
    id,
    description,
    eventPattern: {
      source: [Events.SOURCE],
      detailType: [type],
      detail: { pipeline: [pipeline], ...(outcome !== undefined && { outcome: [outcome] }) },
    },
    text: `${pipeline}: ${field('$.detail.summary')}`,
  });
  return [
    own('RunFailed', 'A run has failed', Events.RUN_ENDED, 'FAILED'),
    own('ApprovalWaits', 'A version waits for a person to approve it', Events.RUN_ENDED, 'AWAITING_APPROVAL'),
    own('DeploymentFailed', 'A deployment has failed', Events.DEPLOYMENT_ENDED, 'FAILED'),
    own('DeploymentRolledBack', 'A deployment was rolled back', Events.DEPLOYMENT_ENDED, 'ROLLED_BACK'),
    own('Drift', 'The monitor has found drift', Events.DRIFT_DETECTED),
    own('DataNeeded', 'Drift stays, for want of newer or better data', Events.DATA_NEEDED),
    own('BudgetReached', 'No more runs start by themselves today', Events.BUDGET_REACHED),
  ];
}

/** Executions that could not say themselves how they ended. */
function stopped(pipeline: string, machines: sfn.StateMachine[]): Told {
  return {
    id: 'Stopped',
    description: 'A run or a deployment was stopped, or has run out of time',
    eventPattern: {
      source: ['aws.states'],
      detailType: ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: machines.map(({ stateMachineArn }) => stateMachineArn),
        status: ['TIMED_OUT', 'ABORTED'],
      },
    },
    text: `${pipeline}: ${field('$.detail.name')} ended as ${field('$.detail.status')} before it could say how`,
  };
}

function field(path: string): string {
  return events.EventField.fromPath(path);
}
