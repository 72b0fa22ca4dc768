import type { Shape } from '../service';

/** Reads CBOR (RFC 8949) as Smithy's RPC protocol uses it; a time is its seconds since the epoch, as in JSON. */
export function decodeCbor(bytes: Buffer): Shape {
  const reader = { bytes, at: 0 };
  return read(reader);
}

interface Reader {
  readonly bytes: Buffer;
  at: number;
}

/** Ends a string, list or map of unknown length. */
const BREAK = Symbol('break');

function read(reader: Reader): Shape {
  const head = reader.bytes.readUInt8(reader.at++);
  const major = head >> 5;
  const minor = head & 31;
  if (major === 7) return simple(reader, minor);
  const endless = minor === 31;
  const count = endless ? Number.POSITIVE_INFINITY : length(reader, minor);
  switch (major) {
    case 0:
      return count;
    case 1:
      return -1 - count;
    case 2:
      return endless ? Buffer.concat(items(reader, count)) : Buffer.from(take(reader, count));
    case 3:
      return endless ? items(reader, count).join('') : take(reader, count).toString();
    case 4:
      return items(reader, count);
    case 5:
      return entries(reader, count);
    default:
      return read(reader); // a tag, of which Smithy uses only that for times
  }
}

function items(reader: Reader, count: number): Shape[] {
  const found: Shape[] = [];
  while (found.length < count) {
    const item = read(reader);
    if (item === BREAK) break;
    found.push(item);
  }
  return found;
}

function entries(reader: Reader, count: number): Shape {
  const found: [string, Shape][] = [];
  while (found.length < count) {
    const key = read(reader);
    if (key === BREAK) break;
    found.push([String(key), read(reader)]);
  }
  return Object.fromEntries(found);
}

function length(reader: Reader, minor: number): number {
  if (minor < 24) return minor;
  if (minor === 27) return Number(take(reader, 8).readBigUInt64BE());
  const size = 2 ** (minor - 24);
  return take(reader, size).readUIntBE(0, size);
}

function simple(reader: Reader, minor: number): Shape {
  switch (minor) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 25:
      return half(take(reader, 2).readUInt16BE());
    case 26:
      return take(reader, 4).readFloatBE();
    case 27:
      return take(reader, 8).readDoubleBE();
    case 31:
      return BREAK;
    default:
      return undefined;
  }
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function take(reader: Reader, count: number): Buffer {
  if (reader.at + count > reader.bytes.length) throw new RangeError('the CBOR text ends too early');
  reader.at += count;
  return reader.bytes.subarray(reader.at - count, reader.at);
}

/** Writes CBOR; a `Date` as a time, bytes as bytes. */
export function encodeCbor(value: Shape): Buffer {
  const parts: Buffer[] = [];
  write(value, parts);
  return Buffer.concat(parts);
}

function write(value: Shape, parts: Buffer[]): void {
  if (value === null || value === undefined) parts.push(Buffer.from([0xf6]));
  else if (typeof value === 'boolean') parts.push(Buffer.from([value ? 0xf5 : 0xf4]));
  else if (typeof value === 'number') writeNumber(value, parts);
  else if (typeof value === 'string') parts.push(header(3, Buffer.byteLength(value)), Buffer.from(value));
  else if (value instanceof Date) {
    parts.push(Buffer.from([0xc1]));
    writeNumber(value.getTime() / 1000, parts);
  } else if (value instanceof Uint8Array) parts.push(header(2, value.length), Buffer.from(value));
  else if (Array.isArray(value)) {
    parts.push(header(4, value.length));
    for (const item of value) write(item, parts);
  } else {
    const present = Object.entries(value).filter(([, one]) => one !== undefined);
    parts.push(header(5, present.length));
    for (const [key, one] of present) {
      write(key, parts);
      write(one, parts);
    }
  }
}

function writeNumber(value: number, parts: Buffer[]): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    parts.push(value < 0 ? header(1, -1 - value) : header(0, value));
  } else {
    const bytes = Buffer.alloc(9, 0xfb);
    bytes.writeDoubleBE(value, 1);
    parts.push(bytes);
  }
}

function header(major: number, count: number): Buffer {
  if (count < 24) return Buffer.from([(major << 5) | count]);
  const bytes = Buffer.alloc(9);
  bytes[0] = (major << 5) | 27;
  bytes.writeBigUInt64BE(BigInt(count), 1);
  return bytes;
}
