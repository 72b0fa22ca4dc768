import { SageMakerClient } from '@aws-sdk/client-sagemaker';
import {
  type EndedExecution,
  inputsOf,
  isOfOther,
  lostApproval,
  mayLackFact,
  missingEnd,
} from '../../lib/core/deploy/approvals';
import { acceptApprovals, idOf, releaseDeployment } from '../../lib/core/deploy/deployment';
import type { DeploymentInput } from '../../lib/core/deploy/documents';
import type { DeploymentEnded } from '../../lib/core/ledger/facts';
import { LedgerPrefix } from '../../lib/core/ledger/keys';
import type { DeploymentLease } from '../../lib/core/ledger/rows';
import { type DeploymentMessage, inputOf, parseDeploymentMessage } from '../../lib/core/messages';
import { EnvName } from '../../lib/core/names';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import {
  changeLease,
  DEPLOYMENT_LEASE,
  type Ledger,
  ofFactKind,
  type Pause,
  queryFacts,
  type ReadLease,
  readLease,
  same,
  stableJson,
  untilDone,
} from '../ledger/ledger';
import { recordServing } from '../ledger/serving';
import { env } from '../shared/env';
import { awsExecutions, type Executions, hasEnded, startAlone } from '../shared/executions';
import { lazy } from '../shared/lazy';
import { type Batch, type BatchReply, eachRecord } from '../shared/sqs';
import { type ApprovedVersions, approvedVersions } from './approved-versions';

export interface StartDeploymentPorts extends ApprovedVersions {
  readonly pipeline: string;
  readonly modelPackageGroup: string;
  /** The endpoint that is deployed to. */
  readonly endpointName: string;
  readonly ledger: Ledger;
  /** Of the deployment machine. */
  readonly executions: Executions;
  now(): Date;
  /** Waits before another try; a real wait, if absent. */
  readonly pause?: Pause;
}

/** Runs {@link startDeployments} on the ledger and the registry. */
export async function handler(batch: Batch): Promise<BatchReply> {
  return startDeployments(onAws(), batch);
}

const onAws = lazy((): StartDeploymentPorts => {
  const modelPackageGroup = env(EnvName.MODEL_PACKAGE_GROUP);
  return {
    pipeline: env(EnvName.PIPELINE),
    modelPackageGroup,
    endpointName: env(EnvName.ENDPOINT_NAME),
    ledger: dynamoLedger(),
    executions: awsExecutions(env(EnvName.DEPLOYMENT_MACHINE)),
    ...approvedVersions(new SageMakerClient(), modelPackageGroup, env(EnvName.VERSIONS_OF)),
    now: () => new Date(),
  };
});

/**
 * Starts one deployment an approval, one at a time, in whatever order and however often the messages come; and looks
 * with each of them whether the deployment under way has ended. A message that is no good fails alone.
 */
export async function startDeployments(ports: StartDeploymentPorts, batch: Batch): Promise<BatchReply> {
  const approvals: DeploymentInput[] = [];
  let look = false;
  const reply = await eachRecord(batch, async (body) => {
    const message = parseDeploymentMessage(body, ports.modelPackageGroup, ports.pipeline);
    if (message.kind === 'approved') approvals.push(message.input);
    else if (message.kind === 'reconcile') look = true;
    else if (message.kind === 'other') console.log(JSON.stringify({ ignored: message.because }));
    else if (message.execution !== undefined) await settleEnd(ports, message);
  });
  await settle(ports, approvals, look);
  return reply;
}

async function settle(
  ports: StartDeploymentPorts,
  approvals: readonly DeploymentInput[],
  look: boolean,
): Promise<void> {
  const { ledger, executions, endpointName } = ports;
  const { sk } = DEPLOYMENT_LEASE;
  let missed = look;
  await untilDone(
    sk,
    async () => {
      const { value: row, revision, torn } = await flush(ports);
      missed ||= torn; // what waited in it may be lost
      const isOther = isOfOther(row, endpointName);
      const lease: DeploymentLease = isOther ? {} : row;
      const now = ports.now();
      const end = await endOf(ports, lease, now);
      if (end !== undefined) {
        await settleEnd(ports, end);
        return true;
      }
      const found = isOther ? inputsOf(await ports.newestApproved()) : missed ? await lost(ports, lease) : [];
      const candidates = await deployable(ports, [...approvals, ...found, ...(lease.wanted ? [lease.wanted] : [])]);
      const [underWay] = lease.holder === undefined && candidates.length > 0 ? await executions.running() : [];
      const taken = acceptApprovals(lease, candidates, now, underWay);
      const next = taken.holder === lease.holder ? taken : { ...taken, endpoint: endpointName };
      return same(next, row) && !torn ? { done: undefined } : ledger.swap(DEPLOYMENT_LEASE, revision, next);
    },
    ports.pause,
  );
}

/** Starts what has been decided on. */
function flush({ ledger, executions, now, pause }: StartDeploymentPorts): Promise<ReadLease<DeploymentLease>> {
  return untilDone(
    DEPLOYMENT_LEASE.sk,
    async () => {
      const read = await readLease(ledger, DEPLOYMENT_LEASE, now());
      const { unstarted, ...lease } = read.value;
      if (!unstarted) return { done: { ...read, value: lease } };
      // one that has ended already is found to be so when it is looked at
      if (lease.last) await startAlone(executions, idOf(lease.last), stableJson(lease.last));
      return ledger.swap(DEPLOYMENT_LEASE, read.revision, lease);
    },
    pause,
  );
}

/** Those whose versions are still approved, and of which no deployment has begun. */
async function deployable(
  { isApproved, executions }: StartDeploymentPorts,
  candidates: readonly DeploymentInput[],
): Promise<DeploymentInput[]> {
  const open = await Promise.all(
    candidates.map(
      async (input) => (await isApproved(input.modelPackageArn)) && (await executions.find(idOf(input))) === undefined,
    ),
  );
  return candidates.filter((_, i) => open[i]);
}

type Ended = DeploymentMessage & { readonly kind: 'ended' };

/** How the deployment ended that holds the lease; undefined if none does, or if it is under way. */
async function endOf(
  { executions }: StartDeploymentPorts,
  lease: DeploymentLease,
  now: Date,
): Promise<Ended | undefined> {
  const { holder: deploymentId, last } = lease;
  if (deploymentId === undefined) return undefined;
  const found = await executions.find(deploymentId);
  if (found !== undefined) {
    const { status, startedAt, endedAt, input } = found;
    const execution = { status, startedAt, input: inputOf(input) };
    return hasEnded(found) ? { kind: 'ended', deploymentId, at: endedAt ?? now.toISOString(), execution } : undefined;
  }
  // what was begun a moment ago may not be seen yet; to start it once more has no effect
  const isOwn = last !== undefined && idOf(last) === deploymentId;
  if (isOwn && (await startAlone(executions, deploymentId, stableJson(last)))) return undefined;
  return { kind: 'ended', deploymentId, at: now.toISOString() };
}

/** The approval of the newest version, if its event was lost. */
async function lost(
  { ledger, newestApproved }: StartDeploymentPorts,
  { last }: DeploymentLease,
): Promise<DeploymentInput[]> {
  const newest = await newestApproved();
  return newest === undefined ? [] : lostApproval(newest, last, await deployments(ledger));
}

/** The last hundred deployments; of those alone that began at a time, if the beginning of its ISO form is given. */
async function deployments(ledger: Ledger, began = ''): Promise<DeploymentEnded[]> {
  const prefix = `${LedgerPrefix.DEPLOYMENTS}${began}`;
  return ofFactKind(await queryFacts(ledger, prefix, { newestFirst: true, limit: 100 }), 'DeploymentEnded');
}

/** Frees the lease of a deployment of which Step Functions says that it has ended. */
async function settleEnd({ ledger, now, endpointName }: StartDeploymentPorts, end: Ended): Promise<void> {
  if (end.execution !== undefined) await recordEnd(ledger, endpointName, { ...end, ...end.execution });
  await changeLease(ledger, DEPLOYMENT_LEASE, now(), (lease) => releaseDeployment(lease, end.deploymentId));
}

/** Writes the end of a deployment that could not do so itself, and what serves after one that could do that alone. */
async function recordEnd(ledger: Ledger, endpointName: string, end: EndedExecution): Promise<void> {
  if (!mayLackFact(end)) return;
  // its own word has the time to the millisecond
  const written = await deployments(ledger, end.startedAt.slice(0, 19));
  const own = written.find(({ deploymentId }) => deploymentId === end.deploymentId);
  if (own !== undefined) return recordServing(ledger, own);
  const fact = missingEnd(end, endpointName);
  if (fact !== undefined) await ledger.append(fact);
}
