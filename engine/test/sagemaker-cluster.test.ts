import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TrainingFault } from '../src';
import { ensurePython, packageFile } from '../src/containers/python';
import type { Shape } from '../src/service';
import { BUCKET, contents, Lab, path, trainingRequest } from './support/sagemaker';

const INTERNAL = 'InternalServerError: We encountered an internal error. Please try again.';
/** Only there has each host mounts of its own, and with them /etc/hosts and /opt/ml. */
const isLinux = process.platform === 'linux';

const faults: TrainingFault[] = [];
const lab = new Lab({ faults: { training: faults } }, 0.001);
afterEach(() => void faults.splice(0));
afterAll(() => lab.stop());

const hosts = (InstanceCount: number, InstanceType = 'ml.m5.large') => ({
  ResourceConfig: { InstanceType, InstanceCount, VolumeSizeInGB: 1 },
});
const channel = (ChannelName: string, key: string, source: Shape = {}) => ({
  ChannelName,
  DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/${key}`, ...source } },
});

async function run(name: string, script: string, changes: Shape): Promise<Shape> {
  await create(name, script, changes);
  return lab.finished(name);
}

async function create(name: string, script: string, changes: Shape, on = lab): Promise<void> {
  const code = await on.archive(`code/${name}.tar.gz`, { 'train.py': script });
  await on.call('CreateTrainingJob', trainingRequest(name, code, changes));
}

/** What the hosts of a job have logged, each by itself. */
function told(name: string, on = lab): Record<string, string[]> {
  const streams = on.sagemaker.logStreams().filter((stream) => stream.name.startsWith(`${name}/`));
  const texts = streams.map((stream) => [
    /algo-\d+/.exec(stream.name)?.[0] ?? '',
    stream
      .read()
      .map(({ text }) => text)
      .filter((text) => !text.startsWith('running ')),
  ]);
  return Object.fromEntries(texts);
}

describe('a job of several instances', () => {
  it.runIf(isLinux)('has hosts that reach each other by name', async () => {
    const job = await run(
      'sockets',
      `
import os, socket, time
me, port = os.environ['SM_CURRENT_HOST'], int(os.environ['SM_HP_PORT'])
if me == 'algo-1':
    with socket.create_server(('algo-1', port)) as server:
        peer, _ = server.accept()
        print('heard', peer.recv(100).decode())
        peer.sendall(b'welcome')
else:
    for _ in range(200):
        try:
            peer = socket.create_connection(('algo-1', port))
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    peer.sendall(me.encode())
    print('heard', peer.recv(100).decode())
`,
      { ...hosts(2), HyperParameters: { port: '47113' } },
    );

    expect(job.TrainingJobStatus).toBe('Completed');
    expect(told('sockets')).toEqual({ 'algo-1': ['heard algo-2'], 'algo-2': ['heard welcome'] });
  });

  it('tells each host who it is, and gives it its share of the data', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) await lab.put(`shared/part-${name}.csv`, name);

    const job = await run(
      'shares',
      `
import json, os
resources = json.load(open(os.environ['SM_INPUT_CONFIG_DIR'] + '/resourceconfig.json'))
print(json.dumps({
    'me': os.environ['SM_CURRENT_HOST'], 'hosts': json.loads(os.environ['SM_HOSTS']), 'resources': resources,
    'whole': sorted(os.listdir(os.environ['SM_CHANNEL_WHOLE'])), 'part': sorted(os.listdir(os.environ['SM_CHANNEL_PART'])),
}))
me = os.environ['SM_CURRENT_HOST']
open(os.environ['SM_MODEL_DIR'] + '/' + me, 'w').write(me)
open(os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints/' + me, 'w').write(me)
`,
      {
        ...hosts(2),
        InputDataConfig: [
          channel('whole', 'shared/'),
          channel('part', 'shared/', { S3DataDistributionType: 'ShardedByS3Key' }),
        ],
        CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints/shares` },
      },
    );

    expect(job.TrainingJobStatus).toBe('Completed');
    const [one, two] = ['algo-1', 'algo-2'].map((host) => JSON.parse(told('shares')[host]?.[0] ?? '{}'));
    const all = ['part-a.csv', 'part-b.csv', 'part-c.csv', 'part-d.csv', 'part-e.csv'];
    expect(one).toMatchObject({ me: 'algo-1', hosts: ['algo-1', 'algo-2'], whole: all });
    expect(two).toMatchObject({ me: 'algo-2', hosts: ['algo-1', 'algo-2'], whole: all });
    expect(one.part).toEqual(['part-a.csv', 'part-c.csv', 'part-e.csv']);
    expect(two.part).toEqual(['part-b.csv', 'part-d.csv']);
    expect(two.resources).toMatchObject({
      current_host: 'algo-2',
      current_group_name: 'homogeneousCluster',
      instance_groups: [{ hosts: ['algo-1', 'algo-2'], instance_type: 'ml.m5.large' }],
    });
    const archive = await lab.file('models/shares/output/model.tar.gz');
    expect(contents(archive)).toEqual(['algo-1']);
    expect(await lab.keys('checkpoints/shares/')).toEqual([
      ...['checkpoints/shares/algo-1', 'checkpoints/shares/algo-2'],
    ]);
  });

  it('may be of several groups, with channels of their own', async () => {
    await lab.put('groups/x.csv', 'x');
    await lab.put('groups/y.csv', 'y');
    const group = (InstanceGroupName: string, InstanceType: string, InstanceCount: number) => ({
      InstanceGroupName,
      InstanceType,
      InstanceCount,
    });

    const job = await run(
      'groups',
      `
import json, os
print(json.dumps([os.environ['SM_CURRENT_INSTANCE_GROUP'], os.environ['SM_CURRENT_INSTANCE_TYPE'],
                  json.loads(os.environ['SM_CURRENT_INSTANCE_GROUP_HOSTS']), json.loads(os.environ['SM_CHANNELS']),
                  sorted(os.listdir(os.environ.get('SM_CHANNEL_SPLIT', '/nowhere'))) if 'SM_CHANNEL_SPLIT' in os.environ else None]))
`,
      {
        ResourceConfig: {
          InstanceGroups: [group('feed', 'ml.c5.xlarge', 2), group('learn', 'ml.g5.xlarge', 1)],
          VolumeSizeInGB: 1,
        },
        InputDataConfig: [
          channel('all', 'groups/'),
          channel('split', 'groups/', {
            InstanceGroupNames: ['feed'],
            S3DataDistributionType: 'ShardedByS3Key',
          }),
        ],
      },
    );

    expect(job.TrainingJobStatus).toBe('Completed');
    const seen = Object.entries(told('groups')).map(([host, [line]]) => [host, JSON.parse(line ?? 'null')]);
    expect(Object.fromEntries(seen)).toEqual({
      'algo-1': ['feed', 'ml.c5.xlarge', ['algo-1', 'algo-2'], ['all', 'split'], ['x.csv']],
      'algo-2': ['feed', 'ml.c5.xlarge', ['algo-1', 'algo-2'], ['all', 'split'], ['y.csv']],
      'algo-3': ['learn', 'ml.g5.xlarge', ['algo-3'], ['all'], null],
    });
  });

  it('fails with the text of the host that failed first, and ends the others', async () => {
    const began = Date.now();

    const job = await run(
      'one-fails',
      `
import os, sys, time
if os.environ['SM_CURRENT_HOST'] == 'algo-2':
    open(os.path.dirname(os.environ['SM_MODEL_DIR']) + '/output/failure', 'w').write('too few rows here')
    sys.exit(7)
time.sleep(60)
`,
      hosts(3),
    );

    expect(job.TrainingJobStatus).toBe('Failed');
    expect(job.FailureReason).toBe('AlgorithmError: too few rows here, exit code: 7');
    expect(Date.now() - began).toBeLessThan(30_000);
  });

  it('is restarted when a host is lost, from the checkpoints of the others', async () => {
    faults.push({ kind: 'nodeLoss', host: 'algo-2', afterLine: 'saved algo-2' });

    const job = await run(
      'lost',
      `
import os, time
folder = os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints'
found = sorted(os.listdir(folder))
print('found', found)
if not found:
    me = os.environ['SM_CURRENT_HOST']
    open(f'{folder}/{me}', 'w').write('x')
    if me == 'algo-2':
        time.sleep(1)
    print('saved', me)
    time.sleep(60)
`,
      {
        ...hosts(2),
        CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints/lost` },
        RetryStrategy: { MaximumRetryAttempts: 1 },
      },
    );

    expect(job.TrainingJobStatus).toBe('Completed');
    expect(path(job)).toEqual([
      ...['Starting', 'Downloading', 'Training', 'Restarting', 'Starting', 'Downloading', 'Training'],
      ...['Uploading', 'Completed'],
    ]);
    expect(told('lost')).toEqual({ 'algo-1': ["found ['algo-1']"], 'algo-2': ["found ['algo-1']"] });
  });

  it('fails when a host is lost and it may not be tried again', async () => {
    faults.push({ kind: 'nodeLoss', host: 'algo-1', afterSeconds: 0.5 });

    const job = await run('lost-for-good', 'import time; time.sleep(60)', hosts(2));

    expect(job).toMatchObject({ TrainingJobStatus: 'Failed', FailureReason: INTERNAL });
  });

  it('stops on all hosts', async () => {
    await create(
      'all-stop',
      `
import os, signal, sys, time
def end(*_):
    print('ends')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('waits')
time.sleep(60)
`,
      hosts(2),
    );
    await until(() => Object.values(told('all-stop')).filter((lines) => lines.includes('waits')).length === 2);

    await lab.call('StopTrainingJob', { TrainingJobName: 'all-stop' });
    const job = await lab.finished('all-stop');

    expect(job.TrainingJobStatus).toBe('Stopped');
    expect(told('all-stop')).toEqual({ 'algo-1': ['waits', 'ends'], 'algo-2': ['waits', 'ends'] });
  });

  it.runIf(isLinux)('leaves no process behind, whatever the script has started', async () => {
    const mark = `left-behind-${process.pid}`;
    faults.push({ kind: 'internal', afterLine: 'started' });

    await run(
      'daemons',
      `
import subprocess, sys, time
for own in (False, True):
    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', '${mark}'], start_new_session=own)
print('started', flush=True)
time.sleep(60)
`,
      hosts(2),
    );

    expect(running(mark)).toEqual([]);
  });
});

describe('torchrun', () => {
  let torch: Lab;
  beforeAll(async () => {
    // takes minutes and gigabytes the first time
    const interpreter = await ensurePython(packageFile('containers/images/pytorch.txt'));
    torch = new Lab({ python: { interpreter }, faults: { training: faults } }, 0.001);
  }, 1_800_000);
  afterAll(() => torch?.stop());

  const DISTRIBUTED = { sagemaker_torch_distributed_enabled: 'true' };

  it('starts the ranks of all hosts as one group', async () => {
    await create(
      'ranks',
      `
import os, sys
import torch
import torch.distributed as dist
dist.init_process_group('gloo')
value = torch.tensor([dist.get_rank() + 1.0])
dist.all_reduce(value)
print('sum', value.item(), 'of', dist.get_world_size(), 'as', os.environ['SM_CURRENT_HOST'], sys.argv[1:])
dist.destroy_process_group()
`,
      { ...hosts(2), HyperParameters: { ...DISTRIBUTED, lr: '0.1' } },
      torch,
    );

    const job = await torch.finished('ranks');

    expect(job.FailureReason).toBeUndefined();
    expect(job.TrainingJobStatus).toBe('Completed');
    const sums = (host: string) => told('ranks', torch)[host]?.filter((line) => line.startsWith('sum'));
    expect(sums('algo-1')).toEqual(["sum 3.0 of 2 as algo-1 ['--lr', '0.1']"]);
    expect(sums('algo-2')).toEqual(["sum 3.0 of 2 as algo-2 ['--lr', '0.1']"]);
  }, 300_000);

  it.runIf(isLinux)(
    'passes SIGTERM on to its ranks, and leaves none behind',
    async () => {
      const mark = `rank-of-${process.pid}`;
      faults.push({ kind: 'interruption', afterLine: 'rank waits' });
      await create(
        'forwarded',
        `
import os, signal, sys, time
folder = os.path.dirname(os.environ['SM_MODEL_DIR']) + '/checkpoints'
found = os.listdir(folder)
print('rank found', found)
def end(*_):
    open(f'{folder}/rank-' + os.environ['RANK'], 'w').write('x')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
if not found:
    print('rank waits')
    time.sleep(60)
`,
        {
          EnableManagedSpotTraining: true,
          StoppingCondition: { MaxRuntimeInSeconds: 120, MaxWaitTimeInSeconds: 3600 },
          CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints/forwarded` },
          HyperParameters: { ...DISTRIBUTED, mark },
        },
        torch,
      );

      const job = await torch.finished('forwarded');

      expect(job.FailureReason).toBeUndefined();
      expect(path(job).filter((status) => status === 'Interrupted')).toHaveLength(1);
      expect(await torch.keys('checkpoints/forwarded/')).toEqual(['checkpoints/forwarded/rank-0']);
      expect(told('forwarded', torch)['algo-1']).toContain("rank found ['rank-0']");
      expect(running(mark)).toEqual([]);
    },
    300_000,
  );

  it.runIf(isLinux)(
    'leaves no rank behind when a host is lost',
    async () => {
      const mark = `lost-rank-of-${process.pid}`;
      faults.push({ kind: 'nodeLoss', host: 'algo-2', afterLine: 'rank 1 waits' });
      await create(
        'lost-ranks',
        'import os, time; print("rank", os.environ["RANK"], "waits", flush=True); time.sleep(60)',
        { ...hosts(2), HyperParameters: { ...DISTRIBUTED, mark } },
        torch,
      );

      const job = await torch.finished('lost-ranks');

      expect(job).toMatchObject({ TrainingJobStatus: 'Failed', FailureReason: INTERNAL });
      expect(running(mark)).toEqual([]);
    },
    300_000,
  );

  it('needs a Python script', async () => {
    const code = await lab.archive('code/shell.tar.gz', { 'train.sh': 'true' });
    const HyperParameters = { ...DISTRIBUTED, sagemaker_program: 'train.sh' };
    await lab.call('CreateTrainingJob', trainingRequest('shell', code, { HyperParameters }));

    expect((await lab.finished('shell')).FailureReason).toBe(
      'AlgorithmError: ExecuteUserScriptError: torch_distributed needs a Python script, got train.sh, exit code: 1',
    );
  });
});

/** The processes that have a word on their command line. */
function running(word: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(word);
      } catch {
        return false; // it has just ended
      }
    });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 10));
}
