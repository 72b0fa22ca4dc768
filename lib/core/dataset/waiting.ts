import { REASONS, type Reason } from '../names';
import type { Evidence } from './documents';

/**
 * So many triggers of a class wait one by one, and a run's evidence names so many. With all that a lease holds beside
 * them they fit into one item of DynamoDB (400 KB), and into the input of an execution (256 KB).
 *
 * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
 */
const ROOM = { triggers: 100, bytes: 48 * 1024 };

/** Who waits after more have come. */
export interface Remembered {
  readonly pending: readonly Evidence[];
  /** For triggers that do not wait by themselves: the one that waits for the same, and stands for them. */
  readonly standIns: ReadonlyMap<Evidence, Evidence>;
  /** Those for which there is no room, and for which none stands: they must come again. */
  readonly crowded: readonly Evidence[];
}

/**
 * Lets triggers wait, as far as there is room.
 *
 * Any one upload stands for all, because a snapshot lists every file; any one drift, schedule or request for all of its
 * kind; but a request for a snapshot only for those that ask for the same.
 */
export function remember(pending: readonly Evidence[], triggers: readonly Evidence[]): Remembered {
  const waiting = [...pending];
  const standIns = new Map<Evidence, Evidence>();
  const crowded: Evidence[] = [];
  const rooms = new Map<string, Room>();
  for (const trigger of waiting) roomOf(rooms, trigger).take(trigger);
  for (const trigger of triggers) {
    if (includes(waiting, trigger)) continue;
    const alike = waiting.find((other) => isAlike(other, trigger));
    const mayAlways = alike === undefined && snapshotOf(trigger) === undefined;
    if (roomOf(rooms, trigger).take(trigger) || mayAlways) waiting.push(trigger);
    else if (alike !== undefined) standIns.set(trigger, alike);
    else crowded.push(trigger);
  }
  return { pending: waiting, standIns, crowded };
}

/** What of the triggers that a run serves it is told as its evidence, and how many more there are. */
export function asEvidence(served: readonly Evidence[]): { evidence: readonly Evidence[]; more: number } {
  const room = new Room();
  const evidence: Evidence[] = [];
  for (const trigger of served) {
    if (room.take(trigger)) evidence.push(trigger);
  }
  return { evidence, more: served.length - evidence.length };
}

/** The snapshot of old that a trigger asks for; undefined if it wants the data as it is. */
export function snapshotOf({ detail }: Evidence): string | undefined {
  return detail.snapshotKey === undefined ? undefined : String(detail.snapshotKey);
}

/** Whether a trigger is among others. */
export function includes(triggers: readonly Evidence[], { eventId, at }: Evidence): boolean {
  return triggers.some((other) => other.eventId === eventId && other.at === at);
}

/** Strongest reason first, then oldest first. */
export function byStrength(a: Evidence, b: Evidence): number {
  return rank(a.reason) - rank(b.reason) || order(a.at, b.at) || order(a.eventId, b.eventId);
}

class Room {
  private triggers = 0;
  private bytes = 0;

  /** Takes a trigger up, if it still fits. */
  take(trigger: Evidence): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(trigger));
    if (this.triggers + 1 > ROOM.triggers || this.bytes + bytes > ROOM.bytes) return false;
    this.triggers++;
    this.bytes += bytes;
    return true;
  }
}

function roomOf(rooms: Map<string, Room>, trigger: Evidence): Room {
  const name = trigger.reason === 'data' ? 'data' : snapshotOf(trigger) === undefined ? 'other' : 'snapshot';
  const room = rooms.get(name) ?? new Room();
  rooms.set(name, room);
  return room;
}

function isAlike(a: Evidence, b: Evidence): boolean {
  return a.reason === b.reason && snapshotOf(a) === snapshotOf(b);
}

function rank(reason: Reason): number {
  return REASONS.indexOf(reason);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
