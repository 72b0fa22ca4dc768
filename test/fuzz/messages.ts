import { type ControllerPorts, control } from '../../lambdas/dataset/controller.handler';
import { type StartDeploymentPorts, startDeployments } from '../../lambdas/deploy/start-deployment.handler';
import { type MonitorPorts, monitor } from '../../lambdas/watch/monitor.handler';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { parseDeploymentMessage, parseMessage } from '../../lib/core/messages';
import { Events } from '../../lib/core/names';
import { MemoryExecutions, MemoryLedger } from '../support/memory';
import { PIPELINE, World } from '../support/training-world';
import { refusedByName } from './contract';
import { Dice, garble, mutate } from './fuzz';
import { anyJson, below, fuzz, mutated, pick, type Random, type Tally } from './mutate';

const GROUP = 'models';
const TIME = '2026-03-01T00:00:00Z';
const NOW = new Date('2026-03-01T12:00:00Z');
const ARN = `arn:aws:sagemaker:eu-west-1:1:model-package/${GROUP}/1`;

function event(source: string, type: string, detail: object, time = TIME) {
  return { source, 'detail-type': type, id: 'e-fuzzed', time, detail };
}

function own(type: string, detail: object = {}) {
  return event(Events.SOURCE, type, { pipeline: PIPELINE, ...detail });
}

function ended(name: string, input: string) {
  const detail = { name, status: 'FAILED', input, startDate: Date.parse(TIME), stopDate: Date.parse(TIME) + 60_000 };
  return event('aws.states', 'Step Functions Execution Status Change', detail);
}

function upload(key: string) {
  return event('aws.s3', 'Object Created', { object: { key, size: 10, 'version-id': 'v1' } });
}

const WINDOW = {
  windowId: 'w',
  windowEnd: TIME,
  modelVersion: 1,
  reportKey: 'monitor/w.json',
  summary: 'km has shifted',
};

const TO_CONTROLLER = [
  upload('incoming/fuzzed.csv'),
  own(Events.DRIFT_DETECTED, WINDOW),
  own(Events.RUN_REQUESTED, { requestedBy: 'ann', note: 'try again', snapshotKey: 'snapshots/none.json' }),
  own(Events.RUN_REQUESTED, { requestedBy: 'ann' }),
  own(Events.SCHEDULE),
  own(Events.RECONCILE),
  own(Events.RUN_ENDED, { runId: 'data-0123456789ab', outcome: 'PROMOTED' }),
  ended('data-0123456789ab', '{}'),
];

const APPROVAL = event('aws.sagemaker', 'SageMaker Model Package State Change', {
  ...{ ModelPackageGroupName: GROUP, ModelPackageArn: ARN, ModelApprovalStatus: 'Approved' },
  UpdatedModelPackageFields: ['ModelApprovalStatus'],
});

const TO_DEPLOYMENTS = [
  APPROVAL,
  own(Events.DEPLOYMENT_ENDED, { deploymentId: 'deploy-v1-01234567' }),
  own(Events.RECONCILE),
  ended('deploy-v1-01234567', JSON.stringify({ modelPackageArn: ARN, approvedAt: TIME })),
];

const TO_MONITOR = [upload('ground-truth/fuzzed.csv'), upload('ground-truth/folder/'), own(Events.SCHEDULE)];

/** The body of a message: a good one with something wrong, or anything at all. */
function body(next: Random, good: readonly object[]): string {
  const roll = next();
  const one = pick(next, good);
  const dice = new Dice(below(next, 2 ** 31));
  if (roll < 0.05) return pick(next, TEXTS)();
  if (roll < 0.15) return json(anyJson(next));
  if (roll < 0.35) return garble(JSON.stringify(one), dice);
  return json(roll < 0.7 ? mutate(one, dice) : mutated(next, one));
}

const TEXTS = [
  () => '',
  () => 'hello',
  () => '\ufeff{}',
  () => `{"detail":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
  () => JSON.stringify(APPROVAL).replace('{', '{"detail":1e999,'),
  () => `{"source":"perennial","detail-type":"x","detail":${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}}`,
];

/** What JSON cannot say, because it nests too deep, is cut off. */
function json(value: unknown): string {
  try {
    return JSON.stringify(value) ?? '{"source"';
  } catch {
    return '{"source"';
  }
}

/** What is written to the logs meanwhile. */
async function overheard<T>(work: () => Promise<T>): Promise<{ result: T; said: string[] }> {
  const { log, error } = console;
  const said: string[] = [];
  console.log = () => {};
  console.error = (line: unknown) => void said.push(String(line));
  try {
    return { result: await work(), said };
  } finally {
    Object.assign(console, { log, error });
  }
}

interface Reply {
  readonly batchItemFailures: ReadonlyArray<{ readonly itemIdentifier: string }>;
}

/** Hands over a message beside a good one; gives whether it was refused, for which there is a named reason in the log. */
async function isRefused(handle: (records: object[]) => Promise<Reply>, next: Random, fuzzed: string, good: string) {
  const records = [
    { messageId: 'fuzzed', body: fuzzed },
    { messageId: 'good', body: good },
  ];
  const { result, said } = await overheard(() => handle(next() < 0.5 ? records : records.reverse()));
  const failed = result.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  if (failed.length === 0) return said.length === 0 ? false : broken(`it is taken, and the log says ${said[0]}`);
  if (failed.join() !== 'fuzzed') broken(`what comes again is ${failed}`);
  const [line = '', ...more] = said;
  if (more.length > 0) broken(`the log says ${said.length} times what is wrong`);
  const { error } = JSON.parse(line);
  if (!String(error).startsWith(`${ErrorName.INVALID_DOCUMENT}: `)) broken(`the error has no name: ${error}`);
  if (line.length > 40_000) broken(`the log says ${line.length} characters`);
  return true;
}

/**
 * Whatever lies in the controller's queue is taken or refused by name, as its parser says, and the good message beside
 * it is always taken; a trigger is answered in the ledger, and no run begins beside another.
 */
export function fuzzControllerMessages(cases: number): Promise<Tally> {
  return fuzz('messages to the controller', cases, async (next, number) => {
    const world = new World();
    world.data.upload('incoming/fuzzed.csv');
    if (number % 3 > 0) await world.handle(world.ports, [JSON.stringify(upload('incoming/before.csv'))]);
    if (number % 3 === 2) await world.end(world.running()[0] ?? '', 'REJECTED');
    const [fuzzed, good] = [body(next, TO_CONTROLLER), upload('incoming/good.csv')];
    world.data.upload('incoming/good.csv');
    const handle = (Records: object[]) => control(world.ports as ControllerPorts, { Records } as never);
    const refused = await isRefused(handle, next, fuzzed, JSON.stringify({ ...good, id: 'e-good' }));

    if (!world.ledger.items.has(LedgerKey.decision(iso(TIME), 'e-good')))
      broken('nothing was decided about the good one');
    if (world.executions.mostAtOnce !== 1) broken(`${world.executions.mostAtOnce} runs were under way at once`);
    const message = refused ? undefined : parseMessage(fuzzed, PIPELINE);
    if (refused)
      refusedByName(() => void parseMessage(fuzzed, PIPELINE)) === 'accepted' && broken('its parser takes it');
    if (message?.kind === 'trigger') {
      const { at, eventId } = message.evidence;
      if (!world.ledger.items.has(LedgerKey.decision(at, eventId))) broken('nothing was decided about it');
    }
    return refused ? 'refused' : message?.kind === 'other' ? 'ignored' : 'taken';
  });
}

/** The same of the deployments' queue. */
export function fuzzDeploymentMessages(cases: number): Promise<Tally> {
  return fuzz('messages to the deployments', cases, async (next, number) => {
    const ledger = new MemoryLedger(PIPELINE);
    const executions = new MemoryExecutions(() => NOW);
    const ports: StartDeploymentPorts = {
      pipeline: PIPELINE,
      modelPackageGroup: GROUP,
      endpointName: 'flights',
      ledger,
      executions,
      isApproved: async () => true,
      newestApproved: async () => ({ modelPackageArn: ARN, approvedAt: TIME, createdAt: TIME }),
      now: () => NOW,
      pause: async () => {},
    };
    const handle = (Records: object[]) => startDeployments(ports, { Records } as never);
    if (number % 2 === 0) await handle([{ messageId: 'first', body: JSON.stringify(APPROVAL) }]);
    const [fuzzed, good] = [body(next, TO_DEPLOYMENTS), { ...APPROVAL, time: '2026-03-01T01:00:00Z' }];
    const refused = await isRefused(handle, next, fuzzed, JSON.stringify(good));

    const { last, wanted } = (ledger.items.get('LEASE#deployment') ?? {}) as Record<string, { approvedAt: string }>;
    const newest = wanted ?? last;
    if (newest === undefined || newest.approvedAt < iso(good.time))
      broken('the good one is neither deployed nor wanted');
    if (executions.mostAtOnce !== 1) broken(`${executions.mostAtOnce} deployments were under way at once`);
    const parse = () => parseDeploymentMessage(fuzzed, GROUP, PIPELINE);
    if (refused) return refusedByName(() => void parse()) === 'accepted' ? broken('its parser takes it') : 'refused';
    return parse().kind === 'other' ? 'ignored' : 'taken';
  });
}

/** Whatever the monitor is invoked with is taken or refused by name. */
export function fuzzMonitorEvents(cases: number): Promise<Tally> {
  const ports = { pipeline: PIPELINE, ledger: new MemoryLedger(PIPELINE) } as unknown as MonitorPorts;
  return fuzz('events to the monitor', cases, async (next) => {
    const fuzzed = body(next, TO_MONITOR);
    let given: unknown;
    try {
      given = JSON.parse(fuzzed);
    } catch {
      given = fuzzed; // Lambda hands on nothing but JSON, of which a text is some
    }
    try {
      const { summary } = await monitor(ports, given);
      return summary.startsWith('no model') ? 'taken' : 'ignored';
    } catch (error) {
      if (!(error instanceof PerennialError) || error.name !== ErrorName.INVALID_DOCUMENT) throw error;
      return refusedByName(() => {
        throw error;
      });
    }
  });
}

function iso(time: string): string {
  return new Date(time).toISOString();
}

function broken(what: string): never {
  throw new Error(what);
}
