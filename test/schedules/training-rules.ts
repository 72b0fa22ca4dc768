import type { Evidence, TrainingInput } from '../../lib/core/dataset/documents';
import { mendedLease } from '../../lib/core/dataset/lease';
import type { Decision } from '../../lib/core/ledger/facts';
import { LedgerKey } from '../../lib/core/ledger/keys';
import type { Lease } from '../../lib/core/ledger/rows';
import type { MemoryLedger } from '../support/memory';
import { HOUR, MINUTE } from './agenda';

export const LEASE = LedgerKey.lease('training');

/** An hour between two looks, and the minutes in which messages are collected and come late. */
export const LONGEST_IDLE = HOUR + 3 * MINUTE;

export interface File {
  readonly key: string;
  readonly versionId: string;
}

interface Upload extends File {
  readonly at: number;
  idle: number;
  handledBy?: string;
}

/** What must hold of the controller, however bad the day is. */
export class TrainingRules {
  readonly wrong: string[] = [];
  readonly idle: number[] = [];
  /** The newest version of each key. */
  readonly live = new Map<string, Upload>();
  /** Runs that the controller has decided on, and when. */
  private readonly decided = new Map<string, number>();
  /** Runs that were decided on without being asked for, by the day that the controller's clock showed. */
  private readonly charged = new Map<string, number>();
  /** Those that were decided on, or began, by that day: one that begins after midnight counts on both. */
  private readonly spent = new Map<string, Set<string>>();
  /** Such runs since the clock last came to a new day: to an earlier one it does not go for more. */
  private sinceMidnight = 0;
  private day = '';
  /** Whether somebody has changed a row, which may have said what was spent, or what was decided. */
  hasTampered = false;
  /** Milliseconds for which nothing has run although an upload waits and a run might. */
  private still = 0;

  constructor(private readonly maxRunsPerDay: number) {}

  waiting(): Upload[] {
    return [...this.live.values()].filter(({ handledBy }) => handledBy === undefined);
  }

  uploaded(file: File, at: number): void {
    this.live.set(file.key, { ...file, at, idle: 0 });
  }

  /** A lease was written: never more runs on a day than its budget, but for those that somebody asks for. */
  written({ lastRun }: Lease, now: Date, time: number): void {
    if (lastRun === undefined || this.decided.has(lastRun.runId)) return;
    this.decided.set(lastRun.runId, time);
    if (lastRun.input.reason === 'manual') return;
    const day = dayOf(now);
    const started = (this.charged.get(day) ?? 0) + 1;
    this.charged.set(day, started);
    this.spend(now, lastRun.runId);
    if (started > this.maxRunsPerDay) this.wrong.push(`${started} runs were started on ${day}`);
    this.shown(now);
    this.sinceMidnight++;
    if (this.sinceMidnight > this.maxRunsPerDay && !this.hasTampered) {
      this.wrong.push(`${this.sinceMidnight} runs were started since midnight, though the clock went back to ${day}`);
    }
  }

  /** A clock shows a time. */
  shown(now: Date): void {
    const day = dayOf(now);
    if (day > this.day) this.sinceMidnight = 0;
    this.day = day;
  }

  isSpent(now: Date): boolean {
    return (this.spent.get(dayOf(now))?.size ?? 0) >= this.maxRunsPerDay;
  }

  private spend(now: Date, run: string): void {
    const day = dayOf(now);
    this.spent.set(day, (this.spent.get(day) ?? new Set()).add(run));
  }

  /** A run has begun: whoever waits is served by it, unless somebody asked for a snapshot of old. */
  begun(run: string, input: TrainingInput | undefined, files: readonly File[], now: Date): readonly Upload[] {
    if (input !== undefined && input.reason !== 'manual') this.spend(now, run);
    const listed = new Set(files.map(nameOf));
    const served = this.waiting().filter((upload) => listed.has(nameOf(upload)));
    for (const upload of served) {
      upload.handledBy = run;
      this.idle.push(upload.idle / MINUTE);
    }
    if (input?.evidence.some(({ detail }) => detail.snapshotKey !== undefined)) return served;
    const decidedAt = this.decided.get(run) ?? 0;
    const skipped = this.waiting().filter(({ at }) => at < decidedAt);
    if (skipped.length > 0) this.wrong.push(`${run} began without ${skipped.map(nameOf).slice(0, 3)}`);
    return served;
  }

  /** Time passes in which an upload could be trained on: there is an hour of it at most. */
  passed(milliseconds: number, isBusy: boolean, mayRun: () => boolean, time: string): void {
    const waiting = this.waiting();
    if (isBusy || waiting.length === 0) this.still = 0;
    if (isBusy || waiting.length === 0 || milliseconds === 0 || !mayRun()) return;
    for (const upload of waiting) upload.idle += milliseconds;
    this.still += milliseconds;
    if (this.still > LONGEST_IDLE && this.still - milliseconds <= LONGEST_IDLE) {
      this.wrong.push(`nothing ran for more than an hour while ${waiting.map(nameOf).slice(0, 3)} waited, at ${time}`);
    }
  }

  /** Nothing waits in the end, and nobody holds the lease. */
  ended(ledger: MemoryLedger): void {
    for (const upload of this.waiting()) this.wrong.push(`${nameOf(upload)} was neither trained on nor refused`);
    const { holder, pending, outbox = [] } = mendedLease(ledger.items.get(LEASE)).value;
    if (holder !== undefined) this.wrong.push(`the lease is still held by ${holder}`);
    if (pending.length > 0) this.wrong.push(`${pending.length} triggers still wait`);
    if (outbox.length > 0) this.wrong.push(`${outbox.length} decisions are not written`);
  }

  /**
   * Of every trigger that arrived, the ledger says what became of it, unless somebody has tampered with the ledger.
   *
   * @param given up: those that came five times without success
   * @param runs the inputs of all that have begun
   */
  answered(
    ledger: MemoryLedger,
    arrived: readonly Evidence[],
    givenUp: readonly Evidence[],
    runs: readonly TrainingInput[],
  ): void {
    const given = new Set(givenUp.map(idOf));
    const told = new Set(runs.flatMap(({ evidence }) => evidence.map(idOf)));
    const cut = runs.some(({ more = 0 }) => more > 0);
    for (const trigger of arrived) {
      const { at, eventId } = trigger;
      const decision = ledger.items.get(LedgerKey.decision(at, eventId)) as Decision | undefined;
      const isOpen =
        decision?.decided === 'REMEMBERED' &&
        !decision.because.includes('waits for this too') &&
        !told.has(idOf(trigger)) &&
        !cut &&
        !ledger.items.has(LedgerKey.decisionLater(at, eventId));
      if (decision === undefined && !given.has(idOf(trigger))) this.wrong.push(`${idOf(trigger)} was dropped`);
      if (isOpen) this.wrong.push(`${idOf(trigger)} was remembered, and forgotten`);
    }
  }
}

function nameOf({ key, versionId }: File): string {
  return `${key} ${versionId}`;
}

function idOf({ reason, at, eventId }: Evidence): string {
  return `${reason} ${at} ${eventId}`;
}

function dayOf(now: Date): string {
  return now.toISOString().slice(0, 10);
}
