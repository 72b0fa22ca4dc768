import { type DeploymentEnded, type NewFact, newFact } from '../ledger/facts';
import type { DeploymentLease } from '../ledger/rows';
import { packageVersion } from '../names';
import type { DeploymentInput } from './documents';

/** An approved version, and when it was registered. */
export interface ApprovedVersion extends DeploymentInput {
  /** ISO. */
  readonly createdAt: string;
}

/** Whether a lease is of an endpoint of another name: what was deployed to that one is not on this one. */
export function isOfOther({ endpoint }: DeploymentLease, endpointName: string): boolean {
  return endpoint !== undefined && endpoint !== endpointName;
}

/** The deployment that an approved version asks for; none without one. */
export function inputsOf(newest: ApprovedVersion | undefined): DeploymentInput[] {
  return newest === undefined ? [] : [{ modelPackageArn: newest.modelPackageArn, approvedAt: newest.approvedAt }];
}

/**
 * The approval of the newest version, if its event was lost: none if a deployment of that version has begun.
 *
 * @param last the last approval that a deployment was started for
 * @param ended deployments that have ended
 */
export function lostApproval(
  newest: ApprovedVersion,
  last: DeploymentInput | undefined,
  ended: ReadonlyArray<Pick<DeploymentEnded, 'modelVersion' | 'startedAt'>>,
): DeploymentInput[] {
  const version = packageVersion(newest.modelPackageArn);
  // events have whole seconds; before it was made, a version of its number was one of a registry that is gone
  const since = Math.floor(Date.parse(newest.createdAt) / 1000) * 1000;
  const begun = [
    ...(last ? [{ version: packageVersion(last.modelPackageArn), at: last.approvedAt }] : []),
    ...ended.map((fact) => ({ version: fact.modelVersion, at: fact.startedAt })),
  ];
  return begun.some((one) => one.version === version && Date.parse(one.at) >= since) ? [] : inputsOf(newest);
}

/** An execution of the deployment machine that has ended. */
export interface EndedExecution {
  readonly deploymentId: string;
  /** ISO end. */
  readonly at: string;
  readonly status: string;
  readonly startedAt: string;
  /** Absent if it was not started by us. */
  readonly input?: DeploymentInput;
}

/** Whether a deployment may have ended without writing how: one of ours that did not succeed. */
export function mayLackFact({ status, input }: EndedExecution): boolean {
  return input !== undefined && status !== 'SUCCEEDED';
}

/** The fact about a deployment that has ended without writing one: it was stopped, or ran out of time. */
export function missingEnd(end: EndedExecution, endpointName: string): NewFact<DeploymentEnded> | undefined {
  const { deploymentId, at, status, startedAt, input } = end;
  if (input === undefined || !mayLackFact(end)) return undefined;
  return newFact.deploymentEnded(new Date(at), {
    deploymentId,
    startedAt,
    endpointName,
    modelPackageArn: input.modelPackageArn,
    modelVersion: packageVersion(input.modelPackageArn),
    outcome: 'FAILED',
    error: { name: `Execution.${status}`, cause: `the execution ended as ${status} before it could say how` },
  });
}
