import type { Shape } from '../../../service';
import { type Matcher, RESERVED_NAMES, readExpression } from './match-expression';
import { isObject, refuse } from './refusal';

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
    } else if (insideOr && RESERVED_NAMES.includes(key)) {
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
    if (!isObject(value)) {
      matchers.push((leaf) => leaf === value);
      continue;
    }
    const matcher = readExpression(value);
    if (value.exists === false) orAbsent = true;
    else matchers.push(matcher);
  }
  return { matchers, orAbsent };
}

function parse(source: string): Shape {
  try {
    return JSON.parse(source);
  } catch {
    return refuse('Invalid JSON');
  }
}
