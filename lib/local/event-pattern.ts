import { ApiError, type Shape } from './service';

/** One value of a pattern's array, as a test of one leaf of an event. */
type Matcher = (leaf: string | number | boolean | null) => boolean;

/** What one field must be: any of the matchers, or (`orAbsent`) not there at all. */
interface FieldTest {
  readonly matchers: readonly Matcher[];
  readonly orAbsent: boolean;
}

/** A pattern made ready: alternatives (from `$or`), each a conjunction of tests by dotted path. */
export type EventPattern = ReadonlyArray<ReadonlyMap<string, FieldTest>>;

/** A leaf of an event with its dotted path, and which element of which array it belongs to. */
interface Leaf {
  readonly value: string | number | boolean | null;
  readonly elements: ReadonlyMap<string, number>;
}

/** `$or` multiplies a pattern's alternatives; EventBridge takes up to this many. */
const MAX_ALTERNATIVES = 1000;

/**
 * The most positions at which a wildcard may stand at once while it reads a value. EventBridge publishes no number;
 * this one tells apart the patterns that its documentation calls fine and too complex.
 */
const MAX_WILDCARD_STATES = 10;

/** Numbers that `numeric` may name. */
const NUMERIC_LIMIT = 5e9;

/**
 * Reads an event pattern.
 *
 * @param source the pattern as JSON text or already parsed
 * @throws ApiError `InvalidEventPatternException`, with EventBridge's reasons
 */
export function compilePattern(source: Shape): EventPattern {
  const pattern = typeof source === 'string' ? parse(source) : source;
  if (!isObject(pattern)) refuse('Filter is not an object');
  return readObject(pattern, [], [new Map()], false);
}

/** Whether an event (a whole one, with `source` and `detail`) matches a pattern. */
export function matchesPattern(pattern: EventPattern, event: Shape): boolean {
  const leaves = new Map<string, Leaf[]>();
  flatten(event, [], new Map(), leaves);
  return pattern.some((tests) => matchesAll([...tests], 0, new Map(), leaves));
}

/** Tries the leaves of one path after another; leaves of different elements of one array do not go together. */
function matchesAll(
  tests: ReadonlyArray<[string, FieldTest]>,
  at: number,
  chosen: ReadonlyMap<string, number>,
  leaves: ReadonlyMap<string, readonly Leaf[]>,
): boolean {
  const next = tests[at];
  if (next === undefined) return true;
  const [path, test] = next;
  const found = leaves.get(path) ?? [];
  if (test.orAbsent && found.length === 0 && matchesAll(tests, at + 1, chosen, leaves)) return true;
  return found.some(
    ({ value, elements }) =>
      [...elements].every(([array, index]) => (chosen.get(array) ?? index) === index) &&
      test.matchers.some((matches) => matches(value)) &&
      matchesAll(tests, at + 1, new Map([...chosen, ...elements]), leaves),
  );
}

function flatten(
  value: Shape,
  path: readonly string[],
  elements: Map<string, number>,
  into: Map<string, Leaf[]>,
): void {
  if (Array.isArray(value)) {
    const array = [...elements, path.join('.')].join('|');
    for (const [index, element] of value.entries()) {
      flatten(element, path, isObject(element) ? new Map([...elements, [array, index]]) : elements, into);
    }
  } else if (isObject(value)) {
    for (const [key, member] of Object.entries(value)) flatten(member, [...path, key], elements, into);
  } else if (value !== undefined) {
    const key = path.join('.');
    const leaves = into.get(key) ?? [];
    leaves.push({ value, elements });
    into.set(key, leaves);
  }
}

function readObject(
  pattern: Record<string, Shape>,
  path: readonly string[],
  before: EventPattern,
  insideOr: boolean,
): EventPattern {
  if (Object.keys(pattern).length === 0) refuse('Empty objects are not allowed');
  let alternatives = before;
  for (const [key, value] of Object.entries(pattern)) {
    if (key === '$or') {
      alternatives = readOr(value, path, alternatives);
    } else if (insideOr && RESERVED.includes(key)) {
      refuse(`${key} is Ruler reserved fieldName which cannot be used inside $or.`);
    } else if (Array.isArray(value)) {
      const field = [...path, key].join('.');
      const test = readField(value);
      alternatives = alternatives.map((tests) => new Map([...tests, [field, test]]));
    } else if (isObject(value)) {
      alternatives = readObject(value, [...path, key], alternatives, insideOr);
    } else {
      refuse(`"${key}" must be an object or an array`);
    }
  }
  return alternatives;
}

function readOr(value: Shape, path: readonly string[], before: EventPattern): EventPattern {
  if (!Array.isArray(value)) refuse('It must be an Array followed with $or.');
  if (!value.every(isObject)) refuse('Only JSON object is allowed in array of $or relationship.');
  if (value.length < 2) refuse('There must have at least 2 Objects in $or relationship.');
  const after = value.flatMap((alternative: Record<string, Shape>) => readObject(alternative, path, before, true));
  if (after.length > MAX_ALTERNATIVES)
    refuse(`Rule is too complex - $or gives more than ${MAX_ALTERNATIVES} combinations`);
  return after;
}

function readField(values: readonly Shape[]): FieldTest {
  if (values.length === 0) refuse('Empty arrays are not allowed');
  const matchers: Matcher[] = [];
  let orAbsent = false;
  for (const value of values) {
    if (Array.isArray(value)) refuse('Match value must be String, number, true, false, or null');
    else if (!isObject(value)) matchers.push((leaf) => leaf === value);
    else if (onlyEntry(value)[0] === 'exists' && value.exists === false) orAbsent = true;
    else matchers.push(readExpression(value));
  }
  return { matchers, orAbsent };
}

function readExpression(expression: Record<string, Shape>): Matcher {
  const [type, value] = onlyEntry(expression);
  switch (type) {
    case 'prefix':
    case 'suffix':
      return ofStrings(isObject(value) ? caseless(type, value) : affix(type, text(value, type)));
    case 'equals-ignore-case':
      return ofStrings(equalsIgnoringCase(text(value, type)));
    case 'wildcard':
      return ofStrings(wildcard(text(value, type)));
    case 'cidr':
      return ofStrings(cidr(text(value, type)));
    case 'numeric':
      return numeric(value);
    case 'exists':
      if (typeof value !== 'boolean') refuse('exists match pattern must be either true or false.');
      return () => true;
    case 'anything-but':
      return anythingBut(value);
    default:
      return refuse(`Unrecognized match type ${type}`);
  }
}

type StringTest = (value: string) => boolean;

const ofStrings =
  (test: StringTest): Matcher =>
  (leaf) =>
    typeof leaf === 'string' && test(leaf);

function affix(type: 'prefix' | 'suffix', wanted: string): StringTest {
  return type === 'prefix' ? (value) => value.startsWith(wanted) : (value) => value.endsWith(wanted);
}

function caseless(type: 'prefix' | 'suffix', expression: Record<string, Shape>): StringTest {
  const [inner, value] = onlyEntry(expression);
  if (inner !== 'equals-ignore-case') refuse(`Unsupported ${type} pattern: ${inner}`);
  const test = affix(type, text(value, 'equals-ignore-case').toLowerCase());
  return (given) => test(given.toLowerCase());
}

function equalsIgnoringCase(wanted: string): StringTest {
  const lower = wanted.toLowerCase();
  return (value) => value.toLowerCase() === lower;
}

function anythingBut(value: Shape): Matcher {
  if (isObject(value)) {
    const [type, inner] = onlyEntry(value);
    const tests = stringTests(type, inner);
    return (leaf) => typeof leaf !== 'string' || !tests.some((test) => test(leaf));
  }
  const excluded: Shape[] = Array.isArray(value) ? value : [value];
  if (!Array.isArray(value) && typeof value !== 'string' && typeof value !== 'number') {
    refuse('Value of anything-but must be an array or single string/number value.');
  }
  if (!excluded.every((one) => typeof one === 'string' || typeof one === 'number')) {
    refuse('Inside anything but list, start|null|boolean is not supported.');
  }
  if (new Set(excluded.map((one) => typeof one)).size !== 1) {
    refuse('Inside anything but list, either all values are number or string, mixed type is not supported');
  }
  const values = new Set<Shape>(excluded);
  return (leaf) => !values.has(leaf);
}

function stringTests(type: string, value: Shape): StringTest[] {
  const values: Shape[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) refuse('Empty arrays are not allowed');
  switch (type) {
    case 'prefix':
    case 'suffix':
      if (values.includes('')) refuse('Null prefix/suffix not allowed');
      return values.map((one) => affix(type, text(one, 'prefix/suffix')));
    case 'wildcard':
      return values.map((one) => wildcard(text(one, type)));
    case 'equals-ignore-case':
      if (!values.every((one) => typeof one === 'string')) {
        refuse('Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.');
      }
      return values.map(equalsIgnoringCase);
    default:
      return refuse(`Unsupported anything-but pattern: ${type}`);
  }
}

function numeric(value: Shape): Matcher {
  if (!Array.isArray(value)) refuse('Value of numeric must be an array.');
  const [operator, bound, operator2, bound2] = value;
  if (typeof operator !== 'string') refuse(`Invalid member in numeric match: ${operator}`);
  const compare = COMPARISONS[operator];
  if (compare === undefined) refuse(`Unrecognized numeric range operator: ${operator}`);
  number(bound, operator === '=' ? 'equals' : operator);
  if (value.length === 2) return (leaf) => typeof leaf === 'number' && compare(leaf, bound);
  if (!operator.startsWith('>')) refuse('Too many elements in numeric expression');
  if (typeof operator2 !== 'string') refuse(`Bad value in numeric range: ${operator2}`);
  if (operator2 !== '<' && operator2 !== '<=') refuse(`Bad numeric range operator: ${operator2}`);
  number(bound2, operator2);
  if (value.length > 4) refuse('Too many terms in numeric range expression');
  if (bound >= bound2) refuse('Bottom must be less than top');
  const compare2 = COMPARISONS[operator2] as Comparison;
  return (leaf) => typeof leaf === 'number' && compare(leaf, bound) && compare2(leaf, bound2);
}

type Comparison = (value: number, bound: number) => boolean;

const COMPARISONS: Readonly<Record<string, Comparison | undefined>> = {
  '=': (value, bound) => value === bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
};

/** Match types, which `$or` would make ambiguous as field names. */
const RESERVED = [
  'exactly',
  'prefix',
  'suffix',
  'anything-but',
  'numeric',
  'exists',
  'cidr',
  'equals-ignore-case',
  'wildcard',
];

/** A wildcard's pieces: `*` for a star, else one literal character. */
function wildcardTokens(pattern: string): { readonly star: boolean; readonly char: string }[] {
  const tokens: { star: boolean; char: string }[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    if (char === '*') {
      if (pattern[i + 1] === '*') refuse(`Consecutive wildcard characters at pos ${i}`);
      tokens.push({ star: true, char });
    } else if (char === '\\') {
      const escaped = pattern[i + 1];
      if (escaped !== '*' && escaped !== '\\') refuse(`Invalid escape character at pos ${i}`);
      tokens.push({ star: false, char: escaped });
      i++;
    } else {
      tokens.push({ star: false, char });
    }
  }
  return tokens;
}

function wildcard(pattern: string): StringTest {
  const tokens = wildcardTokens(pattern);
  if (mostStates(tokens) > MAX_WILDCARD_STATES) {
    refuse(
      'Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character',
    );
  }
  const source = tokens.map(({ star, char }) => (star ? '[^]*' : char.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&')));
  const expression = new RegExp(`^${source.join('')}$`);
  return (value) => expression.test(value);
}

/** The size of the largest set of positions that some text reaches. */
function mostStates(tokens: ReturnType<typeof wildcardTokens>): number {
  const close = (positions: Iterable<number>) => {
    const closed = new Set(positions);
    for (const position of closed) if (tokens[position]?.star) closed.add(position + 1);
    return closed;
  };
  const alphabet = new Set(tokens.filter((token) => !token.star).map((token) => token.char));
  const start = close([0]);
  const seen = new Map([[[...start].join(), start]]);
  let most = start.size;
  for (const positions of seen.values()) {
    for (const char of alphabet) {
      const next = close(
        [...positions].flatMap((position) =>
          tokens[position]?.star ? [position] : tokens[position]?.char === char ? [position + 1] : [],
        ),
      );
      most = Math.max(most, next.size);
      if (most > MAX_WILDCARD_STATES) return most;
      seen.set([...next].sort((a, b) => a - b).join(), next);
    }
  }
  return most;
}

function cidr(range: string): StringTest {
  const [address, bits, ...rest] = range.split('/');
  if (bits === undefined || rest.length > 0) refuse("Malformed CIDR, one '/' required");
  if (!/^\d+$/.test(bits)) refuse('Malformed CIDR, mask bits must be an integer');
  const base = ipAddress(address as string);
  if (base === undefined) refuse(`Nonstandard IP address: ${address}`);
  if (Number(bits) > base.width) refuse(`IPv${base.width === 32 ? 4 : 6} mask bits must be <= ${base.width}`);
  const shift = BigInt(base.width - Number(bits));
  return (value) => {
    const ip = ipAddress(value);
    return ip?.width === base.width && ip.number >> shift === base.number >> shift;
  };
}

function ipAddress(address: string): { readonly width: 32 | 128; readonly number: bigint } | undefined {
  const four = ipv4(address);
  if (four !== undefined) return { width: 32, number: four };
  const six = ipv6(address);
  return six === undefined ? undefined : { width: 128, number: six };
}

function ipv4(address: string): bigint | undefined {
  const bytes = address.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256)) return undefined;
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

function ipv6(address: string): bigint | undefined {
  const halves = address.split('::');
  if (halves.length > 2 || !address.includes(':')) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((number, group) => number * 65536n + BigInt(`0x${group}`), 0n);
}

function number(value: Shape, operator: string): void {
  if (typeof value !== 'number') refuse(`Value of ${operator} must be numeric`);
  if (Math.abs(value) > NUMERIC_LIMIT) refuse('Value must be between -5000000000.0 and 5000000000.0, inclusive');
}

function text(value: Shape, type: string): string {
  if (typeof value !== 'string') refuse(`${type} match pattern must be a string`);
  return value;
}

function onlyEntry(expression: Record<string, Shape>): [string, Shape] {
  const [first, ...others] = Object.entries(expression);
  if (first === undefined) return refuse('Match expression name not found');
  if (others.length > 0) refuse('Only one key allowed in match expression');
  return first;
}

function parse(source: string): Shape {
  try {
    return JSON.parse(source);
  } catch {
    return refuse('Invalid JSON');
  }
}

function isObject(value: unknown): value is Record<string, Shape> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(reason: string): never {
  throw new ApiError('InvalidEventPatternException', `Event pattern is not valid. Reason: ${reason}`);
}
