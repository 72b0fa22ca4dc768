import { type ControllerPorts, control } from '../../lambdas/dataset/controller.handler';
import { type FinishPorts, finish } from '../../lambdas/ledger/finish.handler';
import { spentOn } from '../../lib/core/dataset/budget';
import { CONTROLLER_DEFAULTS } from '../../lib/core/dataset/controller';
import type { Evidence, Snapshot, TrainingInput } from '../../lib/core/dataset/documents';
import { mendedLease } from '../../lib/core/dataset/lease';
import type { Outcome } from '../../lib/core/ledger/documents';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { parseMessage } from '../../lib/core/messages';
import { Events, Prefix } from '../../lib/core/names';
import { garble, mutate, ODD } from '../fuzz/fuzz';
import { begun, refusedFile } from '../support/facts';
import { MemoryData, MemoryLedger } from '../support/memory';
import { Agenda, CALM, Counts, deliver, faulty, HOUR, MINUTE, type Weather, weather } from './agenda';
import { Machine } from './machine';
import { Mailbox } from './mailbox';
import type { Report } from './report';
import { type File, LEASE, TrainingRules } from './training-rules';

const PIPELINE = 'flights';

/** For so long things go wrong; then the weather is calm, and all must come to an end. */
const ROUGH = 48 * HOUR;
const CALM_AFTER = 160 * HOUR;

/** A ledger of whose leases somebody is told when the product writes them. */
class WatchedLedger extends MemoryLedger {
  written: (row: object) => void = () => {};

  override put(sk: string, value: object): void {
    super.put(sk, value);
    if (sk === LEASE) this.written(value);
  }
}

/** One schedule of the controller: uploads, triggers, runs, and everything that may happen to them. */
class Schedule {
  private readonly counts = new Counts();
  private readonly ledger = new WatchedLedger(PIPELINE);
  private readonly data = new MemoryData();
  private readonly agenda: Agenda;
  private readonly machine: Machine;
  private readonly queue: Mailbox;
  private readonly rules;
  private readonly must: TrainingRules;
  private weather: Weather;
  private readonly bad = new Set<string>();
  /** With which runs score their candidates. */
  private readonly models = new Set<string>();
  private readonly sent: string[] = [];
  /** Messages that it is time to look, as they were sent. */
  private readonly looksSent = new Set<string>();
  private readonly arrived: Evidence[] = [];
  private skew = 0;
  private hasJumped = false;
  private events = 0;
  /** Whether the last look failed: until one succeeds, nobody can know of what no event has told. */
  private isDeaf = false;

  constructor(
    seed: number,
    private readonly looks: boolean,
  ) {
    this.agenda = new Agenda(seed, (milliseconds) => this.passes(milliseconds));
    const { dice } = this.agenda;
    this.weather = weather(dice);
    this.rules = { ...CONTROLLER_DEFAULTS, maxRunsPerDay: dice.pick([2, 3, 24]) };
    this.must = new TrainingRules(this.rules.maxRunsPerDay);
    this.ledger.written = (row) => this.must.written(mendedLease(row).value, this.now(), this.agenda.time);
    this.machine = new Machine(
      this.agenda,
      () => this.weather.stale,
      (name) => this.begin(name),
      () => this.now(),
    );
    this.queue = new Mailbox(this.agenda, (batch) => this.take(batch));
  }

  async run(): Promise<Report> {
    const { agenda, must, counts, queue } = this;
    for (let hour = 0; this.looks && hour * HOUR < ROUGH + CALM_AFTER; hour++) {
      agenda.in(hour * HOUR, () => this.send(Events.SOURCE, Events.RECONCILE, { pipeline: PIPELINE }, CALM));
    }
    this.plan();
    await agenda.until(agenda.time + ROUGH);
    this.weather = CALM;
    await agenda.until(agenda.time + CALM_AFTER);

    must.ended(this.ledger);
    if (!must.hasTampered) {
      const runs = [...this.machine.all.keys()].flatMap((name) => this.inputOf(name) ?? []);
      must.answered(this.ledger, this.arrived, queue.dead.flatMap(triggerOf), runs);
    }
    if (queue.letters.length > 0) must.wrong.push(`${queue.letters.length} messages are still in the queue`);
    if (this.models.size > 0) must.wrong.push(`${[...this.models].slice(0, 3)} are left`);
    for (const name of this.machine.beside) must.wrong.push(`${name} began beside another run`);
    counts.add('schedules');
    counts.add('runs', this.machine.all.size);
    counts.add('dead letters', queue.dead.length);
    return { wrong: must.wrong, counts: counts.of, idle: must.idle };
  }

  /** What people, data and the world do in the rough time. */
  private plan(): void {
    const { agenda } = this;
    const { dice } = agenda;
    const sometime = (times: number, what: () => void) => {
      for (let i = dice.whole(times + 1); i > 0; i--) agenda.in(dice.whole(ROUGH), what);
    };
    sometime(12, () => this.upload());
    sometime(2, () => {
      for (let i = dice.whole(150); i > 0; i--) this.upload();
    });
    sometime(2, () => this.remove());
    sometime(6, () => this.ask(dice.pick([undefined, 'snapshots/none.json', ...this.snapshots().slice(-2)])));
    if (dice.chance(0.2)) agenda.in(dice.whole(ROUGH / 2), () => this.flood());
    sometime(3, () => this.drift());
    sometime(2, () => this.send(Events.SOURCE, Events.SCHEDULE, { pipeline: PIPELINE }));
    sometime(4, () => this.malform());
    if (dice.chance(0.5)) sometime(2, () => this.tamper());
    sometime(2, () => this.byHand());
    sometime(dice.pick([0, 0, 3]), () => this.jump());
  }

  private get ports(): ControllerPorts & FinishPorts {
    return {
      pipeline: PIPELINE,
      rules: this.rules,
      ledger: this.ledger,
      data: this.data,
      executions: this.machine,
      candidates: {
        list: async () => [...this.models],
        delete: async (name) => void this.models.delete(name),
      },
      now: () => this.now(),
      pause: async () => {},
      send: async (type, detail) => {
        if (type === Events.RUN_ENDED) this.send(Events.SOURCE, type, detail);
      },
    };
  }

  private faultyPorts(): ControllerPorts & FinishPorts {
    return faulty(this.ports, this.agenda.dice, this.counts, () => this.weather.failing);
  }

  private now(): Date {
    return new Date(this.agenda.time + this.skew);
  }

  private async take(batch: ReadonlyArray<{ messageId: string; body: string }>) {
    const isLook = batch.some(({ body }) => this.looksSent.has(body));
    try {
      const reply = await control(this.faultyPorts(), { Records: batch });
      if (isLook) this.isDeaf = false;
      return reply;
    } catch (error) {
      if (isLook) this.isDeaf = true;
      throw error;
    }
  }

  private passes(milliseconds: number): void {
    const mayRun = () => !this.isDeaf && !this.isSpent();
    this.must.shown(this.now());
    this.must.passed(milliseconds, this.machine.names().length > 0, mayRun, this.agenda.iso());
  }

  /** Whether no run may begin by itself any more today. A clock that has jumped may have more reasons to say so. */
  private isSpent(): boolean {
    if (this.must.isSpent(this.now())) return true;
    const { startedToday } = spentOn(this.now(), mendedLease(this.ledger.items.get(LEASE)).value);
    return this.hasJumped && startedToday >= this.rules.maxRunsPerDay;
  }

  private send(source: string, type: string, detail: object, how = this.weather): void {
    const id = `e${++this.events}`;
    const body = JSON.stringify({ source, 'detail-type': type, id, time: this.agenda.iso(), detail });
    this.sent.push(body);
    if (type === Events.RECONCILE) this.looksSent.add(body);
    deliver(this.agenda, this.counts, how, () => {
      this.arrived.push(...triggerOf(body));
      this.queue.put(body);
    });
  }

  private upload(): void {
    const { dice } = this.agenda;
    const key = `${Prefix.INCOMING}${dice.whole(400)}.csv`;
    const versionId = this.data.upload(key);
    if (dice.chance(0.05)) this.bad.add(`${key} ${versionId}`);
    this.counts.add('uploads');
    this.must.uploaded({ key, versionId }, this.agenda.time);
    this.send('aws.s3', 'Object Created', { object: { key, size: 10, 'version-id': versionId } });
  }

  private remove(): void {
    const [key] = [...this.must.live.keys()];
    if (key === undefined) return;
    this.data.remove(key);
    this.must.live.delete(key);
  }

  private snapshots(): string[] {
    return [...this.data.documents.keys()];
  }

  private ask(snapshotKey: string | undefined): void {
    const detail = { pipeline: PIPELINE, requestedBy: 'ann', ...(snapshotKey && { snapshotKey }) };
    this.send(Events.SOURCE, Events.RUN_REQUESTED, detail);
  }

  /** While a run is under way, more ask for snapshots of their own than can wait. */
  private flood(): void {
    const isCalm = this.machine.names().length === 0;
    if (isCalm) this.agenda.in(10 * MINUTE, () => this.flood());
    for (let i = isCalm ? 0 : 120 + this.agenda.dice.whole(120); i > 0; i--) this.ask(`snapshots/none-${i}.json`);
  }

  private drift(): void {
    const windowId = `w${this.agenda.dice.whole(1000)}`;
    const detail = {
      windowId,
      windowEnd: this.agenda.iso(),
      modelVersion: 1,
      reportKey: 'monitor/w.json',
      summary: 'km',
    };
    this.send(Events.SOURCE, Events.DRIFT_DETECTED, { pipeline: PIPELINE, ...detail });
  }

  private malform(): void {
    const { dice } = this.agenda;
    const good = dice.pick(this.sent) ?? '{}';
    this.counts.add('malformed');
    this.queue.put(dice.chance(0.3) ? garble(good, dice) : JSON.stringify(mutate(JSON.parse(good), dice)));
  }

  private jump(): void {
    const { dice } = this.agenda;
    this.hasJumped = true;
    this.counts.add('clock jumps');
    this.skew = dice.pick([0, -1, 1]) * dice.whole(72 * HOUR);
  }

  /** Somebody changes a row who should not. The counts that a person may have meant to change stay. */
  private tamper(): void {
    const { dice } = this.agenda;
    const { items } = this.ledger;
    const row = items.get(LEASE);
    if (row === undefined) return;
    this.must.hasTampered = true;
    this.counts.add('tampered rows');
    const other = dice.pick([...items.keys()]);
    switch (dice.whole(6)) {
      case 0:
        items.delete(LEASE);
        break;
      case 1:
        if (other !== LEASE && !other.startsWith('RUN')) items.delete(other);
        break;
      case 2:
        items.set(LEASE, { ...row, holder: dice.pick(['nobody', undefined, 7, ['x']]) });
        break;
      case 3:
        items.set(LEASE, { ...row, revision: dice.pick([undefined, 'x', -5, 2 ** 60]) });
        break;
      default: {
        const name = dice.pick(['pending', 'lastRun', 'outbox', 'seen', 'unstarted', 'lastEndedAt', 'otherDays']);
        items.set(LEASE, JSON.parse(JSON.stringify({ ...row, [name]: dice.pick(ODD) })));
      }
    }
  }

  /** Somebody starts the machine without the controller, or takes an ended run up again. */
  private byHand(): void {
    const { dice } = this.agenda;
    if (this.machine.names().length > 0) return;
    this.counts.add('started by hand');
    const ended = [...this.machine.all].filter(([, { status }]) => status === 'FAILED' || status === 'ABORTED');
    const [again] = ended.map(([name]) => name);
    if (again !== undefined && dice.chance(0.7)) {
      this.machine.turn(again, 'RUNNING');
      this.agenda.in(dice.whole(3 * HOUR), () => this.end(again, 'PROMOTED'));
    } else void this.machine.start(`by-hand-${this.agenda.time}`, '{}');
  }

  private begin(name: string): void {
    const { agenda } = this;
    const { dice } = agenda;
    const input = this.inputOf(name);
    const startedAt = this.now().toISOString();
    const files = this.filesOf(input);
    if (input !== undefined) this.models.add(`c-${name}`);
    const served = this.must.begun(name, input, files, this.now());
    agenda.in(10_000, () => {
      const { reason } = input ?? {};
      if (reason) this.ledger.add(...begun(name, startedAt, reason));
    });

    const length = 5 * MINUTE + dice.whole(5 * HOUR);
    if (dice.chance(0.1)) {
      agenda.in(dice.whole(length), () => {
        this.counts.add('aborted runs');
        this.stop(name, dice.pick(['ABORTED', 'TIMED_OUT']));
      });
    }
    const bad = files.filter(({ key, versionId }) => this.bad.has(`${key} ${versionId}`));
    agenda.in(bad.length > 0 ? 2 * MINUTE : length, async () => {
      if (this.machine.all.get(name)?.status !== 'RUNNING') return;
      this.refuse(bad, name);
      // what a run was to train on that failed by bad files has not been trained on yet
      for (const upload of bad.length > 0 ? served : []) {
        const isRefused = bad.some(({ key, versionId }) => key === upload.key && versionId === upload.versionId);
        if (upload.handledBy === name && !isRefused) Object.assign(upload, { handledBy: undefined, idle: 0 });
      }
      await this.end(name, bad.length > 0 ? 'FAILED' : dice.pick(['PROMOTED', 'REJECTED', 'REJECTED', 'FAILED']));
    });
  }

  private refuse(files: readonly File[], runId: string): void {
    this.counts.add('refused files', files.length);
    for (const { key, versionId } of files) {
      const startedAt = this.machine.all.get(runId)?.startedAt.toISOString() ?? '';
      this.ledger.add(...refusedFile(key, versionId, runId, startedAt));
    }
  }

  /** Ends a run as its machine does, which tries its last state again; or without it, if that fails too often. */
  private async end(name: string, outcome: Outcome): Promise<void> {
    if (this.machine.all.get(name)?.status !== 'RUNNING') return;
    const startedAt = this.machine.all.get(name)?.startedAt.toISOString() ?? '';
    for (let tries = 0; tries < 7; tries++) {
      try {
        await finish(this.faultyPorts(), { runId: name, startedAt, outcome, candidateModel: `c-${name}` });
        break;
      } catch {
        // the state is tried again
      }
    }
    this.agenda.in(this.agenda.dice.whole(2000), () => this.stop(name, outcome === 'FAILED' ? 'FAILED' : 'SUCCEEDED'));
  }

  private stop(name: string, status: string): void {
    if (this.machine.all.get(name)?.status !== 'RUNNING') return;
    this.send('aws.states', 'Step Functions Execution Status Change', this.machine.turn(name, status));
  }

  private inputOf(name: string): TrainingInput | undefined {
    const input = JSON.parse(this.machine.all.get(name)?.input ?? '{}') as Partial<TrainingInput>;
    return input.reason === undefined ? undefined : (input as TrainingInput);
  }

  /** The files that a run trains on; without a snapshot it creates one itself. */
  private filesOf(input: TrainingInput | undefined): readonly File[] {
    if (input?.snapshotKey !== undefined) return (this.data.documents.get(input.snapshotKey) as Snapshot).files;
    return [...this.must.live.values()].filter(
      ({ key, versionId }) => !this.ledger.items.has(LedgerKey.refused(key, versionId)),
    );
  }
}

function triggerOf(body: string): Evidence[] {
  try {
    const message = parseMessage(body, PIPELINE);
    return message.kind === 'trigger' ? [message.evidence] : [];
  } catch {
    return []; // no good: it was malformed
  }
}

/**
 * Runs one schedule.
 *
 * @param looks whether the controller has its clock; without it, what no event tells is never found
 */
export function trainingSchedule(seed: number, looks = true): Promise<Report> {
  return new Schedule(seed, looks).run();
}
