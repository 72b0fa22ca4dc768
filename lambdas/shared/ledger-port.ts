import { setTimeout } from 'node:timers/promises';
import { ConditionalCheckFailedException, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import type { Fact } from '../../lib/core/ledger';
import { fromItem, toItem } from './items';
import { appendFact, type LedgerTable, ledgerTable, queryFacts } from './ledger';

/** What handlers do with one pipeline's part of the ledger; tests have one in memory. */
export interface Ledger {
  /** The newest state of an item; undefined if there is none. */
  find<T>(sk: string): Promise<T | undefined>;
  /** Appends a fact; one that is already there stays as it is. */
  append<F extends Fact>(fact: Omit<F, 'pk'>): Promise<boolean>;
  /** The facts whose sort keys begin with a prefix. */
  query<F extends Fact>(
    prefix: string,
    options?: { readonly newestFirst?: boolean; readonly limit?: number },
  ): Promise<F[]>;
  /**
   * Writes an item that changes in place, unless somebody else has since it was read.
   *
   * @param revision the one that was read; 0 if there was no item
   * @returns whether it was written
   */
  swap(sk: string, revision: number, value: object): Promise<boolean>;
}

/** The ledger that the function's construct names. */
export function dynamoLedger(table: LedgerTable = ledgerTable()): Ledger {
  const { client, tableName: TableName, pipeline: pk } = table;
  return {
    append: (fact) => appendFact(table, fact),
    query: (prefix, options) => queryFacts(table, prefix, options),
    async find(sk) {
      const { Item } = await client.send(
        new GetItemCommand({ TableName, Key: toItem({ pk, sk }), ConsistentRead: true }),
      );
      return Item && fromItem(Item);
    },
    async swap(sk, revision, value) {
      try {
        await client.send(
          new PutItemCommand({
            TableName,
            Item: toItem({ ...value, pk, sk, revision: revision + 1 }),
            ...(revision === 0
              ? { ConditionExpression: 'attribute_not_exists(pk)' }
              : {
                  ConditionExpression: '#revision = :seen',
                  ExpressionAttributeNames: { '#revision': 'revision' },
                  ExpressionAttributeValues: toItem({ ':seen': revision }),
                }),
          }),
        );
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    },
  };
}

/** An item that changes in place, and the revision under which it was read. */
export interface Current<T> {
  readonly value: T;
  readonly revision: number;
}

/** Reads an item that changes in place. */
export async function current<T extends object>(ledger: Ledger, sk: string, nothing: T): Promise<Current<T>> {
  const item = await ledger.find<T & { pk: string; sk: string; revision: number }>(sk);
  if (item === undefined) return { value: nothing, revision: 0 };
  const { pk: _pk, sk: _sk, revision, ...value } = item;
  return { value: value as unknown as T, revision };
}

/** So often a change is tried while others change the same item; each try waits a little longer. */
const TRIES = 20;

/** Changes an item in place, however many do so at once; writes nothing if nothing changes. */
export async function change<T extends object>(
  ledger: Ledger,
  sk: string,
  nothing: T,
  transform: (value: T) => T,
): Promise<T> {
  for (let tries = 0; tries < TRIES; tries++) {
    const { value, revision } = await current(ledger, sk, nothing);
    const changed = transform(value);
    if (same(changed, value) || (await ledger.swap(sk, revision, changed))) return changed;
    await setTimeout(Math.random() * 10 * tries);
  }
  throw new Error(`${sk} changed ${TRIES} times while it was to be written: another try may succeed`);
}

/** Whether two JSON values are equal, whatever the order of their members. */
export function same(a: unknown, b: unknown): boolean {
  return stableJson(a) === stableJson(b);
}

/** JSON with its members in order: the same value gives the same text, which execution inputs need to be idempotent. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    member !== null && typeof member === 'object' && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
