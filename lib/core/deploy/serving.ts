import type { DeploymentEnded, NewFact } from '../ledger/facts';
import { LedgerKey } from '../ledger/keys';
import type { Row } from '../ledger/rows';
import { runKeys } from '../names';
import { count, isoTime, object, optional, type Shape, text } from '../shape';

/** The model version in service: that of the last deployment that reached it, unless somebody has intervened by hand. */
export interface Serving {
  readonly modelVersion: number;
  readonly modelPackageArn: string;
  /** The run that made it. */
  readonly runId: string;
  readonly endpointName: string;
  readonly endpointConfigName?: string;
  /** Where the data bucket has the version's baseline, which the monitor compares with. */
  readonly baselineKey: string;
  readonly deploymentId: string;
  /** ISO time at which its deployment began: of two deployments the later counts, whichever is written last. */
  readonly startedAt: string;
  /** ISO time since which it serves. */
  readonly since: string;
}

export const SERVING_ROW: Row = { kind: 'Serving', sk: LedgerKey.serving };

const SERVING: Shape<Serving> = object<Serving>({
  modelVersion: count,
  modelPackageArn: text,
  runId: text,
  endpointName: text,
  endpointConfigName: optional(text),
  baselineKey: text,
  deploymentId: text,
  startedAt: isoTime,
  since: isoTime,
});

/** What serves after a deployment; undefined if that changed nothing. */
export function servingAfter(ended: NewFact<DeploymentEnded>): Serving | undefined {
  const { outcome, runId, modelVersion, modelPackageArn, endpointName, endpointConfigName, deploymentId } = ended;
  if (outcome !== 'DEPLOYED' || runId === undefined) return undefined;
  return {
    modelVersion,
    modelPackageArn,
    runId,
    endpointName,
    ...(endpointConfigName !== undefined && { endpointConfigName }),
    baselineKey: runKeys(runId).baseline,
    deploymentId,
    startedAt: ended.startedAt,
    since: ended.at,
  };
}

/** Reads what the row says; undefined if somebody has changed it by hand, for the facts tell it as well. */
export function readServing(value: unknown): Serving | undefined {
  const mistakes: string[] = [];
  const serving = SERVING.read(value, '', mistakes);
  return mistakes.length === 0 ? serving : undefined;
}

/** Whether one deployment began after another. */
export function isLater(a: Serving, b: Serving): boolean {
  return keyOf(a) > keyOf(b);
}

function keyOf({ startedAt, deploymentId }: Serving): string {
  return LedgerKey.deployment(startedAt, deploymentId);
}
