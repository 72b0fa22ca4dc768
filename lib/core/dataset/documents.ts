import type { Reason } from '../names';
import type { Contract } from './contract';

/** One object of the training data, exactly as it was. */
export interface SnapshotFile {
  readonly key: string;
  readonly versionId: string;
  /** Bytes. */
  readonly size: number;
  readonly etag: string;
}

/** A list of training data that never changes; two of the same versions of the same files have the same `dataVersion`. */
export interface Snapshot {
  /** SHA-256 (hexadecimal) of the files' keys, version ids, sizes and ETags, in key order. */
  readonly dataVersion: string;
  /** In key order. */
  readonly files: readonly SnapshotFile[];
  /** Keys that were there but are not trained on, because a run could not use this version of them. */
  readonly leftOut?: readonly string[];
  /** Keys that were there but are not trained on, because an older file has the same content. */
  readonly alike?: readonly string[];
}

/** Why a run was started: one entry a trigger. */
export interface Evidence {
  readonly reason: Reason;
  /** The id of the EventBridge event or scheduled invocation. */
  readonly eventId: string;
  /** ISO time of the event. */
  readonly at: string;
  /** What the trigger knows: the uploaded key, the monitor's report, the person who asked. */
  readonly detail: Readonly<Record<string, string | number>>;
}

/** The input of the training machine. */
export interface TrainingInput {
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  /** The key of a {@link Snapshot} in the data bucket; without one, the run creates a snapshot itself. */
  readonly snapshotKey?: string;
  /** Whether a run of old is made again: its model is judged, and never registered. */
  readonly replay?: boolean;
  /** Further triggers that the run serves; the ledger's decisions name it for each. */
  readonly more?: number;
}

/** How the rows of a run are divided. */
export interface SplitRule {
  /** The share of rows held out to judge on: the newest where the contract names an event time, else by hash of the key. */
  readonly holdout: number;
  /** The share of the remaining rows for early stopping, by hash. */
  readonly validation: number;
}

/** What a run is made of (`runs/<id>/run.json`); enough to run it again. */
export interface RunDocument {
  readonly runId: string;
  /** ISO. */
  readonly startedAt: string;
  readonly reason: Reason;
  readonly evidence: readonly Evidence[];
  readonly contract: Contract;
  readonly split: SplitRule;
  readonly snapshot: Snapshot;
}

/** `lambdas/dataset/snapshot.handler.ts`: creates a snapshot of the data and writes the run's document. */
export interface SnapshotRequest {
  readonly runId: string;
  readonly startedAt: string;
  readonly input: TrainingInput;
  readonly contract: Contract;
  readonly split: SplitRule;
  /** Train on the newest so many files of `incoming/` and `ground-truth/`; all, if absent. */
  readonly newestFiles?: number;
}

export interface SnapshotReport {
  readonly dataVersion: string;
  readonly files: number;
  readonly bytes: number;
}

/** Detail of {@link Events.RUN_REQUESTED}. */
export interface RunRequestedDetail {
  readonly pipeline: string;
  readonly requestedBy: string;
  /** Why, in the words of who asks. */
  readonly note?: string;
  /** Replay: train on this {@link Snapshot} instead of the data as it is, and only judge what comes of it. */
  readonly snapshotKey?: string;
}

/** What only people can give, who are told of it by {@link import('../names').Events}. */
export const NEEDS = [
  /** Drift was found, and no labelled data has come since the last run. */
  'NEWER_DATA',
  /** Run after run brought no better model: something else is wrong. */
  'BETTER_DATA',
  /** The day's runs are spent. */
  'BUDGET',
] as const;

export type Need = (typeof NEEDS)[number];

/** Detail of {@link Events.DATA_NEEDED}. */
export interface DataNeededDetail {
  readonly pipeline: string;
  readonly needs: Exclude<Need, 'BUDGET'>;
  /** One sentence, which is told to people. */
  readonly summary: string;
}

/** Detail of {@link Events.BUDGET_REACHED}. */
export interface BudgetReachedDetail {
  readonly pipeline: string;
  /** ISO date (UTC). */
  readonly day: string;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
