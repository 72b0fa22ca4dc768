import { ApiError, type Shape } from '../service';
import { compareNumbers, normalized } from './number';

/** A value as DynamoDB's API writes it: one member, named by its type. */
export type Value = Shape;
export type Item = Record<string, Value>;

export function typeOf(value: Value): string {
  return Object.keys(value)[0];
}

export function invalid(message: string): ApiError {
  return new ApiError('ValidationException', message);
}

const DEEPEST = 32;
const TYPES = 'S, N, B, SS, NS, BS, M, L, BOOL, NULL';

/** A copy with numbers in their one form; throws if it is no value that DynamoDB stores. */
export function checkedValue(value: Value, depth = 0): Value {
  if (depth > DEEPEST) throw invalid('Nesting Levels have exceeded supported limits');
  const members = value !== null && typeof value === 'object' ? Object.keys(value) : [];
  if (members.length !== 1) {
    throw invalid(
      `Supplied AttributeValue must contain exactly one of the supported datatypes (${TYPES}), got ${JSON.stringify(value)}`,
    );
  }
  const [type] = members;
  const content = value[type];
  switch (type) {
    case 'S':
    case 'B':
      if (typeof content !== 'string')
        throw invalid(`a value of type ${type} must be a string, got ${JSON.stringify(content)}`);
      return value;
    case 'N':
      if (typeof content !== 'string')
        throw invalid(`a value of type N must be a string, got ${JSON.stringify(content)}`);
      return { N: normalized(content) };
    case 'BOOL':
      return { BOOL: content === true };
    case 'NULL':
      if (content !== true)
        throw invalid(
          'One or more parameter values were invalid: Null attribute value types must have the value of true',
        );
      return value;
    case 'SS':
    case 'NS':
    case 'BS':
      return { [type]: checkedSet(type, content) };
    case 'L':
      return { L: content.map((one: Value) => checkedValue(one, depth + 1)) };
    case 'M':
      return { M: checkedItem(content, depth + 1) };
    default:
      throw invalid(`Supplied AttributeValue has the unknown datatype '${type}'; allowed: ${TYPES}`);
  }
}

function checkedSet(type: string, content: readonly string[]): string[] {
  if (content.length === 0)
    throw invalid(`One or more parameter values were invalid: a set (${type}) may not be empty`);
  const members = type === 'NS' ? content.map(normalized) : [...content];
  if (new Set(members).size < members.length) {
    throw invalid(
      `One or more parameter values were invalid: Input collection [${content.join(', ')}] contains duplicates.`,
    );
  }
  return members;
}

export function checkedItem(item: Item, depth = 0): Item {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, checkedValue(value, depth)]));
}

/** The bytes that count against the limit of an item. */
export function sizeOfItem(item: Item): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOfValue(value), 0);
}

function sizeOfValue(value: Value): number {
  const type = typeOf(value);
  const content = value[type];
  switch (type) {
    case 'S':
      return Buffer.byteLength(content);
    case 'B':
      return Buffer.byteLength(content, 'base64');
    case 'N':
      return Math.ceil(content.replace(/[-.]/g, '').length / 2) + 1;
    case 'SS':
      return content.reduce((sum: number, one: string) => sum + Buffer.byteLength(one), 0);
    case 'NS':
      return content.reduce((sum: number, N: string) => sum + sizeOfValue({ N }), 0);
    case 'BS':
      return content.reduce((sum: number, B: string) => sum + sizeOfValue({ B }), 0);
    case 'L':
      return content.reduce((sum: number, one: Value) => sum + sizeOfValue(one) + 1, 3);
    case 'M':
      return sizeOfItem(content) + 3 + Object.keys(content).length;
    default:
      return 1;
  }
}

/** The order of two values of one type; undefined if they have none. */
export function compare(a: Value, b: Value): number | undefined {
  const type = typeOf(a);
  if (type !== typeOf(b)) return undefined;
  if (type === 'N') return compareNumbers(a.N, b.N);
  if (type === 'S') return Buffer.compare(Buffer.from(a.S), Buffer.from(b.S));
  if (type === 'B') return Buffer.compare(Buffer.from(a.B, 'base64'), Buffer.from(b.B, 'base64'));
  return undefined;
}

export function equal(a: Value, b: Value): boolean {
  const type = typeOf(a);
  if (type !== typeOf(b)) return false;
  switch (type) {
    case 'SS':
    case 'NS':
    case 'BS':
      return a[type].length === b[type].length && a[type].every((one: string) => b[type].includes(one));
    case 'L':
      return a.L.length === b.L.length && a.L.every((one: Value, i: number) => equal(one, b.L[i]));
    case 'M': {
      const names = Object.keys(a.M);
      return (
        names.length === Object.keys(b.M).length &&
        names.every((name) => b.M[name] !== undefined && equal(a.M[name], b.M[name]))
      );
    }
    default:
      return a[type] === b[type];
  }
}
