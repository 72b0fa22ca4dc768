import { describe, expect, test } from 'vitest';
import type { Caller } from '../src/service';
import { allow, deny, judge, may, policy, ROLE, worker } from './support/iam';

const OBJECT = 'arn:aws:s3:::data/a';
const SESSION = 'arn:aws:sts::000000000000:assumed-role/worker/session';
const ACCOUNT = 'arn:aws:iam::000000000000:root';

interface Given {
  readonly identity?: unknown[];
  readonly bucket?: unknown[];
  readonly boundary?: unknown[];
  readonly session?: unknown[];
  readonly caller?: Caller;
}

/** Whether the worker may get the object. */
function mayGet({ identity = [], bucket, boundary, session, caller = worker }: Given): boolean {
  const resources = {
    ...(bucket && {
      Bucket: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } },
      BucketPolicy: {
        Type: 'AWS::S3::BucketPolicy',
        Properties: { Bucket: { Ref: 'Bucket' }, PolicyDocument: policy(...bucket) },
      },
    }),
    ...(boundary && {
      Boundary: { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: policy(...boundary) } },
    }),
  };
  const iam = judge(identity, resources, {
    ...(boundary && { PermissionsBoundary: { Ref: 'Boundary' } }),
    AssumeRolePolicyDocument: policy({ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: ACCOUNT } }),
  });
  if (session === undefined) return may(iam, 's3:GetObject', OBJECT, caller);
  const asked = { roleArn: ROLE, session: 'session', policy: policy(...session) };
  return may(iam, 's3:GetObject', OBJECT, iam.assumeRoleAs({ kind: 'root' }, asked));
}

const get = allow('s3:GetObject');
const lets = (Principal: unknown, more = {}) => allow('s3:GetObject', 'arn:aws:s3:::data/*', { Principal, ...more });
const nothing = [allow('sqs:SendMessage')];

describe('a permissions boundary', () => {
  test.each<[string, Given, boolean]>([
    ['allows nothing by itself', { boundary: [get] }, false],
    ['limits what the role is allowed', { identity: [get], boundary: nothing }, false],
    ['lets through what both allow', { identity: [get], boundary: [get] }, true],
    ['denies', { identity: [get], boundary: [get, deny('s3:Get*')] }, false],
    ['limits what a bucket lets the role do', { bucket: [lets({ AWS: ROLE })], boundary: nothing }, false],
    ['does not limit what a bucket lets the session do', { bucket: [lets({ AWS: SESSION })], boundary: nothing }, true],
    ['does not limit what a bucket lets everybody do', { bucket: [lets('*')], boundary: nothing }, true],
    ['does not limit what a bucket lets all of AWS do', { bucket: [lets({ AWS: '*' })], boundary: nothing }, true],
    ['denies what a bucket lets the session do', { bucket: [lets({ AWS: SESSION })], boundary: [deny('*')] }, false],
    ['limits the account’s', { identity: [get], bucket: [lets({ AWS: ACCOUNT })], boundary: nothing }, false],
  ])('%s', (_, given, expected) => {
    expect(mayGet(given)).toBe(expected);
  });
});

describe("a bucket's policy", () => {
  test.each<[string, Given, boolean]>([
    ['lets a role in by its ARN', { bucket: [lets({ AWS: ROLE })] }, true],
    ['lets a session in by its ARN', { bucket: [lets({ AWS: SESSION })] }, true],
    ['lets no other session in', { bucket: [lets({ AWS: `${SESSION}2` })] }, false],
    ['leaves the account’s to the role', { bucket: [lets({ AWS: ACCOUNT })] }, false],
    ['leaves the account’s number to the role', { bucket: [lets({ AWS: '000000000000' })] }, false],
    ['lets in by a list', { bucket: [lets({ AWS: ['111111111111', ROLE] })] }, true],
    ['lets no service in that is another', { bucket: [lets({ Service: 'lambda.amazonaws.com' })] }, false],
    ['keeps the account out', { identity: [get], bucket: [deny('s3:*', '*', { Principal: { AWS: ACCOUNT } })] }, false],
    [
      'keeps everybody out but one',
      { identity: [get], bucket: [deny('s3:*', '*', { NotPrincipal: { AWS: [ACCOUNT, ROLE, SESSION] } })] },
      true,
    ],
    [
      'keeps everybody out but another',
      { identity: [get], bucket: [deny('s3:*', '*', { NotPrincipal: { AWS: 'arn:aws:iam::000000000000:role/x' } })] },
      false,
    ],
    [
      'keeps out who has a boundary, though it excepts the role', // as the documentation of NotPrincipal says
      {
        identity: [get],
        boundary: [get],
        bucket: [deny('s3:*', '*', { NotPrincipal: { AWS: [ACCOUNT, ROLE, SESSION] } })],
      },
      false,
    ],
    [
      'keeps out all but an address',
      { identity: [get], bucket: [deny('s3:*', '*', notFrom('203.0.113.0/24'))] },
      false,
    ],
    ['lets in by address', { identity: [get], bucket: [deny('s3:*', '*', notFrom('127.0.0.0/8'))] }, true],
  ])('%s', (_, given, expected) => {
    expect(mayGet(given)).toBe(expected);
  });

  function notFrom(block: string) {
    return { Principal: '*', Condition: { NotIpAddress: { 'aws:SourceIp': block } } };
  }
});

describe("a session's policy", () => {
  test.each<[string, Given, boolean]>([
    ['allows nothing by itself', { session: [get] }, false],
    ['limits what the role is allowed', { identity: [get], session: nothing }, false],
    ['lets through what both allow', { identity: [allow('s3:*')], session: [get] }, true],
    ['denies', { identity: [get], session: [get, deny('s3:*')] }, false],
    ['limits what a bucket lets the role do', { bucket: [lets({ AWS: ROLE })], session: nothing }, false],
    ['limits what a bucket lets everybody do', { bucket: [lets('*')], session: nothing }, false],
    ['does not limit what a bucket lets the session do', { bucket: [lets({ AWS: SESSION })], session: nothing }, true],
    ['counts beside the boundary', { identity: [get], boundary: nothing, session: [get] }, false],
    ['and the boundary both let through', { identity: [get], boundary: [get], session: [get] }, true],
  ])('%s', (_, given, expected) => {
    expect(mayGet(given)).toBe(expected);
  });

  test('is named in a refusal', () => {
    const iam = judge(
      [get],
      {},
      {
        AssumeRolePolicyDocument: policy({ ...lets({ AWS: ACCOUNT }), Action: 'sts:AssumeRole', Resource: undefined }),
      },
    );
    const session = iam.assumeRoleAs({ kind: 'root' }, { roleArn: ROLE, session: 's', policy: policy(...nothing) });
    expect(() => iam.authorize(session, { action: 's3:GetObject', resource: OBJECT })).toThrow(
      'because no session policy allows the s3:GetObject action',
    );
  });
});

describe('what is meant by other words', () => {
  test.each<[string, unknown[], boolean]>([
    ['NotAction', [{ Effect: 'Allow', NotAction: 'sqs:*', Resource: '*' }], true],
    ['NotAction that names it', [{ Effect: 'Allow', NotAction: ['s3:Get*', 'sqs:*'], Resource: '*' }], false],
    ['NotResource', [{ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::data/b' }], true],
    ['NotResource that names it', [{ Effect: 'Allow', Action: '*', NotResource: 'arn:aws:s3:::data/*' }], false],
    [
      'NotResource of one of several',
      [{ Effect: 'Allow', Action: '*', NotResource: ['arn:aws:s3:::x/*', 'arn:aws:s3:::data/?'] }],
      false,
    ],
  ])('%s', (_, identity, expected) => {
    expect(mayGet({ identity })).toBe(expected);
  });
});
