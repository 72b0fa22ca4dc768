import { createHash, randomUUID } from 'node:crypto';
import jsonata from 'jsonata';
import { MEMORY_EXCEEDED } from './jsonata-limits';

const HASHES = ['SHA-1', 'SHA-384', 'SHA-256', 'SHA-512', 'MD5'];
/** `$range` gives no more numbers than this: AWS takes so many, and refuses one more. */
const LONGEST_RANGE = 360_145;

/** Writes a time as `$now` does. */
const WRITTEN = jsonata('$exists(picture) ? $fromMillis(time, picture, zone) : $fromMillis(time)');

/**
 * Adds the functions of Step Functions' dialect, which differ from jsonata's own style: a missing argument often makes
 * them undefined, where jsonata would fail. Takes `$eval` away, which Step Functions does not have.
 */
export function register(target: jsonata.Expression, random: () => number, now: () => number): void {
  target.registerFunction('millis', () => now(), '<:n>');
  target.registerFunction(
    'now',
    (picture?: string, zone?: string) => WRITTEN.evaluate({ time: now(), picture, zone }),
    '<s?s?:s>',
  );
  target.registerFunction('uuid', () => randomUUID(), '<:s>');
  target.registerFunction('parse', parse, '<x?:x>');
  target.registerFunction('random', (seed?: unknown) => (seed === undefined ? random() : seeded(seed)), '<x?:n>');
  target.registerFunction('partition', partition, '<x?x?:x>');
  target.registerFunction('range', range, '<x?x?x?:x>');
  target.registerFunction('hash', hash, '<x?x?:x>');
  target.assign('eval', undefined);
}

/** As jsonata throws: the code's own text is filled in from the other members. */
function mismatch(index: number, token: string): Error {
  return Object.assign(new Error(), { code: 'T0410', index, token });
}

function failure(message: string): Error {
  return Object.assign(new Error(message), { code: 'D3137' });
}

function text(value: unknown, index: number, token: string): string {
  if (typeof value !== 'string') throw mismatch(index, token);
  return value;
}

/** A whole number: fractions are cut off. */
function whole(value: unknown, index: number, token: string): number {
  if (typeof value !== 'number') throw mismatch(index, token);
  return Math.trunc(value);
}

function partition(items: unknown, size: unknown): unknown {
  if (items === undefined) return undefined;
  if (!Array.isArray(items)) throw Object.assign(new Error(), { code: 'T0412', index: 1, token: 'partition' });
  if (items.length === 0) return undefined;
  if (size === undefined) return [items];
  const each = whole(size, 2, 'partition');
  if (each < 0) throw failure('Second argument must be zero or greater');
  if (each === 0) return undefined;
  return Array.from({ length: Math.ceil(items.length / each) }, (_, part) =>
    items.slice(part * each, (part + 1) * each),
  );
}

/** From the first to the last number by steps; a single one is a number, not a list. */
function range(first: unknown, last: unknown, by: unknown): unknown {
  const start = whole(first, 1, 'range');
  const end = whole(last, 2, 'range');
  if (by === undefined) return undefined;
  const step = whole(by, 3, 'range');
  if (step === 0 || (step > 0 && start > end) || (step < 0 && start < end)) return undefined;
  const length = Math.floor((end - start) / step) + 1;
  if (length > LONGEST_RANGE) throw new Error(MEMORY_EXCEEDED);
  return length === 1 ? start : Array.from({ length }, (_, index) => start + index * step);
}

function hash(value: unknown, algorithm: unknown): string | undefined {
  const what = text(value, 1, 'hash');
  if (algorithm === undefined) return undefined;
  const by = text(algorithm, 2, 'hash');
  if (!HASHES.includes(by)) throw failure(`Hash algorithm '${by}' must be one of ${HASHES.join(', ')}`);
  return createHash(by.replace('-', '').toLowerCase()).update(what).digest('hex');
}

function parse(value: unknown): unknown {
  if (value === undefined) return undefined;
  const json = text(value, 1, 'parse');
  try {
    const parsed: unknown = JSON.parse(json, (_, member) => {
      if (typeof member === 'number' && !Number.isFinite(member)) throw new RangeError('too large a number');
      return member;
    });
    if (!repeatsKeys(json)) return parsed;
  } catch {
    // said below
  }
  throw failure('Invalid JSON');
}

/** Whether an object in valid JSON has a member twice, which `JSON.parse` lets through. */
function repeatsKeys(json: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, key] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (key !== undefined) {
      const keys = open.at(-1);
      const name = JSON.parse(key) as string;
      if (keys?.has(name) === true) return true;
      keys?.add(name);
    }
  }
  return false;
}

/** The first number in [0, 1) that `java.util.Random` gives for a seed: the generator that AWS uses. */
function seeded(seed: unknown): number {
  const multiplier = 0x5deece66dn;
  const mask = (1n << 48n) - 1n;
  let state = (BigInt(whole(seed, 1, 'random')) ^ multiplier) & mask;
  const next = (bits: bigint): bigint => {
    state = (state * multiplier + 0xbn) & mask;
    return state >> (48n - bits);
  };
  return Number((next(26n) << 27n) + next(27n)) / 2 ** 53;
}
