import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/** A JSON value as DynamoDB stores it; members that are undefined are left out. */
export function toAttribute(value: unknown): AttributeValue {
  if (value === null) return { NULL: true };
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'boolean') return { BOOL: value };
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`a number in the ledger must be finite, got ${value}`);
    return { N: String(value) };
  }
  if (Array.isArray(value)) return { L: value.map(toAttribute) };
  if (typeof value === 'object') return { M: toItem(value) };
  throw new Error(`a value in the ledger must be JSON, got ${typeof value}`);
}

export function toItem(value: object): Record<string, AttributeValue> {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([name, member]) => [name, toAttribute(member)]),
  );
}

export function fromAttribute(attribute: AttributeValue): unknown {
  if (attribute.S !== undefined) return attribute.S;
  if (attribute.N !== undefined) return Number(attribute.N);
  if (attribute.BOOL !== undefined) return attribute.BOOL;
  if (attribute.NULL !== undefined) return null;
  if (attribute.L !== undefined) return attribute.L.map(fromAttribute);
  if (attribute.M !== undefined) return fromItem(attribute.M);
  // of types that we never write; somebody did by hand, and whoever reads the row must be able to say so
  if (attribute.SS !== undefined) return attribute.SS;
  if (attribute.NS !== undefined) return attribute.NS.map(Number);
  return Object.keys(attribute)[0];
}

export function fromItem<T>(item: Record<string, AttributeValue>): T {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, fromAttribute(value)])) as T;
}
