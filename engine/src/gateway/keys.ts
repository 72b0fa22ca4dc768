import { randomBytes } from 'node:crypto';
import type { Caller, RoleCaller } from '../service';

/** An access key, as SDKs take it. */
export interface Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of a role's session alone. */
  readonly sessionToken?: string;
}

/** A key that was given out, and whom it makes of its holder. */
export interface IssuedKeys extends Keys {
  readonly caller: Caller;
  /** The engine's time at which it was given out. */
  readonly since: number;
  /** Real time at which it ends; a child's key lives as long as the engine. */
  readonly until?: number;
}

/** With fewer keys than this, those that have ended are not looked for. */
const FEW = 1_000;

/** The access keys of one start of the engine: random, in memory alone, gone with it. */
export class KeyRing {
  /** The key of the person at the keyboard. */
  readonly root: Keys;
  private readonly issued = new Map<string, IssuedKeys>();
  /** The number of keys at which those that have ended are dropped. */
  private full = FEW;

  /** @param now the engine's time, in milliseconds since the epoch */
  constructor(private readonly now: () => number = Date.now) {
    this.root = this.keep({ kind: 'root' }, {});
  }

  /**
   * A new key for a session of a role.
   *
   * @param until real time at which it ends. @default never
   */
  issue(roleArn: string, session: string, until?: number): Required<Keys> {
    return this.issueTo({ kind: 'role', roleArn, session, since: this.now() }, until);
  }

  /** The same for a session that has begun already, with what narrows it. */
  issueTo(caller: RoleCaller, until?: number): Required<Keys> {
    const sessionToken = randomBytes(96).toString('base64');
    return this.keep(caller, { sessionToken, ...(until !== undefined && { until }) });
  }

  find(accessKeyId: string): IssuedKeys | undefined {
    return this.issued.get(accessKeyId);
  }

  private keep<T extends object>(caller: Caller, more: T): Keys & T {
    // as long as AWS's, but none of its: those begin with AKIA or ASIA
    const accessKeyId = `L${'sessionToken' in more ? 'S' : 'K'}IA${letters(16)}`;
    const keys = { accessKeyId, secretAccessKey: randomBytes(30).toString('base64'), ...more };
    this.issued.set(accessKeyId, { ...keys, caller, since: this.now() });
    if (this.issued.size > this.full) this.dropEnded();
    return keys;
  }

  private dropEnded(): void {
    for (const [id, { until }] of this.issued) if (until !== undefined && until < Date.now()) this.issued.delete(id);
    this.full = this.issued.size + FEW;
  }
}

/** Random letters and digits of base 32. */
function letters(count: number): string {
  return Array.from(randomBytes(count), (byte) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31]).join('');
}
