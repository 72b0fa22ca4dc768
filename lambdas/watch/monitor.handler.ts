import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { Contract } from '../../lib/core/dataset/contract';
import type { Serving } from '../../lib/core/deploy/serving';
import type { NewFact, WindowJudged } from '../../lib/core/ledger/facts';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { readBaseline } from '../../lib/core/ledger/stored';
import { parseMonitorEvent } from '../../lib/core/messages';
import { EnvName, Events, MetricName } from '../../lib/core/names';
import { conclude, driftDetail, UNWATCHED, type Watch } from '../../lib/core/watch/conclude';
import { MONITOR_DEFAULTS, type MonitorRules } from '../../lib/core/watch/documents';
import {
  type GroundTruth,
  keysOf,
  observe,
  type Refused,
  refusedAfter,
  refusedBecause,
} from '../../lib/core/watch/ground-truth';
import { captureRange, type Upload, type Window, windowOf } from '../../lib/core/watch/window';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import { change, current, findFact, type Ledger, type RowOf } from '../ledger/ledger';
import { findServing } from '../ledger/serving';
import { defaultBus, type Send } from '../shared/bus';
import { env, settings } from '../shared/env';
import { lazy } from '../shared/lazy';
import { metric } from '../shared/metric';
import { S3Store, whyUnavailable } from '../shared/s3-store';
import { readCapture } from './captured-files';
import { readGroundTruth } from './ground-truth';

export interface MonitorPorts {
  readonly pipeline: string;
  readonly endpointName: string;
  readonly rules: MonitorRules;
  readonly ledger: Ledger;
  readonly store: Pick<S3Store, 'getJson' | 'lines' | 'putJson' | 'list'>;
  readonly send: Send;
  /** The outcomes of the wanted keys that an upload holds. */
  groundTruth(
    key: string,
    versionId: string | undefined,
    contract: Contract,
    wanted: ReadonlySet<string>,
  ): Promise<GroundTruth>;
  metric(name: string, value: number): void;
  now(): Date;
}

/** Runs {@link monitor} on the data bucket and the ledger. */
export async function handler(event: unknown): Promise<{ readonly summary: string }> {
  const { summary } = await monitor(onAws(), event);
  return { summary };
}

const onAws = lazy((): MonitorPorts => {
  const store = new S3Store(new S3Client(), env(EnvName.DATA_BUCKET));
  return {
    pipeline: env(EnvName.PIPELINE),
    endpointName: env(EnvName.ENDPOINT_NAME),
    rules: settings(MONITOR_DEFAULTS),
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
});

/** So often a window is judged while another one of the same version is. */
const TRIES = 5;

/**
 * Judges one window: an upload of ground truth, or what was captured since the last look. Repeatable after any line.
 *
 * @param event an upload to `ground-truth/`, or the time for a scheduled look
 */
export async function monitor(
  ports: MonitorPorts,
  event: unknown,
): Promise<{ readonly summary: string; readonly verdict?: WindowJudged['verdict'] }> {
  const window = windowOf(parseMonitorEvent(event));
  if (window === undefined) return { summary: 'a marker of a folder or of a tool holds no ground truth' };
  const model = await findServing(ports.ledger);
  if (model === undefined) return { summary: 'no model is in service, so there is nothing to watch' };

  const known = await findFact(ports.ledger, LedgerKey.monitor(window.end, window.id), 'WindowJudged');
  const fact = known ?? (await judgeWindow(ports, window, model));
  if (fact === undefined) return { summary: 'nothing was captured since the last look' };

  if (known === undefined) await ports.ledger.append(fact);
  // once more after a retry: the controller knows the window
  if (fact.verdict === 'DRIFT') await ports.send(Events.DRIFT_DETECTED, driftDetail(ports.pipeline, window, fact));
  return { summary: fact.summary, verdict: fact.verdict };
}

async function judgeWindow(
  ports: MonitorPorts,
  window: Window,
  { runId, modelVersion, baselineKey, since }: Serving,
): Promise<NewFact<WindowJudged> | undefined> {
  const { ledger, store, rules, pipeline, endpointName } = ports;
  const row: RowOf<Watch> = { kind: 'Watch', sk: LedgerKey.watch(modelVersion), nothing: UNWATCHED };
  const baseline = readBaseline(await store.getJson(baselineKey), baselineKey);
  const readings = window.groundTruth === undefined ? 0 : await beginReading(ledger, window.id);

  for (let tries = 0; tries < TRIES; tries++) {
    const { value: watch, revision } = await current(ledger, row);
    const done = watch.judged.find(({ windowId }) => windowId === window.id);
    if (done !== undefined) return done;

    const { contract } = baseline;
    const range = captureRange(window, since, rules.lookBackDays, watch.until);
    const captured = await readCapture(store, endpointName, contract, range);
    const isJoined = window.groundTruth !== undefined && contract.key !== undefined;
    const outcome = isJoined
      ? await readUpload(ports, window.groundTruth, readings, contract, keysOf(captured))
      : undefined;
    const context = { pipeline, window, modelVersion, runId, baseline, rules, now: ports.now() };
    const conclusion = conclude(context, observe(window, baseline, captured, outcome), watch);
    if (conclusion === undefined) {
      ports.metric(MetricName.WINDOWS_JUDGED, 1);
      return undefined;
    }
    await store.putJson(conclusion.fact.reportKey, conclusion.report);
    for (const refused of conclusion.refused) await ledger.append(refused);
    if (await ledger.swap(row, revision, conclusion.watch)) {
      for (const [name, value] of Object.entries(conclusion.metrics)) ports.metric(name, value);
      return conclusion.fact;
    }
  }
  throw new Error(`${row.sk} changed ${TRIES} times while ${window.id} was judged: another try may succeed`);
}

/** Counts the attempts at an upload of ground truth, this one included; one that has ended well is not repeated. */
async function beginReading(ledger: Ledger, windowId: string): Promise<number> {
  const nothing: { readonly readings: number } = { readings: 0 };
  const row = { kind: 'Reading', sk: LedgerKey.reading(windowId), nothing } as const;
  const { readings } = await change(ledger, row, (before) => ({ readings: before.readings + 1 }));
  return readings;
}

/** What an upload says, or why it cannot be used. */
async function readUpload(
  ports: MonitorPorts,
  upload: Upload,
  readings: number,
  contract: Contract,
  wanted: ReadonlySet<string>,
): Promise<GroundTruth | Refused> {
  const exhausted = refusedAfter(readings, upload);
  if (exhausted !== undefined) return exhausted;
  const { key, versionId } = upload;
  try {
    return await ports.groundTruth(key, versionId === 'null' ? undefined : versionId, contract, wanted);
  } catch (error) {
    const refused = refusedBecause(error, upload, whyUnavailable(error));
    if (refused === undefined) throw error;
    return refused;
  }
}
