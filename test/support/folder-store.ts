import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';

/** The objects of a bucket as files of a folder; version ids are not looked at. */
export class FolderStore {
  constructor(readonly folder: string) {}

  path(key: string): string {
    return join(this.folder, key);
  }

  async getJson<T>(key: string): Promise<T> {
    return JSON.parse(await this.getText(key));
  }

  async putJson(key: string, value: unknown): Promise<void> {
    await this.put(key, JSON.stringify(value));
  }

  getText(key: string): Promise<string> {
    return readFile(this.path(key), 'utf8');
  }

  bytes(key: string): Promise<Buffer> {
    return readFile(this.path(key));
  }

  async put(key: string, body: string | Uint8Array): Promise<void> {
    await mkdir(dirname(this.path(key)), { recursive: true });
    await writeFile(this.path(key), body);
  }

  async stream(key: string): Promise<Readable> {
    return createReadStream(this.path(key));
  }

  async upload(file: string, key: string): Promise<void> {
    await mkdir(dirname(this.path(key)), { recursive: true });
    await copyFile(file, this.path(key));
  }
}
