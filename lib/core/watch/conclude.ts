import { type NewFact, newFact, type RefusedFile, type WindowJudged } from '../ledger/facts';
import { MetricName, Prefix } from '../names';
import { assess } from './assess';
import { describeUnread } from './captured-window';
import type { Baseline, DriftDetail, MonitorReport, MonitorRules } from './documents';
import { type Assessment, NOTHING_SEEN, type WatchState } from './findings';
import { type Observation, whyUnjoined } from './ground-truth';
import type { Window } from './window';

/**
 * The running evidence about a model version. Uploads of ground truth and captured predictions are watched separately,
 * because the same rows may come in both.
 */
export interface Watch {
  readonly groundTruth: WatchState;
  readonly captured: WatchState;
  /** ISO; captured predictions up to here have been judged. */
  readonly until?: string;
  /** The last windows that went into the evidence, so that none goes in twice. */
  readonly judged: ReadonlyArray<NewFact<WindowJudged>>;
}

/** Where watching a model version begins. */
export const UNWATCHED: Watch = { groundTruth: NOTHING_SEEN, captured: NOTHING_SEEN, judged: [] };

/** What a window is judged by, besides what was observed. */
export interface WindowContext {
  readonly pipeline: string;
  readonly window: Window;
  readonly modelVersion: number;
  readonly runId: string;
  readonly baseline: Baseline;
  readonly rules: MonitorRules;
  readonly now: Date;
}

/** What follows from a window. */
export interface Conclusion {
  readonly fact: NewFact<WindowJudged>;
  readonly report: MonitorReport;
  /** The evidence about the version, with this window. */
  readonly watch: Watch;
  /** Keeps an upload that cannot be used out of training. */
  readonly refused: ReadonlyArray<NewFact<RefusedFile>>;
  /** By name; empty where nothing could be read, so that the alarm on stale windows fires. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** A retry comes within hours; by then no more windows than these have followed. */
const MOST_JUDGED = 50;

/** Characters; fifty summaries must fit an item of the ledger. */
const LONGEST_SUMMARY = 1000;

/**
 * Judges a window: says what is written about it, and what the evidence about the model version is after it.
 *
 * @returns undefined if a scheduled window holds nothing
 */
export function conclude(context: WindowContext, seen: Observation, watch: Watch): Conclusion | undefined {
  const { window, baseline, rules } = context;
  const unread = describeUnread(seen.captured);
  if (window.groundTruth === undefined && seen.rows.length === 0 && unread === '') return undefined;

  const stream = window.groundTruth === undefined ? 'captured' : 'groundTruth';
  const assessment = seen.refused === undefined ? assess(seen.seen, baseline, watch[stream], rules.assess) : undefined;
  const said = seen.refused ?? whyUnjoined(window, baseline, seen) ?? assessment?.summary ?? '';
  const report = reportOf(context, seen, assessment, `${said.slice(0, LONGEST_SUMMARY)}${unread}`);
  const fact = factOf(context, report);
  return {
    fact,
    report,
    watch: watchAfter(context, watch, fact, assessment),
    refused: refusedFile(context, seen.refused),
    metrics:
      seen.captured.rows.length > 0 || unread === ''
        ? { [MetricName.WINDOWS_JUDGED]: 1, [MetricName.DRIFT_EFFECT]: assessment?.effect ?? 0 }
        : {},
  };
}

/** Where the report about a window is. */
export function reportKey({ id }: Window): string {
  return `${Prefix.MONITOR}${id}.json`;
}

/** The event about a window that has drifted. */
export function driftDetail(pipeline: string, window: Window, fact: NewFact<WindowJudged>): DriftDetail {
  const { windowId, modelVersion, reportKey, summary } = fact;
  return { pipeline, windowId, windowEnd: window.end, modelVersion, reportKey, summary };
}

function reportOf(
  { pipeline, window, modelVersion, runId }: WindowContext,
  { rows, captured, groundTruth }: Observation,
  assessment: Assessment | undefined,
  summary: string,
): MonitorReport {
  return {
    windowId: window.id,
    windowEnd: window.end,
    pipeline,
    modelVersion,
    runId,
    groundTruth: window.groundTruth,
    verdict: assessment?.verdict ?? 'BAD_DATA',
    summary,
    rows: rows.length,
    captured: captured.rows.length,
    unreadable: captured.unreadable,
    unavailable: captured.unavailable,
    quarantine: groundTruth?.reasons ?? [],
    findings: assessment?.findings ?? [],
  };
}

function factOf({ window, now }: WindowContext, report: MonitorReport): NewFact<WindowJudged> {
  const { windowId, windowEnd, modelVersion, verdict, rows, summary } = report;
  const said = { windowId, windowEnd, modelVersion, verdict, rows, summary, reportKey: reportKey(window) };
  return newFact.windowJudged(now, said);
}

function watchAfter(
  { window }: WindowContext,
  watch: Watch,
  fact: NewFact<WindowJudged>,
  assessment: Assessment | undefined,
): Watch {
  const stream = window.groundTruth === undefined ? 'captured' : 'groundTruth';
  // too few captured predictions: the next window contains them again, with those that come until then
  const again = stream === 'captured' && fact.verdict === 'INSUFFICIENT' && fact.rows > 0;
  return {
    ...watch,
    ...(assessment !== undefined && !again && { [stream]: assessment.state }),
    ...(stream === 'captured' && !again && { until: window.end }),
    judged: [fact, ...watch.judged].slice(0, MOST_JUDGED),
  };
}

function refusedFile({ window, now }: WindowContext, because?: string): NewFact<RefusedFile>[] {
  if (because === undefined || window.groundTruth === undefined) return [];
  const refused = { ...window.groundTruth, runId: `monitor-${window.id}`, because };
  return newFact.refusedFile(now, refused, { windowId: window.id, windowEnd: window.end });
}
