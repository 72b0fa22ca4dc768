import { Duration } from 'aws-cdk-lib';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as scheduler from 'aws-cdk-lib/aws-scheduler';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { ENDED } from '../core/messages';
import { EnvName } from '../core/names';
import { TriggerQueue } from '../dataset/trigger-queue';
import { deadLetterAlarm } from '../private/alarms';
import { Handler } from '../private/handler';
import { reconcileSchedule } from '../private/reconcile';
import { QueueTarget } from '../private/targets';
import type { DeploymentStepProps } from './deployment-step';

export interface StarterProps extends DeploymentStepProps {
  /** The name under which versions serve. */
  readonly name: string;
  /** The pipeline whose versions are deployed. */
  readonly versionsOf: string;
  /** How often is looked for what no event has told of. */
  readonly reconcileEvery: Duration;
}

/** An approval goes by a queue to a function that starts one deployment per approval, one at a time. */
export class Starter {
  readonly function: lambda.Function;
  readonly queue: sqs.Queue;
  readonly deadLetterQueue: sqs.Queue;
  readonly lostApprovalAlarm: cloudwatch.Alarm;
  readonly approvals: events.Rule;
  readonly reconcile: scheduler.Schedule;

  constructor(
    private readonly scope: Construct,
    { name, versionsOf, reconcileEvery, ledger, registry, owner, encryptionKey }: StarterProps,
  ) {
    this.function = new Handler(scope, 'Starter', {
      bundle: 'start-deployment',
      description: 'Starts one deployment an approval (lambdas/deploy/start-deployment.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: { [EnvName.ENDPOINT_NAME]: name, [EnvName.VERSIONS_OF]: versionsOf },
    }).function;
    ledger.grantRead(this.function, owner.pipeline);
    ledger.grantLease(this.function, owner.pipeline);
    registry.grantRead(this.function);

    const { queue, deadLetterQueue } = new TriggerQueue(scope, 'Approvals', {
      handler: this.function,
      batchingWindow: Duration.seconds(5),
      encryptionKey,
    });
    this.queue = queue;
    this.deadLetterQueue = deadLetterQueue;
    const lost = `An approval of ${owner.pipeline} could not be handled`;
    this.lostApprovalAlarm = deadLetterAlarm(scope, 'LostApprovalAlarm', deadLetterQueue, lost);
    // An update of anything but the approval is sent again with the status Approved: it must not deploy again.
    this.approvals = new events.Rule(scope, 'Approval', {
      description: 'An approval starts a deployment',
      eventPattern: {
        source: ['aws.sagemaker'],
        detailType: ['SageMaker Model Package State Change'],
        detail: {
          ModelPackageGroupName: [registry.groupName],
          ModelApprovalStatus: ['Approved'],
          $or: [
            { UpdatedModelPackageFields: ['ModelApprovalStatus'] },
            { UpdatedModelPackageFields: [{ exists: false }] },
          ],
        },
      },
      targets: [new QueueTarget(queue, deadLetterQueue)],
    });
    this.reconcile = reconcileSchedule(scope, {
      scheduleName: `${name}-deployment`,
      pipelineName: owner.pipeline,
      every: reconcileEvery,
      queue,
      deadLetterQueue,
    });
  }

  /** Starts executions of the machine, and hears of their ends. */
  start(machine: sfn.StateMachine): void {
    this.function.addEnvironment(EnvName.DEPLOYMENT_MACHINE, machine.stateMachineArn);
    machine.grantStartExecution(this.function);
    machine.grantExecution(this.function, 'states:DescribeExecution');
    machine.grant(this.function, 'states:ListExecutions');
    new events.Rule(this.scope, 'Ended', {
      description: 'The end of a deployment lets the next one begin',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: [machine.stateMachineArn],
          status: [...ENDED],
        },
      },
      targets: [new QueueTarget(this.queue, this.deadLetterQueue)],
    });
  }
}
