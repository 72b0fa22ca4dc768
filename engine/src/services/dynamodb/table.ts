import { shortened } from '../../engine/text';
import { ApiError } from '../../service';
import type { Definition } from './requests';
import {
  checkedItem,
  compare,
  type Item,
  invalid,
  sizeOfItem,
  sizeOfValue,
  TableFault,
  typeOf,
  type Value,
} from './values';

export interface KeySchema {
  readonly hash: string;
  readonly range?: string;
}

export interface Index {
  readonly name: string;
  readonly keys: KeySchema;
  /** The attributes that the index carries besides keys; undefined for all. */
  readonly included?: readonly string[];
  readonly global: boolean;
}

const LARGEST_ITEM = 400 * 1024;
const WRONG = 'One or more parameter values were invalid:';
/** In bytes. */
const LONGEST_HASH_KEY = 2048;
const LONGEST_RANGE_KEY = 1024;

/** A table's items in memory: by partition, each in the order of its sort keys. */
export class Table {
  readonly keys: KeySchema;
  readonly indexes: ReadonlyMap<string, Index>;
  /** The key of KMS that the table is under, if it is not DynamoDB's own. */
  readonly kmsKey: string | undefined;
  private readonly types: Readonly<Record<string, string>>;
  private readonly partitions = new Map<string, Item[]>();

  constructor(
    readonly name: string,
    /** As in the template or in CreateTable. */
    readonly definition: Definition,
    readonly created: number,
  ) {
    this.keys = keysOf(definition.KeySchema ?? []);
    const [{ SSESpecification: ofReplica = {} } = {}] = definition.Replicas ?? []; // of a global table
    this.kmsKey = definition.SSESpecification?.KMSMasterKeyId ?? ofReplica.KMSMasterKeyId;
    this.types = Object.fromEntries(
      (definition.AttributeDefinitions ?? []).map((one) => [one.AttributeName, one.AttributeType]),
    );
    const indexes = [
      ...(definition.GlobalSecondaryIndexes ?? []).map((one) => indexOf(one, true)),
      ...(definition.LocalSecondaryIndexes ?? []).map((one) => indexOf(one, false)),
    ];
    this.indexes = new Map(indexes.map((index) => [index.name, index]));
    for (const keys of [this.keys, ...indexes.map((index) => index.keys)]) {
      for (const name of namesOf(keys)) {
        if (!this.types[name]) {
          throw invalid(
            `One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions. Keys: [${name}], AttributeDefinitions: [${Object.keys(this.types).join(', ')}]`,
          );
        }
      }
    }
  }

  index(name: string | undefined): Index | undefined {
    if (name === undefined) return undefined;
    const index = this.indexes.get(name);
    if (!index) throw invalid(`The table does not have the specified index: ${name}`);
    return index;
  }

  get size(): number {
    let size = 0;
    for (const items of this.partitions.values()) size += items.length;
    return size;
  }

  /** Every item: partitions in the order of their keys' text, each in the order of its sort keys. */
  *all(): Iterable<Item> {
    for (const id of [...this.partitions.keys()].sort()) yield* this.partitions.get(id) ?? [];
  }

  /** The items of a partition, in the order of their sort keys. */
  partition(hash: Value): readonly Item[] {
    return this.partitions.get(idOf(hash)) ?? [];
  }

  /** The key of an item; throws if it lacks one, or has one of another type. */
  keyOf(item: Item): Item {
    const key: Item = {};
    for (const name of namesOf(this.keys)) {
      const value = item[name];
      if (value === undefined) throw new TableFault(`${WRONG} Missing the key ${name} in the item`);
      const type = typeOf(value);
      if (type !== this.types[name]) {
        throw new TableFault(`${WRONG} Type mismatch for key ${name} expected: ${this.types[name]} actual: ${type}`);
      }
      this.checkKey(name, value, this.keys);
      key[name] = value;
    }
    return key;
  }

  /** A request's `Key`; it must be the key and nothing else. */
  checkedKey(key: Item | undefined): Item {
    const names = namesOf(this.keys);
    const given = checkedItem(key ?? {});
    if (Object.keys(given).length !== names.length || !names.every((name) => given[name])) throw this.otherKey(given);
    this.checkKeyTypes(given);
    for (const name of names) this.checkKey(name, given[name], this.keys);
    return given;
  }

  /** Refuses an item of a batch, or a key, whose key is of another type, as if it were no key. */
  checkKeyTypes(item: Item): void {
    const other = namesOf(this.keys).some((name) => item[name] && item[name][this.types[name] ?? ''] === undefined);
    if (other) throw this.otherKey(item);
  }

  private otherKey(given: Item): TableFault {
    const expected = namesOf(this.keys).map((name) => `${name} (${this.types[name]})`);
    return new TableFault(
      `The provided key element does not match the schema: expected ${expected.join(' and ')}, got ${shortened(JSON.stringify(given), 300)}`,
    );
  }

  /** A value that a query compares with a key. */
  checkedCondition(name: string, value: Value, keys: KeySchema): void {
    if (typeOf(value) !== this.types[name]) {
      throw invalid(`${WRONG} Condition parameter type does not match schema type`);
    }
    this.checkKey(name, value, keys);
  }

  private checkKey(name: string, value: Value, keys: KeySchema): void {
    const kind = emptyKind(value);
    if (kind !== undefined) {
      throw invalid(
        `One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty ${kind} value. Key: ${name}`,
      );
    }
    checkKeySize(name, value, keys);
  }

  /** An item as it is stored; throws if the table cannot hold it. */
  checked(item: Item): Item {
    const stored = checkedItem(item);
    this.checkStored(stored);
    if (sizeOfItem(stored) > LARGEST_ITEM) throw invalid('Item size has exceeded the maximum allowed size');
    return stored;
  }

  /** What an update made of an item; throws if the table cannot hold it. */
  checkedUpdate(item: Item, touched: readonly string[]): Item {
    const stored = checkedItem(item);
    for (const index of this.sortedIndexes()) {
      const [kind] = namesOf(index.keys)
        .filter((name) => touched.includes(name))
        .flatMap((name) => emptyKind(stored[name]) ?? []);
      if (kind === undefined) continue;
      throw invalid(
        `One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. The AttributeValue for a key attribute cannot contain an empty ${kind} value.`,
      );
    }
    this.checkStored(stored);
    if (sizeOfItem(stored) > LARGEST_ITEM) {
      throw new TableFault('Item size to update has exceeded the maximum allowed size');
    }
    return stored;
  }

  private checkStored(stored: Item): void {
    this.keyOf(stored);
    for (const index of this.sortedIndexes()) {
      for (const name of namesOf(index.keys)) {
        const value = stored[name];
        if (value === undefined || namesOf(this.keys).includes(name)) continue;
        this.checkIndexKey(name, value, index);
      }
    }
  }

  private checkIndexKey(name: string, value: Value, { name: index, keys }: Index): void {
    const type = typeOf(value);
    if (type !== this.types[name]) {
      const types = `Expected: ${this.types[name]} Actual: ${type}`;
      throw new TableFault(`${WRONG} Type mismatch for Index Key ${name} ${types} IndexName: ${index}`);
    }
    const kind = emptyKind(value);
    if (kind !== undefined) {
      throw invalid(
        `One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty ${kind} value. IndexName: ${index}, IndexKey: ${name}`,
      );
    }
    checkKeySize(name, value, keys);
  }

  /** In the order in which DynamoDB complains of them. */
  private sortedIndexes(): Index[] {
    return [...this.indexes.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  get(key: Item): Item | undefined {
    const items = this.partition(key[this.keys.hash]);
    const place = this.place(items, key);
    return this.isAt(items, place, key) ? items[place] : undefined;
  }

  put(item: Item): void {
    const id = idOf(item[this.keys.hash]);
    let items = this.partitions.get(id);
    if (!items) {
      items = [];
      this.partitions.set(id, items);
    }
    const place = this.place(items, item);
    items.splice(place, this.isAt(items, place, item) ? 1 : 0, item);
  }

  delete(key: Item): void {
    const id = idOf(key[this.keys.hash]);
    const items = this.partitions.get(id) ?? [];
    const place = this.place(items, key);
    if (this.isAt(items, place, key)) items.splice(place, 1);
    if (items.length === 0) this.partitions.delete(id);
  }

  private isAt(items: readonly Item[], place: number, key: Item): boolean {
    return items[place] !== undefined && this.order(items[place], key) === 0;
  }

  /** The index of the first item that is not before the key. */
  private place(items: readonly Item[], key: Item): number {
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.order(items[middle], key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private order(a: Item, b: Item): number {
    const { range } = this.keys;
    return range === undefined ? 0 : (compare(a[range], b[range]) ?? 0);
  }

  /** The order of items in an index: by its sort key, then by the table's key. */
  indexOrder({ keys }: Index): (a: Item, b: Item) => number {
    const names = [keys.range, this.keys.hash, this.keys.range].filter((name) => name !== undefined);
    return (a, b) => {
      for (const name of names) {
        const order = compare(a[name], b[name]) ?? 0;
        if (order !== 0) return order;
      }
      return 0;
    };
  }

  /** What a page ends with: the keys of the table, and of the index if one was read. */
  pageKey(item: Item, index: Index | undefined): Item {
    const names = [...namesOf(this.keys), ...(index ? namesOf(index.keys) : [])];
    return Object.fromEntries(names.map((name) => [name, item[name]]));
  }
}

export function namesOf(keys: KeySchema): string[] {
  return keys.range === undefined ? [keys.hash] : [keys.hash, keys.range];
}

/** What kind of empty value this is, which no key may be. */
function emptyKind(value: Value | undefined): 'string' | 'binary' | undefined {
  if (value?.S === '') return 'string';
  return value?.B === '' ? 'binary' : undefined;
}

function checkKeySize(name: string, value: Value, keys: KeySchema): void {
  if (value.N !== undefined) return;
  const size = sizeOfValue(value);
  if (name === keys.hash && size > LONGEST_HASH_KEY) {
    // The missing space is DynamoDB's.
    throw invalid(`${WRONG} Size of hashkey has exceeded the maximum size limit of${LONGEST_HASH_KEY} bytes`);
  }
  if (name === keys.range && size > LONGEST_RANGE_KEY) {
    const limit = `${LONGEST_RANGE_KEY} bytes`;
    throw invalid(`${WRONG} Aggregated size of all range keys has exceeded the size limit of ${limit}`);
  }
}

/** The text that tells partitions apart. */
export function idOf(value: Value): string {
  const type = typeOf(value);
  return `${type}:${value[type]}`;
}

function keysOf(schema: readonly { readonly AttributeName: string; readonly KeyType: string }[]): KeySchema {
  const named = (type: string) => schema.find((one) => one.KeyType === type)?.AttributeName;
  const hash = named('HASH');
  const range = named('RANGE');
  if (!hash) throw new ApiError('ValidationException', 'a key schema must have a HASH key');
  return { hash, ...(range && { range }) };
}

type IndexDefinition = NonNullable<Definition['LocalSecondaryIndexes']>[number];

function indexOf({ IndexName, KeySchema, Projection = {} }: IndexDefinition, global: boolean): Index {
  const { ProjectionType = 'ALL', NonKeyAttributes = [] } = Projection;
  const included = ProjectionType === 'ALL' ? undefined : ProjectionType === 'INCLUDE' ? NonKeyAttributes : [];
  return { name: IndexName, keys: keysOf(KeySchema), global, ...(included && { included }) };
}
