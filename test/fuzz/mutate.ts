import { random } from '../../lib/core/random';
import { CASES, SEED } from './fuzz';

/** A stream of numbers from 0 to below 1. */
export type Random = () => number;

/** A whole number from 0 to below `end`. */
export function below(next: Random, end: number): number {
  return Math.floor(next() * end);
}

export function pick<T>(next: Random, from: readonly T[]): T {
  return from[below(next, from.length)] as T;
}

/** Values that code tends not to expect. */
const ODD: ReadonlyArray<() => unknown> = [
  () => null,
  () => 0,
  () => -1,
  () => -0,
  () => 1.5,
  () => Number.POSITIVE_INFINITY, // what JSON.parse makes of 1e400
  () => Number.NEGATIVE_INFINITY,
  () => Number.NaN,
  () => 2 ** 60,
  () => 1e-320,
  () => '',
  () => 'x',
  () => ' ',
  () => [],
  () => ({}),
  () => [[]],
  () => [null],
  () => true,
  () => false,
  () => '__proto__',
  () => 'constructor',
  () => 'toString',
  () => ({ toString: 1 }),
  () => ({ toJSON: 1, valueOf: null }),
  () => Object.assign([1], { constructor: 1, map: 'x', length: 2 }),
  () => JSON.parse('{"__proto__": {"name": "x"}, "constructor": 1}'),
  () => "'; DROP TABLE data; --",
  () => '\0',
  () => '\ud800',
  () => '2026-02-30',
  () => 'x'.repeat(300),
  () => 'ä'.repeat(100_000),
  () => Array.from({ length: 3000 }, (_, i) => `n${i}`),
  () => ({ a: { b: [{ c: null }] } }),
  () => nested(20_000),
];

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

type Place = { readonly holder: Record<string, unknown>; readonly name: string };

/** Every member and item of a document, to a depth that good documents do not exceed. */
function places(value: unknown, depth = 0): Place[] {
  if (typeof value !== 'object' || value === null || depth > 12) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder)
    .slice(0, 60)
    .flatMap((name) => [{ holder, name }, ...places(holder[name], depth + 1)]);
}

/**
 * A good document with one to three changes at random places: a member is deleted, one with an odd name is added,
 * or a value is replaced by an odd one, by a copy of another, or by random JSON.
 */
export function mutated(next: Random, good: unknown): unknown {
  const root: Record<string, unknown> = { document: structuredClone(good) };
  for (let change = 1 + below(next, 3); change > 0; change--) {
    const all = places(root);
    const { holder, name } = pick(next, all.length > 0 ? all : [{ holder: root, name: 'document' }]);
    const roll = next();
    if (roll < 0.2) delete holder[name];
    else if (roll < 0.3) {
      const target = holder[name];
      if (typeof target === 'object' && target !== null) define(target, pick(next, NAMES), pick(next, ODD)());
    } else if (roll < 0.4) {
      const other = pick(next, all.length > 0 ? all : [{ holder: root, name: 'document' }]);
      holder[name] = other.holder[other.name];
    } else if (roll < 0.5) holder[name] = anyJson(next);
    else holder[name] = pick(next, ODD)();
  }
  return root.document;
}

const NAMES = ['extra', '__proto__', 'constructor', 'toString', 'name', 'sql', 'length', 'kind'];

/** JSON.parse makes `__proto__` a member like any other; an assignment would not. */
function define(target: object, name: string, value: unknown): void {
  if (Array.isArray(target) && name === 'length') return;
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

/** Any JSON, with the members of our documents among its names. */
export function anyJson(next: Random, depth = 0): unknown {
  const roll = next();
  if (roll < 0.35 || depth > 4) return pick(next, ODD)();
  if (roll < 0.45) return below(next, 1000) - 500;
  if (roll < 0.55) return pick(next, WORDS);
  if (roll < 0.75) return Array.from({ length: below(next, 5) }, () => anyJson(next, depth + 1));
  const made = {};
  for (let i = below(next, 6); i > 0; i--) define(made, pick(next, WORDS), anyJson(next, depth + 1));
  return made;
}

const WORDS = [
  ...NAMES,
  ...['columns', 'key', 'eventTime', 'features', 'target', 'slices', 'maxBadShare', 'type', 'nullable', 'minimum'],
  ...['maximum', 'allowed', 'unique', 'integer', 'string', 'number', 'timestamp', 'problem', 'binary', 'category'],
  ...['runId', 'snapshot', 'files', 'versionId', 'dataVersion', 'labels', 'codes', 'values', 'edges', 'counts'],
];

/** What came of the cases of a fuzzer. */
export interface Tally {
  readonly cases: number;
  readonly outcomes: Readonly<Record<string, number>>;
  /** The first cases that broke the property. */
  readonly broken: readonly string[];
}

/** A case lasts longer than this only if something hangs. */
export const LONGEST_CASE_MS = 5000;

/** How many cases a slow fuzzer tries: few with the suite. */
export function slowly(few: number): number {
  return process.env.FUZZ_CASES === undefined ? few : CASES;
}

/**
 * Runs numbered cases; each has a random stream of its own, so that one can be run again alone.
 *
 * @param run gives what came of a case, and throws if that must not be
 */
export async function fuzz(
  what: string,
  cases: number,
  run: (next: Random, number: number) => string | Promise<string>,
): Promise<Tally> {
  const outcomes: Record<string, number> = {};
  const broken: string[] = [];
  const [start, began] = [SEED * 1e6, performance.now()];
  let slowest = 0;
  for (let number = start; number < start + cases && broken.length < 10; number++) {
    const since = performance.now();
    try {
      const outcome = await run(random(number), number);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    } catch (error) {
      broken.push(`case ${number}: ${error instanceof Error ? (error.stack ?? error.message).slice(0, 1000) : error}`);
    }
    const took = performance.now() - since;
    slowest = Math.max(slowest, took);
    if (took > LONGEST_CASE_MS) broken.push(`case ${number} took ${Math.round(took)} ms`);
  }
  tell(what, { cases, outcomes, broken: broken.length, slowest: Math.round(slowest) }, began);
  return { cases, outcomes, broken };
}

/** Writes the figures of a run that began at a moment. */
export function tell(what: string, figures: object, began: number): void {
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`${what}, seed ${SEED}: ${JSON.stringify({ ...figures, seconds })}`);
}
