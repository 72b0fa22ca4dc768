import type { Shape } from '../../../service';
import { cidr } from './cidr';
import { isObject, refuse } from './refusal';
import { wildcard } from './wildcard';

/** One value of a pattern's array, as a test of one leaf of an event. */
export type Matcher = (leaf: string | number | boolean | null) => boolean;

type StringTest = (value: string) => boolean;

/** Numbers that `numeric` and `anything-but` may name. */
const NUMBER_LIMIT = 5e9;

/** The fault of a key too many in an expression. EventBridge says the second one of `numeric` and `anything-but`. */
const ONE_KEY = 'Only one key allowed in match expression';
const TOO_MANY = 'Too many elements in numeric expression';

/**
 * Reads a match expression, such as `{"prefix": "runs/"}`. EventBridge reads it from left to right, so the value of
 * the first key is complained of before a second key.
 */
export function readExpression(expression: Record<string, Shape>): Matcher {
  const [type, value] = firstEntry(expression, 'Match');
  const read = EXPRESSIONS[type];
  if (read === undefined) refuse(`Unrecognized match type ${type}`);
  const matcher = read(value);
  alone(expression, type === 'numeric' || type === 'anything-but' ? TOO_MANY : ONE_KEY);
  return matcher;
}

const EXPRESSIONS: Readonly<Record<string, ((value: Shape) => Matcher) | undefined>> = {
  exactly: (value) => equals(text(value, 'exact')),
  prefix: (value) => ofStrings(readAffix('prefix', value)),
  suffix: (value) => ofStrings(readAffix('suffix', value)),
  'equals-ignore-case': (value) => ofStrings(equalsIgnoringCase(text(value, 'equals-ignore-case'))),
  wildcard: (value) => ofStrings(wildcard(text(value, 'wildcard'))),
  // EventBridge names the wrong expression here.
  cidr: (value) => ofStrings(cidr(text(value, 'prefix'))),
  numeric,
  exists: (value) => {
    if (typeof value !== 'boolean') refuse('exists match pattern must be either true or false.');
    return () => true;
  },
  'anything-but': anythingBut,
};

/** Names that may be no field's name inside `$or`: match types, and those that event rulers keep for later. */
export const RESERVED_NAMES: readonly string[] = [
  ...Object.keys(EXPRESSIONS),
  ...['=', '<', '<=', '>', '>=', 'regex', 'not-wildcard', 'not-equals-ignore-case'],
  ...['date-after', 'date-on-or-after', 'date-before', 'date-on-or-before', 'in-date-range'],
  ...['ip-address-in-range', 'ip-address-not-in-range'],
];

const equals =
  (wanted: string): Matcher =>
  (leaf) =>
    leaf === wanted;

const ofStrings =
  (test: StringTest): Matcher =>
  (leaf) =>
    typeof leaf === 'string' && test(leaf);

type Affix = 'prefix' | 'suffix';

function affix(type: Affix, wanted: string): StringTest {
  return type === 'prefix' ? (value) => value.startsWith(wanted) : (value) => value.endsWith(wanted);
}

function readAffix(type: Affix, value: Shape): StringTest {
  if (!isObject(value)) return affix(type, text(value, type));
  const [inner, wanted] = firstEntry(value, type === 'prefix' ? 'Prefix' : 'Suffix');
  if (inner !== 'equals-ignore-case') refuse(`Unsupported ${type} pattern: ${inner}`);
  const test = affix(type, text(wanted, 'equals-ignore-case').toLowerCase());
  alone(value, ONE_KEY);
  return (given) => test(given.toLowerCase());
}

function equalsIgnoringCase(wanted: string): StringTest {
  const lower = wanted.toLowerCase();
  return (value) => value.toLowerCase() === lower;
}

function anythingBut(value: Shape): Matcher {
  if (isObject(value)) {
    const [type, inner] = firstEntry(value, 'Anything-But');
    const tests = excludedTexts(type, inner);
    alone(value, TOO_MANY);
    return (leaf) => typeof leaf !== 'string' || !tests.some((test) => test(leaf));
  }
  const excluded = listed(value);
  for (const one of excluded) {
    if (typeof one === 'number') limited(one);
    else if (typeof one !== 'string') refuse('Inside anything but list, start|null|boolean is not supported.');
  }
  if (new Set(excluded.map((one) => typeof one)).size !== 1) {
    refuse('Inside anything but list, either all values are number or string, mixed type is not supported');
  }
  const values = new Set(excluded);
  return (leaf) => !values.has(leaf);
}

/** The texts that `anything-but` may name by more than themselves, and what EventBridge says of anything else. */
const EXCLUSIONS: Readonly<Record<string, { test: (wanted: string) => StringTest; noText: string } | undefined>> = {
  prefix: { test: (wanted) => affix('prefix', excludedAffix(wanted)), noText: mustBeText('prefix/suffix') },
  suffix: { test: (wanted) => affix('suffix', excludedAffix(wanted)), noText: mustBeText('prefix/suffix') },
  wildcard: { test: wildcard, noText: mustBeText('wildcard') },
  'equals-ignore-case': {
    test: equalsIgnoringCase,
    noText: 'Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.',
  },
};

function excludedTexts(type: string, value: Shape): StringTest[] {
  const exclusion = EXCLUSIONS[type];
  if (exclusion === undefined) refuse(`Unsupported anything-but pattern: ${type}`);
  return listed(value).map((one) => exclusion.test(typeof one === 'string' ? one : refuse(exclusion.noText)));
}

function excludedAffix(wanted: string): string {
  return wanted === '' ? refuse('Null prefix/suffix not allowed') : wanted;
}

/** What `anything-but` excludes: a list, or one text or number. */
function listed(value: Shape): readonly Shape[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string' || typeof value === 'number') return [value];
  return refuse('Value of anything-but must be an array or single string/number value.');
}

/** Reads `numeric` token by token, as EventBridge does: a comparison, or a lower bound followed by an upper one. */
function numeric(value: Shape): Matcher {
  if (!Array.isArray(value)) refuse('Value of numeric must be an array.');
  const [operator = END, bound, operator2, bound2] = value;
  if (typeof operator !== 'string' || operator === END) refuse(`Invalid member in numeric match: ${token(operator)}`);
  const compare = COMPARISONS[operator];
  if (compare === undefined) refuse(`Unrecognized numeric range operator: ${operator}`);
  const first = bounded(bound, operator);
  if (value.length === 2) return (leaf) => typeof leaf === 'number' && compare(leaf, first);
  if (!operator.startsWith('>')) refuse(TOO_MANY);
  if (typeof operator2 !== 'string') refuse(`Bad value in numeric range: ${token(operator2)}`);
  const compare2 = operator2 === '<' || operator2 === '<=' ? COMPARISONS[operator2] : undefined;
  if (compare2 === undefined) refuse(`Bad numeric range operator: ${operator2}`);
  const second = bounded(bound2, operator2);
  if (value.length > 4) refuse('Too many terms in numeric range expression');
  if (first >= second) refuse('Bottom must be less than top');
  return (leaf) => typeof leaf === 'number' && compare(leaf, first) && compare2(leaf, second);
}

/** How the end of a list is called where something else was expected. */
const END = ']';

/** A value as EventBridge calls it: the first token of its JSON text. */
function token(value: Shape): string {
  if (Array.isArray(value)) return '[';
  return isObject(value) ? '{' : String(value);
}

type Comparison = (value: number, bound: number) => boolean;

const COMPARISONS: Readonly<Record<string, Comparison | undefined>> = {
  '=': (value, bound) => value === bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
};

function bounded(value: Shape, operator: string): number {
  if (typeof value !== 'number') refuse(`Value of ${operator === '=' ? 'equals' : operator} must be numeric`);
  return limited(value);
}

function limited(value: number): number {
  if (Math.abs(value) > NUMBER_LIMIT) refuse('Value must be between -5000000000.0 and 5000000000.0, inclusive');
  return value;
}

function text(value: Shape, type: string): string {
  return typeof value === 'string' ? value : refuse(mustBeText(type));
}

function mustBeText(type: string): string {
  return `${type} match pattern must be a string`;
}

function firstEntry(expression: Record<string, Shape>, kind: string): [string, Shape] {
  return Object.entries(expression)[0] ?? refuse(`${kind} expression name not found`);
}

function alone(expression: Record<string, Shape>, fault: string): void {
  if (Object.keys(expression).length > 1) refuse(fault);
}
