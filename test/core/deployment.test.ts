import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type DescribedEndpoint,
  outOfUse,
  parseDeploymentMessage,
  planDeployment,
  releaseDeployment,
  takeUp,
} from '../../lib/core/deployment';
import type { DeploymentInput } from '../../lib/core/documents';
import { ErrorName } from '../../lib/core/errors';
import { endpointConfigName, modelName, ownPrefix } from '../../lib/core/names';

const serving = { instanceType: 'ml.m5.large', instanceCount: 1, capturePercent: 100 };
const [registry, servingRole, captureTo] = ['models', 'role', 's3://bucket/capture'];
const request = { modelPackageArn: arn(3), endpointName: 'flights', registry, serving, servingRole, captureTo };
const containers = [{ Image: 'image', ModelDataUrl: 's3://bucket/model.tar.gz' }];
const approved = { approval: 'Approved', runId: 'data-1', containers };
const model = modelName('flights', registry, 3, { modelPackageArn: arn(3), containers, servingRole });
const wanted = endpointConfigName('flights', registry, 3, { model, serving, captureTo });

function arn(version: number): string {
  return `arn:aws:sagemaker:eu-west-1:1:model-package/flights/${version}`;
}

function endpoint(status: string, configName = 'flights-v2-00000000', more = {}): DescribedEndpoint {
  return { status, configName, pending: false, configExists: true, ...more };
}

describe('planDeployment', () => {
  test('creates an endpoint where there is none, under names made from the version', () => {
    expect(planDeployment(request, approved, undefined)).toEqual({
      version: 3,
      runId: 'data-1',
      modelName: model,
      endpointConfigName: wanted,
      action: 'create',
    });
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
    expect(planDeployment(request, approved, endpoint(status))).toMatchObject({
      action,
      previousConfigName: 'flights-v2-00000000',
    });
  });

  test('makes a failed endpoint anew, which leaves nothing to go back to', () => {
    const plan = planDeployment(request, approved, endpoint('Failed'));

    expect(plan.action).toBe('recreate');
    expect(plan.previousConfigName).toBeUndefined();
  });

  test('has nothing to do if the version is in service with these settings', () => {
    expect(planDeployment(request, approved, endpoint('InService', wanted))).toMatchObject({ action: 'none' });
    const more = { ...request, serving: { ...serving, instanceCount: 2 } };
    expect(planDeployment(more, approved, endpoint('InService', wanted)).action).toBe('update');
  });

  test('waits for an update that the status does not show yet', () => {
    expect(planDeployment(request, approved, endpoint('InService', wanted, { pending: true })).action).toBe('wait');
  });

  test('does not go back to a configuration that somebody has deleted', () => {
    const plan = planDeployment(request, approved, endpoint('InService', 'gone', { configExists: false }));

    expect(plan.previousConfigName).toBeUndefined();
  });

  test.each([
    ['is gone', undefined, 'must exist'],
    ['was rejected', { ...approved, approval: 'Rejected' }, 'must be Approved, got Rejected'],
    ['names no run', { approval: 'Approved' }, 'must name its run'],
  ])('refuses a version that %s', (_, modelPackage, message) => {
    expect(() => planDeployment(request, modelPackage, undefined)).toThrow(
      expect.objectContaining({ name: ErrorName.NOT_DEPLOYABLE, message: expect.stringContaining(message) }),
    );
  });
});

describe('takeUp', () => {
  const now = new Date('2026-03-01T12:00:00Z');
  const approval = (version: number, minute: number): DeploymentInput => ({
    modelPackageArn: arn(version),
    approvedAt: new Date(Date.UTC(2026, 2, 1, 10, minute)).toISOString(),
  });

  test('deploys the newest approval, also of an older version', () => {
    expect(takeUp({}, [approval(5, 1), approval(3, 2), approval(4, 0)], now).last).toEqual(approval(3, 2));
  });

  test('does nothing about an approval that was acted on, or superseded', () => {
    const lease = { last: approval(3, 2) };

    expect(takeUp(lease, [approval(3, 2), approval(5, 1)], now)).toEqual(lease);
  });

  test('remembers the newest approval during a deployment, and deploys it afterwards', () => {
    const first = takeUp({}, [approval(1, 0)], now);
    const waiting = takeUp(takeUp(first, [approval(3, 2)], now), [approval(2, 1), approval(3, 2)], now);
    expect(waiting).toMatchObject({ holder: first.holder, wanted: approval(3, 2) });

    const free = releaseDeployment(waiting, first.holder ?? '');
    const second = takeUp(free, [approval(3, 2)], now);
    expect(second).toMatchObject({ last: approval(3, 2), unstarted: true });
    expect(second.wanted).toBeUndefined();
  });

  test('forgets a waiting approval that has been withdrawn', () => {
    const lease = { ...takeUp({}, [approval(1, 0)], now), wanted: approval(2, 1) };

    expect(takeUp(lease, [], now).wanted).toBeUndefined();
  });

  test('ends with the newest approval in service, whatever the order', () => {
    const approvals = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.nat(50)), {
      selector: ([, minute]) => minute,
      minLength: 1,
    });
    fc.assert(
      fc.property(approvals, (list) => {
        const all = list.map(([version, minute]) => approval(version, minute));
        let lease = {};
        for (const one of [...all, ...all]) lease = takeUp(lease, [one], now);
        const newest = all.reduce((best, one) => (one.approvedAt > best.approvedAt ? one : best));
        const { last, wanted } = takeUp(lease, all, now);
        expect(wanted ?? last).toEqual(newest);
      }),
    );
  });
});

describe('parseDeploymentMessage', () => {
  const approval = (detail: object) =>
    parseDeploymentMessage(
      JSON.stringify({
        source: 'aws.sagemaker',
        'detail-type': 'SageMaker Model Package State Change',
        time: '2026-03-01T12:00:00Z',
        detail: { ModelPackageGroupName: 'g', ModelPackageArn: arn(3), ModelApprovalStatus: 'Approved', ...detail },
      }),
      'g',
    );

  test('takes an approval, by whoever it was', () => {
    const input = { modelPackageArn: arn(3), approvedAt: '2026-03-01T12:00:00.000Z' };

    expect(approval({})).toEqual({ kind: 'approved', input });
    expect(approval({ UpdatedModelPackageFields: ['ModelApprovalStatus'] })).toEqual({ kind: 'approved', input });
  });

  test.each([
    ['an update of other fields of an approved version', { UpdatedModelPackageFields: ['CustomerMetadataProperties'] }],
    ['a rejection', { ModelApprovalStatus: 'Rejected' }],
    ['another group', { ModelPackageGroupName: 'other' }],
  ])('does not take %s for one', (_, detail) => {
    expect(approval(detail).kind).toBe('other');
  });
});

describe('outOfUse', () => {
  test('keeps the two newest versions, and whatever is in use', () => {
    const name = (version: number) => modelName('flights', registry, version, version);
    const models = [1, 2, 3, 10, 4].map(name);
    const inUse = endpointConfigName('flights', registry, 2, 'settings');

    expect(outOfUse(request, models, [inUse])).toEqual([name(1), name(3)]);
  });

  test('never names what belongs to others', () => {
    const names = [
      modelName('flights', 'other', 1, 'another registry'),
      modelName('my-flights', registry, 1, 'an endpoint that ends alike'),
      modelName('flights-v1', registry, 1, 'one that begins alike'),
      `${ownPrefix('flights', registry)}v1`,
      `${ownPrefix('flights', registry)}v1-01234567-extra`,
      ...[9, 8].map((version) => modelName('flights', registry, version, 'kept')),
    ];
    expect(outOfUse(request, names, [])).toEqual([]);
  });
});
