import { ApiError, type Shape } from '../../service';
import { compareNumbers, normalized, sizeOfNumber } from './number';

/** A value as DynamoDB's API writes it: one member, named by its type. */
export type Value = Shape;
export type Item = Record<string, Value>;

export function typeOf(value: Value): string {
  return Object.keys(value)[0];
}

export function invalid(message: string): ApiError {
  return new ApiError('ValidationException', message);
}

/** A fault that only the table, or the item as it is stored, brings to light: in a transaction it cancels. */
export class TableFault extends ApiError {
  constructor(message: string) {
    super('ValidationException', message);
  }
}

const DEEPEST = 32;
/** The longest name of an attribute, in bytes. */
const LONGEST_NAME = 65_535;
const ONE_TYPE = 'must contain exactly one of the supported datatypes';
const WRONG = 'One or more parameter values were invalid:';

/** A copy with numbers in their one form; throws, in DynamoDB's words, if it is no value that DynamoDB stores. */
export function checkedValue(value: Value, depth = 0): Value {
  if (depth > DEEPEST) {
    throw invalid(
      'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit',
    );
  }
  const types = TYPES.filter((type) => value?.[type] !== undefined && value[type] !== null);
  const [type] = types;
  if (type === undefined) throw invalid(`Supplied AttributeValue is empty, ${ONE_TYPE}`);
  const checked = checkedContent(type, value[type], depth);
  if (types.length > 1) throw invalid(`Supplied AttributeValue has more than one datatypes set, ${ONE_TYPE}`);
  return checked;
}

const TYPES = ['S', 'N', 'B', 'SS', 'NS', 'BS', 'M', 'L', 'NULL', 'BOOL'];

function checkedContent(type: string, content: Shape, depth: number): Value {
  switch (type) {
    case 'N':
      return { N: normalized(content) };
    case 'NULL':
      return { NULL: true }; // false is taken as well, and stored as true
    case 'SS':
    case 'NS':
    case 'BS':
      return { [type]: checkedSet(type, content) };
    case 'L':
      return { L: content.map((one: Value) => checkedValue(one, depth + 1)) };
    case 'M':
      return { M: checkedItem(content, depth + 1) };
    default:
      return { [type]: content };
  }
}

/** What is said of sets that hold nothing, hold an empty member, or hold a member twice. */
const SETS: Readonly<Record<string, { none: string; empty: string; twice: (members: readonly string[]) => string }>> = {
  SS: {
    none: `${WRONG} An string set  may not be empty`,
    empty: `${WRONG} An string set may not have a empty string as a member`,
    twice: (members) => `${WRONG} Input collection [${members.join(', ')}] contains duplicates.`,
  },
  NS: {
    none: `${WRONG} An number set  may not be empty`,
    empty: 'The parameter cannot be converted to a numeric value',
    twice: () => 'Input collection contains duplicates',
  },
  BS: {
    none: `${WRONG} Binary sets should not be empty`,
    empty: `${WRONG} Binary sets may not contain null or empty values`,
    twice: (members) => `${WRONG} Input collection [${members.join(', ')}]of type BS contains duplicates.`,
  },
};

function checkedSet(type: string, content: readonly string[]): string[] {
  const said = SETS[type] as (typeof SETS)[string];
  if (content.length === 0) throw invalid(said.none);
  if (content.includes('')) throw invalid(said.empty);
  const members = type === 'NS' ? content.map(normalized) : [...content];
  if (new Set(members).size < members.length) throw invalid(said.twice(content));
  return members;
}

export function checkedItem(item: Item, depth = 0): Item {
  return Object.fromEntries(
    Object.entries(item).map(([name, value]) => {
      if (name === '') throw invalid(`${WRONG} Attribute name cannot be empty`);
      if (Buffer.byteLength(name) > LONGEST_NAME) {
        throw invalid(`${WRONG} Attribute name is too large, must be less than ${LONGEST_NAME + 1} bytes`);
      }
      return [name, checkedValue(value, depth)];
    }),
  );
}

/** The bytes that count against the limit of an item. */
export function sizeOfItem(item: Item): number {
  return Object.entries(item).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + sizeOfValue(value), 0);
}

export function sizeOfValue(value: Value): number {
  const type = typeOf(value);
  const content = value[type];
  switch (type) {
    case 'S':
      return Buffer.byteLength(content);
    case 'B':
      return Buffer.byteLength(content, 'base64');
    case 'N':
      return sizeOfNumber(content);
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
