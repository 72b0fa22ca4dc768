import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../src/service';
import { Door } from './support/door';
import { BUCKET, DOUBLE, Lab } from './support/sagemaker';
import { signed } from './support/signed';

const lab = new Lab({ containerStartSeconds: 5 });
const door = new Door({ services: new Map([['sagemaker', lab.sagemaker]]), call: async () => ({}) });

beforeAll(async () => {
  await door.gateway.listen(0);
  await lab.model('double', DOUBLE);
  await lab.model('triple', DOUBLE.replace('row * weight', 'row * 3'));
  await lab.model('broken', 'def model_fn(folder): raise ValueError("half a model")');
  for (const name of ['double', 'triple', 'broken']) await config(name, [variant(name)]);
});

afterAll(async () => {
  await door.gateway.close();
  await lab.stop();
});

const variant = (model: string, changes: Shape = {}): Shape => ({
  ...{ VariantName: 'main', ModelName: model, InstanceType: 'ml.m5.large', InitialInstanceCount: 1, ...changes },
});

function config(name: string, ProductionVariants: Shape[], changes: Shape = {}): Promise<Shape> {
  return lab.call('CreateEndpointConfig', { EndpointConfigName: name, ProductionVariants, ...changes });
}

async function endpoint(name: string, EndpointConfigName: string): Promise<Shape> {
  await lab.call('CreateEndpoint', { EndpointName: name, EndpointConfigName });
  await lab.context.idle();
  return describeEndpoint(name);
}

const describeEndpoint = (name: string) => lab.call('DescribeEndpoint', { EndpointName: name });

async function ask(name: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(
    ...(await signed(door.client, 'sagemaker', {
      ...{ path: `/endpoints/${name}/invocations`, body },
      headers: { 'content-type': 'text/csv', accept: 'text/csv', ...headers },
    })),
  );
}

function statuses(name: string): string[] {
  return lab.context.events
    .filter((event) => event['detail-type'] === 'SageMaker Endpoint State Change' && event.detail.EndpointName === name)
    .map(({ detail }) => detail.EndpointStatus);
}

describe('an endpoint', () => {
  it('is created, answers, and is deleted', async () => {
    const creating = lab.call('CreateEndpoint', { EndpointName: 'life', EndpointConfigName: 'double' });
    await creating;
    expect((await describeEndpoint('life')).EndpointStatus).toBe('Creating');
    await expect(lab.call('DeleteEndpoint', { EndpointName: 'life' })).rejects.toThrow(
      /Cannot update in-progress endpoint/,
    );
    expect((await ask('life', '1')).status).toBe(400);
    await lab.context.idle();

    const answer = await ask('life', '4\n5\n');
    expect(await answer.text()).toBe('8.0\n10.0\n');
    expect(answer.headers.get('x-amzn-invoked-production-variant')).toBe('main');
    expect(answer.headers.get('content-type')).toBe('text/csv');
    const whatever = await ask('life', '4\n', { accept: '*/*' });
    expect(whatever.headers.get('content-type')).toBe('application/json'); // as in AWS's containers
    await expect(
      creating.then(() => lab.call('CreateEndpoint', { EndpointName: 'life', EndpointConfigName: 'double' })),
    ).rejects.toThrow(/Cannot create already existing endpoint/);

    await lab.call('DeleteEndpoint', { EndpointName: 'life' });
    expect((await describeEndpoint('life')).EndpointStatus).toBe('Deleting');
    await lab.context.idle();

    await expect(describeEndpoint('life')).rejects.toThrow(
      /Could not find endpoint "arn:aws:sagemaker:.*:endpoint\/life"/,
    );
    expect(statuses('life')).toEqual(['CREATING', 'IN_SERVICE', 'DELETING']);
    await expect(lab.call('CreateEndpoint', { EndpointName: 'x', EndpointConfigName: 'none' })).rejects.toThrow(
      /Could not find endpoint configuration/,
    );
  });

  it('fails with the reason where its first model cannot serve', async () => {
    const failed = await endpoint('failed', 'broken');

    expect(failed).toMatchObject({
      EndpointStatus: 'Failed',
      FailureReason: expect.stringMatching(/ping health check.*half a model/s),
    });
    const update = lab.call('UpdateEndpoint', { EndpointName: 'failed', EndpointConfigName: 'double' });
    await expect(update).rejects.toThrow(/in status Failed; delete it/);
  });

  it('serves the old model until the new one answers, then the new one', async () => {
    await endpoint('update', 'double');

    await lab.call('UpdateEndpoint', { EndpointName: 'update', EndpointConfigName: 'triple' });
    const during = await describeEndpoint('update');
    expect(await (await ask('update', '1')).text()).toBe('2.0\n');
    await expect(lab.call('UpdateEndpoint', { EndpointName: 'update', EndpointConfigName: 'triple' })).rejects.toThrow(
      /Cannot update in-progress endpoint/,
    );
    await lab.context.idle();

    expect(during).toMatchObject({
      EndpointStatus: 'Updating',
      EndpointConfigName: 'double',
      PendingDeploymentSummary: { EndpointConfigName: 'triple' },
    });
    const after = await describeEndpoint('update');
    expect(after).toMatchObject({ EndpointStatus: 'InService', EndpointConfigName: 'triple' });
    expect(after.PendingDeploymentSummary).toBeUndefined();
    expect(await (await ask('update', '1')).text()).toBe('3.0\n');
  });

  it('rolls back silently where the new model cannot serve', async () => {
    await endpoint('rollback', 'double');

    await lab.call('UpdateEndpoint', { EndpointName: 'rollback', EndpointConfigName: 'broken' });
    await lab.context.idle();

    const after = await describeEndpoint('rollback');
    expect(after).toMatchObject({ EndpointStatus: 'InService', EndpointConfigName: 'double' });
    expect(after.FailureReason).toBeUndefined();
    expect(await (await ask('rollback', '1')).text()).toBe('2.0\n');
    expect(statuses('rollback')).toEqual(['CREATING', 'IN_SERVICE', 'UPDATING', 'IN_SERVICE']);
  });

  it.each([
    ['an alarm fires while it bakes', ['OK', 'OK', 'ALARM'], 'double'],
    ['no alarm fires', ['OK'], 'triple'],
  ])('decides by its alarms: %s', async (what, states, expected) => {
    const name = `alarms-${expected}`;
    await endpoint(name, 'double');
    const remaining = [...states];
    lab.context.answers['cloudwatch:DescribeAlarms'] = () => ({
      MetricAlarms: [{ AlarmName: 'errors', StateValue: remaining.length > 1 ? remaining.shift() : remaining[0] }],
    });
    const BlueGreenUpdatePolicy = {
      TrafficRoutingConfiguration: { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 0 },
      TerminationWaitInSeconds: 120,
    };

    await lab.call('UpdateEndpoint', {
      EndpointName: name,
      EndpointConfigName: 'triple',
      DeploymentConfig: { BlueGreenUpdatePolicy, AutoRollbackConfiguration: { Alarms: [{ AlarmName: 'errors' }] } },
    });
    await lab.context.idle();

    expect((await describeEndpoint(name)).EndpointConfigName, what).toBe(expected);
  });

  it('shares requests among variants by weight, and answers by the one asked for', async () => {
    await config('both', [
      variant('double', { VariantName: 'a', InitialVariantWeight: 1 }),
      variant('triple', { VariantName: 'b', InitialVariantWeight: 0 }),
    ]);
    await endpoint('variants', 'both');

    expect(await (await ask('variants', '1')).text()).toBe('2.0\n');
    expect(await (await ask('variants', '1', { 'x-amzn-sagemaker-target-variant': 'b' })).text()).toBe('3.0\n');
    expect((await ask('variants', '1', { 'x-amzn-sagemaker-target-variant': 'c' })).status).toBe(400);

    const DesiredWeightsAndCapacities = [
      { VariantName: 'a', DesiredWeight: 0 },
      { VariantName: 'b', DesiredWeight: 1, DesiredInstanceCount: 2 },
    ];
    await lab.call('UpdateEndpointWeightsAndCapacities', { EndpointName: 'variants', DesiredWeightsAndCapacities });
    await lab.context.idle();
    expect(await (await ask('variants', '1')).text()).toBe('3.0\n');
    expect((await describeEndpoint('variants')).ProductionVariants[1]).toMatchObject({
      CurrentWeight: 1,
      CurrentInstanceCount: 2,
    });
  });

  it('passes the model’s refusal on, and counts it', async () => {
    await endpoint('errors', 'double');
    const counted = lab.context.metrics.length;

    const refused = await ask('errors', 'x');
    await ask('errors', '1');

    expect(refused.status).toBe(424);
    expect(refused.headers.get('x-amzn-errortype')).toBe('ModelError');
    expect(await refused.json()).toMatchObject({
      OriginalStatusCode: 400,
      OriginalMessage: expect.stringContaining("'x'"),
      Message: expect.stringMatching(/^Received client error \(400\) from primary with message/),
    });
    const metrics = lab.context.metrics.slice(counted);
    expect(metrics.every(({ namespace }) => namespace === 'AWS/SageMaker')).toBe(true);
    expect(metrics[0].dimensions).toEqual({ EndpointName: 'errors', VariantName: 'main' });
    const values = (name: string) => metrics.filter((metric) => metric.name === name).map(({ value }) => value);
    expect(values('Invocations')).toEqual([1, 1]);
    expect(values('Invocation4XXErrors')).toEqual([1, 0]);
    expect(values('ModelLatency').every((value) => value > 0)).toBe(true);
  });

  it('refuses a request that is too large, and a caller who may not ask', async () => {
    await endpoint('limits', 'double');

    expect((await ask('limits', '1\n'.repeat(3 * 1024 ** 2 + 1))).status).toBe(413);
    lab.context.denied.add('sagemaker:InvokeEndpoint');
    expect((await ask('limits', '1')).status).toBe(403);
    lab.context.denied.clear();
    expect((await ask('nobody', '1')).headers.get('x-amzn-errortype')).toBe('ValidationError');
  });

  it('starts a container again that ended by itself', async () => {
    await lab.model(
      'mortal',
      `${DOUBLE}\nimport os\nold = input_fn\ndef input_fn(body, kind):\n    if body == 'die': os._exit(1)\n    return old(body, kind)`,
    );
    await config('mortal', [variant('mortal')]);
    await endpoint('mortal', 'mortal');

    expect((await ask('mortal', 'die')).status).toBe(424);
    let answer = await ask('mortal', '1');
    for (const end = Date.now() + 10_000; answer.status !== 200 && Date.now() < end; ) {
      await new Promise((done) => setTimeout(done, 50));
      answer = await ask('mortal', '1');
    }

    expect(await answer.text()).toBe('2.0\n');
  });
});

describe('data capture', () => {
  const capture = (percentage: number, changes: Shape = {}) => ({
    DataCaptureConfig: {
      EnableCapture: true,
      InitialSamplingPercentage: percentage,
      DestinationS3Uri: `s3://${BUCKET}/capture`,
      CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
      ...changes,
    },
  });

  it('writes requests and answers as SageMaker does', async () => {
    await config(
      'captured',
      [variant('double')],
      capture(100, { CaptureContentTypeHeader: { CsvContentTypes: ['text/csv'] } }),
    );
    await endpoint('captured', 'captured');

    await ask('captured', '4\n', { 'x-amzn-sagemaker-inference-id': 'request-1' });
    await ask('captured', 'x');
    await ask('captured', '5');
    await lab.context.idle();

    const [key, ...others] = await lab.keys('capture/captured/');
    expect(others).toEqual([]);
    expect(key).toMatch(/^capture\/captured\/main\/\d{4}\/\d\d\/\d\d\/\d\d\/[\w-]+\.jsonl$/);
    const lines = readFileSync(await lab.file(key), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toEqual({
      captureData: {
        endpointInput: { observedContentType: 'text/csv', mode: 'INPUT', data: '4\n', encoding: 'CSV' },
        endpointOutput: { observedContentType: 'text/csv', mode: 'OUTPUT', data: '8.0\n', encoding: 'CSV' },
      },
      eventMetadata: {
        eventId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        inferenceId: 'request-1',
        inferenceTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
      eventVersion: '0',
    });
    expect(await describeEndpoint('captured')).toMatchObject({
      DataCaptureConfig: { EnableCapture: true, CaptureStatus: 'Started', CurrentSamplingPercentage: 100 },
    });
  });

  it('writes base64 for content types that are not named, and only what is drawn', async () => {
    await config('coded', [variant('double')], capture(51));
    await config('undrawn', [variant('double')], capture(50)); // the fake context draws 0.5
    await endpoint('coded', 'coded');
    await endpoint('undrawn', 'undrawn');

    await ask('coded', '4');
    await ask('undrawn', '4');
    await lab.context.idle();

    const [key] = await lab.keys('capture/coded/');
    const { endpointInput } = JSON.parse(readFileSync(await lab.file(key), 'utf8')).captureData;
    expect(endpointInput).toMatchObject({ encoding: 'BASE64', data: Buffer.from('4').toString('base64') });
    expect(await lab.keys('capture/undrawn/')).toEqual([]);
  });

  it('does not keep the endpoint from answering where it may not write', async () => {
    await config('unwritten', [variant('double')], capture(100));
    await endpoint('unwritten', 'unwritten');

    lab.context.denied.add('s3:PutObject');
    const answer = await ask('unwritten', '4');
    await lab.context.idle();
    lab.context.denied.clear();

    expect(answer.status).toBe(200);
    expect(lab.context.lines.at(-1)).toMatch(/data capture of unwritten failed: .*s3:PutObject/);
  });
});

describe('CreateEndpointConfig and UpdateEndpoint', () => {
  it.each([
    ['a model that does not exist', [variant('none')], {}, /Could not find model/],
    [
      'two variants of one name',
      [variant('double'), variant('triple')],
      {},
      /Variant names must be unique, got main, main/,
    ],
    [
      'a key with local disks',
      [variant('double', { InstanceType: 'ml.g5.xlarge' })],
      { KmsKeyId: 'k' },
      /KmsKeyId is not supported/,
    ],
    [
      'a capture without options',
      [variant('double')],
      { DataCaptureConfig: { InitialSamplingPercentage: 1 } },
      /captureOptions/,
    ],
  ])('refuse %s', async (_, variants, changes, message) => {
    await expect(config('refused', variants, changes)).rejects.toThrow(message);
  });

  it.each([
    ['a canary of one instance', { Type: 'CANARY', CanarySize: { Type: 'CAPACITY_PERCENT', Value: 10 } }, /at least 2/],
    ['a linear shift without steps', { Type: 'LINEAR' }, /LinearStepSize must be specified/],
  ])('refuse %s', async (_, routing, message) => {
    const TrafficRoutingConfiguration = { WaitIntervalInSeconds: 0, ...routing };
    const DeploymentConfig = { BlueGreenUpdatePolicy: { TrafficRoutingConfiguration } };

    const created = lab.call('CreateEndpoint', {
      EndpointName: 'shift',
      EndpointConfigName: 'double',
      DeploymentConfig,
    });

    await expect(created).rejects.toThrow(message);
  });

  it('asks for the endpoint, its configuration, and the alarms', () => {
    const DeploymentConfig = { AutoRollbackConfiguration: { Alarms: [{ AlarmName: 'errors' }] } };
    const request = { EndpointName: 'E', EndpointConfigName: 'C', DeploymentConfig };
    const needs = lab.sagemaker.operations.UpdateEndpoint.needs(request, { kind: 'root' });

    expect(needs.map(({ action, resource }) => `${action} ${resource.split(':').slice(5).join(':')}`)).toEqual([
      'sagemaker:UpdateEndpoint endpoint/e',
      'sagemaker:UpdateEndpoint endpoint-config/c',
      'cloudwatch:DescribeAlarms alarm:errors',
    ]);
  });
});
