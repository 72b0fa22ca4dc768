import {
  DescribeModelPackageCommand,
  ModelApprovalStatus,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import type { Command } from 'commander';
import { type AppOptions, clientConfig, findApp, type PipelineApp } from './app';
import { CommandError, type Surroundings } from './failure';
import { note, versionNumber } from './input';

/** `approve` and `reject`: a person's word on a registered model version. */
export function addDecide(program: Command, surroundings: Surroundings): void {
  const commands = [
    [
      'approve',
      ModelApprovalStatus.APPROVED,
      'approve a registered model version, which deploys it, also one that served before',
    ],
    ['reject', ModelApprovalStatus.REJECTED, 'reject a registered model version, so that it is never deployed'],
  ] as const;
  for (const [name, status, description] of commands) {
    program
      .command(`${name} <version>`)
      .description(description)
      .option('--comment <text>', 'why; kept with the model version')
      .addHelpText('after', `\nExample:\n  $ perennial ${name} 3 --comment "looked at the slices"`)
      .action(async (version: string, _, command: Command) => {
        const options = command.optsWithGlobals<AppOptions & { readonly comment?: string }>();
        const number = versionNumber(version);
        const comment = note('--comment', options.comment);
        const app = await findApp(options, surroundings);
        const before = await decide(packageArn(app, number), status, comment, surroundings);
        const again = status === ModelApprovalStatus.APPROVED ? ', and is so again: it is deployed' : '';
        surroundings.out(
          before === status
            ? `version ${number} was ${status} already${again}`
            : `version ${number}: ${before} → ${status}`,
        );
      });
  }
}

/** Returns the status before. */
async function decide(
  ModelPackageName: string,
  status: ModelApprovalStatus,
  comment: string | undefined,
  surroundings: Surroundings,
): Promise<string> {
  const client = new SageMakerClient(clientConfig(surroundings));
  try {
    const { ModelApprovalStatus: before = 'none' } = await client.send(
      new DescribeModelPackageCommand({ ModelPackageName }),
    );
    const set = (ModelApprovalStatus: ModelApprovalStatus, ApprovalDescription?: string) =>
      client.send(
        new UpdateModelPackageCommand({
          ModelPackageArn: ModelPackageName,
          ModelApprovalStatus,
          ...(ApprovalDescription !== undefined && { ApprovalDescription }),
        }),
      );
    const isApprovedAgain = before === status && status === ModelApprovalStatus.APPROVED;
    // what is deployed is a change to Approved: so a version that served before goes back into service
    if (isApprovedAgain) await set(ModelApprovalStatus.PENDING_MANUAL_APPROVAL);
    if (before !== status || isApprovedAgain) await set(status, comment);
    return before;
  } catch (error) {
    if (/does not exist/.test((error as Error).message)) {
      throw new CommandError(`there is no such model version: ${ModelPackageName}`);
    }
    throw error;
  } finally {
    client.destroy();
  }
}

/** Versions are numbered within the group, in the place of the training machine. */
function packageArn({ trainingMachine, modelPackageGroup }: PipelineApp, version: string): string {
  const [, partition, , region, account] = trainingMachine.split(':');
  return `arn:${partition}:sagemaker:${region}:${account}:model-package/${modelPackageGroup}/${version}`;
}
