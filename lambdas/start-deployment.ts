import {
  DescribeModelPackageCommand,
  type DescribeModelPackageOutput,
  paginateListModelPackages,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { SFNClient } from '@aws-sdk/client-sfn';
import { idOf, parseDeploymentMessage, releaseDeployment, takeUp } from '../lib/core/deployment';
import type { DeploymentInput } from '../lib/core/documents';
import { type DeploymentEnded, type DeploymentLease, LedgerKey } from '../lib/core/ledger';
import { EnvName, packageVersion } from '../lib/core/names';
import { env } from './shared/env';
import { type Current, change, current, dynamoLedger, type Ledger, same, stableJson } from './shared/ledger-port';
import { unlessMissing } from './shared/sagemaker';
import { type Batch, type BatchReply, eachRecord } from './shared/sqs';
import { startExecution } from './shared/start-execution';

export interface StartDeploymentPorts {
  readonly modelPackageGroup: string;
  readonly ledger: Ledger;
  /** Starts the deployment machine; false if an execution of this name has ended already. */
  start(name: string, input: string): Promise<boolean>;
  /** Whether a version exists, is approved now, and is of the pipeline that is deployed. */
  isApproved(modelPackageArn: string): Promise<boolean>;
  /** The newest version of that pipeline that is approved. */
  newestApproved(): Promise<DeploymentInput | undefined>;
  now(): Date;
}

const LEASE = LedgerKey.lease('deployment');
const NOTHING: DeploymentLease = {};

let onAws: StartDeploymentPorts | undefined;

/** Runs {@link startDeployments} on the ledger and the registry. */
export async function handler(batch: Batch): Promise<BatchReply> {
  onAws ??= portsOnAws();
  return startDeployments(onAws, batch);
}

function portsOnAws(): StartDeploymentPorts {
  const sagemaker = new SageMakerClient();
  const sfn = new SFNClient();
  const machine = env(EnvName.DEPLOYMENT_MACHINE);
  const modelPackageGroup = env(EnvName.MODEL_PACKAGE_GROUP);
  const versionsOf = env(EnvName.VERSIONS_OF);
  const isOurs = (found?: DescribeModelPackageOutput) => found?.CustomerMetadataProperties?.pipeline === versionsOf;
  const describe = (ModelPackageName: string) =>
    unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName })));
  return {
    modelPackageGroup,
    ledger: dynamoLedger(),
    start: (name, input) => startExecution(sfn, machine, name, input),
    async isApproved(modelPackageArn) {
      const found = await describe(modelPackageArn);
      return found?.ModelApprovalStatus === 'Approved' && isOurs(found);
    },
    async newestApproved() {
      const approved = paginateListModelPackages(
        { client: sagemaker },
        {
          ModelPackageGroupName: modelPackageGroup,
          ModelApprovalStatus: 'Approved',
          SortBy: 'CreationTime',
          SortOrder: 'Descending',
        },
      );
      for await (const { ModelPackageSummaryList = [] } of approved) {
        for (const { ModelPackageArn: modelPackageArn } of ModelPackageSummaryList) {
          const found = modelPackageArn === undefined ? undefined : await describe(modelPackageArn);
          const approvedAt = found?.LastModifiedTime ?? found?.CreationTime;
          // a registry may hold the versions of several pipelines
          if (modelPackageArn && approvedAt && isOurs(found)) {
            return { modelPackageArn, approvedAt: approvedAt.toISOString() };
          }
        }
      }
      return undefined;
    },
    now: () => new Date(),
  };
}

/** Starts one deployment an approval, one at a time, in whatever order and however often the messages come. */
export async function startDeployments(ports: StartDeploymentPorts, batch: Batch): Promise<BatchReply> {
  const approvals: DeploymentInput[] = [];
  const reply = await eachRecord(batch, async (body) => {
    const message = parseDeploymentMessage(body, ports.modelPackageGroup);
    if (message.kind === 'approved') approvals.push(message.input);
    else if (message.kind === 'reconcile') approvals.push(...(await lostApproval(ports)));
    else if (message.kind === 'other') console.log(JSON.stringify({ ignored: message.because }));
    else {
      if (message.execution !== undefined) await recordEnd(ports.ledger, { ...message, ...message.execution });
      await change(ports.ledger, LEASE, NOTHING, (lease) => releaseDeployment(lease, message.deploymentId));
    }
  });
  await settle(ports, approvals);
  return reply;
}

async function settle(ports: StartDeploymentPorts, approvals: readonly DeploymentInput[]): Promise<void> {
  for (;;) {
    const { value: lease, revision } = await flush(ports);
    const candidates = [...approvals, ...(lease.wanted === undefined ? [] : [lease.wanted])];
    const approved = await Promise.all(candidates.map(({ modelPackageArn }) => ports.isApproved(modelPackageArn)));
    const next = takeUp(
      lease,
      candidates.filter((_, i) => approved[i]),
      ports.now(),
    );
    if (same(next, lease)) return;
    await ports.ledger.swap(LEASE, revision, next);
  }
}

/** Starts what has been decided on. */
async function flush({ ledger, start }: StartDeploymentPorts): Promise<Current<DeploymentLease>> {
  for (;;) {
    const { value, revision } = await current(ledger, LEASE, NOTHING);
    const { unstarted, ...lease } = value;
    if (!unstarted || lease.last === undefined) return { value, revision };
    const name = idOf(lease.last);
    const runs = await start(name, stableJson(lease.last));
    await ledger.swap(LEASE, revision, runs ? lease : releaseDeployment(lease, name));
  }
}

/** An approval whose event was lost: of a version above the last that was taken up. */
async function lostApproval({ ledger, newestApproved }: StartDeploymentPorts): Promise<DeploymentInput[]> {
  const { value: lease } = await current(ledger, LEASE, NOTHING);
  const newest = await newestApproved();
  const known = [lease.last, lease.wanted].map((input) => (input ? packageVersion(input.modelPackageArn) : 0));
  return newest && packageVersion(newest.modelPackageArn) > Math.max(...known) ? [newest] : [];
}

/** Writes the end of a deployment that could not do so itself. */
async function recordEnd(
  ledger: Ledger,
  end: { deploymentId: string; at: string; status: string; startedAt: string; input?: DeploymentInput },
): Promise<void> {
  const { deploymentId, at, status, startedAt, input } = end;
  if (input === undefined || status === 'SUCCEEDED') return;
  const recent = await ledger.query<DeploymentEnded>('DEPLOYMENT#', { newestFirst: true, limit: 100 });
  if (recent.some((fact) => fact.deploymentId === deploymentId)) return;
  await ledger.append<DeploymentEnded>({
    sk: LedgerKey.deployment(startedAt, deploymentId),
    at,
    deploymentId,
    startedAt,
    modelPackageArn: input.modelPackageArn,
    version: packageVersion(input.modelPackageArn),
    outcome: 'FAILED',
    error: { name: `Execution.${status}`, cause: `the execution ended as ${status} before it could say how` },
  });
}
