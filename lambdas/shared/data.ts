import { PutObjectCommand, S3ServiceException } from '@aws-sdk/client-s3';
import type { Snapshot } from '../../lib/core/documents';
import type { RefusedFile } from '../../lib/core/ledger';
import { DATA_PREFIXES, freeze, type ListedFile, snapshotKey } from '../../lib/core/snapshot';
import type { Ledger } from './ledger-port';
import type { S3Store } from './s3-store';

/** The training data and its snapshots; tests have them in memory. */
export interface Data {
  /** The current versions of all that lies below the data prefixes. */
  list(): Promise<ListedFile[]>;
  /** A document; undefined if there is none. */
  read(key: string): Promise<unknown>;
  /** Writes a document over one that an earlier try may have written. */
  write(key: string, document: unknown): Promise<void>;
  /** Writes a document that is never overwritten. */
  writeNew(key: string, document: unknown): Promise<void>;
}

export function s3Data(store: S3Store): Data {
  return {
    list: async () => (await Promise.all(DATA_PREFIXES.map((prefix) => store.listVersions(prefix)))).flat(),
    read: (key) => store.findJson(key),
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

/** Freezes the data as it is now, without the files that no run can use. */
export async function freezeNow(
  data: Data,
  ledger: Ledger,
  newestFiles?: number,
): Promise<{ readonly snapshot: Snapshot; readonly key: string }> {
  const [listing, refused] = await Promise.all([data.list(), ledger.query<RefusedFile>('REFUSED#')]);
  const snapshot = freeze(listing, { refused, newestFiles });
  const key = snapshotKey(snapshot.dataVersion);
  if (snapshot.files.length > 0) await data.writeNew(key, snapshot);
  return { snapshot, key };
}

/** What to say where there is nothing to train on. */
export function noData({ leftOut = [] }: Snapshot): string {
  const refused =
    leftOut.length === 0 ? '' : ` but ${leftOut.length} that could not be used (${leftOut.slice(0, 3).join(', ')})`;
  return `there must be at least one file below ${DATA_PREFIXES.join(' or ')}, got none${refused}; upload labelled data to ${DATA_PREFIXES[0]}`;
}
