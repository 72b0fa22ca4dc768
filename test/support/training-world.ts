import { type ControllerPorts, control } from '../../lambdas/dataset/controller.handler';
import type { CandidateModels } from '../../lambdas/judge/candidate-models';
import { type FinishPorts, finish } from '../../lambdas/ledger/finish.handler';
import { CONTROLLER_DEFAULTS, type ControllerRules } from '../../lib/core/dataset/controller';
import type { Snapshot, TrainingInput } from '../../lib/core/dataset/documents';
import type { Outcome } from '../../lib/core/ledger/documents';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { Events } from '../../lib/core/names';
import { Crash, MemoryData, MemoryExecutions, MemoryLedger } from './memory';

export const PIPELINE = 'flights';

/** A bucket, a queue, a ledger and a training machine, all in memory; the tests say what happens when. */
export class World {
  readonly ledger = new MemoryLedger(PIPELINE);
  readonly data = new MemoryData();
  readonly executions = new MemoryExecutions(() => this.now());
  readonly queue: string[] = [];
  /** What people have been told. */
  readonly told: object[] = [];
  private time = Date.parse('2026-03-01T00:00:00Z');
  private events = 0;

  /** The models with which runs score their candidates. */
  readonly models = new Set<string>();
  readonly candidates: CandidateModels = {
    list: async () => [...this.models],
    delete: async (name) => {
      if (!this.models.delete(name)) throw new Error(`AccessDeniedException: ${name}`);
    },
  };

  constructor(readonly rules: ControllerRules = CONTROLLER_DEFAULTS) {}

  get ports(): ControllerPorts & FinishPorts {
    return {
      pipeline: PIPELINE,
      rules: this.rules,
      ledger: this.ledger,
      data: this.data,
      now: () => this.now(),
      executions: this.executions,
      candidates: this.candidates,
      pause: async () => {},
      send: async (type, detail) => {
        if (JSON.stringify(detail).length > 256 * 1024)
          throw new Error('ValidationException: the entry exceeds 256 KB');
        if (type === Events.RUN_ENDED) this.emit(Events.SOURCE, type, detail);
        else this.told.push({ type, ...detail });
      },
    };
  }

  now(): Date {
    this.time += 1000;
    return new Date(this.time);
  }

  pass(minutes: number): void {
    this.time += minutes * 60_000;
  }

  emit(source: string, type: string, detail: object): string {
    const id = `e${++this.events}`;
    this.queue.push(JSON.stringify({ source, 'detail-type': type, id, time: this.now().toISOString(), detail }));
    return id;
  }

  upload(key: string, size = 10): string {
    const versionId = this.data.upload(key, size);
    return this.emit('aws.s3', 'Object Created', {
      bucket: { name: 'data' },
      object: { key, size, 'version-id': versionId },
    });
  }

  /** Hands all messages to the controller, at once. */
  async deliver(): Promise<void> {
    const bodies = this.queue.splice(0);
    await this.handle(this.ports, bodies);
  }

  /** Hands over some messages; those that a crash or a refusal leaves go back to the queue. */
  async handle(ports: ControllerPorts, bodies: readonly string[]): Promise<void> {
    const Records = bodies.map((body, i) => ({ messageId: String(i), body }));
    try {
      const { batchItemFailures } = await control(ports, { Records });
      this.queue.push(...batchItemFailures.map(({ itemIdentifier }) => bodies[Number(itemIdentifier)]));
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.queue.push(...bodies);
    }
  }

  running(): string[] {
    return this.executions.names();
  }

  /** Ends a run as the training machine does: by its last state, then by Step Functions' own event. */
  async end(runId: string, outcome: Outcome, ports: FinishPorts = this.ports): Promise<void> {
    await finish(ports, {
      ...{ runId, startedAt: this.executions.all.get(runId)?.startedAt ?? '', outcome, candidateModel: `c-${runId}` },
    });
    this.stop(runId, 'SUCCEEDED');
  }

  /** Ends an execution without its last state, as an abort does. */
  stop(runId: string, status: string): void {
    this.emit('aws.states', 'Step Functions Execution Status Change', this.executions.end(runId, status));
  }

  /** The keys that a run trains on. */
  trainedOn(runId: string): string[] {
    const { snapshotKey = '' } = this.input(runId);
    return (this.data.documents.get(snapshotKey) as Snapshot).files.map(({ key }) => key);
  }

  input(runId: string): TrainingInput {
    return JSON.parse(this.executions.input(runId));
  }

  /** The time has come to look for what no event has told of. */
  reconcile(): void {
    this.emit(Events.SOURCE, Events.RECONCILE, { pipeline: PIPELINE });
  }

  /** The key of a run's end in the ledger. */
  endOf(runId: string): string {
    return LedgerKey.run(this.executions.all.get(runId)?.startedAt ?? '', runId, 'END');
  }

  decisions(): string[] {
    return this.ledger.all('DECISION#').map(({ eventId, decided }) => `${eventId} ${decided}`);
  }

  lease() {
    return this.ledger.all('LEASE#training')[0];
  }
}
