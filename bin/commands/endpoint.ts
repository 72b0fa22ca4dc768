import { DescribeEndpointCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { unlessMissing } from '../../lambdas/shared/sagemaker';
import type { EndpointNow } from '../../lib/core/ledger/history';
import { clientConfig, type PipelineApp } from './app';
import type { CliContext } from './failure';

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
