import { createReadStream, createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { parseJson } from '../../lib/core/ledger/stored';

/** An object as a listing names it. */
export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly lastModified: Date;
}

/** A part of a multipart upload, in bytes; two are in memory at a time. */
const PART_SIZE = 16 * 2 ** 20;

/** The objects of one bucket. */
export class S3Store {
  constructor(
    readonly s3: S3Client,
    readonly bucket: string,
  ) {}

  /** Reads an object of ours; fails if there is none. Whoever may write to the bucket may have put anything there. */
  async getJson(key: string): Promise<unknown> {
    return parseJson(await this.getText(key), key);
  }

  /** Reads an object of ours; undefined if there is none. */
  async findJson(key: string): Promise<unknown> {
    try {
      return await this.getJson(key);
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined;
      throw error;
    }
  }

  async putJson(key: string, value: unknown): Promise<void> {
    await this.putText(key, JSON.stringify(value), 'application/json');
  }

  async getText(key: string): Promise<string> {
    return text(await this.stream(key));
  }

  async putText(key: string, text: string, contentType = 'text/plain'): Promise<void> {
    await this.s3.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: text, ContentType: contentType }));
  }

  /** The bytes of an object, as they come. */
  async stream(key: string, versionId?: string): Promise<Readable> {
    const { Body } = await this.s3.send(new GetObjectCommand({ Bucket: this.bucket, Key: key, VersionId: versionId }));
    return Body as Readable;
  }

  /** The lines of an object, without their ends; undefined instead of one that is longer than `most` bytes. */
  async lines(key: string, most: number): Promise<AsyncIterable<Uint8Array | undefined>> {
    return linesOf(await this.stream(key), most);
  }

  /** Writes an object's bytes to a file. */
  async download(key: string, file: string, versionId?: string): Promise<void> {
    await pipeline(await this.stream(key, versionId), createWriteStream(file));
  }

  /** Stores a file of any size, in parts if it is large. */
  async upload(file: string, key: string, contentType = 'application/octet-stream'): Promise<void> {
    await new Upload({
      client: this.s3,
      params: {
        Bucket: this.bucket,
        Key: key,
        Body: createReadStream(file, { highWaterMark: 2 ** 20 }),
        ContentType: contentType,
      },
      partSize: PART_SIZE,
      queueSize: 2,
      leavePartsOnError: true, // to abort needs a permission of its own; the bucket's lifecycle does it
    }).done();
  }

  /** The objects below a prefix, in key order. */
  async list(prefix: string): Promise<ListedObject[]> {
    const found: ListedObject[] = [];
    let token: string | undefined;
    do {
      const page = await this.s3.send(
        new ListObjectsV2Command({ Bucket: this.bucket, Prefix: prefix, ContinuationToken: token }),
      );
      for (const { Key = '', Size = 0, ETag, LastModified = new Date(0) } of page.Contents ?? []) {
        found.push({ key: Key, size: Size, etag: unquoted(ETag), lastModified: LastModified });
      }
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return found;
  }

  /**
   * The current versions of the objects below a prefix, in key order; deleted ones are left out. What was uploaded
   * again without a change is as old as it was: `lastModified` is the time since when the object has had its content.
   */
  async listVersions(prefix: string): Promise<Array<ListedObject & { readonly versionId: string }>> {
    const found: Array<ListedObject & { readonly versionId: string }> = [];
    let changed: string | undefined;
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    do {
      const page = await this.s3.send(
        new ListObjectVersionsCommand({ Bucket: this.bucket, Prefix: prefix, KeyMarker, VersionIdMarker }),
      );
      for (const {
        Key = '',
        Size = 0,
        ETag,
        LastModified = new Date(0),
        VersionId = 'null',
        IsLatest,
      } of page.Versions ?? []) {
        const etag = unquoted(ETag);
        if (IsLatest) found.push({ key: Key, size: Size, etag, lastModified: LastModified, versionId: VersionId });
        // of a key the newest version comes first
        const last = found.at(-1);
        if (last?.key !== Key || changed === Key) continue;
        if (last.etag === etag && last.size === Size) found[found.length - 1] = { ...last, lastModified: LastModified };
        else changed = Key;
      }
      KeyMarker = page.NextKeyMarker;
      VersionIdMarker = page.NextVersionIdMarker;
    } while (KeyMarker !== undefined);
    return found;
  }
}

/** Errors of an object that was deleted or archived. */
const GONE = ['NoSuchKey', 'NoSuchVersion', 'NotFound', 'MethodNotAllowed', 'InvalidObjectState'];

/** Whether an error says that an object was deleted or archived. */
export function isGone(error: unknown): boolean {
  return error instanceof S3ServiceException && GONE.includes(error.name);
}

/** Why an object cannot be had, now or later: it is gone, or not for us; undefined if the error says something else. */
export function whyUnavailable(error: unknown): string | undefined {
  if (!(error instanceof S3ServiceException)) return undefined;
  const { name, message } = error;
  return isGone(error) || name === 'AccessDenied' || name.startsWith('KMS.') ? `${name}: ${message}` : undefined;
}

/** Cuts bytes into lines; undefined instead of one that is longer than `most` bytes. */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array | undefined> {
  let parts: Uint8Array[] = [];
  let length = 0;
  const whole = () => (length > most ? undefined : Buffer.concat(parts));
  const add = (part: Uint8Array) => {
    length += part.length;
    if (length > most) parts = [];
    else parts.push(part);
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      add(chunk.subarray(from, end));
      yield whole();
      [parts, length, from] = [[], 0, end + 1];
    }
    add(chunk.subarray(from));
  }
  if (length > 0) yield whole();
}

function unquoted(etag = ''): string {
  return etag.replaceAll('"', '');
}
