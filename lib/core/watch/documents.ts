import type { Contract } from '../dataset/contract';
import type { Judgement } from '../judge/judgement';
import type { Histogram, Profile } from '../prepare/profile';
import { ASSESS_DEFAULTS, type AssessRules, type Finding } from './findings';

/** Everything the monitor needs to know about a model version (`runs/<id>/baseline.json`). */
export interface Baseline {
  readonly runId: string;
  readonly contract: Contract;
  readonly profile: Profile;
  /** The candidate's scores on the holdout, with fixed edges. */
  readonly scores: Histogram;
  /** The candidate's metric on the holdout. */
  readonly judgement: Judgement;
}

/** How `lambdas/watch/monitor.handler.ts` watches. */
export interface MonitorRules {
  /** Days before a window's end in which captured predictions are looked for. */
  readonly lookBackDays: number;
  readonly assess: AssessRules;
}

/** How it watches that is not told otherwise. */
export const MONITOR_DEFAULTS: MonitorRules = { lookBackDays: 45, assess: ASSESS_DEFAULTS };

/** What the monitor found in one window (`monitor/<window>.json`). */
export interface MonitorReport {
  readonly windowId: string;
  /** ISO. */
  readonly windowEnd: string;
  readonly pipeline: string;
  readonly modelVersion: number;
  readonly runId: string;
  /** The upload of true outcomes that is judged; absent for a window of captured predictions alone. */
  readonly groundTruth?: { readonly key: string; readonly versionId: string };
  readonly verdict: 'OK' | 'DRIFT' | 'INSUFFICIENT' | 'BAD_DATA';
  /** One sentence. */
  readonly summary: string;
  /** Rows that were compared with the baseline. */
  readonly rows: number;
  /** Captured predictions that were read. */
  readonly captured: number;
  /** Captured lines that could not be understood, by reason, most frequent first. */
  readonly unreadable: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  /** Files of captured lines that could not be had: how many, and why, of 20 at most. */
  readonly unavailable: {
    readonly files: number;
    readonly named: ReadonlyArray<{ readonly key: string; readonly because: string }>;
  };
  /** Rows of the ground truth that break the contract, by reason, most frequent first. */
  readonly quarantine: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
  readonly findings: readonly Finding[];
}

/** Detail of {@link Events.DRIFT_DETECTED}. */
export interface DriftDetail {
  readonly pipeline: string;
  readonly windowId: string;
  /** ISO end of the window; the same in every copy of the event. */
  readonly windowEnd: string;
  readonly modelVersion: number;
  /** Key of the monitor's report in the data bucket. */
  readonly reportKey: string;
  /** One sentence. */
  readonly summary: string;
}
