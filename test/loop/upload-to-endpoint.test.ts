import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runKeys } from '../../lib/core';
import type { History } from '../../lib/core/ledger/history';
import { csv, flights, parquet, requests } from './flights';
import { Loop } from './loop';

const [JANUARY, FEBRUARY, MARCH] = [1, 2, 3];

describe('from an upload to an endpoint, and from drift to a better model', () => {
  let loop: Loop;
  beforeAll(async () => {
    loop = await Loop.start({ underKey: true }); // so that keys are judged as well
  });
  afterAll(() => loop.stop());

  test('an upload, and nothing else, brings a first model into service', async () => {
    const { runs, deployments, decisions } = await loop.upload(
      'incoming/2001-01.parquet',
      await parquet(JANUARY, 8000),
    );

    const [run] = runs;
    expect(runs).toHaveLength(1);
    expect(run?.started).toMatchObject({ reason: 'data', files: 1 });
    const { read, quarantined, train, validation, holdout } = run?.prepared?.rows ?? {};
    expect(read).toBe(8000);
    expect((quarantined ?? 0) + (train ?? 0) + (validation ?? 0) + (holdout ?? 0)).toBe(read);
    expect(run?.attempts).toMatchObject([{ status: 'Completed', instanceType: 'ml.g4dn.xlarge' }]);
    expect(run?.judged).toMatchObject({ verdict: 'FIRST', metric: 'auc', problem: 'binary', rows: holdout });
    expect(run?.judged?.candidate).toBeGreaterThan(0.55);
    expect(run?.ended).toMatchObject({ outcome: 'PROMOTED' });
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1, runId: run?.runId }]);
    expect(decisions).toMatchObject([{ decided: 'STARTED', runId: run?.runId }]);
  }, 240_000);

  test('the endpoint answers one probability a row', async () => {
    const scores = await loop.ask(await requests(FEBRUARY, 200));
    expect(scores).toHaveLength(200);
    expect(Math.min(...scores)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...scores)).toBeLessThanOrEqual(1);
    expect(new Set(scores).size).toBeGreaterThan(20);
  });

  test('what it was asked and answered is captured as SageMaker captures it', async () => {
    await loop.engine.idle();
    const [key] = await loop.keys('capture/flights/main/');
    expect(key).toMatch(/^capture\/flights\/main\/\d{4}\/\d\d\/\d\d\/\d\d\/.+\.jsonl$/);
    const captured = await Promise.all((await loop.keys('capture/flights/main/')).map((file) => loop.read(file)));
    const lines = captured.flatMap((text) => text.trim().split('\n')).map((line) => JSON.parse(line));
    const [{ captureData, eventMetadata }] = lines.filter((line) => line.eventMetadata.inferenceId === undefined);
    expect(captureData.endpointInput).toMatchObject({
      observedContentType: 'text/csv',
      mode: 'INPUT',
      encoding: 'CSV',
    });
    expect(captureData.endpointInput.data.trim().split('\n')).toHaveLength(200);
    expect(captureData.endpointOutput.data.trim().split('\n')).toHaveLength(200);
    expect(eventMetadata.inferenceTime).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  test('a second upload trains a challenger on both, and its verdict is acted on', async () => {
    const { runs, deployments } = await loop.upload('incoming/2001-02.csv', csv(await flights(FEBRUARY, 8000)));
    const [, run] = runs;
    expect(runs).toHaveLength(2);
    expect(run?.started).toMatchObject({ reason: 'data', files: 2 });
    expect(run?.judged).toMatchObject({ championVersion: 1, rows: run?.prepared?.rows.holdout });
    expect(run?.judged?.champion).toBeGreaterThan(0.4);
    const [low, high] = run?.judged?.interval ?? [0, 0];
    expect(low).toBeLessThanOrEqual(run?.judged?.difference ?? Number.NaN);
    expect(high).toBeGreaterThanOrEqual(run?.judged?.difference ?? Number.NaN);
    expect(run?.judged?.verdict).toMatch(/^(BETTER|NOT_WORSE)$/); // a refused one: claims.test.ts
    expect(run?.ended?.outcome).toBe('PROMOTED');
    expect(deployments.map(({ outcome, modelVersion }) => [outcome, modelVersion])).toEqual([
      ['DEPLOYED', 1],
      ['DEPLOYED', 2],
    ]);
  }, 240_000);

  test('a run leaves all that is needed to make it again', async () => {
    const { runs } = await loop.facts();
    for (const { runId } of runs) {
      const keys = runKeys(runId);
      const document = JSON.parse(await loop.read(keys.run));
      expect(document.snapshot.files.every(({ versionId }: { versionId: string }) => versionId.length > 0)).toBe(true);
      const baseline = JSON.parse(await loop.read(keys.baseline));
      expect(Object.keys(baseline.profile.features)).toEqual(['hour', 'weekday', 'distance', 'origin', 'destination']);
    }
  });

  test('drift starts a retraining by itself, on the rows whose ground truth is known by now', async () => {
    const before: History = await loop.facts();
    // in March all flights are ten times as long: a drift that nobody can miss
    const far = (row: string, at: number) =>
      row
        .split(',')
        .map((cell, i) => (i === at ? String(Math.min(6000, Number(cell) * 10)) : cell))
        .join(',');
    const asked = (await requests(MARCH, 3000)).map((row) => far(row, 3));
    for (let at = 0; at < asked.length; at += 500) await loop.ask(asked.slice(at, at + 500));
    await loop.engine.idle();

    loop.engine.advance(2 * 3600_000); // drift starts no run within an hour of the last
    const known = (await flights(MARCH, 3000)).map((row) => far(row, 3));
    const { windows, runs, decisions } = await loop.upload('ground-truth/2001-03.csv', csv(known));
    expect(windows).toMatchObject([{ verdict: 'DRIFT', rows: 3000 }]);
    expect(windows[0]?.summary).toContain('distance');
    expect(loop.told().filter((text) => text.includes('Drift)'))).toEqual([
      expect.stringContaining(windows[0]?.summary as string),
    ]);
    const report = JSON.parse(await loop.read(windows[0]?.reportKey as string));
    expect(JSON.stringify(report)).toContain('distance');

    expect(decisions.at(-1)).toMatchObject({ reason: 'drift', decided: 'STARTED' });
    expect(runs).toHaveLength(before.runs.length + 1);
    expect(runs.at(-1)?.started).toMatchObject({ reason: 'drift', files: 3 });
    expect(runs.at(-1)?.ended?.outcome).toMatch(/^(PROMOTED|REJECTED)$/);
  }, 240_000);

  test('nothing was denied', () => {
    const denied = loop.engine.log.filter(({ message }) => /AccessDenied/.test(message));
    expect(denied.map(({ message }) => message)).toEqual([]);
  });

  test('what was granted and not used is for what did not happen: failures, schedules, the end of the stack', async () => {
    const unused = loop.engine.unusedPermissions().filter(({ judged }) => judged);
    const lines = unused.map(({ path, action }) => `${path.replace(/^Flights|[0-9A-F]{8}$/g, '')}: ${action}`);
    await expect(`${[...new Set(lines)].sort().join('\n')}\n`).toMatchFileSnapshot('../golden/unused-permissions.txt');
  });
});
