import { BlockList, isIP } from 'node:net';
import { arnLike, glob, type Syntax, text, type Variables } from './pattern';

/** What is known of a request, by condition key in lower case; a list is never empty. */
export interface Facts {
  get(key: string): string | readonly string[] | undefined;
  readonly variables: Variables;
}

/** Whether a condition holds of a request. */
export type Condition = (facts: Facts) => boolean;

/** Whether a value of the request is what a policy wants; undefined if it is nothing that can be compared so. */
type Test = (value: string, variables: Variables) => boolean | undefined;

interface Operator {
  /** Reads one wanted value; a text tells what is wrong with it. */
  readonly read: (wanted: string, syntax: Syntax) => Test | string;
  readonly negated?: true;
}

/** The set prefix, the operator and the suffix of e.g. `ForAnyValue:StringLikeIfExists`. */
const NAME = /^(?:(foranyvalue|forallvalues):)?([a-z]+?)(ifexists)?$/;

/**
 * Reads the `Condition` of a statement. All of it must hold.
 *
 * @throws Error on what IAM would refuse, or the engine does not know
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export function readConditions(block: unknown, syntax: Syntax): Condition[] {
  if (block === undefined) return [];
  return membersOf(block, 'Condition').flatMap(([operator, keys]) =>
    membersOf(keys, `Condition.${operator}`).map(([key, values]) => readCondition(operator, key, values, syntax)),
  );
}

function readCondition(written: string, key: string, values: unknown, syntax: Syntax): Condition {
  const [, set, name = '', ifExists] = NAME.exec(written.toLowerCase()) ?? [];
  if (!/^[^:]+:.+$/.test(key)) {
    throw new Error(`a condition key must have a prefix and a name, as aws:SourceArn has, got ${JSON.stringify(key)}`);
  }
  const wanted = [values].flat().map((value) => {
    if (['string', 'number', 'boolean'].includes(typeof value)) return String(value);
    throw new Error(
      `${written} of ${key} must be compared with texts, numbers or booleans, got ${JSON.stringify(value)}`,
    );
  });
  const lower = key.toLowerCase();
  if (name === 'null' && set === undefined && ifExists === undefined) return readNull(written, lower, wanted);
  const operator = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
  if (operator === undefined) {
    const known = [...Object.keys(OPERATORS), 'null'].join(', ');
    throw new Error(
      `the condition operator ${written} is not known; there are, also in capitals: ${known}, each but null with ForAnyValue: or ForAllValues: before and IfExists after it`,
    );
  }
  const tests = wanted.map((one) => {
    const test = operator.read(one, syntax);
    if (typeof test === 'string')
      throw new Error(`${written} of ${key} must be compared with ${test}, got ${JSON.stringify(one)}`);
    return test;
  });
  const negated = operator.negated === true;
  const fits = (value: string, variables: Variables) =>
    negated ? tests.every((test) => test(value, variables) === false) : tests.some((test) => test(value, variables));
  return ({ get, variables }) => {
    const found = get(lower);
    const isMissing = found === undefined;
    if (set === 'forallvalues') return isMissing || listed(found).every((value) => fits(value, variables));
    if (isMissing) return ifExists !== undefined || (negated && set === undefined);
    if (set === 'foranyvalue') return listed(found).some((value) => fits(value, variables));
    return typeof found === 'string' && fits(found, variables); // several values need a set operator
  };
}

function readNull(written: string, key: string, wanted: string[]): Condition {
  const flags = wanted.map((one) => {
    const flag = booleanOf(one);
    if (flag === undefined) throw new Error(`${written} of ${key} must be compared with true or false, got ${one}`);
    return flag;
  });
  return ({ get }) => flags.includes(get(key) === undefined);
}

/** Operators by their name in lower case. */
const OPERATORS: Readonly<Record<string, Operator>> = {
  ...both(
    'stringequals',
    'stringnotequals',
    equals((value) => value),
  ),
  ...both(
    'stringequalsignorecase',
    'stringnotequalsignorecase',
    equals((value) => value.toLowerCase()),
  ),
  ...both('stringlike', 'stringnotlike', (wanted, syntax) => glob(wanted, syntax)),
  ...both('arnequals', 'arnnotequals', (wanted, syntax) => arnLike(wanted, syntax)),
  ...both('arnlike', 'arnnotlike', (wanted, syntax) => arnLike(wanted, syntax)),
  ...both('ipaddress', 'notipaddress', readAddress),
  ...ordered('numeric', numberOf, 'a number'),
  ...ordered('date', timeOf, 'a date (ISO 8601) or seconds since the epoch'),
  bool: { read: typed(booleanOf, 'true or false', (value, wanted) => value === wanted) },
  binaryequals: { read: typed(bytesOf, 'base64', (value, wanted) => value === wanted) },
};

function both(name: string, negation: string, read: Operator['read']): Record<string, Operator> {
  return { [name]: { read }, [negation]: { read, negated: true } };
}

function ordered(prefix: string, parse: (text: string) => number | undefined, what: string): Record<string, Operator> {
  const compared = (holds: (value: number, wanted: number) => boolean) => ({ read: typed(parse, what, holds) });
  return {
    ...both(
      `${prefix}equals`,
      `${prefix}notequals`,
      typed(parse, what, (value, wanted) => value === wanted),
    ),
    [`${prefix}lessthan`]: compared((value, wanted) => value < wanted),
    [`${prefix}lessthanequals`]: compared((value, wanted) => value <= wanted),
    [`${prefix}greaterthan`]: compared((value, wanted) => value > wanted),
    [`${prefix}greaterthanequals`]: compared((value, wanted) => value >= wanted),
  };
}

function equals(normal: (value: string) => string): Operator['read'] {
  return (wanted, syntax) => {
    const fill = text(wanted, syntax);
    return (value, variables) => {
      const filled = fill(variables);
      return filled !== undefined && normal(value) === normal(filled);
    };
  };
}

/** Of values that are no texts; policy variables do not count in them. */
function typed<T>(parse: (text: string) => T | undefined, what: string, holds: (value: T, wanted: T) => boolean) {
  return (wanted: string): Test | string => {
    const limit = parse(wanted);
    if (limit === undefined) return what;
    return (value) => {
      const parsed = parse(value);
      return parsed === undefined ? undefined : holds(parsed, limit);
    };
  };
}

function readAddress(wanted: string): Test | string {
  const what = 'an address or a block of them, as 10.0.0.0/8 or 2001:db8::/32';
  const [address = '', size, ...rest] = wanted.split('/');
  const family = isIP(address);
  const bits = family === 4 ? 32 : 128;
  const prefix = size === undefined ? bits : /^\d{1,3}$/.test(size) ? Number(size) : Number.NaN;
  if (family === 0 || rest.length > 0 || !(prefix <= bits)) return what;
  const block = new BlockList();
  block.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return (value) => {
    const own = isIP(value);
    return own === 0 ? undefined : own === family && block.check(value, own === 4 ? 'ipv4' : 'ipv6');
  };
}

function numberOf(text: string): number | undefined {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)\s*$/.test(text) ? Number(text) : undefined;
}

const DATE = /^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?$/;

/** Milliseconds since the epoch, of one of the W3C's forms of ISO 8601 or of seconds since then. */
function timeOf(text: string): number | undefined {
  if (/^\d{5,}(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const [, , , time, , , zone] = DATE.exec(text) ?? [];
  const parsed = DATE.test(text)
    ? Date.parse(time !== undefined && zone === undefined ? `${text}Z` : text)
    : Number.NaN;
  return Number.isNaN(parsed) ? undefined : parsed;
}

function booleanOf(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

function bytesOf(text: string): string | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0
    ? Buffer.from(text, 'base64').toString('hex')
    : undefined;
}

function listed(found: string | readonly string[]): readonly string[] {
  return typeof found === 'string' ? [found] : found;
}

function membersOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  throw new Error(`${what} must be an object, got ${JSON.stringify(value)}`);
}
