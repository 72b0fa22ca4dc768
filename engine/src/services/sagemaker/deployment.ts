import type { Caller, Shape } from '../../service';
import { type Host, invalid } from './host';
import type { DeploymentConfig, EndpointConfigRequest, Size } from './requests';

/** Engine seconds between looks at the alarms while traffic shifts. */
const ALARM_SECONDS = 30;

/** Refuses a deployment that the fleet is too small for, or that contradicts itself. */
export function refuseDeployment(deployment: DeploymentConfig | undefined, config: EndpointConfigRequest): void {
  if (deployment === undefined) return;
  const { BlueGreenUpdatePolicy: blueGreen, RollingUpdatePolicy: rolling } = deployment;
  if ((blueGreen === undefined) === (rolling === undefined)) {
    throw invalid('DeploymentConfig must have exactly one of BlueGreenUpdatePolicy and RollingUpdatePolicy.');
  }
  const { ProductionVariants: variants } = config;
  if (variants.some(({ ServerlessConfig }) => ServerlessConfig !== undefined)) {
    throw invalid('DeploymentConfig is not supported for serverless endpoints.');
  }
  const instances = variants.reduce((sum, variant) => sum + (variant.InitialInstanceCount ?? 1), 0);
  const sizes: [what: string, size: Size | undefined, least: number, most: number][] = [];
  if (rolling !== undefined) sizes.push(['MaximumBatchSize', rolling.MaximumBatchSize, 5, 50]);
  const routing = blueGreen?.TrafficRoutingConfiguration;
  if (routing?.Type === 'CANARY') sizes.push(['CanarySize', routing.CanarySize, 0, 50]);
  if (routing?.Type === 'LINEAR') sizes.push(['LinearStepSize', routing.LinearStepSize, 10, 50]);
  for (const [what, size, least, most] of sizes) {
    if (size === undefined) throw invalid(`${what} must be specified for traffic routing ${routing?.Type}.`);
    if (instances < 2) {
      throw invalid(
        `${what} cannot be used with ${instances} instance: at least 2 are needed to shift traffic in parts.`,
      );
    }
    const percent = size.Type === 'INSTANCE_COUNT' ? (100 * size.Value) / instances : size.Value;
    if (percent < least || percent > most) {
      throw invalid(`${what} must be between ${least} and ${most} per cent of the fleet, got ${percent}.`);
    }
  }
  const waits = waitsOf(deployment, instances).reduce((sum, [, seconds]) => sum + seconds, 0);
  const longest = (blueGreen ?? rolling)?.MaximumExecutionTimeoutInSeconds;
  if (longest !== undefined && longest <= waits) {
    throw invalid(
      `MaximumExecutionTimeoutInSeconds must be more than the sum of all waits, ${waits} s, got ${longest}.`,
    );
  }
}

/**
 * Shifts the traffic step by step, and watches the alarms meanwhile.
 *
 * @param instances the new fleet's size
 * @param share told the new fleet's share of the requests
 * @throws if an alarm fires, or has fired already
 */
export async function awaitBake(
  host: Host,
  deployment: DeploymentConfig | undefined,
  instances: number,
  caller: Caller,
  share: (share: number) => void,
): Promise<void> {
  const alarms = (deployment?.AutoRollbackConfiguration?.Alarms ?? []).flatMap(({ AlarmName = [] }) => AlarmName);
  await refuseAlarms(host, alarms, caller);
  const { context } = host;
  for (const [part, seconds] of deployment === undefined ? [[1, 0] as const] : waitsOf(deployment, instances)) {
    share(part);
    for (let left = seconds; left > 0; left -= ALARM_SECONDS) {
      await context.clock.sleep(Math.min(left, ALARM_SECONDS) * 1000, context.signal);
      if (context.signal.aborted) throw new Error('the engine has ended');
      await refuseAlarms(host, alarms, caller);
    }
  }
}

async function refuseAlarms(host: Host, names: readonly string[], caller: Caller): Promise<void> {
  if (names.length === 0) return;
  const { MetricAlarms = [] } = await host.context.call('cloudwatch', 'DescribeAlarms', { AlarmNames: names }, caller);
  const fired = MetricAlarms.filter(({ StateValue }: Shape) => StateValue === 'ALARM');
  if (fired.length > 0) {
    throw new Error(`alarm ${fired.map(({ AlarmName }: Shape) => AlarmName).join(', ')} is in ALARM`);
  }
}

/** The new fleet's share of the traffic, and how long it stays so, in seconds. */
function waitsOf(deployment: DeploymentConfig, instances: number): (readonly [share: number, seconds: number])[] {
  const { BlueGreenUpdatePolicy: blueGreen, RollingUpdatePolicy: rolling } = deployment;
  const part = (size: Size) => (size.Type === 'INSTANCE_COUNT' ? size.Value / instances : size.Value / 100);
  const steps = (size: Size, wait: number) => {
    const count = Math.ceil(1 / Math.max(part(size), 0.05));
    return Array.from({ length: count }, (_, index) => [Math.min(1, (index + 1) * part(size)), wait] as const);
  };
  if (rolling !== undefined) return steps(rolling.MaximumBatchSize, rolling.WaitIntervalInSeconds);
  if (blueGreen === undefined) return [];
  const { Type, WaitIntervalInSeconds: wait, CanarySize, LinearStepSize } = blueGreen.TrafficRoutingConfiguration;
  const last = [1, blueGreen.TerminationWaitInSeconds ?? 0] as const;
  if (Type === 'CANARY' && CanarySize) return [[part(CanarySize), wait], [1, wait], last];
  if (Type === 'LINEAR' && LinearStepSize) return [...steps(LinearStepSize, wait), last];
  return [[1, wait], last];
}
