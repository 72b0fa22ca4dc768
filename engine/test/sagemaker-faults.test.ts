import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateTrainingJobCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checkFaults, Engine, type TrainingFault } from '../src';
import type { Shape } from '../src/service';
import { CheckpointSync } from '../src/services/sagemaker/training-checkpoints';
import { assemblyOf } from './support/assembly';
import { BUCKET, Lab, path, ROOT, trainingRequest } from './support/sagemaker';

const CAPACITY =
  'CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.';
const INTERNAL = 'InternalServerError: We encountered an internal error. Please try again.';

/** Goes on from its checkpoints; the first time it waits for what may come, and saves one more on SIGTERM. */
const PATIENT = `
import os, signal, sys, time
folder = os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints'
found = sorted(os.listdir(folder))
print('found', found)
def end(*_):
    time.sleep(0.3)
    open(folder + '/on-sigterm', 'w').write('x')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
open(f'{folder}/round-{len(found)}', 'w').write('x')
print('round', len(found))
if not found:
    time.sleep(60)
open(os.environ['SM_MODEL_DIR'] + '/model.txt', 'w').write('weights')
`;

const faults: TrainingFault[] = [];
const lab = new Lab({ faults: { training: faults } }, 0.0001);
let patient: string;
let quick: string;
let endless: string;
beforeAll(async () => {
  patient = await lab.archive('code/patient.tar.gz', { 'train.py': PATIENT });
  quick = await lab.archive('code/quick.tar.gz', { 'train.py': 'print("quick")' });
  endless = await lab.archive('code/endless.tar.gz', {
    'train.py': 'import time; print("begins", flush=True); time.sleep(60)',
  });
});
afterEach(() => void faults.splice(0));
afterAll(() => lab.stop());

const SPOT = {
  EnableManagedSpotTraining: true,
  StoppingCondition: { MaxRuntimeInSeconds: 60, MaxWaitTimeInSeconds: 3600 },
};
const checkpointsOf = (name: string) => ({ CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints/${name}/` } });
const create = (name: string, code: string, changes: Shape = {}) =>
  lab.call('CreateTrainingJob', trainingRequest(name, code, changes));
async function run(name: string, code: string, changes: Shape = {}): Promise<Shape> {
  await create(name, code, changes);
  return lab.finished(name);
}
/** Seconds of the engine's time that a job was in a status. */
function secondsIn(job: Shape, status: string): number {
  const spent = job.SecondaryStatusTransitions.filter(({ Status }: Shape) => Status === status).map(
    ({ StartTime, EndTime }: Shape) => EndTime - StartTime,
  );
  return spent.reduce((sum: number, one: number) => sum + one, 0) / 1000;
}
const lastMessage = (job: Shape) => job.SecondaryStatusTransitions.at(-1).StatusMessage;

describe('a lack of capacity', () => {
  it('fails a job before it trains, and costs nothing', async () => {
    faults.push({ kind: 'capacity', afterSeconds: 300 });

    const job = await run('no-capacity', quick);

    expect(job).toMatchObject({ TrainingJobStatus: 'Failed', SecondaryStatus: 'Failed', FailureReason: CAPACITY });
    expect(path(job)).toEqual(['Starting', 'Failed']);
    expect(job).not.toHaveProperty('TrainingStartTime');
    expect(job).not.toHaveProperty('TrainingTimeInSeconds');
    expect(job).not.toHaveProperty('BillableTimeInSeconds');
    expect(secondsIn(job, 'Starting')).toBeCloseTo(300, 0);
    expect(job.SecondaryStatusTransitions[0].StatusMessage).toBe(
      'Insufficient capacity error from EC2 while launching instances, retrying!',
    );
    expect(await lab.keys('models/no-capacity/')).toEqual([]);
  });

  it('is over once it was taken', async () => {
    faults.push({ kind: 'capacity', times: 2 });

    const jobs = [await run('one', quick), await run('two', quick), await run('three', quick)];

    expect(jobs.map(({ TrainingJobStatus }) => TrainingJobStatus)).toEqual(['Failed', 'Failed', 'Completed']);
    expect(faults).toEqual([]);
  });

  it('of spot instances ends a job when its longest wait is over', async () => {
    faults.push({ kind: 'maxWait' });

    const job = await run('no-spot', quick, SPOT);

    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxWaitTimeExceeded' });
    expect(path(job)).toEqual(['Starting', 'MaxWaitTimeExceeded']);
    expect(lastMessage(job)).toBe('Training job wait time exceeded MaxWaitTimeInSeconds provided');
    expect(job).not.toHaveProperty('FailureReason');
    expect(job).not.toHaveProperty('TrainingStartTime');
    expect(job).not.toHaveProperty('BillableTimeInSeconds');
    expect(secondsIn(job, 'Starting')).toBeCloseTo(3600, 0);
  });

  it('for a while lets a job wait', async () => {
    faults.push({ kind: 'slowStart', seconds: 900 });

    const job = await run('late', quick);

    expect(path(job)).toEqual(['Starting', 'Pending', 'Downloading', 'Training', 'Uploading', 'Completed']);
    expect(secondsIn(job, 'Pending')).toBeCloseTo(900, 0);
    expect(job.BillableTimeInSeconds).toBeLessThan(60);
  });

  it.each([
    ['ml.g5.xlarge', 'Stopped', ['Starting', 'Pending', 'Stopped'], 7200],
    ['ml.m5.large', 'Completed', ['Starting', 'Pending', 'Downloading', 'Training', 'Uploading', 'Completed'], 7300],
  ])('for too long stops a job on %s: %s', async (InstanceType, status, statuses, seconds) => {
    faults.push({ kind: 'slowStart', seconds: 7300 });

    const job = await run(`pending-${status}`, quick, {
      ResourceConfig: { InstanceType, InstanceCount: 1, VolumeSizeInGB: 1 },
      StoppingCondition: { MaxRuntimeInSeconds: 60, MaxPendingTimeInSeconds: 7200 },
    });

    expect(job.TrainingJobStatus).toBe(status);
    expect(path(job)).toEqual(statuses);
    expect(secondsIn(job, 'Pending')).toBeCloseTo(seconds, 0);
    if (status !== 'Stopped') return;
    expect(lastMessage(job)).toBe('Training job pending time exceeded MaxPendingTimeInSeconds provided');
    expect(job).not.toHaveProperty('BillableTimeInSeconds');
  });
});

describe('a call that is refused', () => {
  it.each([
    [{}, 'ml.m5.large for training job usage', 1],
    [SPOT, 'ml.m5.large for spot training job usage', 1],
    [
      { ResourceConfig: { InstanceType: 'ml.g5.xlarge', InstanceCount: 3, VolumeSizeInGB: 1 } },
      'ml.g5.xlarge for training job usage',
      3,
    ],
  ])('for the quota names it: %#', async (changes, limit, delta) => {
    faults.push({ kind: 'quota' });

    await expect(create('quota', quick, changes)).rejects.toMatchObject({
      code: 'ResourceLimitExceeded',
      message: `The account-level service limit '${limit}' is 0 Instances, with current utilization of 0 Instances and a request delta of ${delta} Instances. Please use AWS Service Quotas to request an increase for this quota.`,
    });
    await expect(lab.call('DescribeTrainingJob', { TrainingJobName: 'quota' })).rejects.toThrow('not found');
  });

  it('for the rate may be made again', async () => {
    faults.push({ kind: 'throttle' });

    await expect(create('throttled', quick)).rejects.toMatchObject({
      code: 'ThrottlingException',
      message: 'Rate exceeded',
      status: 400,
    });
    expect((await run('throttled', quick)).TrainingJobStatus).toBe('Completed');
  });

  it('for its own mistake leaves the faults to others', async () => {
    faults.push({ kind: 'throttle' });

    await expect(create('a_b', quick)).rejects.toThrow('trainingJobName');
    expect(faults).toHaveLength(1);
  });
});

describe('the queue', () => {
  it('gives each job the first fault that fits it', async () => {
    faults.push(
      { kind: 'interruption' }, // of spot jobs alone
      { kind: 'nodeLoss', host: 'algo-2' }, // of jobs with such a host
      { kind: 'quota', match: { job: 'other' } },
      { kind: 'throttle', match: { instanceType: 'ml.g5.xlarge' } },
      { kind: 'capacity', match: { spot: true } },
      { kind: 'internal', match: { spot: false, job: 'that-', instanceType: 'ml.m5.large' } },
    );

    const job = await run('the-queue', quick);
    expect(job.TrainingJobStatus).toBe('Completed');
    expect((await run('takes-that-one', endless)).FailureReason).toBe(INTERNAL);
    await expect(create('the-other', quick)).rejects.toMatchObject({ code: 'ResourceLimitExceeded' });
    expect(faults.map(({ kind }) => kind)).toEqual(['interruption', 'nodeLoss', 'throttle', 'capacity']);
  });

  it('refuses what a test has pushed wrongly', async () => {
    faults.push({ kind: 'capacity', times: 0 });

    await expect(create('wrong', quick)).rejects.toThrow(
      'faults: training[0].times must be a whole number from 1 on, got 0',
    );
  });
});

describe('an internal error', () => {
  it('fails a job that does not ask for more attempts', async () => {
    faults.push({ kind: 'internal', afterLine: 'round 0' });

    const job = await run('internal', patient, checkpointsOf('internal'));

    expect(job).toMatchObject({ TrainingJobStatus: 'Failed', FailureReason: INTERNAL });
    expect(path(job)).toEqual(['Starting', 'Downloading', 'Training', 'Failed']);
    expect(job.TrainingStartTime).toBeInstanceOf(Date);
    expect(job.BillableTimeInSeconds).toBeGreaterThanOrEqual(1);
    expect(await lab.keys('checkpoints/internal/')).toEqual(['checkpoints/internal/round-0']); // no SIGTERM
  });

  it('lets a job go on from its checkpoints', async () => {
    faults.push({ kind: 'internal', afterLine: 'round 0' });

    const job = await run('again', patient, {
      ...checkpointsOf('again'),
      RetryStrategy: { MaximumRetryAttempts: 1 },
    });

    expect(job.TrainingJobStatus).toBe('Completed');
    expect(path(job)).toEqual([
      ...['Starting', 'Downloading', 'Training', 'Restarting', 'Starting', 'Downloading', 'Training'],
      ...['Uploading', 'Completed'],
    ]);
    expect(lab.context.lines).toContain("found ['round-0']");
    expect(await lab.keys('checkpoints/again/')).toEqual(['checkpoints/again/round-0', 'checkpoints/again/round-1']);
  });

  it('fails a job once its attempts are used up', async () => {
    faults.push({ kind: 'internal', afterLine: 'begins', times: 3 });

    const job = await run('hopeless', endless, { RetryStrategy: { MaximumRetryAttempts: 2 } });

    expect(job).toMatchObject({ TrainingJobStatus: 'Failed', FailureReason: INTERNAL });
    expect(path(job).filter((status) => status === 'Training')).toHaveLength(3);
    expect(path(job).filter((status) => status === 'Restarting')).toHaveLength(2);
    expect(faults).toEqual([]);
  });
});

describe('an interruption', () => {
  it('keeps what the script saves on SIGTERM, and goes on from there on other instances', async () => {
    faults.push({ kind: 'interruption', afterLine: 'round 0', resumeAfterSeconds: 3000 });
    await create('spot', patient, { ...SPOT, ...checkpointsOf('spot') });

    const interrupted = await lab.reached('spot', 'Interrupted');
    const saved = await lab.keys('checkpoints/spot/');
    const job = await lab.finished('spot');

    expect(interrupted.TrainingJobStatus).toBe('InProgress');
    expect(saved).toEqual(['checkpoints/spot/on-sigterm', 'checkpoints/spot/round-0']);
    expect(job).toMatchObject({ TrainingJobStatus: 'Completed', SecondaryStatus: 'Completed' });
    expect(path(job)).toEqual([
      ...['Starting', 'Downloading', 'Training', 'Interrupted', 'Starting', 'Downloading', 'Training'],
      ...['Uploading', 'Completed'],
    ]);
    expect(secondsIn(job, 'Interrupted')).toBeCloseTo(3000, 0);
    expect(job.BillableTimeInSeconds).toBeLessThan(60);
    expect(lab.context.lines).toContain("found ['on-sigterm', 'round-0']");
    expect((await lab.keys('checkpoints/spot/')).at(-1)).toBe('checkpoints/spot/round-2');
    expect(await lab.keys('models/spot/')).toEqual(['models/spot/output/model.tar.gz']);
    const events = lab.context.events.filter(({ detail }) => detail.TrainingJobName === 'spot');
    expect(events.map(({ detail }) => detail.SecondaryStatus)).toEqual(path(job));
  });

  it('gives the script a fresh /opt/ml', async () => {
    const code = await lab.archive('code/litter.tar.gz', {
      'train.py': `
import os, time
root = os.path.dirname(os.environ['SM_MODEL_DIR'])
litter = [f'{root}/{path}/litter' for path in ('model', 'output/data', 'code')]
print('left', sum(map(os.path.exists, litter)))
for path in litter:
    open(path, 'w').write('x')
print('littered')
time.sleep(60)`,
    });
    faults.push({ kind: 'interruption', afterLine: 'littered', times: 2 });

    await create('litter', code, SPOT);
    await until(() => lab.context.lines.filter((line) => line === 'left 0').length === 2);
    await lab.call('StopTrainingJob', { TrainingJobName: 'litter' });
    const job = await lab.finished('litter');

    expect(lab.context.lines.filter((line) => line.startsWith('left '))).toEqual(['left 0', 'left 0']);
    expect(job.TrainingJobStatus).toBe('Stopped');
  });

  it('comes at a second of training; seconds of all attempts are billed together', async () => {
    const code = await lab.archive('code/two.tar.gz', { 'train.py': 'import time; time.sleep(2)' });
    faults.push({ kind: 'interruption', afterSeconds: 1 });

    const job = await run('seconds', code, SPOT);

    expect(path(job).filter((status) => status === 'Training')).toHaveLength(2);
    expect(secondsIn(job, 'Interrupted')).toBeCloseTo(60, 0);
    expect(job.TrainingTimeInSeconds).toBe(job.BillableTimeInSeconds);
    expect(job.BillableTimeInSeconds).toBeGreaterThanOrEqual(3);
    expect(job.BillableTimeInSeconds).toBeLessThan(30);
  });

  it('kills a script that does not heed SIGTERM, and keeps the checkpoints that it has', async () => {
    const code = await lab.archive('code/deaf.tar.gz', {
      'train.py': PATIENT.replace('signal.SIGTERM, end', 'signal.SIGTERM, signal.SIG_IGN'),
    });
    faults.push({ kind: 'interruption', afterLine: 'round 0' });

    const job = await run('deaf', code, { ...SPOT, ...checkpointsOf('deaf') });

    expect(job.TrainingJobStatus).toBe('Completed');
    expect(await lab.keys('checkpoints/deaf/')).toEqual(['checkpoints/deaf/round-0', 'checkpoints/deaf/round-1']);
    expect(lab.context.lines).toContain('the script has not ended in time after SIGTERM and is killed');
  });

  it.each([
    ['never', { resumes: false }],
    ['too late', { resumeAfterSeconds: 4000 }],
  ])('that is over %s ends a job with its longest wait', async (name, when) => {
    faults.push({ kind: 'interruption', afterLine: 'begins', ...when });

    const job = await run(`over-${name.replace(' ', '-')}`, endless, SPOT);

    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxWaitTimeExceeded' });
    expect(path(job)).toEqual(['Starting', 'Downloading', 'Training', 'Interrupted', 'MaxWaitTimeExceeded']);
    expect(lastMessage(job)).toBe('Training job wait time exceeded MaxWaitTimeInSeconds provided');
    expect(secondsIn(job, 'Interrupted')).toBeGreaterThan(3500);
    expect(secondsIn(job, 'Interrupted')).toBeLessThanOrEqual(3601);
    expect(job.ModelArtifacts.S3ModelArtifacts).toBeUndefined();
  });

  it('does not give a job more time to run', async () => {
    faults.push({ kind: 'interruption', afterSeconds: 3 });

    const job = await run('limited', endless, {
      ...SPOT,
      StoppingCondition: { MaxRuntimeInSeconds: 4, MaxWaitTimeInSeconds: 3600 },
    });

    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxRuntimeExceeded' });
    expect(path(job).filter((status) => status === 'Training')).toHaveLength(2);
    expect(job.BillableTimeInSeconds).toBeGreaterThanOrEqual(4);
    expect(job.BillableTimeInSeconds).toBeLessThan(7);
  });

  it('leaves so much of the longest wait to train in', async () => {
    faults.push({ kind: 'interruption', afterLine: 'begins', resumeAfterSeconds: 3598 });

    const job = await run('squeezed', endless, SPOT);

    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxWaitTimeExceeded' });
    expect(path(job).slice(-4)).toEqual(['Training', 'Stopping', 'Uploading', 'MaxWaitTimeExceeded']);
    expect(job.BillableTimeInSeconds).toBeLessThanOrEqual(4);
  });

  it('has streams of its own for each attempt', async () => {
    faults.push({ kind: 'interruption', afterLine: 'round 0' });
    await run('streams', patient, { ...SPOT, ...checkpointsOf('streams') });

    const streams = lab.sagemaker.logStreams().filter(({ name }) => name.startsWith('streams/'));

    expect(streams.map(({ name }) => name.replace(/\d{10}$/, 'time'))).toEqual([
      ...['streams/algo-1-time', 'streams/algo-1-time'],
    ]);
    expect(new Set(streams.map(({ name }) => name)).size).toBe(2);
    expect(streams.map(({ read }) => read().filter(({ text }) => /^round/.test(text)))).toEqual([
      [{ at: expect.any(Number), text: 'round 0' }],
      [{ at: expect.any(Number), text: 'round 2' }],
    ]);
    expect(streams[1]?.created).toBeGreaterThan((streams[0]?.created ?? 0) + 60_000);
  });
});

describe('checkpoints', () => {
  it('that S3 has stay there when a host is done with, and its folder goes', async () => {
    const host = { context: lab.context, objects: lab.s3, options: {}, tags: new Map() };
    const root = mkdtempSync(join(tmpdir(), 'host-'));
    const sync = new CheckpointSync(host, { S3Uri: `s3://${BUCKET}/checkpoints/done` }, root);
    mkdirSync(sync.folder);
    for (const name of ['one', 'two']) writeFileSync(join(sync.folder, name), name);

    const saving = sync.save(ROOT);
    const last = sync.finish(ROOT, false);
    writeFileSync(join(sync.folder, 'late'), 'x');
    await Promise.all([saving, last]);
    rmSync(root, { recursive: true });
    await sync.save(ROOT); // the look that comes every ten seconds

    const kept = await lab.keys('checkpoints/done/');
    expect(kept.filter((key) => !key.endsWith('/late'))).toEqual(['checkpoints/done/one', 'checkpoints/done/two']);
  });

  it('of a lost host are lost where S3 does not have them', async () => {
    const host = { context: lab.context, objects: lab.s3, options: {}, tags: new Map() };
    const sync = new CheckpointSync(
      host,
      { S3Uri: `s3://${BUCKET}/checkpoints/gone` },
      mkdtempSync(join(tmpdir(), 'host-')),
    );
    mkdirSync(sync.folder);
    writeFileSync(join(sync.folder, 'one'), '');
    await sync.save(ROOT);
    writeFileSync(join(sync.folder, 'two'), '');

    await sync.finish(ROOT, true);

    expect(await lab.keys('checkpoints/gone/')).toEqual(['checkpoints/gone/one']);
  });
});

describe('StopTrainingJob', () => {
  const slow = new Lab({ faults: { training: faults } }, 1);
  afterAll(() => slow.stop());

  it.each<[string, TrainingFault]>([
    ['Starting', { kind: 'capacity', afterSeconds: 3000 }],
    ['Starting', { kind: 'maxWait' }],
    ['Pending', { kind: 'slowStart', seconds: 3000 }],
    ['Interrupted', { kind: 'interruption', afterLine: 'begins', resumeAfterSeconds: 3000 }],
  ])('ends a job at once that is %s', async (secondary, fault) => {
    const name = `stop-${fault.kind}`;
    const code = await slow.archive('code.tar.gz', {
      'train.py': 'import time; print("begins", flush=True); time.sleep(60)',
    });
    faults.push(fault);
    await slow.call('CreateTrainingJob', trainingRequest(name, code, SPOT));
    await slow.reached(name, secondary);

    const asked = Date.now();
    await slow.call('StopTrainingJob', { TrainingJobName: name });
    const job = await slow.finished(name);

    expect(Date.now() - asked).toBeLessThan(1000);
    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'Stopped' });
    expect(path(job).slice(-3)).toEqual([secondary, 'Stopping', 'Stopped']);
    expect(job.ModelArtifacts.S3ModelArtifacts).toBeUndefined();
  });
});

describe('faults from a file', () => {
  it('are taken as they are', () => {
    const training = [{ kind: 'nodeLoss', host: 'algo-2', afterLine: 'x', times: 2, match: { spot: true } }];

    const transform = [{ kind: 'quota', atOnce: 1, match: { job: 'a', instanceType: 'ml.m5.large' } }];
    const endpoints = [{ kind: 'slowStart', seconds: 9, match: { endpoint: 'a' } }];
    expect(checkFaults({ training, transform, endpoints })).toEqual({ training, transform, endpoints });
    expect(checkFaults({ training })).toEqual({ training, transform: [], endpoints: [] });
    expect(checkFaults({})).toEqual({ training: [], transform: [], endpoints: [] });
  });

  it.each<[string, unknown, string]>([
    ['no object', [], 'it must be an object with the lists training, transform, endpoints'],
    ['another list', { models: [] }, "there are no faults of 'models', only of training, transform, endpoints"],
    [
      'a kind that another list has',
      { transform: [{ kind: 'nodeLoss', host: 'algo-1' }] },
      'transform[0].kind must be one of capacity, quota, throttle, internal, slowStart, got "nodeLoss"',
    ],
    [
      'a condition that another list has',
      { endpoints: [{ kind: 'quota', match: { job: 'x' } }] },
      "endpoints[0].match has no 'job'; it has endpoint, instanceType",
    ],
    [
      'a quota that stays, so many times',
      { transform: [{ kind: 'quota', atOnce: 1, times: 2 }] },
      'transform[0] must have times or atOnce, got both',
    ],
    ['no list', { training: 3 }, 'training must be a list of faults, got 3'],
    ['no fault', { training: [null] }, 'training[0] must be an object, got null'],
    [
      'an unknown kind',
      { training: [{ kind: 'fire' }] },
      'training[0].kind must be one of capacity, quota, throttle, internal, interruption, maxWait, slowStart, nodeLoss, got "fire"',
    ],
    ['a kind of all objects', { training: [{ kind: 'toString' }] }, 'got "toString"'],
    [
      'an unknown member',
      { training: [{ kind: 'capacity', afterLine: 'x' }] },
      "training[0] has no 'afterLine'; it has kind, match, times, afterSeconds",
    ],
    ['a missing one', { training: [{ kind: 'slowStart' }] }, 'training[0].seconds must be a number of seconds from 0'],
    [
      'a wrong host',
      { training: [{ kind: 'nodeLoss', host: 2 }] },
      'training[0].host must be the name of a host, e.g. algo-2, got 2',
    ],
    [
      'an unknown condition',
      { training: [{ kind: 'quota', match: { name: 'x' } }] },
      "training[0].match has no 'name'; it has job, instanceType, spot",
    ],
    [
      'two moments',
      { training: [{ kind: 'internal', afterSeconds: 1, afterLine: 'x' }] },
      'training[0] must have afterSeconds or afterLine, got both',
    ],
    [
      'an end that never comes, and its time',
      { training: [{ kind: 'interruption', resumes: false, resumeAfterSeconds: 1 }] },
      'training[0] must not have resumeAfterSeconds where resumes is false',
    ],
    ['several mistakes', { training: [{ kind: 'x' }, { kind: 'quota', times: 1.5 }] }, 'got "x"; training[1].times'],
  ])('are refused: %s', (_, given, message) => {
    expect(() => checkFaults(given)).toThrow(message);
  });

  it('are told in the README, all and as they are', () => {
    const readme = readFileSync('engine/README.md', 'utf8').split('## Fault injection')[1] ?? '';
    const [, example = ''] = /```json\n(.*?)```/s.exec(readme) ?? [];
    const told = (table: string) => [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind);
    const [, training = '', serving = ''] = readme.split('| `kind` |');

    expect(checkFaults(JSON.parse(example))).toMatchObject({ training: [{}, {}], transform: [{}], endpoints: [{}] });
    const mistake = (table: string) => `must be one of ${told(table).join(', ')}, got nothing`;
    expect(() => checkFaults({ training: [{}] })).toThrow(mistake(training));
    expect(() => checkFaults({ transform: [{}] })).toThrow(mistake(serving));
    expect(() => checkFaults({ endpoints: [{}] })).toThrow(mistake(serving));
  });

  it('reach the engine, which takes more', async () => {
    const training: TrainingFault[] = [{ kind: 'throttle' }];
    const trust = {
      Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'sagemaker.amazonaws.com' } }],
    };
    const assembly = assemblyOf({
      Role: { Type: 'AWS::IAM::Role', Properties: { RoleName: 'Role', AssumeRolePolicyDocument: trust } },
    });
    const engine = await Engine.start({ assembly, faults: { training }, aws: { account: '111122223333' } });
    engine.faults.training.push({ kind: 'quota' });
    const client = new SageMakerClient({ ...engine.clientConfig, maxAttempts: 1 });
    const create = () => client.send(new CreateTrainingJobCommand(trainingRequest('job', 's3://bucket/code.tar.gz')));

    await expect(create()).rejects.toMatchObject({ name: 'ThrottlingException', message: 'Rate exceeded' });
    await expect(create()).rejects.toMatchObject({ name: 'ResourceLimitExceeded' });
    await expect(Engine.start({ assembly, faults: { training: [{ kind: 'x' } as never] } })).rejects.toThrow(
      'faults: training[0].kind must be one of',
    );
    expect(training).toHaveLength(1); // the caller's own list stays
    client.destroy();
    await engine.stop();
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 10));
}
