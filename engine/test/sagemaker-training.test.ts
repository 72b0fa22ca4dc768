import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLE } from './support/fake-context';
import { BUCKET, contents, Lab, path, trainingRequest } from './support/sagemaker';

const lab = new Lab();
afterAll(() => lab.stop());

let scripts = 0;
/** Puts a training script into S3. */
function script(text: string): Promise<string> {
  return lab.archive(`code/${scripts++}.tar.gz`, { 'train.py': text });
}

const channel = (name: string, key: string) => ({
  ChannelName: name,
  DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/${key}` } },
});

describe('a training job', () => {
  beforeAll(async () => {
    await lab.put('data/train/a.csv', '1,2\n');
    await lab.put('data/train/deep/b.csv', '3,4\n');
  });

  it('runs the script under the container contract and uploads the model', async () => {
    const code = await script(`
import json, os, sys
print('argv', json.dumps(sys.argv[1:]))
print('env', json.dumps({k: v for k, v in os.environ.items() if k.startswith(('SM_', 'TRAINING_', 'AWS_', 'MY_'))}))
config = os.environ['SM_INPUT_CONFIG_DIR']
print('files', json.dumps({name: json.load(open(f'{config}/{name}.json')) for name in ('hyperparameters', 'inputdataconfig', 'resourceconfig')}))
print('data', open(os.environ['SM_CHANNEL_TRAIN'] + '/deep/b.csv').read().strip())
print('validation:auc=0.61'); print('validation:auc=0.70')
os.makedirs(os.environ['SM_MODEL_DIR'] + '/code', exist_ok=True)
open(os.environ['SM_MODEL_DIR'] + '/model.txt', 'w').write('weights')
open(os.environ['SM_MODEL_DIR'] + '/code/inference.py', 'w').write('')
open(os.environ['SM_OUTPUT_DATA_DIR'] + '/plot.txt', 'w').write('plot')
`);
    const request = trainingRequest('contract', code, {
      HyperParameters: {
        eta: '0.1',
        name: '"quoted"',
        flag: 'true',
        many: '[1, "a"]',
        n: '3',
        _tuning_objective_metric: 'x',
      },
      Environment: { MY_VALUE: 'x' },
      InputDataConfig: [channel('train', 'data/train/')],
    });
    request.AlgorithmSpecification.MetricDefinitions = [{ Name: 'validation:auc', Regex: 'validation:auc=([0-9.]+)' }];

    const { TrainingJobArn } = await lab.call('CreateTrainingJob', request);
    const job = await lab.finished('contract');

    expect(job).toMatchObject({
      TrainingJobStatus: 'Completed',
      SecondaryStatus: 'Completed',
      TrainingJobArn,
      ModelArtifacts: { S3ModelArtifacts: `s3://${BUCKET}/models/contract/output/model.tar.gz` },
      FinalMetricDataList: [{ MetricName: 'validation:auc', Value: 0.7 }],
      BillableTimeInSeconds: 1,
    });
    expect(job.FailureReason).toBeUndefined();
    expect(job.SecondaryStatusTransitions.map(({ Status }: { Status: string }) => Status)).toEqual([
      ...['Starting', 'Downloading', 'Training', 'Uploading', 'Completed'],
    ]);
    const told = (name: string) =>
      lab.context.lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? '';
    expect(JSON.parse(told('argv'))).toEqual([
      ...['--eta', '0.1', '--flag', 'True', '--many', "[1, 'a']", '-n', '3', '--name', 'quoted'],
    ]);
    const root = process.platform === 'linux' ? '/opt/ml' : expect.any(String);
    expect(JSON.parse(told('env'))).toMatchObject({
      SM_MODEL_DIR: process.platform === 'linux' ? '/opt/ml/model' : root,
      SM_NUM_GPUS: expect.stringMatching(/^\d+$/),
      SM_HP_ETA: '0.1',
      SM_HPS: '{"eta": 0.1, "name": "quoted", "flag": true, "many": [1, "a"], "n": 3}',
      SM_CHANNELS: '["train"]',
      TRAINING_JOB_NAME: 'contract',
      TRAINING_JOB_ARN: TrainingJobArn,
      AWS_ACCESS_KEY_ID: ROLE,
      MY_VALUE: 'x',
    });
    expect(JSON.parse(told('files'))).toMatchObject({
      hyperparameters: { eta: '0.1', sagemaker_program: 'train.py' },
      inputdataconfig: { train: { TrainingInputMode: 'File', S3DistributionType: 'FullyReplicated' } },
      resourceconfig: { current_host: 'algo-1', hosts: ['algo-1'], current_instance_type: 'ml.m5.large' },
    });
    expect(told('data')).toBe('3,4');
    expect(contents(await lab.file('models/contract/output/model.tar.gz'))).toEqual(['code/inference.py', 'model.txt']);
    expect(contents(await lab.file('models/contract/output/output.tar.gz'))).toEqual(['plot.txt']);
    const events = lab.context.events.filter((event) => event.resources?.[0] === TrainingJobArn);
    expect(events.map(({ detail }) => detail.SecondaryStatus)).toEqual([
      ...['Starting', 'Downloading', 'Training', 'Uploading', 'Completed'],
    ]);
    expect(typeof events[4].detail.TrainingEndTime).toBe('number');
  });

  it('gives the same bytes for the same model, whenever it is trained', async () => {
    const code = await script(`
import os
open(os.environ['SM_MODEL_DIR'] + '/${'n'.repeat(120)}.txt', 'w').write('weights')
`);
    await lab.call('CreateTrainingJob', trainingRequest('same-1', code));
    await lab.call('CreateTrainingJob', trainingRequest('same-2', code));
    await lab.context.idle();

    const [one, two] = await Promise.all(
      ['same-1', 'same-2'].map(async (job) => readFileSync(await lab.file(`models/${job}/output/model.tar.gz`))),
    );

    expect(one.equals(two)).toBe(true);
    expect(contents(await lab.file('models/same-1/output/model.tar.gz'))).toEqual([`${'n'.repeat(120)}.txt`]);
  });

  it('fails with the text of the failure file and the exit code', async () => {
    const code = await script(`
import os, sys
open(os.path.dirname(os.environ['SM_OUTPUT_DATA_DIR']) + '/failure', 'w').write('too few rows' + '.' * 2000)
sys.exit(3)
`);

    await lab.call('CreateTrainingJob', trainingRequest('fails', code));
    const job = await lab.finished('fails');

    expect(job.TrainingJobStatus).toBe('Failed');
    expect(job.FailureReason).toMatch(/^AlgorithmError: too few rows\.+, exit code: 3$/);
    expect(job.FailureReason).toHaveLength('AlgorithmError: '.length + 1024 + ', exit code: 3'.length);
    expect(job.ModelArtifacts.S3ModelArtifacts).toBeUndefined();
    expect(await lab.keys('models/fails/')).toEqual([]);
  });

  it('fails with the last lines of the log where the script wrote no failure file', async () => {
    await lab.call('CreateTrainingJob', trainingRequest('throws', await script('raise ValueError("what a pity")')));

    expect((await lab.finished('throws')).FailureReason).toMatch(
      /AlgorithmError: .*ValueError: what a pity.*exit code: 1/s,
    );
  });

  it('completes without a model, as on AWS, with an empty archive', async () => {
    await lab.call('CreateTrainingJob', trainingRequest('no-model', await script('pass')));

    expect((await lab.finished('no-model')).TrainingJobStatus).toBe('Completed');
    expect(contents(await lab.file('models/no-model/output/model.tar.gz'))).toEqual([]);
  });

  it('lets the script not change the objects that it reads', async () => {
    const code = await script(`
import os
try:
    open(os.environ['SM_CHANNEL_TRAIN'] + '/a.csv', 'w').write('changed')
except OSError:
    pass
`);

    await lab.call(
      'CreateTrainingJob',
      trainingRequest('vandal', code, { InputDataConfig: [channel('train', 'data/train/')] }),
    );
    await lab.finished('vandal');

    expect(readFileSync(await lab.file('data/train/a.csv'), 'utf8')).toBe('1,2\n');
  });

  it('fails where its role may not read a channel, or the channel is empty', async () => {
    const request = (name: string, prefix: string) =>
      trainingRequest(name, 's3://bucket/none.tar.gz', { InputDataConfig: [channel('train', prefix)] });
    lab.context.denied.add('s3:GetObject');
    await lab.call('CreateTrainingJob', request('denied', 'data/train/'));
    const denied = await lab.finished('denied');
    lab.context.denied.clear();

    await lab.call('CreateTrainingJob', request('empty', 'nothing/'));
    const empty = await lab.finished('empty');

    expect(denied.FailureReason).toMatch(/^ClientError: Data download failed: AccessDenied/);
    expect(empty.FailureReason).toMatch(/^ClientError: Data download failed:NoSuchKey: No objects found under S3 URL/);
  });

  it('stops: SIGTERM first, and what it has then is uploaded', async () => {
    const code = await script(`
import os, signal, sys, time
def end(*_):
    open(os.environ['SM_MODEL_DIR'] + '/half.txt', 'w').write('half')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('working')
time.sleep(60)
`);
    await lab.call('CreateTrainingJob', trainingRequest('stopped', code));
    await until(() => lab.context.lines.includes('working'));

    await lab.call('StopTrainingJob', { TrainingJobName: 'stopped' });
    const stopping = await lab.call('DescribeTrainingJob', { TrainingJobName: 'stopped' });
    const job = await lab.finished('stopped');

    expect(stopping.TrainingJobStatus).toBe('Stopping');
    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'Stopped' });
    expect(contents(await lab.file('models/stopped/output/model.tar.gz'))).toEqual(['half.txt']);
    await expect(lab.call('StopTrainingJob', { TrainingJobName: 'stopped' })).rejects.toThrow(/in status Stopped/);
  });

  it('kills a script that runs too long and does not heed SIGTERM', async () => {
    const code = await script('import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)');

    await lab.call(
      'CreateTrainingJob',
      trainingRequest('hangs', code, { StoppingCondition: { MaxRuntimeInSeconds: 1 } }),
    );
    const job = await lab.finished('hangs');

    expect(job).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxRuntimeExceeded' });
  });

  it('brings checkpoints from S3 and back', async () => {
    const code = await script(`
import os
folder = os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints'
print('found', sorted(os.listdir(folder)))
open(f'{folder}/round-{len(os.listdir(folder))}', 'w').write('x')
`);
    const changes = { CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints` } };

    await lab.call('CreateTrainingJob', trainingRequest('first-try', code, changes));
    await lab.finished('first-try');
    await lab.call('CreateTrainingJob', trainingRequest('second-try', code, changes));
    await lab.finished('second-try');

    expect(await lab.keys('checkpoints/')).toEqual(['checkpoints/round-0', 'checkpoints/round-1']);
    expect(lab.context.lines).toContain("found ['round-0']");
  });

  it('deletes a checkpoint in S3 that the script has deleted, its own prefix alone', async () => {
    const code = await script(`
import os
folder = os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints'
if os.path.exists(f'{folder}/deep/old'):
    os.remove(f'{folder}/deep/old')
else:
    os.makedirs(f'{folder}/deep')
    open(f'{folder}/deep/old', 'w').write('x')
open(f'{folder}/new', 'w').write('x')
`);
    const changes = { CheckpointConfig: { S3Uri: `s3://${BUCKET}/pruned` } };
    await lab.put('pruned-not/deep/old', 'x');

    await lab.call('CreateTrainingJob', trainingRequest('keeps', code, changes));
    await lab.finished('keeps');
    const before = await lab.keys('pruned');
    await lab.call('CreateTrainingJob', trainingRequest('prunes', code, changes));
    await lab.finished('prunes');

    expect(before).toEqual(['pruned-not/deep/old', 'pruned/deep/old', 'pruned/new']);
    expect(await lab.keys('pruned')).toEqual(['pruned-not/deep/old', 'pruned/new']);
    expect(lab.context.asked).toContainEqual({
      action: 's3:DeleteObject',
      resource: `arn:aws:s3:::${BUCKET}/pruned/deep/old`,
    });
  });

  it('fails where its role may not delete what the script has deleted', async () => {
    const code = await script(`
import os
os.remove(os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints/old')
`);
    await lab.put('undeletable/old', 'x');
    lab.context.denied.add('s3:DeleteObject');

    await lab.call(
      'CreateTrainingJob',
      trainingRequest('undeletable', code, { CheckpointConfig: { S3Uri: `s3://${BUCKET}/undeletable` } }),
    );
    const job = await lab.finished('undeletable');
    lab.context.denied.clear();

    expect(job.FailureReason).toMatch(/^ClientError: Checkpoint deletion failed: AccessDenied/);
    expect(await lab.keys('undeletable/')).toEqual(['undeletable/old']);
  });

  it('has its checkpoints where the request wants them', async () => {
    const code = await script(`
import os
open(os.path.dirname(os.environ['SM_MODEL_DIR']) + '/saved/here/one', 'w').write('x')
`);
    const CheckpointConfig = { S3Uri: `s3://${BUCKET}/elsewhere`, LocalPath: '/opt/ml/saved/here/' };

    await lab.call('CreateTrainingJob', trainingRequest('elsewhere', code, { CheckpointConfig }));

    expect((await lab.finished('elsewhere')).FailureReason).toBeUndefined();
    expect(await lab.keys('elsewhere/')).toEqual(['elsewhere/one']);
  });

  it('tells of a warm pool where it is asked to keep one', async () => {
    const code = await script('print("warm")');
    const ResourceConfig = { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 1 };

    await lab.call('CreateTrainingJob', trainingRequest('cold', code, { ResourceConfig }));
    const changes = { ResourceConfig: { ...ResourceConfig, KeepAlivePeriodInSeconds: 600 } };
    await lab.call('CreateTrainingJob', trainingRequest('warm', code, changes));

    expect((await lab.finished('warm')).WarmPoolStatus).toEqual({
      Status: 'Available',
      ResourceRetainedBillableTimeInSeconds: 0,
    });
    expect(await lab.finished('cold')).not.toHaveProperty('WarmPoolStatus');
  });

  it('uploads no model when it is stopped before the script runs', async () => {
    await lab.call('CreateTrainingJob', trainingRequest('soon-stopped', await script('print("never")')));
    await lab.call('StopTrainingJob', { TrainingJobName: 'soon-stopped' });
    const job = await lab.finished('soon-stopped');

    expect(path(job).at(-1)).toBe('Stopped');
    expect(job.ModelArtifacts.S3ModelArtifacts).toBeUndefined();
    expect(lab.context.lines).not.toContain('never');
    expect(await lab.keys('models/soon-stopped/')).toEqual([]);
  });

  it('takes code that is an asset of the app, if its role may read it', async () => {
    await script('print("from the asset")');
    lab.context.assets['assets/hash.tar.gz'] = await lab.file(`code/${scripts - 1}.tar.gz`);

    await lab.call('CreateTrainingJob', trainingRequest('asset', 's3://assets/hash.tar.gz'));
    await lab.finished('asset');
    lab.context.denied.add('s3:GetObject');
    await lab.call('CreateTrainingJob', trainingRequest('denied-asset', 's3://assets/hash.tar.gz'));
    const denied = await lab.finished('denied-asset');
    lab.context.denied.clear();

    expect(lab.context.lines).toContain('from the asset');
    expect(denied.FailureReason).toMatch(/^ClientError: Code download failed: AccessDenied/);
  });

  it('says that an image without a script cannot run here', async () => {
    const request = trainingRequest('algorithm', 's3://bucket/none.tar.gz');
    await lab.call('CreateTrainingJob', { ...request, HyperParameters: { eta: '1' } });

    expect((await lab.finished('algorithm')).FailureReason).toMatch(/cannot run on this machine; only script mode can/);
  });

  it('leaves no process behind when the engine dies', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'orphan-'));
    writeFileSync(join(folder, 'x.py'), 'import time; print("up", flush=True); time.sleep(60)');
    for (const [name, content] of [
      ['hyperparameters', { sagemaker_program: 'x.py' }],
      ['inputdataconfig', {}],
      ['resourceconfig', { current_host: 'a', hosts: ['a'], current_instance_type: 't', network_interface_name: 'lo' }],
    ] as const) {
      execFileSync('mkdir', ['-p', join(folder, 'input/config'), join(folder, 'code')]);
      writeFileSync(join(folder, 'input/config', `${name}.json`), JSON.stringify(content));
    }
    execFileSync('mv', [join(folder, 'x.py'), join(folder, 'code')]);
    const child = spawn('python3', ['engine/src/containers/container.py', folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await new Promise<void>((up) => child.stdout.on('data', (text) => String(text).includes('up') && up()));

    const ended = new Promise((done) => child.on('close', done)); // closes once nobody holds its output
    child.stdin.destroy();

    expect(await ended).toBe(137);
  });
});

describe('CreateTrainingJob', () => {
  const MACHINE = { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 1 };
  const group = (InstanceGroupName: string) => ({
    ...{ InstanceGroupName, InstanceType: 'ml.m5.large', InstanceCount: 1 },
  });

  it.each([
    [
      'an illegal name',
      { TrainingJobName: 'a_b' },
      /Value 'a_b' at 'trainingJobName' failed.*regular expression pattern/,
    ],
    ['a missing role', { RoleArn: undefined }, /Value null at 'roleArn'.*must not be null/],
    ['an unknown member', { Colour: 'red' }, /Unknown member 'Colour' in the request/],
    [
      'a long hyperparameter',
      { HyperParameters: { x: 'y'.repeat(2501) } },
      /at 'hyperParameters'.*length less than or equal to 2500/,
    ],
    [
      'a hyperparameter that is no string',
      { HyperParameters: { x: 3 } },
      /^NUMBER_VALUE cannot be converted to String$/,
    ],
    [
      'no time to run',
      { StoppingCondition: { MaxRuntimeInSeconds: 0 } },
      /maxRuntimeInSeconds.*greater than or equal to 1/,
    ],
    ['spot without a longest wait', { EnableManagedSpotTraining: true }, /MaxWaitTimeInSeconds must be specified/],
    [
      'a longest wait without spot',
      { StoppingCondition: { MaxRuntimeInSeconds: 9, MaxWaitTimeInSeconds: 10 } },
      /It is only supported when EnableManagedSpotTraining is set to true/,
    ],
    [
      'a wait shorter than the runtime',
      { EnableManagedSpotTraining: true, StoppingCondition: { MaxRuntimeInSeconds: 9, MaxWaitTimeInSeconds: 8 } },
      /greater than or equal to MaxRuntimeInSeconds, got 8 and 9/,
    ],
    [
      'a volume key with local storage',
      { ResourceConfig: { InstanceType: 'ml.g5.xlarge', InstanceCount: 1, VolumeSizeInGB: 1, VolumeKmsKeyId: 'k' } },
      /VolumeKmsKeyId is not supported for ml.g5.xlarge/,
    ],
    [
      'instance groups beside a type',
      { ResourceConfig: { ...MACHINE, InstanceGroups: [group('a')] } },
      /must not have InstanceType or InstanceCount where it has InstanceGroups/,
    ],
    [
      'neither a type nor groups',
      { ResourceConfig: { VolumeSizeInGB: 1 } },
      /must have InstanceType and InstanceCount, or InstanceGroups/,
    ],
    [
      'more than five groups',
      { ResourceConfig: { VolumeSizeInGB: 1, InstanceGroups: ['a', 'b', 'c', 'd', 'e', 'f'].map(group) } },
      /resourceConfig.instanceGroups'.*length less than or equal to 5/,
    ],
    [
      'a group without a name',
      { ResourceConfig: { VolumeSizeInGB: 1, InstanceGroups: [{ InstanceType: 'ml.m5.large', InstanceCount: 1 }] } },
      /instanceGroups.1.member.instanceGroupName'.*must not be null/,
    ],
    [
      'two groups of one name',
      { ResourceConfig: { VolumeSizeInGB: 1, InstanceGroups: [group('a'), group('a')] } },
      /names must be unique, got a, a/,
    ],
    ['no instance', { ResourceConfig: { ...MACHINE, InstanceCount: 0 } }, /at least one instance, got 0/],
    [
      'a volume key for a group with local storage',
      {
        ResourceConfig: {
          ...{ VolumeSizeInGB: 1, VolumeKmsKeyId: 'k' },
          InstanceGroups: [group('a'), { ...group('b'), InstanceType: 'ml.g5.xlarge' }],
        },
      },
      /VolumeKmsKeyId is not supported for ml.g5.xlarge/,
    ],
    [
      'a channel for a group that there is not',
      {
        InputDataConfig: [
          {
            ChannelName: 'c',
            DataSource: {
              S3DataSource: { S3DataType: 'S3Prefix', S3Uri: 's3://bucket/c', InstanceGroupNames: ['b'] },
            },
          },
        ],
        ResourceConfig: { VolumeSizeInGB: 1, InstanceGroups: [group('a')] },
      },
      /channel c: InstanceGroupNames must be of .* which has a, got b/,
    ],
    [
      'a warm pool of spot instances',
      {
        EnableManagedSpotTraining: true,
        StoppingCondition: { MaxRuntimeInSeconds: 9, MaxWaitTimeInSeconds: 9 },
        ResourceConfig: { ...MACHINE, KeepAlivePeriodInSeconds: 60 },
      },
      /KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is true, got 60/,
    ],
    [
      'no attempt more',
      { RetryStrategy: { MaximumRetryAttempts: 0 } },
      /maximumRetryAttempts.*greater than or equal to 1/,
    ],
    ['too many attempts', { RetryStrategy: { MaximumRetryAttempts: 31 } }, /less than or equal to 30/],
    [
      'a training plan that is none',
      {
        ResourceConfig: {
          ...MACHINE,
          TrainingPlanArn: `arn:aws:sagemaker:eu-west-1:111122223333:plan/${'x'.repeat(30)}`,
        },
      },
      /trainingPlanArn.*regular expression pattern: .*training-plan/,
    ],
    ['MPI', { HyperParameters: { sagemaker_mpi_enabled: 'true' } }, /sagemaker_mpi_enabled: this engine has no MPI/],
    [
      'checkpoints outside of /opt/ml',
      { CheckpointConfig: { S3Uri: 's3://bucket/c', LocalPath: '/opt/ml/../checkpoints' } },
      /LocalPath must lie below \/opt\/ml in this engine, got \/opt\/ml\/..\/checkpoints/,
    ],
    [
      'too much of an environment',
      { Environment: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`V${i}`, ''])) },
      /at 'environment'.*length less than or equal to 100$/,
    ],
  ])('refuses %s', async (_, changes, message) => {
    const request = { ...trainingRequest('refused', 's3://bucket/code.tar.gz'), ...changes };

    await expect(lab.call('CreateTrainingJob', request)).rejects.toThrow(message);
  });

  it('refuses a name twice', async () => {
    const request = trainingRequest('twice', 's3://bucket/code.tar.gz');
    await lab.call('CreateTrainingJob', request);

    await expect(lab.call('CreateTrainingJob', request)).rejects.toMatchObject({ code: 'ResourceInUse' });
  });

  it('asks for the job, its tags, and to pass the role', () => {
    const request = { ...trainingRequest('Needs', 's3://b/k'), Tags: [{ Key: 'a', Value: 'b' }] };
    const arn = 'arn:aws:sagemaker:eu-west-1:111122223333:training-job/needs';

    expect(lab.sagemaker.operations.CreateTrainingJob.needs(request, { kind: 'root' })).toMatchObject([
      { action: 'sagemaker:CreateTrainingJob', resource: arn },
      { action: 'sagemaker:AddTags', resource: arn },
      { action: 'iam:PassRole', resource: ROLE, conditions: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } },
    ]);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 10));
}
