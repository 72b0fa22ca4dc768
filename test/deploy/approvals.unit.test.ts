import { describe, expect, test } from 'vitest';
import { inputsOf, isOfOther, lostApproval, mayLackFact, missingEnd } from '../../lib/core/deploy/approvals';
import { LedgerKey } from '../../lib/core/ledger/keys';

const arn = (version: number) => `arn:aws:sagemaker:eu-west-1:1:model-package/models/${version}`;
const newest = {
  modelPackageArn: arn(3),
  approvedAt: '2026-03-01T12:00:05.500Z',
  createdAt: '2026-03-01T12:00:00.900Z',
};
const input = { modelPackageArn: newest.modelPackageArn, approvedAt: newest.approvedAt };

test('a lease is of another endpoint only if it names one', () => {
  expect(['flights', 'rides', undefined].map((endpoint) => isOfOther({ endpoint }, 'flights'))).toEqual([
    false,
    true,
    false,
  ]);
});

test('an approved version asks for one deployment', () => {
  expect([inputsOf(newest), inputsOf(undefined)]).toEqual([[input], []]);
});

describe('lostApproval', () => {
  test('is of the newest version, if no deployment of it has begun', () => {
    expect(lostApproval(newest, undefined, [])).toEqual([input]);
    expect(
      lostApproval(newest, { ...input, modelPackageArn: arn(2) }, [{ modelVersion: 2, startedAt: input.approvedAt }]),
    ).toEqual([input]);
  });

  test.each([
    ['the lease', { ...input, approvedAt: '2026-03-01T12:00:00.000Z' }, []],
    ['the ledger', undefined, [{ modelVersion: 3, startedAt: '2026-03-01T12:00:00.000Z' }]],
  ] as const)('is none if %s knows a deployment since the second in which it was registered', (_, last, ended) => {
    expect(lostApproval(newest, last, ended)).toEqual([]);
  });

  test('a version of its number before that was one of another registry', () => {
    const before = '2026-03-01T11:59:59.999Z';
    expect(lostApproval(newest, { ...input, approvedAt: before }, [{ modelVersion: 3, startedAt: before }])).toEqual([
      input,
    ]);
  });
});

describe('missingEnd', () => {
  const end = {
    deploymentId: 'd',
    at: '2026-03-02T00:00:00.000Z',
    status: 'TIMED_OUT',
    startedAt: '2026-03-01T00:00:00.000Z',
    input,
  };

  test('is a failure that names the status', () => {
    expect(missingEnd(end, 'flights')).toEqual({
      kind: 'DeploymentEnded',
      version: 1,
      sk: LedgerKey.deployment(end.startedAt, 'd'),
      at: end.at,
      deploymentId: 'd',
      startedAt: end.startedAt,
      endpointName: 'flights',
      modelPackageArn: arn(3),
      modelVersion: 3,
      outcome: 'FAILED',
      error: { name: 'Execution.TIMED_OUT', cause: 'the execution ended as TIMED_OUT before it could say how' },
    });
  });

  test.each([
    ['it succeeded: it wrote its end itself', { ...end, status: 'SUCCEEDED' }],
    ['somebody else started it', { ...end, input: undefined }],
  ])('is none where %s', (_, ended) => {
    expect(missingEnd(ended, 'flights')).toBeUndefined();
  });

  test('is looked for only where it may be', () => {
    expect([end, { ...end, status: 'SUCCEEDED' }, { ...end, input: undefined }].map(mayLackFact)).toEqual([
      true,
      false,
      false,
    ]);
  });
});
