import { ErrorName, PerennialError } from './errors';
import { listed, shortened } from './listed';

/**
 * What JSON must look like, for documents that come from outside or were stored: one reader for each kind of value.
 *
 * Reading never fails by anything but a named mistake, whatever the JSON is: members are looked at only if they
 * are the object's own (`constructor` and `__proto__` are names like any other), and nothing is converted to a text
 * by methods that the JSON may have replaced.
 */
export interface Shape<T> {
  /** Completes "must be …". */
  readonly is: string;
  /** Adds what is wrong with a value; nothing if it is a T. */
  check(value: unknown, at: string, mistakes: string[]): void;
  /** Whether a member of this shape may be missing. */
  readonly optional?: true;
  /** There for the type alone. */
  readonly type?: T;
}

/**
 * Reads a document.
 *
 * @param what names it in messages, e.g. its key
 * @param fix what its owner can do
 * @throws PerennialError INVALID_DOCUMENT that says what it must be, what it is, and what to do
 */
export function readDocument<T>(shape: Shape<T>, value: unknown, what: string, fix: string): T {
  const mistakes: string[] = [];
  shape.check(value, '', mistakes);
  if (mistakes.length === 0) return value as T;
  throw new PerennialError(ErrorName.INVALID_DOCUMENT, `${what}: ${listed(mistakes, MOST_MISTAKES, '; ')}; ${fix}`);
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

/** A whole number between two bounds. */
export function whole(minimum = 0, maximum = Number.MAX_SAFE_INTEGER): Shape<number> {
  return simple(
    `a whole number${range(minimum, maximum)}`,
    (value) => Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum,
  );
}

export const flag: Shape<boolean> = simple('true or false', (value) => typeof value === 'boolean');

/** A date or a moment as ISO 8601 writes it. */
export const isoTime: Shape<string> = simple(
  'an ISO time',
  (value) => typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(Date.parse(value)),
);

export function oneOf<const T extends string>(values: readonly T[]): Shape<T> {
  return simple(`one of ${values.join(', ')}`, (value) => (values as readonly unknown[]).includes(value));
}

export function listOf<T>(of: Shape<T>, { fewest = 0 } = {}): Shape<readonly T[]> {
  const is = fewest === 0 ? 'a list' : `a list of at least ${fewest}`;
  return {
    is,
    check(value, at, mistakes) {
      if (!Array.isArray(value) || value.length < fewest) mistakes.push(wrong(at, is, value));
      else for (const [i, each] of items(value).entries()) of.check(each, `${at}[${i}]`, mistakes);
    },
  };
}

/** An object that has these members, and perhaps others, which are of a later version. */
export function object<T>(members: { readonly [Name in keyof T]?: Shape<T[Name]> }): Shape<T> {
  const shapes = Object.entries(members) as Array<[string, Shape<unknown>]>;
  const is = 'an object';
  return {
    is,
    check(value, at, mistakes) {
      if (!isObject(value)) {
        mistakes.push(wrong(at, is, value));
        return;
      }
      for (const [name, shape] of shapes) {
        const member = own(value, name);
        if (member !== undefined) shape.check(member, at === '' ? name : `${at}.${name}`, mistakes);
        else if (!shape.optional) mistakes.push(wrong(at === '' ? name : `${at}.${name}`, shape.is, undefined));
      }
    },
  };
}

/** An object of any names with values of one shape. */
export function mapOf<T>(of: Shape<T>): Shape<Readonly<Record<string, T>>> {
  const is = 'an object';
  return {
    is,
    check(value, at, mistakes) {
      if (!isObject(value)) mistakes.push(wrong(at, is, value));
      else
        for (const name of Object.keys(value)) of.check(own(value, name), `${at}['${shortened(name, 60)}']`, mistakes);
    },
  };
}

/** One of several objects, told apart by a member. */
export function byMember<T>(name: string, shapes: Readonly<Record<string, Shape<unknown>>>): Shape<T> {
  const is = `an object with ${name} ${Object.keys(shapes).join(' or ')}`;
  return {
    is,
    check(value, at, mistakes) {
      const kind = isObject(value) ? own(value, name) : undefined;
      if (typeof kind === 'string' && Object.hasOwn(shapes, kind)) shapes[kind].check(value, at, mistakes);
      else mistakes.push(wrong(at, is, value));
    },
  };
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return { ...of, optional: true };
}

/** What another function reads, which throws where it cannot. */
export function readBy<T>(read: (value: unknown) => T): Shape<T> {
  return {
    is: 'given',
    check(value, at, mistakes) {
      try {
        read(value);
      } catch (error) {
        if (!(error instanceof PerennialError)) throw error;
        mistakes.push(at === '' ? error.message : `${at}: ${error.message}`);
      }
    },
  };
}

function simple<T>(is: string, holds: (value: unknown) => boolean): Shape<T> {
  return {
    is,
    check(value, at, mistakes) {
      if (!holds(value)) mistakes.push(wrong(at, is, value));
    },
  };
}

function wrong(at: string, is: string, got: unknown): string {
  return `${at === '' ? 'it' : at} must be ${is}, got ${show(got)}`;
}

function range(minimum: number, maximum: number): string {
  const [least, most] = [minimum > -Number.MAX_VALUE, maximum < Number.MAX_SAFE_INTEGER];
  if (least && most) return ` from ${minimum} to ${maximum}`;
  if (least) return ` of at least ${minimum}`;
  return most ? ` of at most ${maximum}` : '';
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
