import type { Contract } from '../dataset/contract';
import { ErrorName } from '../errors';
import { countLike } from '../prepare/profile';
import { problemOf } from '../problem';
import type { CapturedRow } from './capture';
import type { CapturedWindow } from './captured-window';
import type { Baseline } from './documents';
import type { MonitoredWindow } from './findings';
import type { Upload, Window } from './window';

/** What became known about rows that were predicted. */
export interface GroundTruth {
  /** The target by key, of the wanted keys that the file holds. */
  readonly labels: ReadonlyMap<string, number>;
  /** Rows of the file. */
  readonly rows: number;
  /** Rows that break the contract, or whose target is not known; they give no label. */
  readonly bad: number;
  /** Why, most frequent first, at most 20. */
  readonly reasons: ReadonlyArray<{ readonly reason: string; readonly rows: number }>;
}

/** Why an upload of ground truth is not used: neither for judging a model nor for training. */
export interface Refused {
  readonly refused: string;
}

/** What is known about a window: the predictions, and their outcomes where an upload says them. */
export interface Observation {
  readonly captured: CapturedWindow;
  /** The predictions that are compared with the baseline. */
  readonly rows: readonly CapturedRow[];
  readonly groundTruth?: GroundTruth;
  /** Why the upload of ground truth is not used. */
  readonly refused?: string;
  readonly seen: MonitoredWindow;
}

/** After so many attempts that died, out of memory or time, an upload of ground truth is refused. */
const MOST_READINGS = 2;

/**
 * Whether an upload has been read too often in vain.
 *
 * @param readings attempts at it, this one included
 */
export function refusedAfter(readings: number, { key }: Upload): Refused | undefined {
  if (readings <= MOST_READINGS) return undefined;
  return {
    refused: `${key} cannot be read: ${MOST_READINGS} tries ended without a word, in want of memory or time; divide it and upload it again`,
  };
}

/**
 * Whether an error while an upload is read is the upload's fault.
 *
 * @param unavailable why the object cannot be fetched, if the error says so
 * @returns undefined if another attempt may succeed
 */
export function refusedBecause(error: unknown, { key }: Upload, unavailable?: string): Refused | undefined {
  if (unavailable !== undefined) return { refused: `${key} cannot be read: ${unavailable}; upload it again` };
  const { name, message } = error as Error;
  const isOfTheFile = name === ErrorName.DATA_UNREADABLE || name === ErrorName.DATA_REJECTED;
  return isOfTheFile ? { refused: message } : undefined;
}

/** The keys for which captured predictions are waiting for an outcome. */
export function keysOf({ rows }: CapturedWindow): ReadonlySet<string> {
  return new Set(rows.map(({ key }) => key ?? ''));
}

/**
 * Joins captured predictions with the outcomes that an upload says; a scheduled window is its predictions alone.
 * Where a key was predicted several times, the last prediction counts.
 *
 * @param outcome what the upload says, or why it cannot be read; absent for a scheduled window, and where the contract
 * names no key by which rows could be joined
 */
export function observe(
  { groundTruth: upload }: Window,
  baseline: Baseline,
  captured: CapturedWindow,
  outcome?: GroundTruth | Refused,
): Observation {
  if (upload === undefined) return { captured, rows: captured.rows, seen: profiled(baseline, captured.rows) };
  const nothing = { captured, rows: [], seen: profiled(baseline, []) };
  if (outcome === undefined) return nothing;
  if ('refused' in outcome) return { ...nothing, refused: outcome.refused };
  const refused = tooManyBad(outcome, upload, baseline.contract);
  if (refused !== undefined) return { ...nothing, groundTruth: outcome, refused };

  const byKey = new Map(captured.rows.map((row) => [row.key ?? '', row]));
  const joined = [...outcome.labels].flatMap(([name, label]) => {
    const row = byKey.get(name);
    return row === undefined ? [] : [{ row, label }];
  });
  const rows = joined.map(({ row }) => row);
  const performance = { labels: joined.map(({ label }) => label), scores: rows.map(({ score }) => score) };
  const seen = { ...profiled(baseline, rows), ...(rows.length > 0 && { performance }) };
  return { captured, rows, groundTruth: outcome, seen };
}

/** Why an upload says nothing about the model; undefined if it does, or if the window has none. */
export function whyUnjoined(
  { groundTruth: upload }: Window,
  { contract }: Baseline,
  { groundTruth, captured, rows }: Observation,
): string | undefined {
  if (upload === undefined || rows.length > 0) return undefined;
  if (contract.key === undefined) {
    return `${upload.key} cannot be joined with predictions, because the contract names no key; it counts as training data alone`;
  }
  return (
    `none of the ${groundTruth?.rows ?? 0} rows of ${upload.key} was predicted by the model in service: ` +
    `its ${captured.rows.length} captured predictions have other values of '${contract.key}'; it counts as training data alone`
  );
}

function tooManyBad({ bad, rows, reasons }: GroundTruth, { key }: Upload, { maxBadShare }: Contract) {
  if (bad <= maxBadShare * rows) return undefined;
  const why = reasons.slice(0, 3).map(({ reason, rows }) => `${reason} (${rows} rows)`);
  return (
    `${key}: ${bad} of ${rows} rows break the contract (allowed ${maxBadShare * 100} %): ` +
    `${why.join('; ')}; neither drift nor a model is judged by it, correct it and upload it again`
  );
}

/** Rows, counted with the edges and values of the baseline. */
function profiled({ contract, profile, scores }: Baseline, rows: readonly CapturedRow[]): MonitoredWindow {
  if (rows.length === 0) return { rows: 0, features: {} };
  const features = contract.features.map(({ name }, i) => {
    const values = rows.map((row) => row.features[i]);
    return [name, countLike(profile.features[name], values)] as const;
  });
  return {
    rows: rows.length,
    features: Object.fromEntries(features),
    scores: problemOf(contract.target.problem).scores.count(
      rows.map(({ score }) => score),
      scores,
    ),
  };
}
