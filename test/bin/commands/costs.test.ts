import { describe, expect, test } from 'vitest';
import { billed, cost, endedAs, estimate, noteOf } from '../../../bin/commands/costs';
import { printRun } from '../../../bin/commands/run';
import { renderReport } from '../../../bin/report/report';
import { historyOf, type Run } from '../../../lib/core/ledger/history';
import { ledgerItems, PIPELINE } from '../../support/ledger-facts';

const facts = historyOf(PIPELINE, ledgerItems());
const [first, second, , last] = facts.runs as [Run, Run, Run, Run];
const attempt = second.attempts[1] as Run['attempts'][number];

describe('what training cost', () => {
  test('is estimated before it begins: as the last runs took, and at most', () => {
    expect(estimate(second)).toBe('0.0168 USD as the last runs took, at most 2.97 USD');
    expect(estimate(first)).toBe('at most 2.97 USD; no earlier run tells how long it takes');
    expect(estimate({ ...first, requested: first.requested.map(({ atMostUsd: _, ...rest }) => rest) })).toBe(
      'unknown: no price is known for ml.g4dn.xlarge',
    );
    expect(estimate(last)).toBeUndefined();
  });

  test('is the sum of all jobs, and says what is unknown or under way', () => {
    expect(cost(second)).toBe('0.0172 USD in 2 jobs');
    expect(cost({ ...second, attempts: second.attempts.slice(0, 1) })).toBe(
      '0.00 USD so far, in 1 job; one is under way',
    );
    const unknown = { ...attempt, costUsd: undefined };
    expect(cost({ ...second, attempts: [unknown, unknown] })).toBe('unknown, in 2 jobs');
    expect(cost({ ...second, attempts: [unknown, attempt] })).toBe(
      'at least 0.0172 USD, in 2 jobs; some prices are unknown',
    );
    expect(cost(last)).toBeUndefined();
  });

  test('tells how each job ended', () => {
    expect(second.attempts.map(endedAs)).toEqual(['Failed: capacity', 'Completed']);
    expect(second.attempts.map(billed)).toEqual(['–', '1 min 24 s']);
    expect(billed({ ...attempt, interruptions: 2 })).toBe('1 min 24 s, taken away 2 times');
    expect(second.attempts.map(noteOf)).toEqual(['CapacityError: no machine', '']);
    const trial = {
      ...attempt,
      iteration: 2,
      hyperparameters: { eta: '0.1' },
      metrics: { 'validation:auc': 0.71, 'train:auc': 0.8 },
    };
    expect(noteOf(trial)).toBe('eta 0.1: auc 0.7100');
    expect(noteOf({ ...trial, iteration: 1, hyperparameters: {} })).toBe("the trainer's own parameters: auc 0.7100");
  });

  test('stands in the terminal and on the page', async () => {
    const text = printRun(facts, second, []);
    expect(text).toMatch(/training was to cost +0\.0168 USD as the last runs took, at most 2\.97 USD/);
    expect(text).toMatch(/flights-data-77aa0c1d2e3f-4ad1-1 +ml\.g4dn\.xlarge, spot +Failed: capacity +– +0\.00 USD/);
    expect(text).toMatch(/-4ad1-2 +ml\.g4dn\.xlarge +Completed +1 min 24 s +0\.0172 USD/);
    const page = await renderReport({ ...facts, writtenAt: '2026-11-23T12:30:00.000Z' });
    for (const part of ['<h3>Training jobs</h3>', '0.0168 USD', '2.97 USD', '0.0516', 'CapacityError: no machine']) {
      expect(page).toContain(part);
    }
  });
});
