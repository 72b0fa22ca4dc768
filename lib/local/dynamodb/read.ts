import type { Shape } from '../service';
import { holds, projected } from './evaluate';
import { type Condition, type Operand, Placeholders, parseCondition, parseProjection } from './expression';
import { type Index, idOf, namesOf, type Table } from './table';
import { checkedItem, compare, equal, type Item, invalid, sizeOfItem, type Value } from './values';

/** What one page may read. */
const PAGE_BYTES = 1024 ** 2;

export function placeholdersOf(input: Shape): Placeholders {
  return new Placeholders(input.ExpressionAttributeNames, checkedItem(input.ExpressionAttributeValues ?? {}));
}

export function getItem(table: Table, input: Shape): Shape {
  const placeholders = placeholdersOf(input);
  const show = projectionOf(input, placeholders);
  placeholders.checkUsed();
  const item = table.get(table.checkedKey(input.Key));
  return item ? { Item: show(item) } : {};
}

function projectionOf(input: Shape, placeholders: Placeholders): (item: Item) => Item {
  refuseLegacy(input);
  if (input.ProjectionExpression === undefined) return (item) => item;
  const paths = parseProjection(input.ProjectionExpression, placeholders);
  return (item) => projected(item, paths);
}

export function refuseLegacy(input: Shape): void {
  const legacy = [
    'AttributesToGet',
    'AttributeUpdates',
    'ConditionalOperator',
    'Expected',
    'KeyConditions',
    'QueryFilter',
    'ScanFilter',
  ].filter((name) => input[name] !== undefined);
  if (legacy.length > 0) throw invalid(`${legacy.join(', ')}: the local engine takes expressions only`);
}

/** The partition that a query reads, and what its sort key must be. */
export interface KeyCondition {
  readonly hash: Value;
  readonly range?: Condition;
}

export function keyConditionOf(
  table: Table,
  index: Index | undefined,
  input: Shape,
  placeholders: Placeholders,
): KeyCondition {
  if (input.KeyConditionExpression === undefined) {
    throw invalid('Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.');
  }
  const condition = parseCondition(input.KeyConditionExpression, 'KeyConditionExpression', placeholders);
  const parts = condition.kind === 'and' ? [condition.left, condition.right] : [condition];
  const keys = index?.keys ?? table.keys;
  let hash: Value | undefined;
  let range: Condition | undefined;
  for (const part of parts) {
    const name = keyName(part);
    if (name === keys.hash && part.kind === 'compare' && part.comparator === '=' && part.right.kind === 'value') {
      hash = part.right.value;
    } else if (name === keys.range && range === undefined && isRangeCondition(part)) {
      range = part;
    } else if (name === keys.hash || name === keys.range) {
      throw invalid('Query key condition not supported');
    } else {
      throw invalid(`Query condition missed key schema element: ${hash ? (keys.range ?? keys.hash) : keys.hash}`);
    }
  }
  if (!hash) throw invalid(`Query condition missed key schema element: ${keys.hash}`);
  return { hash, ...(range && { range }) };
}

function keyName(part: Condition): string | undefined {
  const operand: Operand | undefined =
    part.kind === 'compare' ? part.left : 'of' in part && part.kind !== 'not' ? part.of : undefined;
  return operand?.kind === 'path' && operand.path.length === 1 ? String(operand.path[0]) : undefined;
}

function isRangeCondition(part: Condition): boolean {
  return (
    (part.kind === 'compare' && part.comparator !== '<>') || part.kind === 'between' || part.kind === 'begins_with'
  );
}

export function query(table: Table, input: Shape): Shape {
  const index = table.index(input.IndexName);
  if (index?.global && input.ConsistentRead)
    throw invalid('Consistent reads are not supported on global secondary indexes');
  const placeholders = placeholdersOf(input);
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

export function scan(table: Table, input: Shape): Shape {
  const index = table.index(input.IndexName);
  const placeholders = placeholdersOf(input);
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

function segmentOf(id: string, segments: number): number {
  let sum = 0;
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) % 1_000_003;
  return sum % segments;
}

function inIndex(table: Table, index: Index): Item[] {
  const names = namesOf(index.keys);
  return [...table.all()].filter((item) => names.every((name) => item[name] !== undefined));
}

/** Reads on after the start key until the limit, or as much as fits a page; filters what it read. */
function page(
  table: Table,
  index: Index | undefined,
  input: Shape,
  placeholders: Placeholders,
  items: readonly Item[],
  isAfter: (item: Item, start: Item) => boolean,
): Shape {
  const { Limit, Select, ExclusiveStartKey, FilterExpression } = input;
  if (Limit !== undefined && !(Number.isInteger(Limit) && Limit >= 1)) {
    throw invalid(
      `Value '${Limit}' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1`,
    );
  }
  const filter =
    FilterExpression === undefined ? undefined : parseCondition(FilterExpression, 'FilterExpression', placeholders);
  const show = projectionOf(input, placeholders);
  placeholders.checkUsed();
  const start = ExclusiveStartKey && checkedItem(ExclusiveStartKey);
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

function carriedBy(table: Table, index: Index, included: readonly string[], item: Item): Item {
  const names = new Set([...namesOf(table.keys), ...namesOf(index.keys), ...included]);
  return Object.fromEntries(Object.entries(item).filter(([name]) => names.has(name)));
}

/** Whether an item meets the request's condition; throws if the condition cannot be read. */
export function conditionOf(input: Shape, placeholders: Placeholders): (item: Item | undefined) => boolean {
  refuseLegacy(input);
  if (input.ConditionExpression === undefined) return () => true;
  const condition = parseCondition(input.ConditionExpression, 'ConditionExpression', placeholders);
  return (item) => holds(condition, item ?? {});
}
