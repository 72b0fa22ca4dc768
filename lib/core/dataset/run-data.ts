import { ErrorName, PerennialError } from '../errors';
import type { DecisionMade } from '../ledger/facts';
import { listed } from '../listed';
import { Events } from '../names';
import type { RunData } from './controller';
import { type BudgetReachedDetail, type DataNeededDetail, type Evidence, NEEDS, type Snapshot } from './documents';
import { contentOfAll, DATA_PREFIXES, parseSnapshot } from './snapshot';

/** The data that a run on the data as it is would train on. */
export function dataOfSnapshot({ snapshot, key }: { readonly snapshot: Snapshot; readonly key: string }): RunData {
  const { dataVersion, files, leftOut = [], alike = [] } = snapshot;
  if (files.length === 0) return { missing: noData(snapshot) };
  return {
    dataVersion,
    content: contentOfAll(files),
    snapshotKey: key,
    files: files.length,
    leftOut: leftOut.length,
    alike: alike.length,
  };
}

/**
 * The data of a snapshot that is asked for by its key.
 *
 * @param document what is stored under the key; undefined if nothing is
 */
export function namedSnapshot(snapshotKey: string, document: unknown): RunData {
  if (document === undefined) {
    return { missing: `snapshotKey must name a snapshot, got ${snapshotKey}: no such object` };
  }
  try {
    const { dataVersion, files } = parseSnapshot(document, snapshotKey);
    return { dataVersion, content: contentOfAll(files), snapshotKey, files: files.length, leftOut: 0, alike: 0 };
  } catch (error) {
    if (error instanceof PerennialError) return { missing: error.message };
    throw error;
  }
}

/** What to say where there is nothing to train on. */
export function noData({ leftOut = [] }: Snapshot): string {
  const refused = leftOut.length === 0 ? '' : ` but ${leftOut.length} that could not be used (${listed(leftOut, 3)})`;
  return `there must be at least one file below ${DATA_PREFIXES.join(' or ')}, got none${refused}; upload labelled data to ${DATA_PREFIXES[0]}`;
}

/** An event about a decision. */
export interface DecisionEvent {
  readonly type: string;
  readonly detail: DataNeededDetail | BudgetReachedDetail;
}

/** The events about decisions that people must act on: one for each need, about its first decision. */
export function eventsOf(pipeline: string, decisions: readonly DecisionMade[]): DecisionEvent[] {
  return NEEDS.flatMap((needs): DecisionEvent[] => {
    const first = decisions.find((decision) => decision.needs === needs);
    if (first === undefined) return [];
    const { because: summary, at } = first;
    return needs === 'BUDGET'
      ? [{ type: Events.BUDGET_REACHED, detail: { pipeline, day: at.slice(0, 10), summary } }]
      : [{ type: Events.DATA_NEEDED, detail: { pipeline, needs, summary } }];
  });
}

/** The versions of files that evidence names. */
export function versionsOf(evidence: readonly Evidence[]): Array<{ readonly key: string; readonly versionId: string }> {
  return evidence.flatMap(({ detail: { key, versionId } }) =>
    typeof key === 'string' && typeof versionId === 'string' ? [{ key, versionId }] : [],
  );
}

/** The error about requests that the lease has no room for. */
export function tooManyWait(crowded: readonly Evidence[]): PerennialError {
  return new PerennialError(
    ErrorName.TOO_MANY_WAIT,
    `at most a hundred requests for snapshots of their own can wait, got ${crowded.length} more: they come again, and in the end lie in the dead-letter queue`,
  );
}
