import { PutObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import type { Evidence, Snapshot } from '../../lib/core/dataset/documents';
import { createSnapshot, DATA_PREFIXES, type ListedFile, newFiles, snapshotKey } from '../../lib/core/dataset/snapshot';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import type { Lease } from '../../lib/core/ledger/rows';
import { Prefix, shortHash } from '../../lib/core/names';
import type { Ledger } from '../ledger/ledger';
import { refusedAmong } from '../ledger/refused';
import type { S3Store } from '../shared/s3-store';

/** The training data and its snapshots; tests have them in memory. */
export interface Data {
  /** The current versions of all that lies below the data prefixes. */
  list(): Promise<ListedFile[]>;
  /** A document; undefined if there is none, and a text if it is no JSON. */
  read(key: string): Promise<unknown>;
  /** Writes a document over one that an earlier try may have written. */
  write(key: string, document: unknown): Promise<void>;
  /** Writes a document that is never overwritten. */
  writeNew(key: string, document: unknown): Promise<void>;
}

export function s3Data(store: S3Store): Data {
  return {
    list: async () => (await Promise.all(DATA_PREFIXES.map((prefix) => store.listVersions(prefix)))).flat(),
    async read(key) {
      try {
        return await store.findJson(key);
      } catch (error) {
        // it can never be read: another try would fail alike
        if (error instanceof PerennialError && error.name === ErrorName.INVALID_DOCUMENT) return 'no JSON';
        throw error;
      }
    },
    write: (key, document) => store.putJson(key, document),
    async writeNew(key, document) {
      try {
        await store.s3.send(
          new PutObjectCommand({
            Bucket: store.bucket,
            Key: key,
            Body: JSON.stringify(document),
            ContentType: 'application/json',
            IfNoneMatch: '*',
          }),
        );
      } catch (error) {
        if (error instanceof S3ServiceException && error.name === 'PreconditionFailed') return; // it is there already
        throw error;
      }
    },
  };
}

/** Saves a snapshot of the data as it is now, without the files that no run can use. */
export async function saveSnapshot(
  data: Data,
  ledger: Ledger,
  newestFiles?: number,
): Promise<{ readonly snapshot: Snapshot; readonly key: string }> {
  const { snapshot } = await listedNow(data, ledger, newestFiles);
  const key = snapshotKey(snapshot.dataVersion);
  if (snapshot.files.length > 0) await data.writeNew(key, snapshot);
  return { snapshot, key };
}

async function listedNow(data: Data, ledger: Ledger, newestFiles: number | undefined) {
  const listing = await data.list();
  const refused = await refusedAmong(ledger, listing);
  return { listing, snapshot: createSnapshot(listing, { refused, newestFiles }) };
}

/**
 * Uploads without an event: what a run on the data as it is would be the first to train on, while no
 * upload waits that such a run would serve.
 */
export async function unseenUploads(
  { data, ledger }: { readonly data: Data; readonly ledger: Ledger },
  newestFiles: number | undefined,
  { pending, lastRun, seen }: Lease,
  triggers: readonly Evidence[],
): Promise<Evidence[]> {
  if ([...pending, ...triggers].some(({ reason }) => reason === 'data')) return [];
  const { listing, snapshot } = await listedNow(data, ledger, newestFiles);
  const last = lastRun && seen; // a lease that has lost its last run cannot say whether that came to its end
  if (last?.snapshotKey === snapshotKey(snapshot.dataVersion)) return [];
  const known = last && (await data.read(last.snapshotKey));
  const times = new Map(listing.map(({ key, lastModified }) => [key, lastModified]));
  return newFiles(snapshot, known)
    .filter(({ key }) => key.startsWith(Prefix.INCOMING))
    .slice(0, MOST_FOUND)
    .map(({ key, versionId, size }) => ({
      reason: 'data',
      eventId: `found-${shortHash(`${key} ${versionId}`)}`,
      at: (times.get(key) ?? new Date(0)).toISOString(),
      detail: { key, versionId, size },
    }));
}

/** One would do: a run trains on all that is there. So many are named. */
const MOST_FOUND = 100;
