import { ErrorName, PerennialError } from './errors';
import { listed, shortened } from './listed';

/**
 * What JSON must look like, for documents that come from outside or were stored: one reader for each kind of value.
 *
 * Reading never fails by anything but a named mistake, whatever the JSON is: members are looked at only if they
 * are the object's own (`constructor` and `__proto__` are names like any other), and no method is called that the
 * JSON may have replaced.
 */
export interface Shape<T> {
  /** Completes "must be …". */
  readonly is: string;
  /** A copy of a value, made of objects and lists of ours; adds what is wrong with it, if it is no T. */
  read(value: unknown, at: string, mistakes: string[]): T;
  /** Whether a member of this shape may be missing. */
  readonly optional?: true;
}

/**
 * Reads a document.
 *
 * @param must names it and says what it must be, e.g. `runs/x/run.json must be the document of a run`
 * @param fix what its owner can do
 * @throws PerennialError INVALID_DOCUMENT that says what it must be, what it is, and what to do
 */
export function readDocument<T>(shape: Shape<T>, value: unknown, must: string, fix: string): T {
  const mistakes: string[] = [];
  const read = shape.read(value, '', mistakes);
  if (mistakes.length === 0) return read;
  throw new PerennialError(ErrorName.INVALID_DOCUMENT, `${must}: ${listed(mistakes, MOST_MISTAKES, '; ')}; ${fix}`);
}

/** So many mistakes are named; a person mends those, and sees whether there are more. */
export const MOST_MISTAKES = 20;

/** A text of any length. */
export const text: Shape<string> = simple('a text', (value) => typeof value === 'string');

/** A finite number between two bounds. */
export function number(minimum = -Number.MAX_VALUE, maximum = Number.MAX_VALUE): Shape<number> {
  return simple(
    `a number${range(minimum, maximum)}`,
    (value) => typeof value === 'number' && value >= minimum && value <= maximum,
  );
}

/** A whole number from 0 on. */
export const count: Shape<number> = simple(
  'a whole number from 0 on',
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
);

export const flag: Shape<boolean> = simple('true or false', (value) => typeof value === 'boolean');

/** A moment as ISO 8601 writes it. */
export const isoTime: Shape<string> = simple(
  'an ISO time',
  (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(Date.parse(value)),
);

export function oneOf<const T extends string>(values: readonly T[]): Shape<T> {
  return simple(`one of ${values.join(', ')}`, (value) => (values as readonly unknown[]).includes(value));
}

export function listOf<T>(of: Shape<T>): Shape<readonly T[]> {
  const is = 'a list';
  return {
    is,
    read(value, at, mistakes) {
      if (!Array.isArray(value)) return wrong(at, is, value, mistakes);
      const found: string[] = [];
      return items(value).map((each, i) => {
        const read = of.read(each, '', found); // a place is written only where there is a mistake: lists may be long
        if (found.length > 0) of.read(each, `${at}[${i}]`, mistakes);
        found.length = 0;
        return read;
      });
    },
  };
}

/** An object that has these members, and perhaps others, which are of a later version. */
export function object<T>(members: { readonly [Name in keyof T]?: Shape<T[Name]> }): Shape<T> {
  const shapes = Object.entries(members) as Array<[string, Shape<unknown>]>;
  const is = 'an object';
  return {
    is,
    read(value, at, mistakes) {
      if (!isObject(value)) return wrong(at, is, value, mistakes);
      const read: Record<string, unknown> = { ...value };
      for (const [name, shape] of shapes) {
        const member = own(value, name);
        const where = at === '' ? name : `${at}.${name}`;
        if (member !== undefined) read[name] = shape.read(member, where, mistakes);
        else if (!shape.optional) wrong(where, shape.is, undefined, mistakes);
      }
      return read as T;
    },
  };
}

/** An object of any names with values of one shape. */
export function mapOf<T>(of: Shape<T>): Shape<Readonly<Record<string, T>>> {
  const is = 'an object';
  return {
    is,
    read(value, at, mistakes) {
      if (!isObject(value)) return wrong(at, is, value, mistakes);
      const member = (name: string) => of.read(own(value, name), `${at}['${shortened(name, 60)}']`, mistakes);
      return Object.fromEntries(Object.keys(value).map((name) => [name, member(name)]));
    },
  };
}

/** One of several objects, told apart by a member. */
export function byMember<T>(name: string, shapes: Readonly<Record<string, Shape<T>>>): Shape<T> {
  const is = `an object with ${name} ${Object.keys(shapes).join(' or ')}`;
  return {
    is,
    read(value, at, mistakes) {
      const kind = isObject(value) ? own(value, name) : undefined;
      const shape = typeof kind === 'string' && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
      return shape === undefined ? wrong(at, is, value, mistakes) : shape.read(value, at, mistakes);
    },
  };
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return { ...of, optional: true };
}

/** A shape whose parts must fit together as well; `has` completes "must have …". */
export function fitting<T>(shape: Shape<T>, has: string, fits: (value: T) => boolean): Shape<T> {
  return {
    ...shape,
    read(value, at, mistakes) {
      const before = mistakes.length;
      const read = shape.read(value, at, mistakes);
      if (mistakes.length === before && !fits(read)) mistakes.push(`${at === '' ? 'it' : at} must have ${has}`);
      return read;
    },
  };
}

function simple<T>(is: string, holds: (value: unknown) => boolean): Shape<T> {
  return { is, read: (value, at, mistakes) => (holds(value) ? (value as T) : wrong(at, is, value, mistakes)) };
}

/** Notes a mistake; the value that is given back is never used. */
function wrong<T>(at: string, is: string, got: unknown, mistakes: string[]): T {
  mistakes.push(`${at === '' ? 'it' : at} must be ${is}, got ${show(got)}`);
  return got as T;
}

function range(minimum: number, maximum: number): string {
  const [least, most] = [minimum > -Number.MAX_VALUE, maximum < Number.MAX_VALUE];
  if (least && most) return ` from ${minimum} to ${maximum}`;
  return least ? ` of at least ${minimum}` : '';
}

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The values of a list as a list of ours: JSON may have given it other methods. */
export function items(list: readonly unknown[]): unknown[] {
  return Array.from({ length: list.length }, (_, i) => list[i]);
}

/** A member that the object has itself. */
export function own(value: Json, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** The longest text that {@link show} gives, in characters. */
const SHOWN = 80;

/** A value as messages show it: short, whatever it is. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return cut(`'${value.slice(0, SHOWN + 1)}'`);
  return cut(written(value, 2));
}

function cut(shown: string): string {
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown;
}

/** JSON of the beginning of a value; JSON.stringify fails where nesting is deep, and writes 1e400 as null. */
function written(value: unknown, depth: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, SHOWN));
  if (typeof value !== 'object' || value === null) return String(value);
  if (depth === 0) return '…';
  if (Array.isArray(value)) {
    const first = Array.from({ length: Math.min(value.length, 10) }, (_, i) => written(value[i], depth - 1));
    return `[${first.join(',')}]`;
  }
  const members = Object.keys(value).slice(0, 10);
  return `{${members.map((name) => `${written(name, 0)}:${written(own(value as Json, name), depth - 1)}`).join(',')}}`;
}
