import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { METRICS_NAMESPACE, VARIANT_NAME } from '../core/names';

/** One of the metrics that the product writes about a pipeline; the average of five minutes, unless told otherwise. */
export function pipelineMetric(
  pipelineName: string,
  metricName: string,
  options?: cloudwatch.MetricOptions,
): cloudwatch.Metric {
  const dimensionsMap = { Pipeline: pipelineName };
  return new cloudwatch.Metric({ namespace: METRICS_NAMESPACE, metricName, dimensionsMap, ...options });
}

/**
 * One of the metrics that SageMaker keeps of an endpoint; the average of five minutes, unless told otherwise.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
 */
export function endpointMetric(
  endpointName: string,
  metricName: string,
  options?: cloudwatch.MetricOptions,
): cloudwatch.Metric {
  const dimensionsMap = { EndpointName: endpointName, VariantName: VARIANT_NAME };
  return new cloudwatch.Metric({ namespace: 'AWS/SageMaker', metricName, dimensionsMap, ...options });
}
