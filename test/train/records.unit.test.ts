import { describe, expect, test } from 'vitest';
import type { LedgerFact } from '../../lib/core/ledger/facts';
import { failureAfter, needsLog, withLog } from '../../lib/core/train/failures';
import { historyOf, spentByOthers } from '../../lib/core/train/history';
import { machinesOf, tuningDocument } from '../../lib/core/train/records';
import { asked, trained } from '../support/facts';

function fact(runId: string, kind: 'STARTED' | 'ATTEMPT', job: string, more: object): LedgerFact {
  const at = '2026-03-01T00:00:00.000Z';
  return (kind === 'STARTED' ? asked : trained)(at, { ...more, runId, job }) as LedgerFact;
}

describe('what other runs took', () => {
  test('is the time of their completed jobs, training before billed', () => {
    const facts = [
      fact('a', 'ATTEMPT', 'a1', { status: 'Completed', instanceType: 'x', trainingSeconds: 10, billableSeconds: 4 }),
      fact('a', 'ATTEMPT', 'a2', { status: 'Completed', instanceType: 'y', billableSeconds: 5 }),
      fact('a', 'ATTEMPT', 'a3', { status: 'Failed', instanceType: 'x', trainingSeconds: 9 }),
      fact('me', 'ATTEMPT', 'm1', { status: 'Completed', instanceType: 'x', trainingSeconds: 9 }),
      fact('a', 'STARTED', 'a1', {}),
    ];
    expect(historyOf(facts, 'me')).toEqual([
      { instanceType: 'x', seconds: 10 },
      { instanceType: 'y', seconds: 5 },
    ]);
  });

  test('is the cost of their jobs, and the most that open ones may cost', () => {
    const facts = [
      fact('a', 'STARTED', 'a1', { atMostUsd: 100 }),
      fact('a', 'ATTEMPT', 'a1', { costUsd: 2 }),
      fact('a', 'ATTEMPT', 'a2', {}),
      fact('a', 'STARTED', 'a3', { atMostUsd: 30 }),
      fact('me', 'STARTED', 'm1', { atMostUsd: 1000 }),
      fact('me', 'ATTEMPT', 'm0', { costUsd: 500 }),
    ];
    expect(spentByOthers(facts, 'me')).toBe(32);
  });
});

describe('why a job has not trained', () => {
  test('is the error of its state, where there never was a job', () => {
    expect(failureAfter(undefined, { name: 'X', cause: 'ResourceLimitExceeded' })?.kind).toBe('QUOTA');
    expect(failureAfter(undefined, null)).toEqual({ kind: 'INTERNAL', reason: 'the job is unknown to SageMaker' });
  });

  test('is nothing if it has', () => {
    expect(failureAfter({ status: 'Completed', model: 's3://m' }, null)).toBeUndefined();
  });

  test.each([
    ['States.Timeout', 'INTERNAL'],
    ['SageMaker.ResourceInUseException', 'INTERNAL'],
    ['States.TaskFailed', 'CANCELLED'],
  ])('a job that was stopped, caught with %s: %s', (name, kind) => {
    expect(failureAfter({ status: 'Stopped' }, { name, cause: '' })?.kind).toBe(kind);
  });
});

describe('the log of a script', () => {
  const failure = { kind: 'ALGORITHM', reason: 'AlgorithmError: exit 1' } as const;

  test('is needed where the script failed', () => {
    const kinds = ['ALGORITHM', 'CLIENT', 'CAPACITY', 'INTERNAL'] as const;
    expect(kinds.filter((kind) => needsLog({ kind, reason: '' }))).toEqual(['ALGORITHM', 'CLIENT']);
  });

  test('is added: its last twelve lines that the reason lacks', () => {
    const lines = [...Array.from({ length: 11 }, (_, i) => `line ${i}`), ' exit 1 ', '', 'at last'];
    expect(withLog(failure, lines, 'group, stream j/…')).toEqual({
      ...failure,
      reason: `AlgorithmError: exit 1\nThe end of its log (group, stream j/…):\n${[2, 3, 4, 5, 6, 7, 8, 9, 10].map((i) => `line ${i}`).join('\n')}\nat last`,
    });
  });

  test('is cut to its last 1,500 characters, and left out if it says nothing new', () => {
    expect(withLog(failure, ['x'.repeat(2000)], 'p').reason).toMatch(/:\nx{1500}$/);
    expect(withLog(failure, [' ', 'exit 1'], 'p')).toBe(failure);
  });
});

test('machines are counted over all instance groups', () => {
  const instances = [
    { instanceType: 'ml.a', count: 1 },
    { instanceType: 'ml.b', count: 3 },
  ];
  expect(machinesOf({ label: 'l', instances, spot: true, maxRuntimeSeconds: 1 })).toEqual({
    option: 'l',
    instanceType: 'ml.a',
    instanceCount: 4,
    spot: true,
  });
});

test('a search is written with the trial that goes on', () => {
  const trial = { iteration: 2, hyperparameters: { eta: '0.1' }, value: 0.8 };
  const search = { metric: 'validation:auc' };
  const document = {
    runId: 'r',
    ...search,
    higherIsBetter: true,
    trials: [trial],
    chosen: 2,
    hyperparameters: { eta: '0.1' },
  };
  expect(tuningDocument('r', search, [trial], trial)).toEqual(document);
  expect(tuningDocument('r', { ...search, target: 0.9 }, [trial], trial)).toEqual({ ...document, target: 0.9 });
});
