import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { Construct } from 'constructs';
import { endpointMetric } from '../../private/metrics';

/** The alarms on an endpoint, which bring the model before back while a new one takes over. */
export function endpointAlarms(scope: Construct, endpointName: string, maxLatency: Duration): cloudwatch.Alarm[] {
  const metric = (metricName: string, statistic: string) =>
    endpointMetric(endpointName, metricName, { statistic, period: Duration.minutes(1) });
  return [
    new cloudwatch.Alarm(scope, 'ErrorAlarm', {
      alarmDescription: `${endpointName} answers with server errors. What to do: lib/RUNBOOK.md, ErrorAlarm`,
      metric: metric('Invocation5XXErrors', cloudwatch.Stats.SUM),
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    }),
    new cloudwatch.Alarm(scope, 'LatencyAlarm', {
      alarmDescription: `${endpointName} answers slowly. What to do: lib/RUNBOOK.md, LatencyAlarm`,
      metric: metric('ModelLatency', cloudwatch.Stats.percentile(99)),
      threshold: maxLatency.toMilliseconds() * 1000, // SageMaker measures in microseconds
      evaluationPeriods: 3,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    }),
  ];
}
