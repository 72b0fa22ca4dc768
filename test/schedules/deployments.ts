import { type FinishDeploymentPorts, finishDeployment } from '../../lambdas/deploy/finish-deployment.handler';
import { type StartDeploymentPorts, startDeployments } from '../../lambdas/deploy/start-deployment.handler';
import { mendedDeploymentLease } from '../../lib/core/dataset/lease';
import type { DeploymentInput, DeploymentOutcome } from '../../lib/core/deploy/documents';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { Events, packageVersion } from '../../lib/core/names';
import { garble, mutate, ODD } from '../fuzz/fuzz';
import { MemoryLedger } from '../support/memory';
import { Agenda, CALM, Counts, deliver, faulty, HOUR, MINUTE, type Weather, weather } from './agenda';
import { Machine } from './machine';
import { Mailbox } from './mailbox';
import type { Report } from './report';
import { LONGEST_IDLE } from './training-rules';

const PIPELINE = 'flights';
const GROUP = 'models';
const LEASE = LedgerKey.lease('deployment');
const arn = (version: number) => `arn:aws:sagemaker:eu-west-1:1:model-package/${GROUP}/${version}`;

const ROUGH = 48 * HOUR;
const CALM_AFTER = 24 * HOUR;

/** One schedule of the deployments: approvals, ends, and everything that may happen to their messages. */
class Schedule {
  private readonly wrong: string[] = [];
  private readonly idle: number[] = [];
  private readonly counts = new Counts();
  private readonly ledger = new MemoryLedger(PIPELINE);
  private readonly agenda: Agenda;
  private readonly machine: Machine;
  private readonly queue: Mailbox;
  private weather: Weather;
  private readonly versions: Array<{ approved: boolean; createdAt: number; changedAt: number }> = [];
  private readonly sent: string[] = [];
  /** The last that somebody approved, and whether it has been taken up. */
  private wanted?: { readonly version: number; readonly since: number; idle: number };
  private skew = 0;
  private deaf = false;
  private tampered = false;
  /** The latest approval that a deployment was begun for. */
  private newest = '';

  constructor(
    seed: number,
    private readonly looks: boolean,
  ) {
    this.agenda = new Agenda(seed, (milliseconds) => this.passes(milliseconds));
    this.weather = weather(this.agenda.dice);
    this.machine = new Machine(
      this.agenda,
      () => this.weather.stale,
      (name) => this.begin(name),
    );
    this.queue = new Mailbox(this.agenda, (batch) => this.take(batch), 7 * MINUTE, 5000);
  }

  async run(): Promise<Report> {
    const { agenda } = this;
    for (let hour = 0; this.looks && hour * HOUR < ROUGH + CALM_AFTER; hour++) {
      agenda.in(hour * HOUR, () => this.send(Events.SOURCE, Events.RECONCILE, { pipeline: PIPELINE }, CALM));
    }
    this.plan();
    await agenda.until(agenda.time + ROUGH);
    this.weather = CALM;
    await agenda.until(agenda.time + CALM_AFTER);

    if (this.wanted !== undefined) this.wrong.push(`version ${this.wanted.version} was approved and never deployed`);
    const { holder, wanted } = mendedDeploymentLease(this.ledger.items.get(LEASE)).value;
    if (holder !== undefined) this.wrong.push(`the lease is still held by ${holder}`);
    if (wanted !== undefined) this.wrong.push(`${wanted.modelPackageArn} still waits`);
    for (const name of this.machine.beside) this.wrong.push(`${name} began beside another deployment`);
    if (this.queue.letters.length > 0) this.wrong.push(`${this.queue.letters.length} messages are still in the queue`);
    this.counts.add('schedules');
    this.counts.add('deployments', this.machine.all.size);
    this.counts.add('dead letters', this.queue.dead.length);
    return { wrong: this.wrong, counts: this.counts.of, idle: this.idle };
  }

  private plan(): void {
    const { agenda } = this;
    const { dice } = agenda;
    const sometime = (times: number, what: () => void) => {
      for (let i = dice.whole(times + 1); i > 0; i--) agenda.in(dice.whole(ROUGH), what);
    };
    sometime(10, () => this.approveNext());
    sometime(3, () => this.approveAgain());
    sometime(2, () => this.reject());
    sometime(3, () => this.stamp());
    sometime(4, () => this.malform());
    sometime(2, () => this.tamper());
    sometime(1, () => {
      if (this.machine.names().length > 0) return;
      this.counts.add('started by hand');
      void this.machine.start(`by-hand-${agenda.time}`, '{}');
    });
    sometime(dice.pick([0, 0, 3]), () => {
      this.counts.add('clock jumps');
      this.skew = dice.pick([0, -1, 1]) * dice.whole(72 * HOUR);
    });
  }

  private get ports(): StartDeploymentPorts & FinishDeploymentPorts {
    return {
      pipeline: PIPELINE,
      owner: { pipeline: PIPELINE, registry: GROUP },
      endpointName: PIPELINE,
      modelPackageGroup: GROUP,
      ledger: this.ledger,
      executions: this.machine,
      now: () => new Date(this.agenda.time + this.skew),
      pause: async () => {},
      isApproved: async (modelPackageArn) => this.versions[packageVersion(modelPackageArn) - 1]?.approved === true,
      newestApproved: async () => {
        const version = this.versions.findLastIndex(({ approved }) => approved) + 1;
        const found = this.versions[version - 1];
        if (found === undefined) return undefined;
        const [approvedAt, createdAt] = [found.changedAt, found.createdAt].map((time) => new Date(time).toISOString());
        return { modelPackageArn: arn(version), approvedAt, createdAt };
      },
      send: async () => {},
      reject: async (modelPackageArn) => this.withdraw(packageVersion(modelPackageArn)),
      liveConfig: async () => undefined,
      models: async () => [],
      configs: async () => [],
      tagsOf: async () => ({}),
      deleteModel: async () => {},
      deleteConfig: async () => {},
    };
  }

  private faultyPorts(): StartDeploymentPorts & FinishDeploymentPorts {
    return faulty(this.ports, this.agenda.dice, this.counts, () => this.weather.failing);
  }

  private async take(batch: ReadonlyArray<{ messageId: string; body: string }>) {
    const isLook = batch.some(({ body }) => body.includes(`"${Events.RECONCILE}"`));
    try {
      const reply = await startDeployments(this.faultyPorts(), { Records: batch });
      if (isLook) this.deaf = false;
      return reply;
    } catch (error) {
      if (isLook) this.deaf = true;
      throw error;
    }
  }

  private passes(milliseconds: number): void {
    const { wanted } = this;
    if (wanted === undefined || this.machine.names().length > 0 || this.deaf) return;
    wanted.idle += milliseconds;
    if (wanted.idle > LONGEST_IDLE && wanted.idle - milliseconds <= LONGEST_IDLE) {
      this.wrong.push(`version ${wanted.version} waited for more than an hour for nothing, at ${this.agenda.iso()}`);
    }
  }

  private send(source: string, type: string, detail: object, how = this.weather): void {
    const body = JSON.stringify({ source, 'detail-type': type, id: 'e', time: this.agenda.iso(), detail });
    this.sent.push(body);
    deliver(this.agenda, this.counts, how, () => this.queue.put(body));
  }

  private tell(version: number, fields: string[], how = this.weather): void {
    const ModelApprovalStatus = this.versions[version - 1]?.approved ? 'Approved' : 'Rejected';
    const detail = { ModelPackageGroupName: GROUP, ModelPackageArn: arn(version), ModelApprovalStatus };
    const type = 'SageMaker Model Package State Change';
    this.send('aws.sagemaker', type, { ...detail, UpdatedModelPackageFields: fields }, how);
  }

  private approve(version: number, how = this.weather): void {
    const { time: changedAt } = this.agenda;
    this.versions[version - 1] = {
      approved: true,
      createdAt: this.versions[version - 1]?.createdAt ?? changedAt,
      changedAt,
    };
    this.counts.add('approvals');
    this.wanted = { version, since: this.agenda.time, idle: 0 };
    this.tell(version, ['ModelApprovalStatus'], how);
  }

  /** A run has registered a version, and somebody, or the rule, approves it. */
  private approveNext(): void {
    this.approve(this.versions.length + 1);
  }

  /** Somebody goes back to a version that was there before; of that the event alone tells, and it is not lost. */
  private approveAgain(): void {
    const version = 1 + this.agenda.dice.whole(this.versions.length);
    if (version <= this.versions.length) this.approve(version, { ...this.weather, lost: 0, late: 0 });
  }

  private reject(): void {
    this.withdraw(1 + this.agenda.dice.whole(this.versions.length));
  }

  private withdraw(version: number): void {
    const known = this.versions[version - 1];
    if (known === undefined) return;
    this.versions[version - 1] = { ...known, approved: false, changedAt: this.agenda.time };
    if (this.wanted?.version === version) this.wanted = undefined;
  }

  /** Somebody changes the metadata of a version, which is told with its approval. */
  private stamp(): void {
    const version = 1 + this.agenda.dice.whole(this.versions.length);
    if (version <= this.versions.length) this.tell(version, ['CustomerMetadataProperties']);
  }

  private malform(): void {
    const { dice } = this.agenda;
    const good = dice.pick(this.sent) ?? '{}';
    this.counts.add('malformed');
    this.queue.put(dice.chance(0.3) ? garble(good, dice) : JSON.stringify(mutate(JSON.parse(good), dice)));
  }

  private tamper(): void {
    const { dice } = this.agenda;
    const row = this.ledger.items.get(LEASE);
    if (row === undefined) return;
    this.tampered = true;
    this.counts.add('tampered rows');
    const name = dice.pick(['holder', 'wanted', 'last', 'lookedAt', 'unordered', 'unstarted', 'revision']);
    this.ledger.items.set(LEASE, JSON.parse(JSON.stringify({ ...row, [name]: dice.pick(ODD) })));
  }

  private begin(name: string): void {
    const { agenda } = this;
    const { dice } = agenda;
    const input = JSON.parse(this.machine.all.get(name)?.input ?? '{}') as Partial<DeploymentInput>;
    const version = input.modelPackageArn === undefined ? undefined : packageVersion(input.modelPackageArn);
    const { approvedAt = '' } = input;
    if (approvedAt !== '' && approvedAt < this.newest && !this.tampered) {
      this.wrong.push(`${name} of ${approvedAt} came after one of ${this.newest}`);
    }
    if (approvedAt > this.newest) this.newest = approvedAt;
    if (this.wanted?.version === version && this.wanted !== undefined) {
      this.idle.push(this.wanted.idle / MINUTE);
      this.wanted = undefined;
    }
    const length = MINUTE + dice.whole(2 * HOUR);
    if (dice.chance(0.15)) {
      agenda.in(dice.whole(length), () => {
        this.counts.add('aborted deployments');
        this.stop(name, dice.pick(['ABORTED', 'TIMED_OUT']));
      });
    }
    agenda.in(length, () =>
      this.end(name, input, dice.pick(['DEPLOYED', 'DEPLOYED', 'FAILED', 'ROLLED_BACK', 'SKIPPED'])),
    );
  }

  private async end(name: string, input: Partial<DeploymentInput>, outcome: DeploymentOutcome): Promise<void> {
    if (this.machine.all.get(name)?.status !== 'RUNNING') return;
    const startedAt = this.machine.all.get(name)?.startedAt.toISOString() ?? '';
    for (let tries = 0; tries < 7 && input.modelPackageArn !== undefined; tries++) {
      try {
        const { modelPackageArn } = input;
        await finishDeployment(this.faultyPorts(), { deploymentId: name, startedAt, modelPackageArn, outcome });
        break;
      } catch {
        // the state is tried again
      }
    }
    const status = outcome === 'DEPLOYED' || outcome === 'SKIPPED' ? 'SUCCEEDED' : 'FAILED';
    this.agenda.in(this.agenda.dice.whole(2000), () => this.stop(name, status));
  }

  private stop(name: string, status: string): void {
    if (this.machine.all.get(name)?.status !== 'RUNNING') return;
    this.send('aws.states', 'Step Functions Execution Status Change', this.machine.turn(name, status));
  }
}

/** Runs one schedule of the deployments; see {@link import('./training').trainingSchedule}. */
export function deploymentSchedule(seed: number, looks = true): Promise<Report> {
  return new Schedule(seed, looks).run();
}
