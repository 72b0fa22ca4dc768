import { setTimeout } from 'node:timers/promises';
import { FREE, type Mended, mendedDeploymentLease, mendedLease, NOTHING } from '../../lib/core/dataset/lease';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { type FactKind, type FactOf, type NewFact, newFact, readFact } from '../../lib/core/ledger/facts';
import { LedgerKey, LedgerPrefix } from '../../lib/core/ledger/keys';
import { type DeploymentLease, type Lease, type Row, rowValue, wrongFrame } from '../../lib/core/ledger/rows';
import { shortened } from '../../lib/core/listed';

/** An item of the ledger as it is stored: whoever reads it looks at its kind and version. */
export interface Item {
  readonly sk: string;
  readonly [member: string]: unknown;
}

export interface QueryOptions {
  readonly newestFirst?: boolean;
  /** So many items at most. */
  readonly limit?: number;
  /** What the keys have behind the prefix from then on, e.g. an ISO time; for keys that go on with a time. */
  readonly since?: string;
  /** The key of the last item of an earlier answer, which this one follows. */
  readonly beyond?: string;
}

/** One pipeline's part of the ledger; tests have one in memory. */
export interface Ledger {
  /** The newest state of an item; undefined if there is none. */
  find(sk: string): Promise<Item | undefined>;
  /** Those items that are there, in any order. */
  findAll(sks: readonly string[]): Promise<Item[]>;
  /**
   * Appends a fact; one that is already there stays as it is.
   *
   * @returns whether the fact is new
   */
  append(fact: NewFact): Promise<boolean>;
  /** The items whose sort keys begin with a prefix, oldest first. */
  query(prefix: string, options?: QueryOptions): Promise<Item[]>;
  /**
   * Writes a row that changes in place, unless somebody else has since it was read.
   *
   * @param revision the one that was read, whatever it is; 0 if there was no row
   * @returns whether it was written
   */
  swap(row: Row, revision: unknown, value: object): Promise<boolean>;
}

/** Reads a fact; undefined if there is none. */
export async function findFact<K extends FactKind>(
  ledger: Pick<Ledger, 'find'>,
  sk: string,
  kind: K,
): Promise<FactOf<K> | undefined> {
  const item = await ledger.find(sk);
  return item && readFact(item, [kind]);
}

/** Reads the facts whose sort keys begin with a prefix, oldest first. */
export async function queryFacts(
  ledger: Pick<Ledger, 'query'>,
  prefix: string,
  options?: QueryOptions,
): Promise<FactOf<FactKind>[]> {
  return (await ledger.query(prefix, options)).map((item) => readFact(item));
}

/** When a run began; of several under one id, the last. Undefined if none has begun. */
export async function findRun(ledger: Pick<Ledger, 'query'>, runId: string): Promise<FactOf<'RunIndex'> | undefined> {
  const prefix = `${LedgerPrefix.runIndex(runId)}#`;
  const [index] = await queryFacts(ledger, prefix, { newestFirst: true, limit: 1 });
  return index && readFact(index, ['RunIndex']);
}

/** Those of a kind. */
export function ofFactKind<K extends FactKind>(facts: readonly FactOf<FactKind>[], kind: K): FactOf<K>[] {
  return facts.filter((fact): fact is FactOf<K> => fact.kind === kind);
}

/** An item that changes in place, and the revision under which it was read. */
export interface Current<T> {
  readonly value: T;
  /** 0 if there was no item; whatever it is, if somebody has changed the item by hand. */
  readonly revision: unknown;
  /** What of its kind, version and revision is not as we write it; empty if nothing is. */
  readonly wrong: readonly string[];
  /** As it is stored; absent if there was none. */
  readonly item?: Item;
}

/** A row that changes in place, and what it says before anybody has written it. */
export interface RowOf<T> extends Row {
  readonly nothing: T;
}

/**
 * Reads a row that changes in place.
 *
 * @throws PerennialError INVALID_DOCUMENT if a later release has written it
 */
export async function current<T extends object>(ledger: Pick<Ledger, 'find'>, row: RowOf<T>): Promise<Current<T>> {
  const item = await ledger.find(row.sk);
  if (item === undefined) return { value: row.nothing, revision: 0, wrong: [] };
  return { value: rowValue(item) as T, revision: item.revision, wrong: wrongFrame(item, row), item };
}

/** A lease, of whose row perhaps not all could be read. */
export interface ReadLease<T> extends Current<T> {
  /** Whether somebody had changed the row by hand; it is kept beside, and must be written anew. */
  readonly torn: boolean;
}

/** What a lease is, to whoever reads it. */
export interface LeaseKind<T> extends RowOf<T> {
  readonly mend: (row: unknown) => Mended<T>;
}

export const TRAINING_LEASE: LeaseKind<Lease> = {
  kind: 'TrainingLease',
  sk: LedgerKey.lease('training'),
  nothing: FREE,
  mend: mendedLease,
};

export const DEPLOYMENT_LEASE: LeaseKind<DeploymentLease> = {
  kind: 'DeploymentLease',
  sk: LedgerKey.lease('deployment'),
  nothing: NOTHING,
  mend: mendedDeploymentLease,
};

/** Reads a lease; a row that is not as we write it is kept beside, and what can be read of it counts. */
export async function readLease<T extends object>(
  ledger: Ledger,
  lease: LeaseKind<T>,
  now: Date,
): Promise<ReadLease<T>> {
  const { sk } = lease;
  const { value: row, revision, wrong, item } = await current<object>(ledger, lease);
  const mended = lease.mend(row);
  const { value } = mended;
  const mistakes = [...mended.wrong, ...wrong];
  if (mistakes.length === 0) return { value, revision, wrong, torn: false };
  const { pk: _pk, sk: _sk, ...stored } = item ?? { sk };
  const was = stableJson(stored);
  const because = mistakes.join('; ');
  console.error(JSON.stringify({ torn: sk, because }));
  await ledger.append(newFact.tornRow(now, { row: sk, because, was: shortened(was, MOST_KEPT) }, was));
  return { value, revision, wrong, torn: true };
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
    return ((same(changed, value) && !torn) || (await ledger.swap(kind, revision, changed))) && { done: changed };
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
export async function change<T extends object>(ledger: Ledger, row: RowOf<T>, transform: (value: T) => T): Promise<T> {
  return untilDone(row.sk, async () => {
    const { value, revision } = await current(ledger, row);
    const changed = transform(value);
    return (same(changed, value) || (await ledger.swap(row, revision, changed))) && { done: changed };
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
