import { shortened } from '../../engine/text';
import { holds, projected } from './evaluate';
import {
  type Comparator,
  type Condition,
  type Operand,
  Placeholders,
  parseCondition,
  parseProjection,
} from './expression';
import type { Expressions, GetRequest, PageRequest, QueryRequest, ScanRequest } from './requests';
import { type Index, idOf, namesOf, type Table } from './table';
import { checkedItem, checkedValue, compare, equal, type Item, invalid, sizeOfItem, type Value } from './values';

/** What one page may read. */
const PAGE_BYTES = 1024 ** 2;
/** In bytes. */
const LONGEST_PLACEHOLDER = 255;

/** The expressions that may use values; a projection uses names alone. */
const VALUED = ['UpdateExpression', 'ConditionExpression', 'KeyConditionExpression', 'FilterExpression'];

/**
 * The placeholders of a request.
 *
 * @param possible the expressions that a request of this kind may have
 */
export function placeholdersOf(input: Expressions, possible: readonly string[]): Placeholders {
  const { ExpressionAttributeNames: names, ExpressionAttributeValues: values } = input;
  const given = possible.filter((name) => isGiven(input, name));
  refuseLegacy(input, given);
  if (names !== undefined && given.length === 0) {
    throw invalid('ExpressionAttributeNames can only be specified when using expressions');
  }
  const valued = possible.filter((name) => VALUED.includes(name));
  if (values !== undefined && !given.some((name) => valued.includes(name))) {
    const are = `${valued.join(' and ')} ${valued.length > 1 ? 'are' : 'is'} null`;
    throw invalid(`ExpressionAttributeValues can only be specified when using expressions: ${are}`);
  }
  checkPlaceholders('ExpressionAttributeNames', '#', names);
  checkPlaceholders('ExpressionAttributeValues', ':', values);
  const checked = Object.entries<Value>(values ?? {}).map(([key, value]) => [key, placeholderValue(key, value)]);
  return new Placeholders(names, Object.fromEntries(checked));
}

function checkPlaceholders(what: string, sign: string, given: object | undefined): void {
  if (given === undefined) return;
  const keys = Object.keys(given);
  if (keys.length === 0) throw invalid(`${what} must not be empty`);
  const wrong = keys.find((key) => !key.startsWith(sign) || !/^[0-9a-zA-Z_-]+$/.test(key.slice(1)));
  if (wrong !== undefined) throw invalid(`${what} contains invalid key: Syntax error; key: "${shortened(wrong, 300)}"`);
  const long = keys.find((key) => Buffer.byteLength(key) > LONGEST_PLACEHOLDER);
  if (long === undefined) return;
  const limit = `it must have at most ${LONGEST_PLACEHOLDER} bytes`;
  throw invalid(
    `${what} contains invalid key: ${limit}, got ${Buffer.byteLength(long)}; key: "${shortened(long, 100)}"`,
  );
}

function placeholderValue(key: string, value: Value): Value {
  try {
    return checkedValue(value);
  } catch (error) {
    throw invalid(`ExpressionAttributeValues contains invalid value: ${(error as Error).message} for key ${key}`);
  }
}

export function getItem(table: Table, input: GetRequest): { Item?: Item } {
  const placeholders = placeholdersOf(input, ['ProjectionExpression']);
  const show = projectionOf(input, placeholders);
  placeholders.checkUsed();
  const item = table.get(table.checkedKey(input.Key));
  return item ? { Item: show(item) } : {};
}

function projectionOf(
  input: { readonly ProjectionExpression?: string | undefined },
  placeholders: Placeholders,
): (item: Item) => Item {
  if (input.ProjectionExpression === undefined) return (item) => item;
  const paths = parseProjection(input.ProjectionExpression, placeholders);
  return (item) => projected(item, paths);
}

const LEGACY = [
  ...['AttributesToGet', 'AttributeUpdates', 'ConditionalOperator', 'Expected', 'KeyConditions', 'QueryFilter'],
  'ScanFilter',
];

function isGiven(input: object, member: string): boolean {
  return (input as Readonly<Record<string, unknown>>)[member] !== undefined;
}

function refuseLegacy(input: Expressions, expressions: readonly string[]): void {
  const legacy = LEGACY.filter((name) => isGiven(input, name));
  if (legacy.length === 0) return;
  if (expressions.length === 0) throw invalid(`${legacy.join(', ')}: the local engine takes expressions only`);
  throw invalid(
    `Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {${legacy.join(', ')}} Expression parameters: {${expressions.join(', ')}}`,
  );
}

/** The partition that a query reads, and what its sort key must be. */
export interface KeyCondition {
  readonly hash: Value;
  readonly range?: Condition;
}

export function keyConditionOf(
  table: Table,
  index: Index | undefined,
  input: QueryRequest,
  placeholders = placeholdersOf(input, QUERY_EXPRESSIONS),
): KeyCondition {
  if (input.KeyConditionExpression === undefined) {
    throw invalid('Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.');
  }
  const condition = parseCondition(input.KeyConditionExpression, 'KeyConditionExpression', placeholders);
  const parts = conjuncts(condition).map(keyFirst);
  if (parts.length > 2) throw invalid('Conditions can be of length 1 or 2 only');
  const keys = index?.keys ?? table.keys;
  const of = (name: string | undefined) => {
    const found = parts.filter((part) => keyName(part) === name);
    if (found.length > 1) throw invalid('KeyConditionExpressions must only contain one condition per key');
    return found[0];
  };
  const hash = of(keys.hash);
  const range = of(keys.range);
  if (hash === undefined) throw invalid(`Query condition missed key schema element: ${keys.hash}`);
  if (parts.length === 2 && range === undefined) {
    throw invalid(`Query condition missed key schema element: ${keys.range ?? keys.hash}`);
  }
  if (hash.kind !== 'compare' || hash.comparator !== '=' || hash.right.kind !== 'value') {
    throw invalid('Query key condition not supported');
  }
  for (const value of valuesIn(hash)) table.checkedCondition(keys.hash, value, keys);
  if (range !== undefined) {
    for (const value of valuesIn(range)) table.checkedCondition(keys.range as string, value, keys);
  }
  return { hash: hash.right.value, ...(range && { range }) };
}

/** The conditions that must all hold. */
function conjuncts(condition: Condition): Condition[] {
  if (condition.kind === 'and') return [...conjuncts(condition.left), ...conjuncts(condition.right)];
  const unequal = condition.kind === 'compare' && condition.comparator === '<>' ? '<>' : undefined;
  const operator = NO_KEY_CONDITIONS[condition.kind] ?? unequal;
  if (operator !== undefined) throw invalid(`Invalid operator used in KeyConditionExpression: ${operator}`);
  return [condition];
}

/** What a condition on a key may not be, as DynamoDB calls it. */
const NO_KEY_CONDITIONS: Readonly<Record<string, string | undefined>> = {
  or: 'OR',
  not: 'NOT',
  in: 'IN',
  exists: 'attribute_exists',
  attribute_type: 'attribute_type',
  contains: 'contains',
};

const TURNED: Readonly<Record<Comparator, Comparator>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
};

/** The same condition with the attribute on the left. */
function keyFirst(part: Condition): Condition {
  if (part.kind !== 'compare' || part.left.kind === 'path') return part;
  return { ...part, comparator: TURNED[part.comparator], left: part.right, right: part.left };
}

function keyName(part: Condition): string {
  const operand: Operand | undefined =
    part.kind === 'compare' ? part.left : 'of' in part && part.kind !== 'not' ? part.of : undefined;
  if (operand?.kind === 'size') throw invalid('KeyConditionExpressions cannot contain nested operations');
  if (operand?.kind !== 'path') {
    throw invalid('Invalid condition in KeyConditionExpression: No key attribute specified');
  }
  if (operand.path.length > 1) throw invalid('KeyConditionExpressions cannot have conditions on nested attributes');
  return String(operand.path[0]);
}

function valuesIn(part: Condition): Value[] {
  const operands: Operand[] = [];
  if (part.kind === 'compare') operands.push(part.right);
  if (part.kind === 'between') operands.push(part.low, part.high);
  if (part.kind === 'begins_with') operands.push(part.argument);
  return operands.flatMap((operand) => (operand.kind === 'value' ? [operand.value] : []));
}

const SCAN_EXPRESSIONS = ['FilterExpression', 'ProjectionExpression'];
const QUERY_EXPRESSIONS = ['KeyConditionExpression', ...SCAN_EXPRESSIONS];

export function query(table: Table, input: QueryRequest): Page {
  const index = table.index(input.IndexName);
  if (index?.global && input.ConsistentRead)
    throw invalid('Consistent reads are not supported on global secondary indexes');
  const placeholders = placeholdersOf(input, QUERY_EXPRESSIONS);
  const { hash, range } = keyConditionOf(table, index, input, placeholders);
  const keys = index?.keys ?? table.keys;
  const found = index ? inIndex(table, index).filter((item) => equal(item[keys.hash], hash)) : table.partition(hash);
  const items = range ? found.filter((item) => holds(range, item)) : [...found];
  if (index) items.sort(table.indexOrder(index));
  if (input.ScanIndexForward === false) items.reverse();
  const sign = input.ScanIndexForward === false ? -1 : 1;
  const order = index ? table.indexOrder(index) : rangeOrder(table);
  return page(table, index, input, placeholders, items, (item, start) => sign * order(item, start) > 0);
}

function rangeOrder(table: Table): (a: Item, b: Item) => number {
  const { range } = table.keys;
  return (a, b) => (range === undefined ? 0 : (compare(a[range], b[range]) ?? 0));
}

export function scan(table: Table, input: ScanRequest): Page {
  const index = table.index(input.IndexName);
  const placeholders = placeholdersOf(input, SCAN_EXPRESSIONS);
  checkSegments(input);
  const { Segment = 0, TotalSegments = 1 } = input;
  const all = index ? inIndex(table, index) : [...table.all()];
  const mine = all.filter((item) => segmentOf(idOf(item[table.keys.hash]), TotalSegments) === Segment);
  const order = rangeOrder(table);
  const after = (item: Item, start: Item) => {
    const [a, b] = [idOf(item[table.keys.hash]), idOf(start[table.keys.hash])];
    return a === b ? order(item, start) > 0 : a > b;
  };
  return page(table, index, input, placeholders, mine, after);
}

function checkSegments({ Segment, TotalSegments }: ScanRequest): void {
  if (Segment !== undefined && TotalSegments === undefined) {
    throw invalid(
      'The TotalSegments parameter is required but was not present in the request when Segment parameter is present',
    );
  }
  if (Segment === undefined && TotalSegments !== undefined) {
    throw invalid(
      'The Segment parameter is required but was not present in the request when parameter TotalSegments is present',
    );
  }
  if (Segment !== undefined && TotalSegments !== undefined && Segment >= TotalSegments) {
    throw invalid(
      `The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: ${Segment} is not less than TotalSegments: ${TotalSegments}`,
    );
  }
}

function segmentOf(id: string, segments: number): number {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) % 1_000_003;
  return sum % segments;
}

function inIndex(table: Table, index: Index): Item[] {
  const names = namesOf(index.keys);
  return [...table.all()].filter((item) => names.every((name) => item[name] !== undefined));
}

/** What a query or a scan found. */
interface Page {
  readonly Items?: Item[];
  readonly Count: number;
  readonly ScannedCount: number;
  readonly LastEvaluatedKey?: Item;
}

/** Reads on after the start key until the limit, or as much as fits a page; filters what it read. */
function page(
  table: Table,
  index: Index | undefined,
  input: PageRequest,
  placeholders: Placeholders,
  items: readonly Item[],
  isAfter: (item: Item, start: Item) => boolean,
): Page {
  const { Limit, Select, ExclusiveStartKey, FilterExpression } = input;
  checkSelect(input);
  const filter =
    FilterExpression === undefined ? undefined : parseCondition(FilterExpression, 'FilterExpression', placeholders);
  const show = projectionOf(input, placeholders);
  placeholders.checkUsed();
  const start = ExclusiveStartKey && startKey(table, index, ExclusiveStartKey);
  const rest = start ? items.filter((item) => isAfter(item, start)) : items;

  const read: Item[] = [];
  let bytes = 0;
  for (const item of rest) {
    if (read.length === Limit || bytes > PAGE_BYTES) break;
    read.push(item);
    bytes += sizeOfItem(item);
  }
  const full = read.length === Limit || read.length < rest.length;
  const last = full ? read.at(-1) : undefined;
  const found = filter ? read.filter((item) => holds(filter, item)) : read;
  const carried = (item: Item) => (index?.included ? carriedBy(table, index, index.included, item) : item);
  return {
    ...(Select !== 'COUNT' && { Items: found.map((item) => show(carried(item))) }),
    Count: found.length,
    ScannedCount: read.length,
    ...(last && { LastEvaluatedKey: table.pageKey(last, index) }),
  };
}

function checkSelect({ Select, IndexName, ProjectionExpression }: PageRequest): void {
  const projects = ProjectionExpression !== undefined;
  if (Select === 'ALL_PROJECTED_ATTRIBUTES' && IndexName === undefined) {
    throw invalid('ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName');
  }
  if (Select === 'SPECIFIC_ATTRIBUTES' && !projects) {
    throw invalid('Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES');
  }
  if (projects && Select !== undefined && Select !== 'SPECIFIC_ATTRIBUTES') {
    const choice = Select === 'COUNT' ? 'only the Count' : Select;
    throw invalid(`Cannot specify the ProjectionExpression when choosing to get ${choice}`);
  }
}

/** The key with which the page before ended. */
function startKey(table: Table, index: Index | undefined, given: Item): Item {
  const start = checkedItem(given);
  const names = [...new Set([...namesOf(table.keys), ...(index ? namesOf(index.keys) : [])])];
  if (Object.keys(start).length === names.length && names.every((name) => start[name])) return start;
  throw invalid('The provided starting key is invalid: The provided key element does not match the schema');
}

function carriedBy(table: Table, index: Index, included: readonly string[], item: Item): Item {
  const names = new Set([...namesOf(table.keys), ...namesOf(index.keys), ...included]);
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.has(name)));
}

/** Whether an item meets the request's condition; throws if the condition cannot be read. */
export function conditionOf(
  input: { readonly ConditionExpression?: string | undefined },
  placeholders: Placeholders,
): (item: Item | undefined) => boolean {
  if (input.ConditionExpression === undefined) return () => true;
  const condition = parseCondition(input.ConditionExpression, 'ConditionExpression', placeholders);
  return (item) => holds(condition, item ?? {});
}
