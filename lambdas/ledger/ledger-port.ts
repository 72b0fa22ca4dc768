import { setTimeout } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  GetItemCommand,
  PutItemCommand,
  type PutItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import { FREE, type Mended, mendedDeploymentLease, mendedLease, NOTHING } from '../../lib/core/dataset/lease';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { type DeploymentLease, type Fact, type Lease, LedgerKey, type TornRow } from '../../lib/core/ledger/ledger';
import { shortened } from '../../lib/core/listed';
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
   * @param revision the one that was read, whatever it is; 0 if there was no item
   * @returns whether it was written
   */
  swap(sk: string, revision: unknown, value: object): Promise<boolean>;
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
            Item: toItem({ ...value, pk, sk, revision: nextRevision(revision) }),
            ...unchanged(revision),
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

/** That an item is as it was when it was read. */
function unchanged(revision: unknown): Partial<PutItemCommandInput> {
  if (revision === 0) return { ConditionExpression: 'attribute_not_exists(pk)' };
  const names = { ExpressionAttributeNames: { '#revision': 'revision' } };
  if (revision === undefined) {
    return { ConditionExpression: 'attribute_exists(pk) AND attribute_not_exists(#revision)', ...names };
  }
  return {
    ConditionExpression: '#revision = :seen',
    ...names,
    ExpressionAttributeValues: toItem({ ':seen': revision }),
  };
}

/** The revision after one that was read; the first again after one that nothing of ours has written. */
export function nextRevision(revision: unknown): number {
  return isRevision(revision) ? revision + 1 : 1;
}

function isRevision(revision: unknown): revision is number {
  return Number.isSafeInteger(revision) && (revision as number) >= 0;
}

/** An item that changes in place, and the revision under which it was read. */
export interface Current<T> {
  readonly value: T;
  /** 0 if there was no item; whatever it is, if somebody has changed the item by hand. */
  readonly revision: unknown;
}

/** Reads an item that changes in place. */
export async function current<T extends object>(
  ledger: Pick<Ledger, 'find'>,
  sk: string,
  nothing: T,
): Promise<Current<T>> {
  const item = await ledger.find<T & { pk: string; sk: string; revision: unknown }>(sk);
  if (item === undefined) return { value: nothing, revision: 0 };
  const { pk: _pk, sk: _sk, revision, ...value } = item;
  return { value: value as unknown as T, revision };
}

/** A lease, of whose row perhaps not all could be read. */
export interface ReadLease<T> extends Current<T> {
  /** Whether somebody had changed the row by hand; it is kept beside, and must be written anew. */
  readonly torn: boolean;
}

/** What a lease is, to whoever reads it. */
export interface LeaseKind<T> {
  readonly sk: string;
  readonly nothing: T;
  readonly mend: (row: unknown) => Mended<T>;
}

export const TRAINING_LEASE: LeaseKind<Lease> = { sk: LedgerKey.lease('training'), nothing: FREE, mend: mendedLease };

export const DEPLOYMENT_LEASE: LeaseKind<DeploymentLease> = {
  sk: LedgerKey.lease('deployment'),
  nothing: NOTHING,
  mend: mendedDeploymentLease,
};

/** Reads a lease; a row that is not as we write it is kept beside, and what can be read of it counts. */
export async function readLease<T extends object>(
  ledger: Ledger,
  { sk, nothing, mend }: LeaseKind<T>,
  now: Date,
): Promise<ReadLease<T>> {
  const { value: row, revision } = await current<object>(ledger, sk, nothing);
  const { value, wrong } = mend(row);
  const mistakes = [...wrong, ...(isRevision(revision) ? [] : ['revision must be a whole number'])];
  if (mistakes.length === 0) return { value, revision, torn: false };
  const was = stableJson({ ...row, revision });
  const because = mistakes.join('; ');
  console.error(JSON.stringify({ torn: sk, because }));
  await ledger.append<TornRow>({
    sk: LedgerKey.torn(sk, was),
    at: now.toISOString(),
    row: sk,
    because,
    was: shortened(was, MOST_KEPT),
  });
  return { value, revision, torn: true };
}

/** Changes a lease, however many do so at once; writes nothing if nothing changes. */
export async function changeLease<T extends object>(
  ledger: Ledger,
  kind: LeaseKind<T>,
  now: Date,
  transform: (lease: T) => T,
): Promise<T> {
  return untilDone(kind.sk, async () => {
    const { value, revision, torn } = await readLease(ledger, kind, now);
    const changed = transform(value);
    return ((same(changed, value) && !torn) || (await ledger.swap(kind.sk, revision, changed))) && { done: changed };
  });
}

/** Characters of a torn row that are kept. */
const MOST_KEPT = 90_000;

/** So often in a row a change is tried while others change the same item. */
const TRIES = 20;

/** So many changes are made for one call; there is an end even if one of them should undo another. */
const MOST_CHANGES = 1000;

/** Waits, in milliseconds. */
export type Pause = (milliseconds: number) => Promise<unknown>;

/**
 * Changes an item step by step, until nothing is left to do. After a step that others foiled, who had changed the same
 * item, the next waits a little longer, and none as long as another.
 *
 * @param step gives what comes of it all, or whether it has changed the item
 * @throws PerennialError LEDGER_BUSY
 */
export async function untilDone<T>(
  sk: string,
  step: () => Promise<{ readonly done: T } | boolean>,
  pause: Pause = setTimeout,
): Promise<T> {
  let foiled = 0;
  for (let steps = 0; steps < MOST_CHANGES && foiled < TRIES; steps++) {
    const result = await step();
    if (typeof result === 'object') return result.done;
    foiled = result ? 0 : foiled + 1;
    if (!result) await pause(Math.random() * 10 * foiled);
  }
  throw new PerennialError(
    ErrorName.LEDGER_BUSY,
    `${sk} must stay as it is for a moment to be changed, got ${TRIES} changes by others: another try may succeed`,
  );
}

/** Changes an item in place, however many do so at once; writes nothing if nothing changes. */
export async function change<T extends object>(
  ledger: Ledger,
  sk: string,
  nothing: T,
  transform: (value: T) => T,
): Promise<T> {
  return untilDone(sk, async () => {
    const { value, revision } = await current(ledger, sk, nothing);
    const changed = transform(value);
    return (same(changed, value) || (await ledger.swap(sk, revision, changed))) && { done: changed };
  });
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
