import { describe, expect, test } from 'vitest';
import { findServing, recordServing } from '../../lambdas/ledger/serving';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { deployment } from '../support/facts';
import { Crash, crashing, MemoryLedger } from '../support/memory';

const at = (day: number) => `2026-03-${String(day).padStart(2, '0')}T00:00:00.000Z`;
const of = (modelVersion: number, day = modelVersion) =>
  deployment({
    modelVersion,
    startedAt: at(day),
    runId: `run-${modelVersion}`,
    endpointConfigName: `c${modelVersion}`,
  });

describe('what serves', () => {
  test('is one item, which names the version, its run, its endpoint and its baseline', async () => {
    const ledger = new MemoryLedger();
    await recordServing(ledger, of(2));

    expect(
      await findServing({ find: (sk) => ledger.find(sk), query: () => Promise.reject(new Error('a query')) }),
    ).toEqual({
      modelVersion: 2,
      modelPackageArn: 'arn/2',
      runId: 'run-2',
      endpointName: 'flights',
      endpointConfigName: 'c2',
      baselineKey: 'runs/run-2/baseline.json',
      deploymentId: 'd2',
      startedAt: at(2),
      since: at(2),
    });
    expect(ledger.items.get(LedgerKey.serving)).toMatchObject({ kind: 'Serving', version: 1 });
  });

  test('is nothing before the first deployment, and after none that changed anything', async () => {
    const ledger = new MemoryLedger();
    await recordServing(ledger, deployment({ startedAt: at(1), outcome: 'ROLLED_BACK' }));

    expect(ledger.items.size).toBe(0);
    expect(await findServing(ledger)).toBeUndefined();
  });

  test('is the deployment that began last, however late and often an older one says that it ended', async () => {
    const ledger = new MemoryLedger();
    for (const version of [1, 3, 2, 1, 3]) await recordServing(ledger, of(version));

    expect(await findServing(ledger)).toMatchObject({ modelVersion: 3 });
    expect(ledger.items.get(LedgerKey.serving)).toMatchObject({ revision: 2 });
  });

  test('is an older version again where that was deployed again', async () => {
    const ledger = new MemoryLedger();
    for (const fact of [of(1), of(2), of(1, 3)]) await recordServing(ledger, fact);

    expect(await findServing(ledger)).toMatchObject({ modelVersion: 1, startedAt: at(3) });
  });

  test('is the same whoever of two writers comes first', async () => {
    const ledger = new MemoryLedger();
    await Promise.all([of(1), of(2), of(3)].map((fact) => recordServing(ledger, fact)));

    expect(await findServing(ledger)).toMatchObject({ modelVersion: 3 });
  });

  test.each(['before', 'after'] as const)(
    'is written by another try where the function dies %s any call',
    async (when) => {
      for (let call = 0; call < 3; call++) {
        const ledger = new MemoryLedger();
        await recordServing(ledger, of(1));
        await recordServing(crashing(ledger, call, when), of(2)).catch((error) => {
          if (!(error instanceof Crash)) throw error;
        });
        await recordServing(ledger, of(2));
        expect(await findServing(ledger)).toMatchObject({ modelVersion: 2 });
      }
    },
  );

  test.each<[string, (ledger: MemoryLedger) => unknown]>([
    ['deleted', (ledger) => ledger.items.delete(LedgerKey.serving)],
    ['emptied', (ledger) => ledger.items.set(LedgerKey.serving, { pk: 'flights', sk: LedgerKey.serving })],
    ['changed', (ledger) => ledger.items.set(LedgerKey.serving, { ...ledger.items.get(LedgerKey.serving), runId: 7 })],
  ])(
    'is told by the deployments where somebody has %s the row, and a late twin does not change it',
    async (_, meddle) => {
      const ledger = new MemoryLedger();
      for (const fact of [of(1), of(2)]) {
        ledger.add(fact);
        await recordServing(ledger, fact);
      }
      const failed = Array.from({ length: 250 }, (_, i) =>
        deployment({
          startedAt: `2026-04-01T00:00:00.${String(i).padStart(3, '0')}Z`,
          outcome: 'FAILED',
          modelVersion: 9,
        }),
      );
      ledger.add(...failed);
      meddle(ledger);

      expect(await findServing(ledger)).toMatchObject({ modelVersion: 2 });
      await recordServing(ledger, of(1));
      expect(await findServing({ find: (sk) => ledger.find(sk), query: async () => [] })).toMatchObject({
        modelVersion: 2,
      });
    },
  );

  test('is refused by name where a later release has written it', async () => {
    const ledger = new MemoryLedger();
    await recordServing(ledger, of(1));
    ledger.items.set(LedgerKey.serving, { ...ledger.items.get(LedgerKey.serving), version: 2 });

    await expect(findServing(ledger)).rejects.toThrow(
      "must have kind Serving and version 1, got kind 'Serving' and version 2; a newer version of cdk-perennial wrote it: deploy that version again",
    );
  });
});
