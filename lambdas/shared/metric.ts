import { EnvName, METRICS_NAMESPACE } from '../../lib/core/names';
import { env } from './env';

/** Records a metric of the pipeline: CloudWatch reads it off the log line (embedded metric format). */
export function metric(name: string, value: number, unit: 'Count' | 'Milliseconds' | 'None' = 'Count'): void {
  console.log(
    JSON.stringify({
      _aws: {
        Timestamp: Date.now(),
        CloudWatchMetrics: [
          { Namespace: METRICS_NAMESPACE, Dimensions: [['Pipeline']], Metrics: [{ Name: name, Unit: unit }] },
        ],
      },
      Pipeline: env(EnvName.PIPELINE),
      [name]: value,
    }),
  );
}
