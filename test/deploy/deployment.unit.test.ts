import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  acceptApprovals,
  type DescribedEndpoint,
  type DescribedPackage,
  deployableOf,
  endpointNames,
  type Found,
  outOfUse,
  planEndpoint,
  releaseDeployment,
} from '../../lib/core/deploy/deployment';
import type { DeploymentInput, PlanEndpointRequest } from '../../lib/core/deploy/documents';
import { ErrorName } from '../../lib/core/errors';
import { endpointConfigName, modelName, ownPrefix } from '../../lib/core/names';
import { OwnerTag, ownerTags } from '../../lib/core/ownership';

const owner = { pipeline: 'flights', registry: 'models' };
const OURS = ownerTags(owner, 'Stack');
const variant = { VariantName: 'main', InstanceType: 'ml.m5.large', InitialInstanceCount: 1 };
const configuration = { ProductionVariants: [variant], DataCaptureConfig: { DestinationS3Uri: 's3://bucket/capture' } };
const request: PlanEndpointRequest = {
  modelPackageArn: arn(3),
  endpointName: 'flights',
  owner,
  versionsOf: 'flights',
  configuration,
  servingRole: 'role',
};
const container = { Image: 'image', ModelDataUrl: 's3://bucket/model.tar.gz' };
const seal = { versionId: 'v1', sha256: 'sum' };
const approved = { approval: 'Approved', pipeline: 'flights', runId: 'data-1', container, seal };
const deployable = deployableOf(request, approved);
const names = endpointNames(request, deployable);
const planned = { ...deployable.plan, ...names };
const wanted = names.endpointConfigName;
const BEFORE = endpointConfigName('flights', 'models', 2, 'settings');

function arn(version: number): string {
  return `arn:aws:sagemaker:eu-west-1:1:model-package/flights/${version}`;
}

function endpoint(status: string, configName = BEFORE, more = {}): DescribedEndpoint {
  return { status, configName, pending: false, configExists: true, tags: OURS, ...more };
}

describe('deployableOf', () => {
  test('names model and configuration after the version and what they are made of', () => {
    const archive = { uri: container.ModelDataUrl, ...seal };
    expect(deployable).toEqual({ plan: { version: 3, runId: 'data-1', archive }, container });
    expect(names).toEqual({
      modelName: expect.stringMatching(/^flights-[0-9a-f]{6}-v3-[0-9a-f]{8}$/),
      endpointConfigName: expect.stringMatching(/^flights-[0-9a-f]{6}-v3-[0-9a-f]{8}$/),
    });
  });

  test.each<[string, Partial<PlanEndpointRequest>, Partial<DescribedPackage>]>([
    ['another archive', {}, { container: { ...container, ModelDataUrl: 's3://other/model.tar.gz' } }],
    ['another version of the archive', {}, { seal: { ...seal, versionId: 'v2' } }],
    ['another role', { servingRole: 'of a stack made anew' }, {}],
    ['another registry', { owner: { ...owner, registry: 'other' } }, {}],
  ])('%s is another model, and so another configuration', (_, asked, registered) => {
    const other = { ...request, ...asked };
    const others = endpointNames(other, deployableOf(other, { ...approved, ...registered }));

    expect(others.modelName).not.toBe(names.modelName);
    expect(others.endpointConfigName).not.toBe(names.endpointConfigName);
  });

  test.each([
    ['more instances', { ...configuration, ProductionVariants: [{ ...variant, InitialInstanceCount: 2 }] }],
    ['another key for the disks', { ...configuration, KmsKeyId: 'key' }],
    [
      'another place for what is captured',
      { ...configuration, DataCaptureConfig: { DestinationS3Uri: 's3://other/' } },
    ],
  ])('%s are another configuration of the same model', (_, changed) => {
    const others = endpointNames({ ...request, configuration: changed }, deployable);

    expect(others.modelName).toBe(names.modelName);
    expect(others.endpointConfigName).not.toBe(names.endpointConfigName);
  });

  test.each([
    ['is gone', undefined, 'must exist'],
    ['was rejected', { ...approved, approval: 'Rejected' }, 'must be Approved, got Rejected'],
    ['names no run', { ...approved, runId: undefined }, 'must name its pipeline, run and archive'],
    ['names no archive', { ...approved, seal: undefined }, 'got flights, data-1, none, s3://bucket/model.tar.gz'],
    ['has no container', { ...approved, container: undefined }, 'got flights, data-1, v1, none'],
    ['names no pipeline', { ...approved, pipeline: undefined }, 'must name its pipeline, run and archive'],
    ['is of another pipeline', { ...approved, pipeline: 'trains' }, 'must be of the pipeline flights, got trains'],
  ])('refuses a version that %s', (_, modelPackage, message) => {
    expect(() => deployableOf(request, modelPackage)).toThrow(
      expect.objectContaining({ name: ErrorName.NOT_DEPLOYABLE, message: expect.stringContaining(message) }),
    );
  });

  test('takes the versions of the pipeline that it is told', () => {
    const told = { ...request, versionsOf: 'trains' };

    expect(deployableOf(told, { ...approved, pipeline: 'trains' }).plan.version).toBe(3);
    expect(() => deployableOf(told, approved)).toThrow('must be of the pipeline trains, got flights');
  });
});

describe('planEndpoint', () => {
  const nothing = { model: false, config: false };

  test('creates an endpoint where there is none', () => {
    expect(planEndpoint(request, deployable, {})).toEqual({ ...planned, exists: nothing, action: 'create' });
  });

  test.each([
    ['InService', 'update'],
    ['OutOfService', 'update'],
    ['UpdateRollbackFailed', 'update'],
    ['Creating', 'wait'],
    ['Updating', 'wait'],
    ['SystemUpdating', 'wait'],
    ['RollingBack', 'wait'],
    ['Deleting', 'wait'],
  ])('an endpoint that is %s: %s, and remembers what to go back to', (status, action) => {
    expect(planEndpoint(request, deployable, { endpoint: endpoint(status) })).toMatchObject({
      action,
      previousConfigName: BEFORE,
    });
  });

  test('makes a failed endpoint anew, which leaves nothing to go back to', () => {
    const plan = planEndpoint(request, deployable, { endpoint: endpoint('Failed') });

    expect(plan.action).toBe('recreate');
    expect(plan.previousConfigName).toBeUndefined();
  });

  test('has nothing to do if the version is in service with these settings', () => {
    expect(planEndpoint(request, deployable, { endpoint: endpoint('InService', wanted) })).toMatchObject({
      action: 'none',
    });
  });

  test('waits for an update that the status does not show yet', () => {
    const found = { endpoint: endpoint('InService', wanted, { pending: true }) };

    expect(planEndpoint(request, deployable, found).action).toBe('wait');
  });

  test('does not go back to a configuration that somebody has deleted', () => {
    const plan = planEndpoint(request, deployable, {
      endpoint: endpoint('InService', BEFORE, { configExists: false }),
    });

    expect(plan.previousConfigName).toBeUndefined();
  });

  test('does not make again what an earlier try has made', () => {
    const ours = { tags: OURS, isEqual: true };

    expect(planEndpoint(request, deployable, { model: ours }).exists).toEqual({ model: true, config: false });
    expect(planEndpoint(request, deployable, { model: ours, config: ours }).exists).toEqual({
      model: true,
      config: true,
    });
  });

  const foreign = ownerTags({ pipeline: 'flights', registry: 'other' }, 'Prod');
  const of = 'one of the pipeline flights with the registry other, made by the stack Prod';
  test.each<[string, Found, string]>([
    ['an endpoint of another registry', { endpoint: endpoint('InService', BEFORE, { tags: foreign }) }, `got ${of}`],
    [
      'an endpoint of another pipeline, even one that must be waited for',
      { endpoint: endpoint('Updating', BEFORE, { tags: { ...OURS, [OwnerTag.PIPELINE]: 'trains' } }) },
      'got one of the pipeline trains',
    ],
    ['an endpoint of nobody', { endpoint: endpoint('Failed', BEFORE, { tags: {} }) }, 'no pipeline has made'],
    ['an endpoint with a configuration by hand', { endpoint: endpoint('InService', 'my-own') }, 'got my-own'],
    ['a model of another registry', { model: { tags: foreign, isEqual: true } }, `got ${of}`],
    ['a model that is made of something else', { model: { tags: OURS, isEqual: false } }, 'made of something else'],
    ['a configuration of nobody', { config: { tags: {}, isEqual: true } }, 'no pipeline has made'],
    ['a configuration of another model', { config: { tags: OURS, isEqual: false } }, 'made of something else'],
  ])('refuses %s by name: whose it is, and what to do', (_, found, message) => {
    const [[kind]] = Object.entries(found) as [[keyof Found, unknown]];
    const named = { endpoint: 'the endpoint flights', model: names.modelName, config: wanted }[kind];
    expect(() => planEndpoint(request, deployable, found)).toThrow(
      expect.objectContaining({
        name: ErrorName.NAME_TAKEN,
        message: expect.stringMatching(new RegExp(`${named} must .*${message}.*; .*(delete|give)`)),
      }),
    );
  });

  test('makes a failed endpoint anew, also where somebody has changed it by hand', () => {
    expect(planEndpoint(request, deployable, { endpoint: endpoint('Failed', 'my-own') }).action).toBe('recreate');
  });
});

describe('acceptApprovals', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  const approval = (version: number, minute: number): DeploymentInput => ({
    modelPackageArn: arn(version),
    approvedAt: new Date(Date.UTC(2026, 2, 1, 10, minute)).toISOString(),
  });

  test('deploys the newest approval, also of an older version', () => {
    expect(acceptApprovals({}, [approval(5, 1), approval(3, 2), approval(4, 0)], now).last).toEqual(approval(3, 2));
  });

  test('does nothing about an approval that was acted on, or superseded', () => {
    const lease = { last: approval(3, 2) };

    expect(acceptApprovals(lease, [approval(3, 2), approval(5, 1)], now)).toEqual(lease);
  });

  test('remembers the newest approval during a deployment, and deploys it afterwards', () => {
    const first = acceptApprovals({}, [approval(1, 0)], now);
    const waiting = acceptApprovals(
      acceptApprovals(first, [approval(3, 2)], now),
      [approval(2, 1), approval(3, 2)],
      now,
    );
    expect(waiting).toMatchObject({ holder: first.holder, wanted: approval(3, 2) });

    const free = releaseDeployment(waiting, first.holder ?? '');
    const second = acceptApprovals(free, [approval(3, 2)], now);
    expect(second).toMatchObject({ last: approval(3, 2), unstarted: true });
    expect(second.wanted).toBeUndefined();
  });

  test('does not depend on a clock that went back: what comes then is newer than what was there', () => {
    const third = new Date('2026-03-03T12:00:00Z');
    const first = acceptApprovals({}, [{ ...approval(1, 0), approvedAt: '2026-03-03T11:00:00.000Z' }], third);
    const free = releaseDeployment(takeUpIsStarted(first), first.holder ?? '');
    const early = new Date('2026-03-01T12:00:00Z');

    // the same version again, and a later one
    expect(acceptApprovals(free, [approval(1, 5)], early).last).toEqual(approval(1, 5));
    expect(acceptApprovals(free, [approval(1, 5), approval(2, 6)], early).last).toEqual(approval(2, 6));
    // also if it was looked before the approval came, and the clock has passed the old time when it comes
    const looked = acceptApprovals(free, [], early);
    const later = new Date('2026-03-04T12:00:00Z');
    const back = acceptApprovals(looked, [approval(1, 5)], later);
    expect(back.last).toEqual(approval(1, 5));
    // from then on times count again
    expect(acceptApprovals(releaseDeployment(back, back.holder ?? ''), [approval(2, 4)], later).last).toEqual(
      approval(1, 5),
    );
  });

  test('keeps to the times of approvals where its own clock alone went back', () => {
    const third = new Date('2026-03-01T12:00:00Z');
    const first = acceptApprovals({}, [approval(2, 30)], third);
    const free = releaseDeployment(takeUpIsStarted(first), first.holder ?? '');
    const behind = new Date('2026-02-28T12:00:00Z');

    expect(acceptApprovals(free, [approval(1, 20)], behind).last).toEqual(approval(2, 30)); // it came late
    expect(acceptApprovals(free, [approval(1, 40)], behind).last).toEqual(approval(1, 40));
  });

  test('prefers what comes after the clock went back to what waited before', () => {
    const third = new Date('2026-03-03T12:00:00Z');
    const under = acceptApprovals({}, [{ ...approval(1, 0), approvedAt: '2026-03-03T11:00:00.000Z' }], third);
    const wanted = { ...approval(2, 0), approvedAt: '2026-03-03T11:30:00.000Z' };
    const waiting = acceptApprovals(under, [wanted], third);
    expect(waiting.wanted).toEqual(wanted);

    expect(acceptApprovals(waiting, [wanted, approval(3, 1)], new Date('2026-03-01T12:00:00Z')).wanted).toEqual(
      approval(3, 1),
    );
  });

  test('waits for a deployment that runs without the lease', () => {
    const lease = acceptApprovals({}, [approval(1, 0)], now, 'by-hand');

    expect(lease).toMatchObject({ wanted: approval(1, 0) });
    expect(lease.holder).toBeUndefined();
    expect(acceptApprovals(lease, [approval(1, 0)], now, 'by-hand')).toBe(lease);
    expect(acceptApprovals(lease, [approval(1, 0)], now).holder).toMatch(/^deploy-v1-/);
  });

  test('forgets a waiting approval that has been withdrawn', () => {
    const lease = { ...acceptApprovals({}, [approval(1, 0)], now), wanted: approval(2, 1) };

    expect(acceptApprovals(lease, [], now).wanted).toBeUndefined();
  });

  function takeUpIsStarted<T extends { unstarted?: boolean }>({ unstarted: _unstarted, ...lease }: T) {
    return lease;
  }

  test('ends with the newest approval in service, whatever the order', () => {
    const approvals = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(50)), {
      selector: ([, minute]) => minute,
      minLength: 1,
    });
    fc.assert(
      fc.property(approvals, (list) => {
        const all = list.map(([version, minute]) => approval(version, minute));
        let lease = {};
        for (const one of [...all, ...all]) lease = acceptApprovals(lease, [one], now);
        const newest = all.reduce((best, one) => (one.approvedAt > best.approvedAt ? one : best));
        const { last, wanted } = acceptApprovals(lease, all, now);
        expect(wanted ?? last).toEqual(newest);
      }),
    );
  });
});

describe('outOfUse', () => {
  const ENDPOINT = { endpointName: 'flights', registry: 'models' };

  test('keeps the two newest versions, and whatever is in use', () => {
    const name = (version: number) => modelName('flights', 'models', version, version);
    const models = [1, 2, 3, 10, 4].map(name);
    const inUse = endpointConfigName('flights', 'models', 2, 'settings');

    expect(outOfUse(ENDPOINT, models, [inUse])).toEqual([name(1), name(3)]);
  });

  test('never names what belongs to others', () => {
    const names = [
      modelName('flights', 'other', 1, 'another registry'),
      modelName('my-flights', 'models', 1, 'an endpoint that ends alike'),
      modelName('flights-v1', 'models', 1, 'one that begins alike'),
      `${ownPrefix('flights', 'models')}v1`,
      `${ownPrefix('flights', 'models')}v1-01234567-extra`,
      ...[9, 8].map((version) => modelName('flights', 'models', version, 'kept')),
    ];
    expect(outOfUse(ENDPOINT, names, [])).toEqual([]);
  });
});
