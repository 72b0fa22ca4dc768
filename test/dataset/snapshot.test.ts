import { describe, expect, test } from 'vitest';
import { beginRun } from '../../lambdas/dataset/snapshot.handler';
import type { Contract } from '../../lib/core/dataset/contract';
import type { SnapshotRequest } from '../../lib/core/dataset/documents';
import { createSnapshot } from '../../lib/core/dataset/snapshot';
import { ErrorName } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { runKeys } from '../../lib/core/names';
import { refusedFile } from '../support/facts';
import { MemoryData, MemoryLedger } from '../support/memory';

const startedAt = '2026-03-01T12:00:00.000Z';

function world() {
  return { ledger: new MemoryLedger(), data: new MemoryData(), now: () => new Date('2026-03-01T12:00:01Z') };
}

function request(more: Partial<SnapshotRequest> = {}): SnapshotRequest {
  return {
    runId: 'r',
    startedAt,
    input: { reason: 'manual', evidence: [] },
    contract: { slices: [] } as unknown as Contract,
    split: { holdout: 0.2, validation: 0.1 },
    ...more,
  };
}

describe('the snapshot of a run', () => {
  test('is the one that the run was started with, whatever has been uploaded since', async () => {
    const ports = world();
    ports.data.upload('incoming/a.csv', 7);
    const snapshot = createSnapshot(await ports.data.list());
    ports.data.documents.set('snapshots/x.json', snapshot);
    ports.data.upload('incoming/b.csv');

    const report = await beginRun(
      ports,
      request({ input: { reason: 'data', evidence: [], snapshotKey: 'snapshots/x.json' } }),
    );

    expect(report).toEqual({ dataVersion: snapshot.dataVersion, files: 1, bytes: 7 });
    expect(ports.data.documents.get(runKeys('r').run)).toMatchObject({ runId: 'r', reason: 'data', snapshot });
    expect(ports.ledger.items.get(LedgerKey.run(startedAt, 'r', 'START'))).toMatchObject({ files: 1, reason: 'data' });
  });

  test('is the data as it is where the run was started without one', async () => {
    const ports = world();
    for (const name of ['a', 'b', 'c']) ports.data.upload(`incoming/${name}.csv`);

    expect(await beginRun(ports, request({ newestFiles: 2 }))).toMatchObject({ files: 2 });
  });

  test('must hold a file: the message says what to upload, and what was left out', async () => {
    const ports = world();
    const versionId = ports.data.upload('incoming/bad.csv', 0);
    ports.ledger.add(...refusedFile('incoming/bad.csv', versionId, 'r0', startedAt));

    await expect(beginRun(ports, request())).rejects.toMatchObject({
      name: ErrorName.DATA_UNREADABLE,
      message: expect.stringMatching(/1 that could not be used \(incoming\/bad\.csv\); upload labelled data/),
    });
  });

  test('must be there if it is named', async () => {
    const input = { reason: 'manual' as const, evidence: [], snapshotKey: 'snapshots/none.json' };

    await expect(beginRun(world(), request({ input }))).rejects.toMatchObject({ name: ErrorName.INVALID_DOCUMENT });
  });
});
