import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../engine/clock';
import { ApiError } from '../../service';
import type { Kept, StateStore } from '../../state/state-store';
import type { Checksum } from './body';
import { compareKeys } from './listing';

/** The key of KMS that an object is under, and how. */
export interface Encryption {
  readonly algorithm: 'aws:kms' | 'aws:kms:dsse';
  readonly keyArn: string;
  /** Whether S3 asks KMS for the bucket, and not for each object. */
  readonly bucketKey: boolean;
  /** What the writer added to the encryption context. */
  readonly context?: Readonly<Record<string, string>>;
}

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
  /** @default - with S3's own keys */
  readonly encryption?: Encryption;
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
  /** How objects are encrypted of which nothing is said. @default - with S3's own keys */
  readonly encryption?: Encryption | undefined;
}

export interface Upload {
  readonly id: string;
  readonly key: string;
  readonly initiated: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly encryption?: Encryption;
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
  /** Uploads in parts that have not been completed. */
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

/** A bucket as it is kept. */
interface KeptBucket {
  readonly created: number;
  readonly settings: BucketSettings;
}

/** Names of {@link Store.newFile}. */
const CONTENT = /^[0-9a-f]{32}$/;

/**
 * Buckets, objects and their versions. Each version's bytes are one file, written once;
 * what is known about it lies in memory and in the engine's state.
 */
export class Store {
  readonly buckets = new Map<string, Bucket>();
  private readonly folder: string;
  private readonly kept: {
    readonly buckets: Kept<KeptBucket>;
    readonly versions: Kept<{ readonly bucket: string; readonly version: ObjectVersion }>;
    readonly uploads: Kept<Omit<Upload, 'parts'> & { readonly bucket: string }>;
    readonly parts: Kept<UploadedPart & { readonly bucket: string; readonly upload: string; readonly number: number }>;
  };
  private sequence = 0n;

  constructor(
    stateDir: string,
    private readonly clock: Clock,
    private readonly state: StateStore,
  ) {
    this.folder = join(stateDir, 's3', 'content');
    mkdirSync(this.folder, { recursive: true });
    this.kept = {
      buckets: state.collection('s3/buckets', { created: 'number', settings: 'object' }),
      versions: state.collection('s3/versions', { bucket: 'string', version: 'object' }),
      uploads: state.collection('s3/uploads', { bucket: 'string', id: 'string', key: 'string', initiated: 'number' }),
      parts: state.collection('s3/parts', { bucket: 'string', upload: 'string', number: 'number', file: 'string' }),
    };
    this.restore();
  }

  private restore(): void {
    const known = new Set<string>();
    this.kept.buckets.restore(({ created, settings }, name) => {
      const bucket = new Bucket(name, created);
      bucket.settings = settings;
      this.buckets.set(name, bucket);
    });
    const versions: ObjectVersion[] = [];
    const buckets = new Map<ObjectVersion, Bucket>();
    this.kept.versions.restore(({ bucket, version }) => {
      const sequence = BigInt(`0x${version.sequencer}`);
      if (!version.deleteMarker) this.checkBytes(version);
      buckets.set(version, this.bucket(bucket));
      versions.push(version);
      if (sequence > this.sequence) this.sequence = sequence;
      known.add(version.file);
    });
    versions.sort((one, other) => (one.sequencer < other.sequencer ? -1 : 1));
    for (const version of versions) buckets.get(version)?.set(version);
    this.kept.uploads.restore(({ bucket, ...upload }) => {
      this.bucket(bucket).uploads.set(upload.id, { ...upload, parts: new Map() });
    });
    this.kept.parts.restore(({ bucket, upload, number, ...part }) => {
      this.checkBytes(part);
      const of = this.bucket(bucket).uploads.get(upload);
      if (of === undefined) throw new Error(`there is no upload ${upload}`);
      of.parts.set(number, part);
      known.add(part.file);
    });
    this.dropOrphans(known);
  }

  /** Throws unless the bytes are there, and all of them. */
  private checkBytes({ file, size }: { readonly file: string; readonly size: number }): void {
    if (!CONTENT.test(file)) throw new Error(`it has no file, but '${file}'`);
    const { size: found } = statSync(this.path({ file }), { throwIfNoEntry: false }) ?? {};
    if (found === undefined) throw new Error(`its bytes, s3/content/${file}, are gone`);
    if (found !== size) throw new Error(`its bytes, s3/content/${file}, must be ${size}, got ${found}`);
  }

  /** Removes the bytes of writes that a crash cut off. Where something could not be read, they may be of that, and are set aside. */
  private dropOrphans(known: ReadonlySet<string>): void {
    const { aside } = this.state;
    for (const name of readdirSync(this.folder)) {
      if (known.has(name)) continue;
      const path = join(this.folder, name);
      if (CONTENT.test(name) && aside.told.length === 0) rmSync(path);
      else aside.file(path, CONTENT.test(name) ? 'nothing that could be read names it' : 'the engine has no such file');
    }
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
    this.kept.buckets.put(bucket.name, { created: bucket.created, settings: bucket.settings });
  }

  deleteBucket(bucket: Bucket): void {
    if (bucket.versions.size > 0) {
      throw new ApiError('BucketNotEmpty', 'The bucket you tried to delete is not empty', 409, {
        BucketName: bucket.name,
      });
    }
    this.state.together(() => {
      for (const upload of bucket.uploads.values()) this.dropUpload(bucket, upload);
      this.kept.buckets.delete(bucket.name);
    });
    this.buckets.delete(bucket.name);
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
    this.keep(bucket, version);
    bucket.set(version);
    if (replaced) this.dropFile(replaced);
    return version;
  }

  /** Changes what is known about a version, not its bytes. */
  amend(bucket: Bucket, version: ObjectVersion): void {
    this.keep(bucket, version);
    bucket.set(version);
  }

  private keep(bucket: Bucket, version: ObjectVersion): void {
    this.kept.versions.put(versionKey(bucket, version.key, version.versionId), { bucket: bucket.name, version });
  }

  /** Deletes as S3 does without a version: the object, or in a bucket with versions, by a marker on top. */
  deleteObject(bucket: Bucket, key: string): { marker?: ObjectVersion; removed?: ObjectVersion } {
    if (bucket.settings.versioning === undefined) return { removed: this.removeVersion(bucket, key, 'null') };
    return { marker: this.add(bucket, { key, file: '', size: 0, etag: '', headers: {} }, true) };
  }

  removeVersion(bucket: Bucket, key: string, versionId: string): ObjectVersion | undefined {
    const removed = bucket.remove(key, versionId);
    if (removed) {
      this.kept.versions.delete(versionKey(bucket, key, versionId));
      this.dropFile(removed);
    }
    return removed;
  }

  addUpload(bucket: Bucket, upload: Upload): void {
    const { parts: _, ...kept } = upload;
    this.kept.uploads.put(upload.id, { ...kept, bucket: bucket.name });
    bucket.uploads.set(upload.id, upload);
  }

  addPart(bucket: Bucket, upload: Upload, number: number, part: UploadedPart): void {
    const replaced = upload.parts.get(number);
    this.kept.parts.put(partKey(upload, number), { ...part, bucket: bucket.name, upload: upload.id, number });
    upload.parts.set(number, part);
    if (replaced) this.dropFile(replaced);
  }

  dropUpload(bucket: Bucket, upload: Upload): void {
    this.state.together(() => {
      this.kept.uploads.delete(upload.id);
      for (const [number, part] of upload.parts) {
        this.kept.parts.delete(partKey(upload, number));
        this.dropFile(part);
      }
    });
    bucket.uploads.delete(upload.id);
  }

  /** Removes bytes, once what named them is no longer kept. */
  dropFile(version: { readonly file: string }): void {
    if (version.file !== '') this.state.afterwards(() => rmSync(this.path(version), { force: true }));
  }

  /** Hexadecimal; later changes compare greater, also after a restart. */
  nextSequencer(): string {
    const byTime = BigInt(Math.floor(this.clock.now())) << 20n;
    this.sequence = byTime > this.sequence ? byTime : this.sequence + 1n;
    return this.sequence.toString(16).toUpperCase().padStart(18, '0');
  }
}

function versionKey({ name }: Bucket, key: string, versionId: string): string {
  return JSON.stringify([name, key, versionId]);
}

function partKey({ id }: Upload, number: number): string {
  return `${id}/${number}`;
}
