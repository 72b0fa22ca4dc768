import { Readable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import type { Data } from '../../lambdas/dataset/data';
import type { Item, Ledger, QueryOptions } from '../../lambdas/ledger/ledger';
import type { Execution, Executions } from '../../lambdas/shared/executions';
import { linesOf } from '../../lambdas/shared/s3-store';
import { isData, type ListedFile } from '../../lib/core/dataset/snapshot';
import type { NewFact } from '../../lib/core/ledger/facts';
import { type Row, rowOf } from '../../lib/core/ledger/rows';

/** A ledger in memory. Values pass through JSON, as they would through DynamoDB. */
export class MemoryLedger implements Ledger {
  readonly items = new Map<string, Record<string, unknown>>();

  constructor(readonly pipeline = 'flights') {}

  async find(sk: string): Promise<Item | undefined> {
    const item = this.items.get(sk);
    return item && structuredClone(item as unknown as Item);
  }

  async findAll(sks: readonly string[]): Promise<Item[]> {
    const found = [...new Set(sks)].flatMap((sk) => this.items.get(sk) ?? []);
    return structuredClone(found as unknown as Item[]);
  }

  async append(fact: NewFact): Promise<boolean> {
    const { sk } = fact;
    if (this.items.has(sk)) return false;
    this.put(sk, fact);
    return true;
  }

  async query(prefix: string, options: QueryOptions = {}): Promise<Item[]> {
    const { newestFirst, limit, since = '', beyond } = options;
    const keys = [...this.items.keys()].filter((sk) => sk.startsWith(prefix) && sk >= prefix + since).sort();
    if (newestFirst) keys.reverse();
    const rest = beyond === undefined ? keys : keys.filter((sk) => (newestFirst ? sk < beyond : sk > beyond));
    return rest.slice(0, limit).map((sk) => structuredClone(this.items.get(sk)) as unknown as Item);
  }

  async swap(row: Row, revision: unknown, value: object): Promise<boolean> {
    const item = this.items.get(row.sk);
    if (item === undefined ? revision !== 0 : !isDeepStrictEqual(item.revision, revision)) return false;
    this.put(row.sk, rowOf(row, revision, value));
    return true;
  }

  /** Puts facts there, whatever was there. */
  add(...facts: readonly NewFact[]): void {
    for (const fact of facts) this.put(fact.sk, fact);
  }

  put(sk: string, value: object): void {
    if (Buffer.byteLength(sk) > 1024) throw new Error('ValidationException: the sort key exceeds 1,024 bytes');
    const size = itemSize(JSON.parse(JSON.stringify({ ...value, pk: this.pipeline, sk })));
    if (size > 400 * 1024) throw new Error(`ValidationException: the item of ${size} bytes exceeds 400 KB`);
    this.items.set(sk, JSON.parse(JSON.stringify({ ...value, pk: this.pipeline, sk })));
  }

  /** The items whose sort keys begin with a prefix. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look at the members that they care about
  all(prefix: string): any[] {
    return [...this.items].filter(([sk]) => sk.startsWith(prefix)).map(([, item]) => item);
  }
}

/**
 * Bytes of a value, and of an item, in DynamoDB.
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
 */
function itemSize(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value === 'number') return 21;
  if (typeof value !== 'object' || value === null) return 1;
  const members = Array.isArray(value) ? value.map((member) => ['', member]) : Object.entries(value);
  return members.reduce((sum, [name, member]) => sum + 1 + Buffer.byteLength(name) + itemSize(member), 3);
}

/** Objects in memory. */
export class MemoryData implements Data {
  readonly documents = new Map<string, unknown>();
  private readonly files = new Map<string, ListedFile>();
  private uploads = 0;

  async list(): Promise<ListedFile[]> {
    return [...this.files.values()].filter(({ key }) => isData(key));
  }

  async read(key: string): Promise<unknown> {
    return structuredClone(this.documents.get(key));
  }

  async write(key: string, document: unknown): Promise<void> {
    this.documents.set(key, JSON.parse(JSON.stringify(document)));
  }

  async writeNew(key: string, document: unknown): Promise<void> {
    if (!this.documents.has(key)) this.documents.set(key, JSON.parse(JSON.stringify(document)));
  }

  /** Uploads a file, and gives the version id. */
  upload(key: string, size = 10): string {
    this.uploads++;
    const versionId = `v${this.uploads}`;
    this.files.set(key, { key, versionId, size, etag: versionId, lastModified: new Date(this.uploads * 1000) });
    return versionId;
  }

  remove(key: string): void {
    this.files.delete(key);
  }
}

/** The executions of a state machine, in memory. */
export class MemoryExecutions implements Executions {
  readonly all = new Map<string, Execution & { readonly input: string }>();
  /** The most that ran at the same time. */
  mostAtOnce = 0;

  constructor(private readonly now: () => Date) {}

  async start(name: string, input: string): Promise<boolean> {
    const known = this.all.get(name);
    if (known !== undefined) return known.status === 'RUNNING' && known.input === input;
    if (Buffer.byteLength(input) > 256 * 1024) throw new Error('ValidationException: the input exceeds 256 KB');
    this.all.set(name, { status: 'RUNNING', input, startedAt: this.now().toISOString() });
    this.mostAtOnce = Math.max(this.mostAtOnce, this.names().length);
    return true;
  }

  async find(name: string): Promise<Execution | undefined> {
    return this.all.get(name);
  }

  async running(): Promise<string[]> {
    return this.names();
  }

  /** The names of those that run. */
  names(): string[] {
    return [...this.all].filter(([, { status }]) => status === 'RUNNING').map(([name]) => name);
  }

  input(name: string): string {
    return this.all.get(name)?.input ?? '';
  }

  /** Ends an execution; gives the event that Step Functions sends of it, without its envelope. */
  end(name: string, status: string): object {
    const execution = this.all.get(name);
    if (execution?.status !== 'RUNNING') throw new Error(`${name} must run to be ended, got ${execution?.status}`);
    const endedAt = this.now().toISOString();
    this.all.set(name, { ...execution, status, endedAt });
    return {
      name,
      status,
      input: execution.input,
      startDate: Date.parse(execution.startedAt),
      stopDate: Date.parse(endedAt),
    };
  }
}

/** A crash of the function: thrown by {@link crashing}, and not to be caught. */
export class Crash extends Error {}

/**
 * Ports of which every call goes through `around`; settings, clock and metrics do not.
 *
 * @param around makes the call, or not
 */
export function watched<T extends object>(
  ports: T,
  around: (name: string, call: () => unknown) => Promise<unknown>,
): T {
  const watch = <O extends object>(target: O): O =>
    new Proxy(target, {
      get(object, name) {
        const member = Reflect.get(object, name);
        if (['now', 'rules', 'metric', 'pause'].includes(String(name))) return member;
        if (typeof member === 'object' && member !== null) return watch(member);
        if (typeof member !== 'function') return member;
        return (...given: unknown[]) => around(String(name), () => member.apply(object, given));
      },
    });
  return watch(ports);
}

/**
 * Ports that fail at one call: before it has its effect, or after.
 *
 * @param at counts the calls of all methods together, from 0; settings, clock and metrics do not count
 */
export function crashing<T extends object>(ports: T, at: number, when: 'before' | 'after'): T {
  let calls = 0;
  return watched(ports, async (name, call) => {
    const crash = calls++ === at;
    if (crash && when === 'before') throw new Crash(`before ${name}`);
    const result = await call();
    if (crash) throw new Crash(`after ${name}`);
    return result;
  });
}

/** The documents and texts of a bucket, in memory. */
export class MemoryStore {
  readonly objects = new Map<string, string>();
  /** When they were written, for those where it matters. */
  readonly written = new Map<string, Date>();

  json(key: string, value: unknown): void {
    this.objects.set(key, JSON.stringify(value));
  }

  parsed<T>(key: string): T {
    return JSON.parse(this.objects.get(key) ?? 'null');
  }

  async getText(key: string): Promise<string> {
    const text = this.objects.get(key);
    if (text === undefined) throw new Error(`no object ${key}`);
    return text;
  }

  async getJson<T>(key: string): Promise<T> {
    return JSON.parse(await this.getText(key));
  }

  async lines(key: string, most: number): Promise<AsyncIterable<Uint8Array | undefined>> {
    return linesOf(Readable.from([Buffer.from(await this.getText(key))]), most);
  }

  async putJson(key: string, value: unknown): Promise<void> {
    this.json(key, value);
  }

  async list(prefix: string) {
    return [...this.objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, text]) => ({ key, size: text.length, etag: '', lastModified: this.written.get(key) ?? new Date(0) }));
  }
}
