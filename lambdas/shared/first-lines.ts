import { createInterface } from 'node:readline';
import { NoSuchKey } from '@aws-sdk/client-s3';
import type { S3Store } from './s3-store';

/** The first lines of an object, without reading the rest; none if there is no such object. */
export async function firstLines(store: Pick<S3Store, 'stream'>, key: string, most: number): Promise<string[]> {
  const lines: string[] = [];
  try {
    const stream = await store.stream(key);
    for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) {
      lines.push(line);
      if (lines.length >= most) break;
    }
    stream.on('error', () => {}).destroy(); // the rest is not wanted
  } catch (error) {
    if (!(error instanceof NoSuchKey)) throw error;
  }
  return lines;
}
