import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { Contract } from '../../lib/core/dataset/contract';
import { isData } from '../../lib/core/dataset/snapshot';
import { ErrorName } from '../../lib/core/errors';
import { type DeploymentEnded, LedgerKey, type RefusedFile, type WindowJudged } from '../../lib/core/ledger/ledger';
import { readBaseline } from '../../lib/core/ledger/stored';
import { parseMonitorEvent } from '../../lib/core/messages';
import { EnvName, Events, MetricName, Prefix, runKeys, shortHash, VARIANT_NAME } from '../../lib/core/names';
import { countLike } from '../../lib/core/prepare/profile';
import { assess } from '../../lib/core/watch/assess';
import { type CapturedLine, type CapturedRow, parseCapturedLine } from '../../lib/core/watch/capture';
import type { Baseline, DriftDetail, MonitorReport, MonitorRules } from '../../lib/core/watch/documents';
import { ASSESS_DEFAULTS, type MonitoredWindow, NOTHING_SEEN, type WatchState } from '../../lib/core/watch/findings';
import { inService } from '../ledger/in-service';
import { change, current, dynamoLedger, type Ledger } from '../ledger/ledger-port';
import { defaultBus, type Send } from '../shared/bus';
import { env, settings } from '../shared/env';
import { metric } from '../shared/metric';
import { S3Store, whyUnavailable } from '../shared/s3-store';
import { type GroundTruth, readGroundTruth } from './ground-truth';

export interface MonitorPorts {
  readonly pipeline: string;
  readonly endpointName: string;
  readonly rules: MonitorRules;
  readonly ledger: Ledger;
  readonly store: Pick<S3Store, 'getJson' | 'lines' | 'putJson' | 'list'>;
  readonly send: Send;
  /** The outcomes that an upload tells of the wanted keys. */
  groundTruth(
    key: string,
    versionId: string | undefined,
    contract: Contract,
    wanted: ReadonlySet<string>,
  ): Promise<GroundTruth>;
  metric(name: string, value: number): void;
  now(): Date;
}

let onAws: MonitorPorts | undefined;

/** Runs {@link monitor} on the data bucket and the ledger. */
export async function handler(event: unknown): Promise<{ readonly summary: string }> {
  onAws ??= portsOnAws();
  const { summary } = await monitor(onAws, event);
  return { summary };
}

function portsOnAws(): MonitorPorts {
  const store = new S3Store(new S3Client(), env(EnvName.DATA_BUCKET));
  return {
    pipeline: env(EnvName.PIPELINE),
    endpointName: env(EnvName.ENDPOINT_NAME),
    rules: settings<MonitorRules>({ lookBackDays: 45, assess: ASSESS_DEFAULTS }),
    ledger: dynamoLedger(),
    store,
    send: defaultBus(),
    async groundTruth(key, versionId, contract, wanted) {
      const folder = await mkdtemp(join(tmpdir(), 'truth-'));
      try {
        const file = join(folder, 'file');
        await store.download(key, file, versionId);
        return await readGroundTruth(file, contract, wanted, key);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    metric: (name, value) => metric(name, value, name === MetricName.WINDOWS_JUDGED ? 'Count' : 'None'),
    now: () => new Date(),
  };
}

/** A stretch of what a model version was asked, and how it is named. */
interface Window {
  readonly id: string;
  readonly end: string;
  readonly groundTruth?: { readonly key: string; readonly versionId: string };
}

/**
 * The running evidence about a model version. Uploads of ground truth and captured predictions are watched apart,
 * because the same rows may come in both.
 */
interface Watch {
  readonly groundTruth: WatchState;
  readonly captured: WatchState;
  /** ISO; captured predictions up to here have been judged. */
  readonly until?: string;
  /** The last windows that went into the evidence, so that none goes in twice. */
  readonly judged: ReadonlyArray<Omit<WindowJudged, 'pk'>>;
}

const UNWATCHED: Watch = { groundTruth: NOTHING_SEEN, captured: NOTHING_SEEN, judged: [] };

/** A retry comes within hours; by then no more windows than these have followed. */
const MOST_JUDGED = 50;

/** So often a window is judged while another one of the same version is. */
const TRIES = 5;

/** After so many tries that ended without a word, in want of memory or time, an upload of ground truth is refused. */
const MOST_READINGS = 2;

/** Characters; fifty summaries must fit an item of the ledger. */
const LONGEST_SUMMARY = 1000;

/**
 * Judges one window: an upload of ground truth, or what was captured since the last look. Repeatable after any line.
 *
 * @param event an upload to `ground-truth/`, or the time for a scheduled look
 */
export async function monitor(
  ports: MonitorPorts,
  event: unknown,
): Promise<{ readonly summary: string; readonly verdict?: WindowJudged['verdict'] }> {
  const window = windowOf(event);
  if (window === undefined) return { summary: 'a marker of a folder or of a tool holds no ground truth' };
  const model = await inService(ports.ledger);
  if (model?.runId === undefined) return { summary: 'no model is in service, so there is nothing to watch' };

  const known = await ports.ledger.find<WindowJudged>(LedgerKey.monitor(window.end, window.id));
  const fact = known ?? (await judgeWindow(ports, window, model, model.runId));
  if (fact === undefined) return { summary: 'nothing was captured since the last look' };

  if (known === undefined) await ports.ledger.append<WindowJudged>(fact);
  if (fact.verdict === 'DRIFT') {
    const detail: DriftDetail = {
      pipeline: ports.pipeline,
      windowId: fact.windowId,
      windowEnd: window.end,
      version: fact.version,
      reportKey: fact.reportKey,
      summary: fact.summary,
    };
    await ports.send(Events.DRIFT_DETECTED, detail); // once more after a retry: the controller knows the window
  }
  return { summary: fact.summary, verdict: fact.verdict };
}

function windowOf(event: unknown): Window | undefined {
  const { at: end, upload } = parseMonitorEvent(event);
  if (upload === undefined) return { id: shortHash(`captured ${end}`), end };
  if (!isData(upload.key)) return undefined;
  return { id: shortHash(`${upload.key} ${upload.versionId}`), end, groundTruth: upload };
}

async function judgeWindow(
  ports: MonitorPorts,
  window: Window,
  model: DeploymentEnded,
  runId: string,
): Promise<Omit<WindowJudged, 'pk'> | undefined> {
  const { ledger, store, rules } = ports;
  const sk = LedgerKey.watch(model.version);
  const key = runKeys(runId).baseline;
  const baseline = readBaseline(await store.getJson(key), key);

  const readings = window.groundTruth === undefined ? 0 : await beginReading(ledger, window.id);

  for (let tries = 0; tries < TRIES; tries++) {
    const { value: watch, revision } = await current(ledger, sk, UNWATCHED);
    const done = watch.judged.find(({ windowId }) => windowId === window.id);
    if (done !== undefined) return done;

    const { captured, rows, groundTruth, refused, seen } = await observe(
      ports,
      window,
      model,
      baseline,
      watch,
      readings,
    );
    const unread = unreadOf(captured);
    if (window.groundTruth === undefined && rows.length === 0 && unread === '') {
      ports.metric(MetricName.WINDOWS_JUDGED, 1);
      return undefined;
    }
    const stream = window.groundTruth === undefined ? 'captured' : 'groundTruth';
    const assessment = refused === undefined ? assess(seen, baseline, watch[stream], rules.assess) : undefined;
    const verdict = assessment?.verdict ?? 'BAD_DATA';
    const said =
      refused ??
      unjoined(window, baseline.contract, groundTruth, captured.rows.length, rows) ??
      assessment?.summary ??
      '';
    const summary = `${said.slice(0, LONGEST_SUMMARY)}${unread}`;
    const reportKey = `${Prefix.MONITOR}${window.id}.json`;
    const report: MonitorReport = {
      windowId: window.id,
      windowEnd: window.end,
      pipeline: ports.pipeline,
      version: model.version,
      runId,
      groundTruth: window.groundTruth,
      verdict,
      summary,
      rows: rows.length,
      captured: captured.rows.length,
      unreadable: captured.unreadable,
      unavailable: captured.unavailable,
      quarantine: groundTruth?.reasons ?? [],
      findings: assessment?.findings ?? [],
    };
    await store.putJson(reportKey, report);
    if (refused !== undefined && window.groundTruth !== undefined)
      await block(ports, window.id, window.groundTruth, refused);

    const fact: Omit<WindowJudged, 'pk'> = {
      sk: LedgerKey.monitor(window.end, window.id),
      at: ports.now().toISOString(),
      windowId: window.id,
      version: model.version,
      verdict,
      rows: rows.length,
      summary,
      reportKey,
    };
    // too few captured predictions: the next look takes them in again, with those that come until then
    const again = stream === 'captured' && verdict === 'INSUFFICIENT' && rows.length > 0;
    const next: Watch = {
      ...watch,
      ...(assessment !== undefined && !again && { [stream]: assessment.state }),
      ...(stream === 'captured' && !again && { until: window.end }),
      judged: [fact, ...watch.judged].slice(0, MOST_JUDGED),
    };
    if (await ledger.swap(sk, revision, next)) {
      // where nothing could be read, nobody is watching: the alarm on stale windows must fire
      if (captured.rows.length > 0 || unread === '') {
        ports.metric(MetricName.WINDOWS_JUDGED, 1);
        ports.metric(MetricName.DRIFT_EFFECT, assessment?.effect ?? 0);
      }
      return fact;
    }
  }
  throw new Error(`${sk} changed ${TRIES} times while ${window.id} was judged: another try may succeed`);
}

/** Counts the tries at an upload of ground truth, this one among them; one that has ended well is not tried again. */
async function beginReading(ledger: Ledger, windowId: string): Promise<number> {
  const { readings } = await change(ledger, LedgerKey.reading(windowId), { readings: 0 }, ({ readings }) => ({
    readings: readings + 1,
  }));
  return readings;
}

/** What of a window's capture could not be read, as the end of a sentence; empty if all was. */
function unreadOf({ unreadable, unavailable }: Captured): string {
  const lines = unreadable.reduce((sum, { rows }) => sum + rows, 0);
  const [first] = unreadable;
  const [file] = unavailable.named;
  return [
    first && `; ${lines} captured lines cannot be read, most often because ${first.reason}`,
    file && `; ${unavailable.files} capture files cannot be had, e.g. ${file.key} (${file.because.slice(0, 200)})`,
  ]
    .filter((part) => part !== undefined)
    .join('');
}

/** Looks at what was asked and answered, and at the ground truth about it. */
async function observe(
  ports: MonitorPorts,
  window: Window,
  model: DeploymentEnded,
  baseline: Baseline,
  watch: Watch,
  readings: number,
): Promise<{
  readonly captured: Captured;
  /** Those of the window. */
  readonly rows: readonly CapturedRow[];
  readonly groundTruth?: GroundTruth;
  /** Why the ground truth cannot be used. */
  readonly refused?: string;
  readonly seen: MonitoredWindow;
}> {
  const { contract } = baseline;
  const oldest = Date.parse(window.end) - ports.rules.lookBackDays * 86_400_000;
  const deployed = Math.floor(Date.parse(model.at) / 1000) * 1000; // times of capture may be whole seconds
  const asked = Math.max(oldest, deployed);
  const looked = window.groundTruth === undefined && watch.until !== undefined ? Date.parse(watch.until) : 0;
  const range = { from: Math.max(asked, looked), to: Date.parse(window.end), asked };
  const captured = await readCapture(ports, contract, range);
  if (window.groundTruth === undefined)
    return { captured, rows: captured.rows, seen: profiled(baseline, captured.rows) };

  const byKey = new Map(captured.rows.map((row) => [row.key ?? '', row])); // of several answers, the last
  if (contract.key === undefined) return { captured, rows: [], seen: profiled(baseline, []) };
  const { key } = window.groundTruth;
  const groundTruth = await tellGroundTruth(ports, window.groundTruth, readings, contract, new Set(byKey.keys()));
  if (typeof groundTruth === 'string')
    return { captured, rows: [], refused: groundTruth, seen: profiled(baseline, []) };
  if (groundTruth.bad > contract.maxBadShare * groundTruth.rows) {
    const reasons = groundTruth.reasons.slice(0, 3).map(({ reason, rows }) => `${reason} (${rows} rows)`);
    const refused =
      `${key}: ${groundTruth.bad} of ${groundTruth.rows} rows break the contract (allowed ${contract.maxBadShare * 100} %): ` +
      `${reasons.join('; ')}; neither drift nor a model is judged by it, correct it and upload it again`;
    return { captured, rows: [], groundTruth, refused, seen: profiled(baseline, []) };
  }
  const joined = [...groundTruth.labels].flatMap(([name, label]) => {
    const row = byKey.get(name);
    return row === undefined ? [] : [{ row, label }];
  });
  const rows = joined.map(({ row }) => row);
  const performance = { labels: joined.map(({ label }) => label), scores: rows.map(({ score }) => score) };
  return {
    captured,
    rows,
    groundTruth,
    seen: { ...profiled(baseline, rows), ...(rows.length > 0 && { performance }) },
  };
}

/** What an upload tells, or why it cannot be used. */
async function tellGroundTruth(
  { groundTruth }: MonitorPorts,
  { key, versionId }: { readonly key: string; readonly versionId: string },
  readings: number,
  contract: Contract,
  wanted: ReadonlySet<string>,
): Promise<GroundTruth | string> {
  if (readings > MOST_READINGS) {
    return `${key} cannot be read: ${MOST_READINGS} tries ended without a word, in want of memory or time; divide it and upload it again`;
  }
  try {
    return await groundTruth(key, versionId === 'null' ? undefined : versionId, contract, wanted);
  } catch (error) {
    const gone = whyUnavailable(error);
    if (gone !== undefined) return `${key} cannot be read: ${gone}; upload it again`;
    const { name, message } = error as Error;
    if (name === ErrorName.DATA_UNREADABLE || name === ErrorName.DATA_REJECTED) return message;
    throw error;
  }
}

function profiled({ contract, profile, scores }: Baseline, rows: readonly CapturedRow[]): MonitoredWindow {
  if (rows.length === 0) return { rows: 0, features: {} };
  const features = contract.features.map(({ name }, i) => {
    const values = rows.map((row) => row.features[i]);
    return [name, countLike(profile.features[name], values)] as const;
  });
  return {
    rows: rows.length,
    features: Object.fromEntries(features),
    scores: countLike(
      scores,
      rows.map(({ score }) => score),
    ),
  };
}

/** Why an upload of ground truth says nothing about the model; undefined if it does, or is none. */
function unjoined(
  { groundTruth: upload }: Window,
  contract: Contract,
  groundTruth: GroundTruth | undefined,
  captured: number,
  rows: readonly CapturedRow[],
): string | undefined {
  if (upload === undefined || rows.length > 0) return undefined;
  if (contract.key === undefined) {
    return `${upload.key} cannot be joined with predictions, because the contract names no key; it counts as training data alone`;
  }
  return (
    `none of the ${groundTruth?.rows ?? 0} rows of ${upload.key} was predicted by the model in service: ` +
    `its ${captured} captured predictions have other values of '${contract.key}'; it counts as training data alone`
  );
}

/** Keeps a file out of training. */
async function block(
  { ledger, now }: MonitorPorts,
  windowId: string,
  { key, versionId }: { readonly key: string; readonly versionId: string },
  because: string,
): Promise<void> {
  const sk = LedgerKey.refused(key, versionId);
  await ledger.append<RefusedFile>({
    sk,
    at: now().toISOString(),
    key,
    versionId,
    runId: `monitor-${windowId}`,
    because,
  });
}

interface Captured extends Pick<MonitorReport, 'unreadable' | 'unavailable'> {
  /** In the order of their times. */
  readonly rows: readonly CapturedRow[];
}

/** Bytes of a captured line; a request and its answer have 25 MB each at most, and some more as base64. */
const LONGEST_LINE = 128 * 2 ** 20;
/** Reasons that are counted apart, and files that are named. */
const [MOST_REASONS, MOST_NAMED] = [100, 20];

/** Which captured files and rows a window takes in; milliseconds since the epoch. */
interface CaptureRange {
  /** Files written from then on, and before {@link to}. */
  readonly from: number;
  readonly to: number;
  /** Rows that were asked from then on. */
  readonly asked: number;
}

/**
 * Reads captured files. Each belongs to the window in which it was written, because SageMaker writes a request some
 * time after it was answered. What cannot be read is counted: a line by its reason, a file by its name.
 */
async function readCapture(
  { store, endpointName }: MonitorPorts,
  contract: Contract,
  { from, to, asked }: CaptureRange,
): Promise<Captured> {
  const rows: CapturedRow[] = [];
  const reasons = new Map<string, number>();
  const gone: Array<{ key: string; because: string }> = [];
  for (const key of await capturedFiles(store, endpointName, from, to)) {
    try {
      for await (const line of await store.lines(key, LONGEST_LINE)) {
        const parsed: CapturedLine =
          line === undefined
            ? { unreadable: `the line is longer than ${LONGEST_LINE / 2 ** 20} MiB` }
            : parseCapturedLine(line, contract);
        if ('rows' in parsed) {
          for (const row of parsed.rows) if (row.at >= asked) rows.push(row);
        } else if ('unreadable' in parsed) count(reasons, parsed.unreadable);
      }
    } catch (error) {
      const because = whyUnavailable(error);
      if (because === undefined) throw error;
      gone.push({ key, because });
    }
  }
  return {
    rows: rows.sort((a, b) => a.at - b.at),
    unreadable: [...reasons].map(([reason, count]) => ({ reason, rows: count })).sort((a, b) => b.rows - a.rows),
    unavailable: { files: gone.length, named: gone.slice(0, MOST_NAMED) },
  };
}

function count(reasons: Map<string, number>, reason: string): void {
  const name = reasons.has(reason) || reasons.size < MOST_REASONS ? reason : 'other reasons';
  reasons.set(name, (reasons.get(name) ?? 0) + 1);
}

/** The files written in a range; SageMaker puts them below yyyy/mm/dd/hh, of the time at which they were begun. */
async function capturedFiles(
  store: MonitorPorts['store'],
  endpointName: string,
  from: number,
  to: number,
): Promise<string[]> {
  const root = `${Prefix.CAPTURE}${endpointName}/${VARIANT_NAME}/`;
  const files: string[] = [];
  const day = 86_400_000;
  for (let time = Math.floor(from / day) * day - day; time <= to; time += day) {
    const folder = new Date(time).toISOString().slice(0, 10).replaceAll('-', '/');
    for (const { key, lastModified } of await store.list(`${root}${folder}/`)) {
      const written = lastModified.getTime();
      if (key.endsWith('.jsonl') && written >= from && written < to) files.push(key);
    }
  }
  return files;
}
