import { paginateGetExecutionHistory, SFNClient } from '@aws-sdk/client-sfn';
import { awsExecutions, executionArn } from '../../lambdas/shared/executions';
import { inputOf } from '../../lib/core/messages';
import { LOOK_AT_APPROVAL } from '../../lib/core/names';
import { clientConfig, type PipelineApp } from './app';
import type { CliContext } from './failure';

/** A deployment that is under way. */
export interface Deploying {
  readonly id: string;
  readonly executionArn: string;
  readonly modelPackageArn: string;
}

/** The deployments that are under way. */
export async function readDeploying(
  { deploymentMachine }: Pick<PipelineApp, 'deploymentMachine'>,
  context: Pick<CliContext, 'env'>,
): Promise<Deploying[]> {
  const client = new SFNClient(clientConfig(context));
  const executions = awsExecutions(deploymentMachine, client);
  try {
    const running = (await executions.running()).map(async (id) => {
      const input = inputOf((await executions.find(id))?.input);
      if (input === undefined) return [];
      return [{ id, executionArn: executionArn(deploymentMachine, id), modelPackageArn: input.modelPackageArn }];
    });
    return (await Promise.all(running)).flat();
  } finally {
    client.destroy();
  }
}

/** Whether a deployment has asked for the approval, which it does last, and found the version approved. */
export async function hasFoundApproved(
  { executionArn }: Deploying,
  context: Pick<CliContext, 'env'>,
): Promise<boolean> {
  const client = new SFNClient(clientConfig(context));
  try {
    for await (const { events = [] } of paginateGetExecutionHistory({ client }, { executionArn, reverseOrder: true })) {
      for (const { stateExitedEventDetails: left } of events) {
        if (left?.name !== LOOK_AT_APPROVAL) continue;
        return JSON.parse(left.output ?? '{}').ModelApprovalStatus === 'Approved';
      }
    }
    return false;
  } finally {
    client.destroy();
  }
}
