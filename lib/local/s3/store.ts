import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../clock';
import { Journal } from '../journal';
import { ApiError } from '../service';
import type { Checksum } from './body';
import { compareKeys } from './listing';

/** What an object is before it is stored: its bytes lie in {@link Store.newFile}. */
export interface Draft {
  readonly key: string;
  readonly file: string;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  /** Replied on every read: content type, `x-amz-meta-*` … */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly checksum?: Checksum;
  /** Of a multipart upload. */
  readonly parts?: readonly { readonly size: number; readonly checksum?: string }[];
}

export interface ObjectVersion extends Draft {
  /** `null` in a bucket that keeps no versions. */
  readonly versionId: string;
  readonly deleteMarker?: boolean;
  readonly lastModified: number;
  /** Increases with every change of a key. */
  readonly sequencer: string;
}

export interface BucketSettings {
  readonly versioning?: 'Enabled' | 'Suspended';
  /** Whether changes go to the default event bus. */
  readonly eventBridge: boolean;
}

export interface Upload {
  readonly id: string;
  readonly key: string;
  readonly initiated: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly checksum?: { readonly algorithm: Checksum['algorithm']; readonly type: Checksum['type'] };
  readonly parts: Map<number, UploadedPart>;
}

export interface UploadedPart {
  readonly file: string;
  readonly size: number;
  readonly md5: string;
  readonly checksum?: Checksum;
  readonly lastModified: number;
}

export class Bucket {
  settings: BucketSettings = { eventBridge: false };
  /** Versions of a key, newest first; never an empty list. */
  readonly versions = new Map<string, ObjectVersion[]>();
  /** Uploads in parts that have not been completed; they end with the engine. */
  readonly uploads = new Map<string, Upload>();
  private sorted: string[] | undefined;

  constructor(
    readonly name: string,
    readonly created: number,
  ) {}

  /** In S3's order. */
  keys(): readonly string[] {
    this.sorted ??= [...this.versions.keys()].sort(compareKeys);
    return this.sorted;
  }

  /** The current version of a key; undefined if there is none, or if it is a delete marker. */
  current(key: string): ObjectVersion | undefined {
    const newest = this.versions.get(key)?.[0];
    return newest?.deleteMarker ? undefined : newest;
  }

  version(key: string, versionId: string): ObjectVersion | undefined {
    return this.versions.get(key)?.find((version) => version.versionId === versionId);
  }

  /** Puts a version on top, or in the place of the one with its id. */
  set(version: ObjectVersion): void {
    const versions = this.versions.get(version.key);
    if (!versions) {
      this.versions.set(version.key, [version]);
      this.sorted = undefined;
      return;
    }
    const same = versions.findIndex((other) => other.versionId === version.versionId);
    if (same >= 0 && versions[same].sequencer === version.sequencer) {
      versions[same] = version; // changed tags
      return;
    }
    if (same >= 0) versions.splice(same, 1);
    versions.unshift(version);
  }

  remove(key: string, versionId: string): ObjectVersion | undefined {
    const versions = this.versions.get(key) ?? [];
    const index = versions.findIndex((version) => version.versionId === versionId);
    if (index < 0) return undefined;
    const [removed] = versions.splice(index, 1);
    if (versions.length === 0) {
      this.versions.delete(key);
      this.sorted = undefined;
    }
    return removed;
  }
}

type Entry =
  | { readonly bucket: string; readonly created: number; readonly settings: BucketSettings }
  | { readonly bucket: string; readonly deleted: true }
  | { readonly bucket: string; readonly version: ObjectVersion }
  | { readonly bucket: string; readonly removed: readonly [key: string, versionId: string] };

/**
 * Buckets, objects and their versions. Each version's bytes are one file, written once;
 * what is known about it lies in memory and in a journal.
 */
export class Store {
  readonly buckets = new Map<string, Bucket>();
  private readonly folder: string;
  private readonly journal: Journal<Entry>;
  private sequence = 0n;

  constructor(
    stateDir: string,
    private readonly clock: Clock,
  ) {
    this.folder = join(stateDir, 's3', 'content');
    mkdirSync(this.folder, { recursive: true });
    this.journal = new Journal(join(stateDir, 's3', 'journal.jsonl'));
    for (const entry of this.journal.read()) this.replay(entry);
    this.journal.rewrite(this.entries());
    this.dropOrphans();
  }

  private replay(entry: Entry): void {
    if ('settings' in entry) {
      const bucket = this.buckets.get(entry.bucket) ?? new Bucket(entry.bucket, entry.created);
      bucket.settings = entry.settings;
      this.buckets.set(entry.bucket, bucket);
    } else if ('deleted' in entry) {
      this.buckets.delete(entry.bucket);
    } else if ('version' in entry) {
      const sequence = BigInt(`0x${entry.version.sequencer}`);
      if (sequence > this.sequence) this.sequence = sequence;
      this.buckets.get(entry.bucket)?.set(entry.version);
    } else {
      this.buckets.get(entry.bucket)?.remove(...entry.removed);
    }
  }

  private *entries(): Iterable<Entry> {
    for (const bucket of this.buckets.values()) {
      yield { bucket: bucket.name, created: bucket.created, settings: bucket.settings };
      for (const versions of bucket.versions.values()) {
        for (const version of [...versions].reverse()) yield { bucket: bucket.name, version };
      }
    }
  }

  /** Removes what an interrupted run left behind, and versions whose bytes are gone. */
  private dropOrphans(): void {
    const known = new Set<string>();
    for (const bucket of this.buckets.values()) {
      for (const version of [...bucket.versions.values()].flat()) {
        if (version.deleteMarker || existsSync(this.path(version))) known.add(version.file);
        else this.removeVersion(bucket, version.key, version.versionId);
      }
    }
    for (const file of readdirSync(this.folder)) if (!known.has(file)) rmSync(join(this.folder, file));
  }

  /** The path for new bytes, to be written once and handed to {@link put} by its name. */
  newFile(): { readonly name: string; readonly path: string } {
    const name = randomBytes(16).toString('hex');
    return { name, path: join(this.folder, name) };
  }

  path(version: { readonly file: string }): string {
    return join(this.folder, version.file);
  }

  /** Throws `NoSuchBucket`. */
  bucket(name: string): Bucket {
    const bucket = this.buckets.get(name);
    if (!bucket) {
      throw new ApiError('NoSuchBucket', 'The specified bucket does not exist', 404, { BucketName: name });
    }
    return bucket;
  }

  createBucket(name: string): Bucket {
    const bucket = new Bucket(name, this.clock.now());
    this.buckets.set(name, bucket);
    this.configure(bucket, {});
    return bucket;
  }

  configure(bucket: Bucket, settings: Partial<BucketSettings>): void {
    bucket.settings = { ...bucket.settings, ...settings };
    this.journal.append({ bucket: bucket.name, created: bucket.created, settings: bucket.settings });
  }

  deleteBucket(bucket: Bucket): void {
    if (bucket.versions.size > 0) {
      throw new ApiError('BucketNotEmpty', 'The bucket you tried to delete is not empty', 409, {
        BucketName: bucket.name,
      });
    }
    for (const upload of bucket.uploads.values()) this.dropUpload(bucket, upload);
    this.buckets.delete(bucket.name);
    this.journal.append({ bucket: bucket.name, deleted: true });
  }

  /** Makes a draft the current version. */
  put(bucket: Bucket, draft: Draft): ObjectVersion {
    chmodSync(this.path(draft), 0o444); // jobs link to it
    return this.add(bucket, draft, false);
  }

  private add(bucket: Bucket, draft: Draft, deleteMarker: boolean): ObjectVersion {
    const versioned = bucket.settings.versioning === 'Enabled';
    const version: ObjectVersion = {
      ...draft,
      versionId: versioned ? randomBytes(24).toString('base64url') : 'null',
      ...(deleteMarker && { deleteMarker }),
      lastModified: Math.floor(this.clock.now() / 1000) * 1000,
      sequencer: this.nextSequencer(),
    };
    const replaced = bucket.version(version.key, version.versionId);
    this.journal.append({ bucket: bucket.name, version });
    bucket.set(version);
    if (replaced) this.dropFile(replaced);
    return version;
  }

  /** Changes what is known about a version, not its bytes. */
  amend(bucket: Bucket, version: ObjectVersion): void {
    this.journal.append({ bucket: bucket.name, version });
    bucket.set(version);
  }

  /** Deletes as S3 does without a version: the object, or in a bucket with versions, by a marker on top. */
  deleteObject(bucket: Bucket, key: string): { marker?: ObjectVersion; removed?: ObjectVersion } {
    if (bucket.settings.versioning === undefined) return { removed: this.removeVersion(bucket, key, 'null') };
    return { marker: this.add(bucket, { key, file: '', size: 0, etag: '', headers: {} }, true) };
  }

  removeVersion(bucket: Bucket, key: string, versionId: string): ObjectVersion | undefined {
    const removed = bucket.remove(key, versionId);
    if (removed) {
      this.journal.append({ bucket: bucket.name, removed: [key, versionId] });
      this.dropFile(removed);
    }
    return removed;
  }

  dropUpload(bucket: Bucket, upload: Upload): void {
    bucket.uploads.delete(upload.id);
    for (const part of upload.parts.values()) this.dropFile(part);
  }

  dropFile(version: { readonly file: string }): void {
    if (version.file !== '') rmSync(this.path(version), { force: true });
  }

  /** Hexadecimal; later changes compare greater, also after a restart. */
  nextSequencer(): string {
    const byTime = BigInt(Math.floor(this.clock.now())) << 20n;
    this.sequence = byTime > this.sequence ? byTime : this.sequence + 1n;
    return this.sequence.toString(16).toUpperCase().padStart(18, '0');
  }

  close(): void {
    this.journal.close();
  }
}
