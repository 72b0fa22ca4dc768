import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';

/** Who holds a folder; written into the lock. */
interface Holder {
  readonly pid: number;
  /** When its process started: another process may get its number once it is gone. */
  readonly started: string;
  readonly host: string;
  /** Tells engines of one process apart. */
  readonly id: string;
}

/** The locks that this process holds. */
const held = new Set<string>();

/**
 * Keeps a folder for one engine. The lock is a file that names its holder's process, and counts for as long as that
 * process lives: however it ends, the next engine can start at once.
 *
 * A lock whose holder is gone is never taken away, but followed by one with the next number, which only one of
 * several that start at the same time can make.
 *
 * @returns gives the folder free
 * @throws if another engine runs on it
 */
export function lockState(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const own: Holder = { pid: process.pid, started: startOf(process.pid), host: hostname(), id: randomUUID() };
  for (;;) {
    const locks = locksIn(folder);
    refuseHeld(folder, locks);
    const path = join(folder, `lock.${(locks.at(-1)?.number ?? 0) + 1}`);
    if (!make(path, own)) continue; // another engine was faster: look who it is
    held.add(own.id);
    const release = () => {
      rmSync(path, { force: true });
      held.delete(own.id);
    };
    try {
      // one that has looked long ago may have made a lower number since
      refuseHeld(folder, locksIn(folder), own.id);
    } catch (error) {
      release();
      throw error;
    }
    for (const { path: old } of locks) rmSync(old, { force: true });
    return release;
  }
}

interface Lock {
  readonly path: string;
  readonly number: number;
  /** None if the file cannot be read: it was made whole, so somebody else has written there. */
  readonly holder: Holder | undefined;
}

/** Lowest number first. */
function locksIn(folder: string): Lock[] {
  return readdirSync(folder)
    .flatMap((name) => {
      const [, number] = /^lock\.(\d+)$/.exec(name) ?? [];
      const path = join(folder, name);
      return number === undefined ? [] : [{ path, number: Number(number), holder: holderIn(path) }];
    })
    .sort((a, b) => a.number - b.number);
}

function holderIn(path: string): Holder | undefined {
  try {
    const { pid, started, host, id } = JSON.parse(readFileSync(path, 'utf8'));
    return typeof pid === 'number' ? { pid, started, host, id } : undefined;
  } catch {
    return undefined;
  }
}

function refuseHeld(folder: string, locks: readonly Lock[], own?: string): void {
  for (const { holder, path } of locks) {
    if (holder === undefined || holder.id === own || !isThere(holder)) continue;
    const where = holder.host === hostname() ? '' : ` on ${holder.host}`;
    const remedy = where === '' ? 'end it' : `end it, or delete ${path} if it is gone`;
    throw new Error(
      `another engine (process ${holder.pid}${where}) runs on the state in ${folder}: ${remedy}, or name another folder`,
    );
  }
}

/** Whether a holder still runs. Of another machine nobody can tell, so it counts. */
function isThere({ pid, started, host, id }: Holder): boolean {
  if (host !== hostname()) return true;
  if (pid === process.pid && started === startOf(pid)) return held.has(id);
  return startOf(pid) === started && started !== '';
}

/** Makes the lock whole, or not at all; false if it is there. */
function make(path: string, holder: Holder): boolean {
  const draft = `${path}.${holder.id}`;
  writeFileSync(draft, JSON.stringify(holder));
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** When a process started, in words that no other process with its number has; empty if there is none. */
function startOf(pid: number): string {
  if (process.platform === 'linux') return startOnLinux(pid);
  try {
    const words = ['-o', 'lstart=', '-p', String(pid)];
    return execFileSync('ps', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return ''; // there is no such process
  }
}

function startOnLinux(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return state === 'Z' ? '' : `${boot} ${rest[18]}`; // the 22nd field of stat(5): ticks since the boot
  } catch {
    return '';
  }
}
