import { DescribeEndpointCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { unlessMissing } from '../../lambdas/shared/sagemaker';
import type { DeploymentEnded } from '../../lib/core/ledger/ledger';
import { clientConfig, type PipelineApp } from './app';
import type { CliContext } from './failure';

/** The endpoint as SageMaker describes it now: the ledger tells what was deployed, and not what became of it since. */
export interface EndpointNow {
  readonly name: string;
  /** Absent if there is no endpoint. */
  readonly status?: string;
  readonly configName?: string;
}

/**
 * The statuses in which an endpoint answers, by the configuration that it names.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
 */
const ANSWERS: readonly string[] = ['InService', 'Updating', 'SystemUpdating', 'RollingBack'];

export async function readEndpoint(
  { endpoint }: Pick<PipelineApp, 'endpoint'>,
  context: Pick<CliContext, 'env'>,
): Promise<EndpointNow> {
  const client = new SageMakerClient(clientConfig(context));
  try {
    const found = await unlessMissing(client.send(new DescribeEndpointCommand({ EndpointName: endpoint })));
    return { name: endpoint, status: found?.EndpointStatus, configName: found?.EndpointConfigName };
  } finally {
    client.destroy();
  }
}

/** Why the version that was deployed last does not serve; undefined if it does. */
export function whyNot(
  { name, status, configName }: EndpointNow,
  { version, endpointConfigName }: Pick<DeploymentEnded, 'version' | 'endpointConfigName'>,
): string | undefined {
  if (status === undefined) return `the endpoint ${name} does not exist: no model serves`;
  if (status === 'UpdateRollbackFailed') return `the endpoint ${name} is ${status}: which model serves is not certain`;
  if (!ANSWERS.includes(status)) return `the endpoint ${name} is ${status}: no model serves`;
  if (configName === endpointConfigName) return undefined;
  return `the endpoint ${name} serves ${configName}, and not v${version} that was deployed last: a deployment is about to end, or somebody has changed it`;
}
