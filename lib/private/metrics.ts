import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS_NAMESPACE } from '../core/names';

/** One of the metrics that the product writes about a pipeline; the average of five minutes, unless told otherwise. */
export function pipelineMetric(
  pipelineName: string,
  metricName: string,
  options?: cloudwatch.MetricOptions,
): cloudwatch.Metric {
  const dimensionsMap = { Pipeline: pipelineName };
  return new cloudwatch.Metric({ namespace: METRICS_NAMESPACE, metricName, dimensionsMap, ...options });
}
