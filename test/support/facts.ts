import {
  type AttemptEnded,
  type AttemptStarted,
  type DeploymentEnded,
  type NewFact,
  newFact,
} from '../../lib/core/ledger/facts';
import type { Reason } from '../../lib/core/names';

/** Facts as the handlers write them, where a test cares about a few members alone. */

/** That a run has begun. */
export function begun(runId: string, startedAt: string, reason: Reason = 'data'): NewFact[] {
  const [at, run] = [new Date(startedAt), { runId, startedAt }];
  return [
    newFact.runIndex(at, run),
    newFact.runStarted(at, { ...run, reason, evidence: [], dataVersion: 'd', files: 1, bytes: 1 }),
  ];
}

/** That a file failed a run. */
export function refusedFile(key: string, versionId: string, runId: string, startedAt: string): NewFact[] {
  const at = new Date(startedAt);
  const refused = { key, versionId, runId, because: 'it is empty' };
  return [newFact.runIndex(at, { runId, startedAt }), ...newFact.refusedFile(at, refused, { runId, startedAt })];
}

/** How a deployment ended. */
export function deployment(ended: Partial<DeploymentEnded> & { readonly startedAt: string }): NewFact<DeploymentEnded> {
  const { at = ended.startedAt, modelVersion = 1 } = ended;
  return newFact.deploymentEnded(new Date(at), {
    deploymentId: `d${modelVersion}`,
    endpointName: 'flights',
    modelVersion,
    modelPackageArn: `arn/${modelVersion}`,
    runId: 'r',
    outcome: 'DEPLOYED',
    ...without(ended),
  });
}

/** That a training job was asked for. */
export function asked(startedAt: string, said: Partial<AttemptStarted>): NewFact<AttemptStarted> {
  const rest = { runId: 'other', job: 'j', option: 'ml.g5.2xlarge', maxRuntimeSeconds: 3600, ...without(said) };
  return newFact.attemptStarted(new Date(startedAt), { ...rest, startedAt });
}

/** How a training job ended. */
export function trained(startedAt: string, said: Partial<AttemptEnded>): NewFact<AttemptEnded> {
  return newFact.attemptEnded(new Date(startedAt), {
    ...{ runId: 'other', job: 'j', option: 'ml.g5.2xlarge', instanceType: 'ml.g5.2xlarge', instanceCount: 1 },
    ...{ spot: false, status: 'Completed' },
    ...without(said),
    startedAt,
  });
}

function without<T extends { at?: string }>({ at: _at, ...rest }: T): Omit<T, 'at'> {
  return rest;
}
