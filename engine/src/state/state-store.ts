import {
  closeSync,
  existsSync,
  fdatasync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { SetAside } from './set-aside';

/** What a member of a kept value must be; with a question mark, if it is there. */
type Kind = 'string' | 'number' | 'boolean' | 'object' | 'list';
export type Members = Readonly<Record<string, Kind | `${Kind}?`>>;

/** A collection of the engine's {@link StateStore}: JSON values by their keys; `Date`s stay dates. */
export interface Kept<V> {
  put(key: string, value: V): void;
  delete(key: string): void;
  /**
   * Gives what an earlier engine kept, in no particular order; once.
   *
   * A value that does not look like one, or that `take` throws at, is set aside: told, and given to nobody.
   */
  restore(take: (value: V, key: string) => void): void;
}

/** A map whose entries outlive the engine. A value that is changed in place must be set again. */
export class KeptMap<V> extends Map<string, V> {
  private readonly kept: Kept<V>;

  constructor(store: StateStore, name: string, members: Members = {}) {
    super();
    this.kept = store.collection(name, members);
    this.kept.restore((value, key) => super.set(key, value));
  }

  override set(key: string, value: V): this {
    this.kept.put(key, value);
    return super.set(key, value);
  }

  override delete(key: string): boolean {
    if (this.has(key)) this.kept.delete(key);
    return super.delete(key);
  }
}

/** One change: a value put, or (without one) deleted. */
type Change = readonly [collection: string, key: string, value?: unknown];

/** Changes that are one. */
interface Group {
  readonly changes: Change[];
  /** What waits until they are written. */
  readonly after: (() => void)[];
}

const FILE = 'journal.jsonl';
/** The file is rewritten when it has grown to twice what counted the last time, and so many bytes. */
const SLACK = 8 * 2 ** 20;
/** Milliseconds after which a change is on the disk itself, so that a power cut takes no more than that. */
const SYNC_MS = 1000;
/** How a date is written; no key of anybody's is likely to be called so. */
const DATE = '\0date';

/**
 * What the engine must know when it is started again on the same folder: the one place where all services keep it.
 *
 * A journal of changes, one JSON line for each, or for each group of changes that hold {@link together}. A change is
 * written before anybody is told of it. A line that cannot be read is set aside, and the others go on.
 */
export class StateStore {
  private file: number;
  private bytes = 0;
  /** The size at which the journal is rewritten. */
  private limit = 0;
  /** The number of the change that made a key what it is. */
  private readonly newest = new Map<string, number>();
  private changes = 0;
  private group: Group | undefined;
  private syncing: NodeJS.Timeout | undefined;
  private broken: Error | undefined;
  /** What nobody has asked for yet. */
  private readonly left = new Map<string, Map<string, unknown>>();

  /** @param folder is made if it is not there */
  constructor(
    private readonly folder: string,
    readonly aside = new SetAside(folder),
  ) {
    mkdirSync(folder, { recursive: true });
    this.read();
    this.file = this.rewrite();
  }

  /** Whether a folder has the state of an engine. */
  static isIn(folder: string): boolean {
    return existsSync(join(folder, FILE));
  }

  /** @param members what each value must have */
  collection<V>(name: string, members: Members = {}): Kept<V> {
    return {
      put: (key, value) => this.change([name, key, value]),
      delete: (key) => this.change([name, key]),
      restore: (take) => {
        const found = this.left.get(name) ?? new Map();
        this.left.delete(name);
        for (const [key, value] of found) {
          try {
            check(value, members);
            take(value as V, key);
          } catch (error) {
            this.aside.value(`${name}/${key}`, value, (error as Error).message);
            this.change([name, key]);
          }
        }
      },
    };
  }

  /** Does all changes of `work` as one: after a crash either all of them hold or none. `work` must not wait. */
  together<T>(work: () => T): T {
    if (this.group !== undefined) return work();
    const group: Group = { changes: [], after: [] };
    this.group = group;
    try {
      return work();
    } finally {
      this.group = undefined;
      if (group.changes.length > 0) this.write(group.changes);
      for (const one of group.after) one();
    }
  }

  /** Does what must not be done before the changes so far are written, as the removal of what they no longer name. */
  afterwards(work: () => void): void {
    if (this.group === undefined) work();
    else this.group.after.push(work);
  }

  /** Forgets all collections but those whose names begin so. */
  keepOnly(beginnings: readonly string[]): void {
    const ids = [...this.newest.keys()].filter((id) => !beginnings.some((beginning) => id.startsWith(beginning)));
    this.together(() => {
      for (const id of ids) {
        const [collection = '', key = ''] = id.split(/\n(.*)/s);
        this.change([collection, key]);
      }
    });
  }

  /** Brings everything to the disk. */
  close(): void {
    clearTimeout(this.syncing);
    if (this.broken !== undefined) return;
    this.broken = new Error('the engine has ended');
    fsyncSync(this.file);
    closeSync(this.file);
  }

  private change(change: Change): void {
    if (this.group !== undefined) this.group.changes.push(change);
    else this.write([change]);
  }

  private write(changes: readonly Change[]): void {
    if (this.broken !== undefined) throw this.broken;
    const line = lineOf(changes);
    try {
      writeAll(this.file, line);
    } catch (error) {
      this.refuse(error as Error);
    }
    this.bytes += line.length;
    for (const change of changes) this.count(change);
    this.syncing ??= setTimeout(() => this.sync(), SYNC_MS).unref();
    if (this.bytes > this.limit) this.compact();
  }

  private compact(): void {
    const [file, bytes] = [this.file, this.bytes];
    try {
      this.file = this.rewrite();
      closeSync(file);
    } catch {
      // the disk is full, perhaps: what is written stays as it is
      this.bytes = bytes;
      this.limit = bytes + SLACK;
    }
  }

  /** Takes back a line of which only a part was written, so that the next one is not spoilt by it. */
  private refuse(cause: Error): never {
    const failure = new Error(`the state in ${this.folder} cannot be written: ${cause.message}`, { cause });
    try {
      ftruncateSync(this.file, this.bytes);
    } catch {
      this.broken = failure;
    }
    throw failure;
  }

  private sync(): void {
    this.syncing = undefined;
    if (this.broken === undefined) fdatasync(this.file, () => {});
  }

  private count([collection, key, value]: Change): void {
    if (value === undefined) this.newest.delete(idOf(collection, key));
    else this.newest.set(idOf(collection, key), this.changes);
    this.changes += 1;
  }

  private read(): void {
    for (const { changes, text, why } of linesOf(join(this.folder, FILE))) {
      if (changes === undefined) {
        this.aside.line(FILE, text, why);
        continue;
      }
      for (const change of changes) {
        const [collection, key, value] = change;
        const values = this.left.get(collection) ?? new Map<string, unknown>();
        this.left.set(collection, values);
        if (value === undefined) values.delete(key);
        else values.set(key, value);
        this.count(change);
      }
    }
  }

  /** Writes the changes that still count beside the journal, and puts that in its place. */
  private rewrite(): number {
    const path = join(this.folder, FILE);
    const next = `${path}.next`;
    rmSync(next, { force: true });
    const file = openSync(next, 'a');
    this.bytes = 0;
    let change = 0;
    const kept = new Map<string, number>();
    for (const { changes = [] } of linesOf(path)) {
      for (const one of changes) {
        const id = idOf(one[0], one[1]);
        if (one.length === 3 && this.newest.get(id) === change) {
          const line = lineOf([one]);
          writeAll(file, line);
          this.bytes += line.length;
          kept.set(id, kept.size);
        }
        change += 1;
      }
    }
    fsyncSync(file);
    renameSync(next, path);
    syncFolder(this.folder);
    for (const [id, number] of kept) this.newest.set(id, number);
    this.changes = kept.size;
    this.limit = 2 * this.bytes + SLACK;
    return file;
  }
}

/** The JSON of a change, or of a group of them. */
function lineOf(changes: readonly Change[]): Buffer {
  const json = changes.length === 1 ? changes[0] : changes;
  return Buffer.from(`${JSON.stringify(json, writeDates)}\n`);
}

function writeDates(this: Record<string, unknown>, key: string, value: unknown): unknown {
  const given = this[key];
  return given instanceof Date ? { [DATE]: given.getTime() } : value;
}

function readDates(_key: string, value: unknown): unknown {
  const at = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[DATE] : undefined;
  return typeof at === 'number' ? new Date(at) : value;
}

interface Line {
  readonly changes?: readonly Change[];
  readonly text: string;
  readonly why: string;
}

function* linesOf(path: string): Generator<Line> {
  if (!existsSync(path)) return; // the first start on this folder
  const all = readFileSync(path);
  for (let start = 0; start < all.length; ) {
    const end = all.indexOf(10, start);
    const text = all.toString('utf8', start, end < 0 ? all.length : end);
    yield { text, ...parsed(end < 0 ? undefined : text) };
    start = end < 0 ? all.length : end + 1;
  }
}

function parsed(text: string | undefined): { changes?: readonly Change[]; why: string } {
  if (text === undefined) return { why: 'it is cut off' };
  try {
    const json = JSON.parse(text, readDates);
    const changes = Array.isArray(json?.[0]) ? json : [json];
    return changes.every(isChange) ? { changes, why: '' } : { why: 'it is no change of the state' };
  } catch (error) {
    return { why: (error as Error).message };
  }
}

function isChange(json: unknown): json is Change {
  if (!Array.isArray(json) || json.length < 2 || json.length > 3) return false;
  return typeof json[0] === 'string' && typeof json[1] === 'string';
}

function check(value: unknown, members: Members): void {
  if (!['object', 'list'].includes(kindOf(value))) throw new Error(`it must be an object, got ${kindOf(value)}`);
  for (const [name, wanted] of Object.entries(members)) {
    const got = kindOf((value as Record<string, unknown>)[name]);
    const isFine = got === wanted.replace('?', '') || (wanted.endsWith('?') && got === 'nothing');
    if (!isFine) throw new Error(`its ${name} must be ${wanted.replace('?', '')}, got ${got}`);
  }
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  return Array.isArray(value) ? 'list' : typeof value;
}

function idOf(collection: string, key: string): string {
  return `${collection}\n${key}`;
}

/** So that a new name is there after a power cut too. */
function syncFolder(folder: string): void {
  const file = openSync(folder, 'r');
  fsyncSync(file);
  closeSync(file);
}

function writeAll(file: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
}
