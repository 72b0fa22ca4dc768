import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EndpointFault, TransformFault } from '../src';
import type { Shape } from '../src/service';
import { DOUBLE, Lab, transformRequest } from './support/sagemaker';

const transform: TransformFault[] = [];
const endpoints: EndpointFault[] = [];
const lab = new Lab({ faults: { transform, endpoints } }, 0.0001);
beforeAll(async () => {
  await lab.model('double', DOUBLE);
  await lab.put('rows/small.csv', '1\n2\n3\n');
  await lab.put('rows/other/small.csv', '1\n2\n3\n');
  for (const name of ['one', 'two']) {
    const variant = { VariantName: 'main', ModelName: 'double', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 };
    await lab.call('CreateEndpointConfig', { EndpointConfigName: name, ProductionVariants: [variant] });
  }
});
afterEach(() => {
  transform.splice(0);
  endpoints.splice(0);
});
afterAll(() => lab.stop());

function create(name: string, InstanceType = 'ml.m5.large'): Promise<Shape> {
  const TransformResources = { InstanceType, InstanceCount: 1 };
  return lab.call('CreateTransformJob', transformRequest(name, { TransformResources }));
}

async function transformed(name: string, type?: string): Promise<Shape> {
  await create(name, type);
  await lab.context.idle();
  return lab.call('DescribeTransformJob', { TransformJobName: name });
}

const describeEndpoint = (name: string) => lab.call('DescribeEndpoint', { EndpointName: name });
const createEndpoint = (name: string, EndpointConfigName: string) =>
  lab.call('CreateEndpoint', { EndpointName: name, EndpointConfigName });
const updateEndpoint = (name: string, EndpointConfigName: string) =>
  lab.call('UpdateEndpoint', { EndpointName: name, EndpointConfigName });

describe('a batch transform', () => {
  it.each([
    [
      { kind: 'capacity', afterSeconds: 600 },
      'CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.',
    ],
    [{ kind: 'internal' }, 'InternalServerError: We encountered an internal error. Please try again.'],
  ] as const)('fails by %o, once', async (fault, reason) => {
    transform.push(fault);
    const job = await transformed(`fails-${fault.kind}`);
    expect(job).toMatchObject({ TransformJobStatus: 'Failed', FailureReason: reason });
    expect(job).not.toHaveProperty('TransformStartTime');
    expect((await transformed(`again-${fault.kind}`)).TransformJobStatus).toBe('Completed');
  });

  it('begins late', async () => {
    transform.push({ kind: 'slowStart', seconds: 900 });
    const job = await transformed('late');
    expect(job.TransformJobStatus).toBe('Completed');
    expect((job.TransformStartTime - job.CreationTime) / 1000).toBeGreaterThanOrEqual(900);
  });

  it('can be stopped while it waits', async () => {
    transform.push({ kind: 'slowStart', seconds: 1e9 });
    await create('stopped');
    await lab.call('StopTransformJob', { TransformJobName: 'stopped' });
    await lab.context.idle();
    const job = await lab.call('DescribeTransformJob', { TransformJobName: 'stopped' });
    expect(job.TransformJobStatus).toBe('Stopped');
    expect(job).not.toHaveProperty('FailureReason');
  });

  it('is refused by a quota and by throttling, as often as they say', async () => {
    transform.push({ kind: 'quota', times: 2, match: { job: 'wanted', instanceType: 'ml.m5.large' } });
    transform.push({ kind: 'throttle' });
    await expect(create('wanted-1')).rejects.toMatchObject({
      name: 'ResourceLimitExceeded',
      message:
        "The account-level service limit 'ml.m5.large for transform job usage' is 0 Instances, with current utilization of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota.",
    });
    await expect(create('other')).rejects.toMatchObject({ name: 'ThrottlingException' });
    await expect(create('wanted-1')).rejects.toMatchObject({ name: 'ResourceLimitExceeded' });
    expect((await transformed('wanted-1')).TransformJobStatus).toBe('Completed');
  });

  it('waits for its turn where a quota lets so many run at once, which stays', async () => {
    transform.push({ kind: 'quota', atOnce: 1, match: { instanceType: 'ml.m5.large' } });
    await create('first');
    await expect(create('second')).rejects.toThrow('is 1 Instances, with current utilization of 1 Instances');
    expect((await transformed('elsewhere', 'ml.m5.xlarge')).TransformJobStatus).toBe('Completed');
    expect((await transformed('second')).TransformJobStatus).toBe('Completed');
    expect(transform).toHaveLength(1);
  });
});

describe('an endpoint', () => {
  it('is Failed where it is created and there are no machines, or SageMaker fails', async () => {
    endpoints.push({ kind: 'capacity', afterSeconds: 900, match: { endpoint: 'none' } }, { kind: 'internal' });
    await createEndpoint('none', 'one');
    await createEndpoint('broken', 'one');
    await lab.context.idle();
    expect(await describeEndpoint('none')).toMatchObject({
      EndpointStatus: 'Failed',
      FailureReason: expect.stringContaining('due to InsufficientInstanceCapacity error'),
    });
    expect((await describeEndpoint('broken')).FailureReason).toContain('Request to service failed');
  });

  it('goes on with what it served where it is updated and there are no machines, and says why', async () => {
    await createEndpoint('serves', 'one');
    await lab.context.idle();
    endpoints.push({ kind: 'capacity' });
    await updateEndpoint('serves', 'two');
    await lab.context.idle();
    expect(await describeEndpoint('serves')).toMatchObject({
      EndpointStatus: 'InService',
      EndpointConfigName: 'one',
      FailureReason: expect.stringContaining('InsufficientInstanceCapacity'),
    });
    await updateEndpoint('serves', 'two');
    await lab.context.idle();
    const after = await describeEndpoint('serves');
    expect(after.EndpointConfigName).toBe('two');
    expect(after).not.toHaveProperty('FailureReason');
  });

  it('is refused by a quota and by throttling, and an update needs the new fleet beside the old one', async () => {
    endpoints.push({ kind: 'throttle' });
    await expect(createEndpoint('small', 'one')).rejects.toMatchObject({ name: 'ThrottlingException' });
    await createEndpoint('small', 'one');
    await lab.context.idle();
    const inUse = 1 + (await lab.call('ListEndpoints', { StatusEquals: 'InService' })).Endpoints.length;
    endpoints.push({ kind: 'quota', atOnce: inUse - 1 });
    await expect(updateEndpoint('small', 'two')).rejects.toMatchObject({
      name: 'ResourceLimitExceeded',
      message: expect.stringContaining("'ml.m5.large for endpoint usage' is"),
    });
    endpoints.splice(0, 1, { kind: 'quota', atOnce: inUse });
    await updateEndpoint('small', 'two');
    await lab.context.idle();
    expect((await describeEndpoint('small')).EndpointConfigName).toBe('two');
  });
});
