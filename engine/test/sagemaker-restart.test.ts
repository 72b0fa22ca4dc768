import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { Shape } from '../src/service';
import type { SageMakerOptions } from '../src/services/sagemaker/service';
import { killedNow } from './support/crash';
import { ROLE } from './support/fake-context';
import { BUCKET, DOUBLE, Lab, path, ROOT, trainingRequest } from './support/sagemaker';

const labs: Lab[] = [];
afterEach(async () => {
  await Promise.all(labs.splice(0).map((lab) => lab.stop()));
});

function open(stateDir?: string, options: SageMakerOptions = {}): Lab {
  const lab = new Lab(options, 0.001, stateDir);
  labs.push(lab);
  return lab;
}

/** The world after the engine's process was killed at this moment, or after it has ended in order. */
type Next = (lab: Lab) => Promise<Lab>;
const KILLED: Next = async ({ context }) => open(killedNow(context.stateDir));
const STOPPED: Next = async (lab) => {
  lab.context.end();
  await lab.sagemaker.stop();
  lab.context.store.close();
  labs.splice(labs.indexOf(lab), 1);
  return open(lab.context.stateDir);
};

/** Goes on for rounds, keeping a checkpoint of each, and says where it began. */
const ROUNDS = `
import os, time
folder = '/opt/ml/checkpoints' if os.path.isdir('/opt/ml/checkpoints') else os.environ['SM_MODEL_DIR'] + '/../checkpoints'
done = sorted(int(name) for name in os.listdir(folder) if name.isdigit())
print('begins after', done[-1] if done else None, flush=True)
for number in range(done[-1] + 1 if done else 0, 3):
    open(f'{folder}/{number}', 'w').write('x')
    print('round', number, flush=True)
    time.sleep(0 if done else 600)
print('validation:auc=0.7')
open(os.environ['SM_MODEL_DIR'] + '/model', 'w').write('x')
`;

async function train(lab: Lab, name: string, changes: Shape = {}, script = ROUNDS): Promise<void> {
  const code = await lab.archive(`code/${name}.tar.gz`, { 'train.py': script });
  const request = trainingRequest(name, code, {
    CheckpointConfig: { S3Uri: `s3://${BUCKET}/checkpoints/${name}` },
    Tags: [{ Key: 'run', Value: 'r' }],
    ...changes,
  });
  request.AlgorithmSpecification.MetricDefinitions = [{ Name: 'validation:auc', Regex: 'validation:auc=([0-9.]+)' }];
  await lab.call('CreateTrainingJob', request);
}

/** Waits until a script has said something. */
async function says({ context }: Lab, text: string): Promise<void> {
  await until(() => context.lines.some((line) => line.includes(text)));
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('it did not come to that in 30 s');
    await sleep(10);
  }
}

const statusesOf = ({ context }: Lab, type: string) =>
  context.events
    .filter((event) => event['detail-type'] === `SageMaker ${type} State Change`)
    .map(({ detail }) => detail);

const SPOT = {
  EnableManagedSpotTraining: true,
  StoppingCondition: { MaxRuntimeInSeconds: 60, MaxWaitTimeInSeconds: 600 },
};

const BOTH = [
  ['killed', KILLED],
  ['stopped', STOPPED],
] as const;

describe('after the engine was killed or stopped', () => {
  test.each(BOTH)(
    '(%s) a training job that ran has failed, by a fault of the service, and tells so',
    async (_, next) => {
      const lab = open();
      await train(lab, 'ran');
      await says(lab, 'round 0');
      const again = await next(lab);
      expect(again.context.recoveries).toEqual([
        'the training job ran ran when the engine ended: it has failed with InternalServerError',
      ]);
      const job = await again.finished('ran');
      expect(job).toMatchObject({
        TrainingJobStatus: 'Failed',
        FailureReason: 'InternalServerError: The local engine ended while this job ran. Please try again.',
        TrainingStartTime: expect.any(Date),
        TrainingEndTime: expect.any(Date),
      });
      expect(path(job)).toEqual(['Starting', 'Downloading', 'Training', 'Failed']);
      expect(statusesOf(again, 'Training Job').map(({ TrainingJobStatus }) => TrainingJobStatus)).toEqual(['Failed']);
      expect(statusesOf(again, 'Training Job')[0].Tags).toEqual([{ Key: 'run', Value: 'r' }]);
      await expect(train(again, 'ran')).rejects.toMatchObject({ code: 'ResourceInUse' });
    },
  );

  test.each([
    ['that may be retried', { RetryStrategy: { MaximumRetryAttempts: 1 } }, 'Restarting'],
    ['on spot instances', SPOT, 'Interrupted'],
  ])('a training job %s goes on from its checkpoints', async (_, changes, secondary) => {
    const lab = open();
    await train(lab, 'goes-on', changes);
    await says(lab, 'round 0');
    await lab.put('checkpoints/goes-on/0', 'x'); // as the next look at the folder would have brought it there
    const again = await KILLED(lab);
    const job = await again.finished('goes-on');
    expect(job.TrainingJobStatus).toBe('Completed');
    expect(path(job)).toEqual([
      ...['Starting', 'Downloading', 'Training', secondary, 'Starting', 'Downloading', 'Training'],
      ...['Uploading', 'Completed'],
    ]);
    expect(again.context.lines).toContain('begins after 0');
    expect(job.FinalMetricDataList).toMatchObject([{ MetricName: 'validation:auc', Value: 0.7 }]);
    expect(again.sagemaker.logStreams()).toHaveLength(2);
  });

  test('a training job that had not trained yet begins again', async () => {
    const lab = open(undefined, { faults: { training: [{ kind: 'slowStart', seconds: 1e9 }] } });
    await train(lab, 'pending', {}, 'print("trained")');
    await lab.reached('pending', 'Pending');
    const again = await KILLED(lab);
    const job = await again.finished('pending');
    expect(job.TrainingJobStatus).toBe('Completed');
    expect(again.context.recoveries).toEqual([
      'the training job pending ran when the engine ended: it had not trained yet, and begins again',
    ]);
  });

  test('a training job that was asked to stop has stopped', async () => {
    const lab = open();
    const stubborn =
      'import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint("up", flush=True)\ntime.sleep(600)';
    await train(lab, 'stops', {}, stubborn);
    await says(lab, 'up');
    await lab.call('StopTrainingJob', { TrainingJobName: 'stops' });
    const again = await KILLED(lab);
    expect(await again.finished('stops')).toMatchObject({ TrainingJobStatus: 'Stopped', SecondaryStatus: 'Stopped' });
  });

  test('a training job that had ended is described as before, with its logs and tags', async () => {
    const lab = open();
    await train(lab, 'done', {}, 'print("hello")\nprint("validation:auc=0.5")');
    const before = await lab.finished('done');
    const logs = lab.sagemaker.logStreams().map(({ read, ...stream }) => ({ ...stream, lines: read() }));
    const again = await KILLED(lab);
    expect(await again.finished('done')).toEqual(before);
    expect(again.sagemaker.logStreams().map(({ read, ...stream }) => ({ ...stream, lines: read() }))).toEqual(logs);
    expect(logs[0]?.lines.map(({ text }) => text)).toEqual(['running python3 train.py', 'hello', 'validation:auc=0.5']);
    const { Tags } = await again.call('ListTags', { ResourceArn: before.TrainingJobArn });
    expect(Tags).toEqual([{ Key: 'run', Value: 'r' }]);
    expect(again.context.events).toEqual([]);
  });

  test('a transform job that ran has failed, and one that had ended is described as before', async () => {
    const lab = open();
    await lab.model('double', DOUBLE);
    await lab.model('slow', DOUBLE.replace('return [row', 'import time; time.sleep(600); return [row'));
    await lab.put('rows/a.csv', '1\n2\n');
    const start = (TransformJobName: string, ModelName: string) =>
      lab.call('CreateTransformJob', {
        ...{ TransformJobName, ModelName },
        TransformInput: {
          DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/rows` } },
          ContentType: 'text/csv',
        },
        TransformOutput: { S3OutputPath: `s3://${BUCKET}/scores`, Accept: 'text/csv' },
        TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
      });
    const described = (on: Lab, TransformJobName: string) => on.call('DescribeTransformJob', { TransformJobName });
    await start('done', 'double');
    await lab.context.idle();
    const before = await described(lab, 'done');
    await start('ran', 'slow');
    await until(async () => (await described(lab, 'ran')).TransformStartTime !== undefined);
    const again = await KILLED(lab);
    await again.context.idle();
    expect(await described(again, 'done')).toEqual(before);
    expect(await described(again, 'ran')).toMatchObject({
      TransformJobStatus: 'Failed',
      FailureReason: 'InternalServerError: The local engine ended while this job ran. Please try again.',
    });
    expect(statusesOf(again, 'Transform Job').map(({ TransformJobStatus }) => TransformJobStatus)).toEqual(['Failed']);
  });

  test.each(BOTH)('(%s) a tuning job goes on: each of its points is tried once', async (how, next) => {
    const lab = open();
    const script = `
import sys, time
print('tries', sys.argv[sys.argv.index('--kind') + 1], flush=True)
time.sleep(1)
print('validation:auc=0.7')`;
    const code = await lab.archive('code/tuned.tar.gz', { 'train.py': script });
    const { TrainingJobName: _, HyperParameters, ...request } = trainingRequest('x', code);
    request.AlgorithmSpecification.MetricDefinitions = [{ Name: 'auc', Regex: 'validation:auc=([0-9.]+)' }];
    const name = `tuned-${how}`;
    await lab.call('CreateHyperParameterTuningJob', {
      HyperParameterTuningJobName: name,
      HyperParameterTuningJobConfig: {
        Strategy: 'Grid',
        HyperParameterTuningJobObjective: { Type: 'Maximize', MetricName: 'auc' },
        ResourceLimits: { MaxParallelTrainingJobs: 1 },
        ParameterRanges: { CategoricalParameterRanges: [{ Name: 'kind', Values: ['a', 'b', 'c'] }] },
      },
      TrainingJobDefinition: { StaticHyperParameters: HyperParameters, ...request },
    });
    await until(() => lab.context.lines.filter((line) => line.startsWith('tries')).length === 2);
    const again = await next(lab);
    await again.context.idle();
    const input = { HyperParameterTuningJobName: name };
    const { TrainingJobSummaries } = await again.call('ListTrainingJobsForHyperParameterTuningJob', input);
    expect(TrainingJobSummaries.map(({ TunedHyperParameters }: Shape) => TunedHyperParameters.kind).sort()).toEqual([
      ...['a', 'b', 'c'],
    ]);
    const status = await again.call('DescribeHyperParameterTuningJob', input);
    expect(status).toMatchObject({
      HyperParameterTuningJobStatus: 'Completed',
      TrainingJobStatusCounters: { Completed: 2, RetryableError: 1 },
    });
    const [{ TrainingJobName }] = TrainingJobSummaries;
    const { TuningJobArn } = await again.call('DescribeTrainingJob', { TrainingJobName });
    expect(TuningJobArn).toBe(status.HyperParameterTuningJobArn);
  });
});

describe('after the engine was killed or stopped, an endpoint', () => {
  const variant = (ModelName: string) => ({
    ...{ VariantName: 'main', ModelName, InstanceType: 'ml.m5.large', InitialInstanceCount: 2 },
  });

  async function lab(): Promise<Lab> {
    const made = open();
    await made.model('double', DOUBLE);
    await made.model('triple', DOUBLE.replace('row * weight', 'row * 3'));
    for (const name of ['double', 'triple']) {
      await made.call('CreateEndpointConfig', { EndpointConfigName: name, ProductionVariants: [variant(name)] });
    }
    return made;
  }

  const create = (on: Lab, EndpointConfigName = 'double') =>
    on.call('CreateEndpoint', { EndpointName: 'e', EndpointConfigName, Tags: [{ Key: 'a', Value: 'b' }] });
  const described = (on: Lab) => on.call('DescribeEndpoint', { EndpointName: 'e' });

  /** Asks the endpoint over HTTP, at once. */
  async function ask(on: Lab, body: string): Promise<string> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const sent = { body: Buffer.concat(chunks), caller: ROOT };
      await on.sagemaker.handle(request, response, new URL(request.url ?? '', 'http://x'), sent).catch((error) => {
        response.writeHead(error.status ?? 500).end(error.message);
      });
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const headers = { 'content-type': 'text/csv', accept: 'text/csv' };
    const url = `http://127.0.0.1:${port}/endpoints/e/invocations`;
    const answer = await (await fetch(url, { method: 'POST', body, headers })).text();
    server.close();
    return answer;
  }

  test.each(BOTH)('(%s) answers again, and who asks before it is up waits', async (_, next) => {
    const first = await lab();
    await create(first);
    await first.context.idle();
    const DesiredWeightsAndCapacities = [{ VariantName: 'main', DesiredWeight: 0.5, DesiredInstanceCount: 3 }];
    await first.call('UpdateEndpointWeightsAndCapacities', { EndpointName: 'e', DesiredWeightsAndCapacities });
    await first.context.idle();
    const before = await described(first);
    const again = await next(first);
    await sleep(0);
    expect(again.context.recoveries).toEqual(['the endpoint e serves again']);
    expect(await ask(again, '4\n')).toBe('8.0\n');
    expect(await described(again)).toEqual(before);
    expect(statusesOf(again, 'Endpoint')).toEqual([]);
    const { Tags } = await again.call('ListTags', { ResourceArn: before.EndpointArn });
    expect(Tags).toEqual([{ Key: 'a', Value: 'b' }]);
  });

  test('answers again though its configuration and its model were deleted', async () => {
    const first = await lab();
    await create(first);
    await first.context.idle();
    await first.call('DeleteEndpointConfig', { EndpointConfigName: 'double' });
    await first.call('DeleteModel', { ModelName: 'double' });
    const again = await KILLED(first);
    await again.context.idle();
    expect(await ask(again, '4\n')).toBe('8.0\n');
  });

  test('that was being created comes into service', async () => {
    const first = await lab();
    await create(first);
    const again = await KILLED(first);
    await again.context.idle();
    expect(await described(again)).toMatchObject({ EndpointStatus: 'InService', EndpointConfigName: 'double' });
    expect(await ask(again, '4\n')).toBe('8.0\n');
    expect(statusesOf(again, 'Endpoint').map(({ EndpointStatus }) => EndpointStatus)).toEqual(['IN_SERVICE']);
  });

  test.each(BOTH)('(%s) that was being updated serves as before at once, and then the new model', async (_, next) => {
    const first = await lab();
    await create(first);
    await first.context.idle();
    first.context.clock.sleep = (_ms, signal) => new Promise((done) => signal?.addEventListener('abort', () => done()));
    await first.call('UpdateEndpoint', {
      ...{ EndpointName: 'e', EndpointConfigName: 'triple' },
      DeploymentConfig: {
        BlueGreenUpdatePolicy: {
          TrafficRoutingConfiguration: {
            ...{ Type: 'CANARY', WaitIntervalInSeconds: 600 },
            CanarySize: { Type: 'INSTANCE_COUNT', Value: 1 },
          },
          MaximumExecutionTimeoutInSeconds: 3600,
        },
      },
    });
    await sleep(300);
    const again = await next(first);
    await sleep(0);
    expect(again.context.recoveries).toEqual(['the endpoint e serves again, and its update begins again']);
    expect(await described(again)).toMatchObject({ EndpointStatus: 'Updating', EndpointConfigName: 'double' });
    expect(['8.0\n', '12.0\n']).toContain(await ask(again, '4\n'));
    await again.context.idle();
    expect(await described(again)).toMatchObject({ EndpointStatus: 'InService', EndpointConfigName: 'triple' });
    expect(await ask(again, '4\n')).toBe('12.0\n');
  });

  test('that was being deleted is gone', async () => {
    const first = await lab();
    await create(first);
    await first.context.idle();
    const { EndpointArn } = await described(first);
    void first.call('DeleteEndpoint', { EndpointName: 'e' });
    const again = await KILLED(first);
    await again.context.idle();
    await expect(described(again)).rejects.toThrow(/Could not find endpoint/);
    expect((await again.call('ListTags', { ResourceArn: EndpointArn })).Tags).toEqual([]);
    await create(again);
    await again.context.idle();
    expect(await ask(again, '4\n')).toBe('8.0\n');
  });

  test('whose model is gone has failed, with the reason', async () => {
    const first = await lab();
    await create(first);
    await first.context.idle();
    await first.s3.operations.DeleteObject?.run({ Bucket: BUCKET, Key: 'models/double.tar.gz' }, ROOT);
    const again = await KILLED(first);
    await again.context.idle();
    const { EndpointStatus, FailureReason } = await described(again);
    expect(EndpointStatus).toBe('Failed');
    expect(FailureReason).toMatch(/cannot get its model s3:\/\/bucket\/models\/double\.tar\.gz: NoSuchKey/);
  });
});

describe('an engine that ends in order', () => {
  test('stores the checkpoints that a script has left, though it did not look at them yet', async () => {
    const lab = open();
    await train(lab, 'saved');
    await says(lab, 'round 0');
    const again = await STOPPED(lab);
    expect(await again.keys('checkpoints/')).toEqual(['checkpoints/saved/0']);
  });

  test('stores what it has captured', async () => {
    const lab = open();
    await lab.model('double', DOUBLE);
    await lab.call('CreateEndpointConfig', {
      EndpointConfigName: 'c',
      ProductionVariants: [
        { VariantName: 'main', ModelName: 'double', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 },
      ],
      DataCaptureConfig: {
        ...{ EnableCapture: true, InitialSamplingPercentage: 100, DestinationS3Uri: `s3://${BUCKET}/capture` },
        CaptureOptions: [{ CaptureMode: 'InputAndOutput' }],
      },
    });
    await lab.call('CreateEndpoint', { EndpointName: 'e', EndpointConfigName: 'c' });
    await lab.context.idle();
    const server = createServer(async (request, response) => {
      const sent = { body: Buffer.from('4\n'), caller: ROOT };
      await lab.sagemaker.handle(request, response, new URL(request.url ?? '', 'http://x'), sent);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    await fetch(`http://127.0.0.1:${port}/endpoints/e/invocations`, { method: 'POST', body: '4\n' });
    server.close();
    const again = await STOPPED(lab);
    expect(await again.keys('capture/e/main/')).toHaveLength(1);
  });
});

test('models and configurations are there after a restart, and are known by their names', async () => {
  const lab = open();
  await lab.model('double', DOUBLE);
  const before = await lab.call('DescribeModel', { ModelName: 'double' });
  const again = await KILLED(lab);
  expect(await again.call('DescribeModel', { ModelName: 'double' })).toEqual(before);
  expect(before.ExecutionRoleArn).toBe(ROLE);
  await expect(again.model('double', DOUBLE)).rejects.toThrow(/already existing model/);
  await again.call('DeleteModel', { ModelName: 'double' });
  const third = await KILLED(again);
  await expect(third.call('DescribeModel', { ModelName: 'double' })).rejects.toThrow(/Could not find model/);
});
