import { S3Client } from '@aws-sdk/client-s3';
import type { RunDocument, Snapshot, SnapshotReport, SnapshotRequest } from '../../lib/core/dataset/documents';
import { noData } from '../../lib/core/dataset/run-data';
import { parseSnapshot, snapshotBytes } from '../../lib/core/dataset/snapshot';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { newFact } from '../../lib/core/ledger/facts';
import { EnvName, runKeys } from '../../lib/core/names';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import type { Ledger } from '../ledger/ledger';
import { env } from '../shared/env';
import { lazy } from '../shared/lazy';
import { S3Store } from '../shared/s3-store';
import { type Data, s3Data, saveSnapshot } from './data';

export interface SnapshotPorts {
  readonly ledger: Ledger;
  readonly data: Data;
  now(): Date;
}

/** Runs {@link beginRun} on the data bucket and the ledger. */
export async function handler(request: SnapshotRequest): Promise<SnapshotReport> {
  return beginRun(onAws(), request);
}

const onAws = lazy(
  (): SnapshotPorts => ({
    ledger: dynamoLedger(),
    data: s3Data(new S3Store(new S3Client(), env(EnvName.DATA_BUCKET))),
    now: () => new Date(),
  }),
);

/** Opens the snapshot that the run was started with, or creates one of the data as it is, and writes the run's document. */
export async function beginRun(ports: SnapshotPorts, request: SnapshotRequest): Promise<SnapshotReport> {
  const { ledger, data } = ports;
  const { runId, startedAt, contract, split } = request;
  const { reason, evidence, snapshotKey } = request.input;
  const snapshot =
    snapshotKey === undefined
      ? (await saveSnapshot(data, ledger, request.newestFiles)).snapshot
      : await namedSnapshot(data, snapshotKey);
  if (snapshot.files.length === 0) throw new PerennialError(ErrorName.DATA_UNREADABLE, noData(snapshot));

  const document: RunDocument = { runId, startedAt, reason, evidence, contract, split, snapshot };
  await data.write(runKeys(runId).run, document);
  const report: SnapshotReport = {
    dataVersion: snapshot.dataVersion,
    files: snapshot.files.length,
    bytes: snapshotBytes(snapshot),
  };
  const now = ports.now();
  await ledger.append(newFact.runIndex(now, { runId, startedAt }));
  await ledger.append(newFact.runStarted(now, { runId, startedAt, reason, evidence, ...report }));
  return report;
}

async function namedSnapshot(data: Data, key: string): Promise<Snapshot> {
  const document = await data.read(key);
  if (document === undefined) {
    throw new PerennialError(
      ErrorName.INVALID_DOCUMENT,
      `snapshotKey must name a snapshot in the data bucket, got ${key}: no such object; leave it out to train on the data as it is`,
    );
  }
  return parseSnapshot(document, key);
}
