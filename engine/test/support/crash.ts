import { cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * What would be on the disk if the process of an engine were killed at this very moment: a copy of its state, without
 * the lock, which would count no more. Does not wait, so that nothing else happens meanwhile.
 */
export function killedNow(stateDir: string): string {
  const copy = join(mkdtempSync(join(tmpdir(), 'killed-')), 'state');
  cpSync(stateDir, copy, { recursive: true });
  for (const name of readdirSync(copy)) if (name.startsWith('lock.')) rmSync(join(copy, name));
  return copy;
}
