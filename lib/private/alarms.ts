import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';

const PERIOD = Duration.minutes(5);

/** Fires while a dead-letter queue holds something. */
export function deadLetterAlarm(scope: Construct, id: string, queue: sqs.Queue, what: string): cloudwatch.Alarm {
  return fromOne(scope, id, `${what}; it waits in the dead-letter queue`, {
    metric: queue.metricApproximateNumberOfMessagesVisible({ period: PERIOD }),
  });
}

/** Fires when an execution of a machine fails or runs out of time. */
export function failedExecutionAlarm(
  scope: Construct,
  id: string,
  machine: sfn.IStateMachine,
  what: string,
): cloudwatch.Alarm {
  return fromOne(scope, id, what, {
    metric: new cloudwatch.MathExpression({
      expression: 'FILL(failed, 0) + FILL(timedOut, 0)',
      usingMetrics: { failed: machine.metricFailed(), timedOut: machine.metricTimedOut() },
      label: 'executions that failed or ran out of time',
      period: PERIOD,
    }),
  });
}

/** Fires when a function throws, runs out of time or of memory. */
export function functionErrorAlarm(scope: Construct, id: string, handler: lambda.Function): cloudwatch.Alarm {
  return fromOne(scope, id, `A function failed. ${handler.node.path}: ${handler.functionName}`, {
    metric: handler.metricErrors({ period: PERIOD }),
  });
}

/** Fires from one on. */
function fromOne(
  scope: Construct,
  id: string,
  what: string,
  props: Pick<cloudwatch.AlarmProps, 'metric'>,
): cloudwatch.Alarm {
  return new cloudwatch.Alarm(scope, id, {
    alarmDescription: `${what}. What to do: lib/RUNBOOK.md, ${id}`,
    threshold: 1,
    evaluationPeriods: 1,
    treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    ...props,
  });
}
