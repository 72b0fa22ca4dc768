import {
  DescribeModelPackageCommand,
  ModelApprovalStatus,
  SageMakerClient,
  UpdateModelPackageCommand,
} from '@aws-sdk/client-sagemaker';
import type { Command } from 'commander';
import { type History, servedPeriods } from '../../lib/core/ledger/history';
import { packageVersion } from '../../lib/core/names';
import { type AppOptions, clientConfig, type PipelineApp } from './app';
import { type Deploying, hasFoundApproved, readDeploying } from './deploying';
import { type CliContext, CommandError } from './failure';
import { note, versionNumber } from './input';
import { readHistory } from './ledger';
import { openPipeline } from './pipeline';

const { APPROVED, PENDING_MANUAL_APPROVAL, REJECTED } = ModelApprovalStatus;

/** `approve` and `reject`: a person's word on a registered model version. */
export function addDecide(program: Command, context: CliContext): void {
  const commands = [
    ['approve', approve, 'approve a registered model version, which deploys it, also one that served before'],
    [
      'reject',
      reject,
      'reject a registered model version that does not serve, so that it is not deployed; a deployment of it is undone',
    ],
  ] as const;
  for (const [name, decide, description] of commands) {
    program
      .command(`${name} <version>`)
      .description(description)
      .option('--comment <text>', 'why; kept with the model version')
      .addHelpText('after', `\nExample:\n  $ perennial ${name} 3 --comment "looked at the slices"`)
      .action(async (given: string, _, command: Command) => {
        const options = command.optsWithGlobals<AppOptions & { readonly comment?: string }>();
        const version = Number(versionNumber(given));
        const comment = note('--comment', options.comment);
        const { app, facts } = await openPipeline(options, context, (...of) =>
          readHistory(...of, { of: ['deployments'] }),
        );
        const client = new SageMakerClient(clientConfig(context));
        try {
          const entry = new Entry(client, packageArn(app, version));
          const before = await entry.status();
          const deploying = await readDeploying(app, context);
          context.out(await decide({ context, app, facts, version, comment, entry, before, deploying }));
        } finally {
          client.destroy();
        }
      });
  }
}

/** What is decided on, and how things are. */
interface Case {
  readonly context: CliContext;
  readonly app: PipelineApp;
  readonly facts: History;
  readonly version: number;
  readonly comment: string | undefined;
  readonly entry: Entry;
  /** The version's status before. */
  readonly before: string;
  /** The deployments that are under way. */
  readonly deploying: readonly Deploying[];
}

/** Approves a version, and says what comes of it. */
async function approve({ facts, version, comment, entry, before, deploying }: Case): Promise<string> {
  const own = deployingOf(version, deploying);
  if (before !== APPROVED) {
    await entry.set(APPROVED, comment);
    const [first] = deploying;
    const when = first === undefined ? 'it is deployed now' : `it is deployed after ${first.id}, which is under way`;
    return `version ${version}: ${before} → ${APPROVED}: ${when}`;
  }
  // to take the approval away for a moment would undo the deployment
  if (own !== undefined) return `version ${version} is ${before} already, and its deployment ${own.id} is under way`;
  // what is deployed is a change to Approved: so a version that served before goes back into service
  await entry.set(PENDING_MANUAL_APPROVAL);
  await entry.set(APPROVED, comment);
  return serving(facts) === version
    ? `version ${version} was ${before} already, and serves; it is so again: if what it serves with has changed, it is deployed`
    : `version ${version} was ${before} already, and is so again: it is deployed`;
}

/** Rejects a version that does not serve, and says what comes of it. */
async function reject(given: Case): Promise<string> {
  const { context, app, facts, version, comment, entry, before, deploying } = given;
  if (serving(facts) === version) {
    throw new CommandError(
      `version ${version} must not serve to be rejected, and it does: ${instead(facts, version)}; then reject it`,
    );
  }
  if (before === REJECTED) {
    if (comment !== undefined) await entry.set(REJECTED, comment);
    return `version ${version} was ${REJECTED} already`;
  }
  await entry.set(REJECTED, comment);
  const changed = `version ${version}: ${before} → ${REJECTED}`;
  const own = deployingOf(version, deploying);
  if (own === undefined) return `${changed}: it is not deployed`;
  if (await hasFoundApproved(own, context)) {
    throw new CommandError(
      `${changed}, but too late for its deployment ${own.id}, which puts it into service: ${instead({ ...facts, endpoint: { name: app.endpoint } }, version)}`,
    );
  }
  return `${changed}: its deployment ${own.id} is under way, and is undone before it ends (perennial served)`;
}

/** The version that serves now, by the ledger and the endpoint alike. */
function serving(facts: History): number | undefined {
  const last = servedPeriods(facts).at(-1);
  return last?.gone === undefined ? last?.version : undefined;
}

function instead(facts: History, version: number): string {
  const other = servedPeriods(facts).findLast((period) => period.version !== version);
  return other === undefined
    ? `no other has served, so delete the endpoint ${facts.endpoint?.name}`
    : `put another into service, such as the one before (perennial approve ${other.version})`;
}

function deployingOf(version: number, deploying: readonly Deploying[]): Deploying | undefined {
  return deploying.find(({ modelPackageArn }) => packageVersion(modelPackageArn) === version);
}

/** A model version in the registry. */
class Entry {
  constructor(
    private readonly client: SageMakerClient,
    private readonly arn: string,
  ) {}

  async status(): Promise<string> {
    try {
      const found = await this.client.send(new DescribeModelPackageCommand({ ModelPackageName: this.arn }));
      return found.ModelApprovalStatus ?? 'none';
    } catch (error) {
      if (/does not exist/.test((error as Error).message)) {
        throw new CommandError(`there is no such model version: ${this.arn}`);
      }
      throw error;
    }
  }

  /** Changes the status; the comment is kept with the last change. */
  async set(status: ModelApprovalStatus, comment?: string): Promise<void> {
    await this.client.send(
      new UpdateModelPackageCommand({
        ModelPackageArn: this.arn,
        ModelApprovalStatus: status,
        ...(comment !== undefined && { ApprovalDescription: comment }),
      }),
    );
  }
}

/** Versions are numbered within the group, in the place of the training machine. */
function packageArn({ trainingMachine, modelPackageGroup }: PipelineApp, version: number): string {
  const [, partition, , region, account] = trainingMachine.split(':');
  return `arn:${partition}:sagemaker:${region}:${account}:model-package/${modelPackageGroup}/${version}`;
}
