import { describe, expect, test } from 'vitest';
import { judgeRun } from '../../lambdas/judge/judge.handler';
import { parseContract } from '../../lib/core/dataset/contract';
import { createSnapshot } from '../../lib/core/dataset/snapshot';
import { ErrorName } from '../../lib/core/errors';
import type { JudgeRequest } from '../../lib/core/judge/documents';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { runKeys } from '../../lib/core/names';
import { countNumbers, histogramRows } from '../../lib/core/prepare/profile';
import type { Baseline } from '../../lib/core/watch/documents';
import { MemoryLedger, MemoryStore } from '../support/memory';
import { RIDES } from '../support/preparation';

const keys = runKeys('r');
const request: JudgeRequest = {
  runId: 'r',
  startedAt: '2026-03-01T12:00:00.000Z',
  rules: {
    margin: 0.01,
    confidence: 0.95,
    firstModelThreshold: 0.6,
    promote: ['BETTER', 'NOT_WORSE'],
    minSliceRows: 1000,
  },
};
const champion = { version: 1, modelPackageArn: 'arn/1', runId: 'old', modelName: 'm-v1' };

const RUN = {
  runId: 'r',
  startedAt: request.startedAt,
  reason: 'data',
  evidence: [],
  contract: parseContract(RIDES),
  split: { holdout: 0.2, validation: 0.2 },
  snapshot: createSnapshot([]),
};
const PROFILE = {
  contractId: 'c',
  rows: 2,
  features: {},
  target: countNumbers([1], [0, 1]),
  trivial: { mean: 0.5, median: 0.5 },
};

/** A run whose holdout has 400 rows, every second of them positive. */
function world(candidate: (row: number) => string, other?: (row: number) => string) {
  const rows = Array.from({ length: 400 }, (_, row) => row);
  const store = new MemoryStore();
  store.json(keys.run, RUN);
  store.json(keys.holdoutLabels, { labels: rows.map((row) => row % 2), slices: {} });
  store.json(keys.profile, PROFILE);
  store.objects.set(`${keys.scores('candidate')}rows.csv.out`, rows.map(candidate).join('\n'));
  if (other) store.objects.set(`${keys.scores('champion')}rows.csv.out`, `${rows.map(other).join('\n')}\n`);
  return { store, ledger: new MemoryLedger(), now: () => new Date() };
}

const good = (row: number) => String(row % 2 === 1 ? 0.6 + row / 1000 : 0.4 - row / 2000);
const poor = (row: number) => String(((row * 7919) % 400) / 400);

describe('judging a run', () => {
  test.each([
    ['the run', keys.run, { ...RUN, snapshot: null }, 'snapshot must be an object, got null'],
    ['its contract', keys.run, { ...RUN, contract: 1 }, 'the contract must be an object, got 1'],
    [
      'the profile',
      keys.profile,
      { ...PROFILE, target: { kind: 'x' } },
      'target must be an object with kind number or',
    ],
    ['the labels', keys.holdoutLabels, { labels: [0, '1'], slices: {} }, "labels[1] must be a number, got '1'"],
  ])('refuses %s by name if somebody has edited it', async (_, key, document, message) => {
    const ports = world(good);
    ports.store.json(key, document);
    await expect(judgeRun(ports, request)).rejects.toMatchObject({
      name: ErrorName.INVALID_DOCUMENT,
      message: expect.stringContaining(message),
    });
  });

  test('keeps the judgement, the baseline for the monitor, and the verdict', async () => {
    const ports = world(good, poor);
    const report = await judgeRun(ports, { ...request, champion });

    expect(report).toMatchObject({ verdict: 'BETTER', promote: true, candidate: 1 });
    expect(ports.store.parsed(keys.judgement)).toMatchObject({ verdict: 'BETTER', championVersion: 1 });
    const baseline = ports.store.parsed<Baseline>(keys.baseline);
    expect(histogramRows(baseline.scores)).toBe(400);
    expect(ports.ledger.items.get(LedgerKey.run(request.startedAt, 'r', 'VERDICT'))).toMatchObject({
      verdict: 'BETTER',
      rows: 400,
      because: report.because,
    });
  });

  test('judges a first model by itself', async () => {
    expect(await judgeRun(world(good), request)).toMatchObject({ verdict: 'FIRST', promote: true });
    expect(await judgeRun(world(poor), request)).toMatchObject({ verdict: 'FIRST_REFUSED', promote: false });
  });

  test.each([
    ['is missing', (row: number) => (row === 7 ? '' : good(row))],
    ['is no number', (row: number) => (row === 7 ? 'nan' : good(row))],
  ])('refuses scores of which one %s', async (_, scores) => {
    await expect(judgeRun(world(scores), request)).rejects.toMatchObject({ name: ErrorName.SCORING_FAILED });
  });
});
