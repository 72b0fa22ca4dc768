import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import * as zlib from 'node:zlib';

/** The checksums that S3 keeps beside an object. */
export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

/** A checksum under way. */
export interface Digest {
  update(data: Uint8Array): void;
  digest(): Buffer;
}

export function digestOf(algorithm: ChecksumAlgorithm | 'MD5'): Digest {
  switch (algorithm) {
    case 'MD5':
    case 'SHA1':
    case 'SHA256':
      return createHash(algorithm.toLowerCase());
    case 'CRC32':
      return new Crc32();
    case 'CRC32C':
      return new Crc32c();
    case 'CRC64NVME':
      return new Crc64Nvme();
  }
}

/** The digests of a file's bytes, in the order asked for. */
export async function digestsOfFile(
  file: string,
  algorithms: readonly (ChecksumAlgorithm | 'MD5')[],
  range?: { readonly start: number; readonly end: number },
): Promise<Buffer[]> {
  const digests = algorithms.map(digestOf);
  for await (const chunk of createReadStream(file, { ...range, highWaterMark: 1 << 20 })) {
    for (const digest of digests) digest.update(chunk as Buffer);
  }
  return digests.map((digest) => digest.digest());
}

class Crc32 implements Digest {
  private value = 0;

  update(data: Uint8Array): void {
    this.value = zlib.crc32(data, this.value);
  }

  digest(): Buffer {
    const out = Buffer.alloc(4);
    out.writeUInt32BE(this.value >>> 0);
    return out;
  }
}

/** Eight tables of 256 words: eight bytes a step instead of one. */
function tables32(polynomial: number): Uint32Array {
  const t = new Uint32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    t[i] = c >>> 0;
  }
  for (let i = 256; i < t.length; i++) t[i] = (t[i - 256] >>> 8) ^ t[t[i - 256] & 0xff];
  return t;
}

const CASTAGNOLI = tables32(0x82f63b78);

class Crc32c implements Digest {
  private value = -1;

  update(data: Uint8Array): void {
    const t = CASTAGNOLI;
    let c = this.value;
    let i = 0;
    for (; i + 8 <= data.length; i += 8) {
      c ^= data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
      c =
        t[1792 + (c & 0xff)] ^
        t[1536 + ((c >>> 8) & 0xff)] ^
        t[1280 + ((c >>> 16) & 0xff)] ^
        t[1024 + (c >>> 24)] ^
        t[768 + data[i + 4]] ^
        t[512 + data[i + 5]] ^
        t[256 + data[i + 6]] ^
        t[data[i + 7]];
    }
    for (; i < data.length; i++) c = (c >>> 8) ^ t[(c ^ data[i]) & 0xff];
    this.value = c;
  }

  digest(): Buffer {
    const out = Buffer.alloc(4);
    out.writeInt32BE(~this.value);
    return out;
  }
}

/** As {@link tables32} for 64 bits: the low and the high halves apart, for JavaScript's 32-bit integers. */
function tables64(polynomialHigh: number, polynomialLow: number): { low: Int32Array; high: Int32Array } {
  const low = new Int32Array(8 * 256);
  const high = new Int32Array(8 * 256);
  for (let i = 0; i < 256; i++) {
    let l = i;
    let h = 0;
    for (let bit = 0; bit < 8; bit++) {
      const odd = l & 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (odd) {
        l ^= polynomialLow;
        h ^= polynomialHigh;
      }
    }
    low[i] = l;
    high[i] = h;
  }
  for (let i = 256; i < low.length; i++) {
    const l = low[i - 256];
    const h = high[i - 256];
    low[i] = ((l >>> 8) | (h << 24)) ^ low[l & 0xff];
    high[i] = (h >>> 8) ^ high[l & 0xff];
  }
  return { low, high };
}

const NVME = tables64(0x9a6c9329, 0xac4bc9b5);

class Crc64Nvme implements Digest {
  private low = -1;
  private high = -1;

  update(data: Uint8Array): void {
    const tl = NVME.low;
    const th = NVME.high;
    let l = this.low;
    let h = this.high;
    let i = 0;
    for (; i + 8 <= data.length; i += 8) {
      l ^= data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
      h ^= data[i + 4] | (data[i + 5] << 8) | (data[i + 6] << 16) | (data[i + 7] << 24);
      const a = 1792 + (l & 0xff);
      const b = 1536 + ((l >>> 8) & 0xff);
      const c = 1280 + ((l >>> 16) & 0xff);
      const d = 1024 + (l >>> 24);
      const e = 768 + (h & 0xff);
      const f = 512 + ((h >>> 8) & 0xff);
      const g = 256 + ((h >>> 16) & 0xff);
      const k = h >>> 24;
      l = tl[a] ^ tl[b] ^ tl[c] ^ tl[d] ^ tl[e] ^ tl[f] ^ tl[g] ^ tl[k];
      h = th[a] ^ th[b] ^ th[c] ^ th[d] ^ th[e] ^ th[f] ^ th[g] ^ th[k];
    }
    for (; i < data.length; i++) {
      const k = (l ^ data[i]) & 0xff;
      l = ((l >>> 8) | (h << 24)) ^ tl[k];
      h = (h >>> 8) ^ th[k];
    }
    this.low = l;
    this.high = h;
  }

  digest(): Buffer {
    const out = Buffer.alloc(8);
    out.writeInt32BE(~this.high, 0);
    out.writeInt32BE(~this.low, 4);
    return out;
  }
}
