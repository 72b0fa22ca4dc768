import { describe, expect, test } from 'vitest';
import { DEFAULT_PLACE } from '../src/assembly/assembly';
import type { AssumeRole, RoleCaller } from '../src/service';
import { allow, deny, judge, may, policy, ROLE, worker } from './support/iam';

const TARGET = 'arn:aws:iam::000000000000:role/target';
const ACCOUNT = 'arn:aws:iam::000000000000:root';
const asked: AssumeRole = { roleArn: TARGET, session: 'as' };

/** The session that the worker gets of the target. */
function assumed(
  trust: unknown,
  { identity = [allow('sts:*', TARGET)] as unknown[], request = {}, target = {} } = {},
): RoleCaller {
  return judgeOf(trust, identity, target).assumeRoleAs(worker, { ...asked, ...request });
}

function judgeOf(trust: unknown, identity: unknown[], more: Record<string, unknown> = {}) {
  const Target = {
    Type: 'AWS::IAM::Role',
    Metadata: { 'aws:cdk:path': 'App/Target/Resource' },
    Properties: { RoleName: 'target', AssumeRolePolicyDocument: policy(...[trust].flat()), ...more },
  };
  return judge(identity, { Target });
}

const trusts = (Principal: unknown, more = {}) => ({ Effect: 'Allow', Action: 'sts:AssumeRole', Principal, ...more });

describe('a role assumes another', () => {
  test.each<[string, unknown, unknown[]]>([
    [
      'that trusts the account, and its own policies allow it',
      trusts({ AWS: ACCOUNT }),
      [allow('sts:AssumeRole', TARGET)],
    ],
    ['that trusts it by name, without policies of its own', trusts({ AWS: ROLE }), []],
    ['that trusts its session by name', trusts({ AWS: 'arn:aws:sts::000000000000:assumed-role/worker/session' }), []],
    ['that trusts everybody', trusts('*'), []],
  ])('%s', (_, trust, identity) => {
    expect(assumed(trust, { identity })).toMatchObject({ kind: 'role', roleArn: TARGET, session: 'as' });
  });

  test.each<[string, unknown, unknown[], string]>([
    [
      'that trusts a service alone',
      trusts({ Service: 'ec2.amazonaws.com' }),
      [allow('sts:AssumeRole')],
      'because no role trust policy allows the sts:AssumeRole action (App/Target/Resource)',
    ],
    ['that trusts another role', trusts({ AWS: TARGET }), [allow('sts:AssumeRole')], 'no role trust policy allows'],
    [
      'that trusts another account',
      trusts({ AWS: '111111111111' }),
      [allow('sts:AssumeRole')],
      'no role trust policy allows',
    ],
    [
      'that trusts the account, if its own policies say nothing',
      trusts({ AWS: ACCOUNT }),
      [],
      'no identity-based policy allows',
    ],
    [
      'that denies it',
      [trusts({ AWS: ROLE }), { ...trusts({ AWS: ROLE }), Effect: 'Deny' }],
      [],
      'with an explicit deny in the role trust policy',
    ],
    [
      'if its own policies deny it',
      trusts({ AWS: ROLE }),
      [deny('sts:*')],
      'with an explicit deny in an identity-based policy',
    ],
  ])('not %s', (_, trust, identity, message) => {
    const refused = () => assumed(trust, { identity });
    expect(refused).toThrow(expect.objectContaining({ code: 'AccessDenied', status: 403 }));
    expect(refused).toThrow(`is not authorized to perform: sts:AssumeRole on resource: "${TARGET}"`);
    expect(refused).toThrow(message);
  });

  test('needs the external id that the trust asks for', () => {
    const trust = trusts({ AWS: ACCOUNT }, { Condition: { StringEquals: { 'sts:ExternalId': 'x' } } });
    expect(assumed(trust, { request: { externalId: 'x' } }).roleArn).toBe(TARGET);
    expect(() => assumed(trust, { request: { externalId: 'y' } })).toThrow('sts:AssumeRole');
    expect(() => assumed(trust)).toThrow('sts:AssumeRole');
  });

  test('under the session name that the trust asks for', () => {
    const trust = trusts(
      { AWS: ACCOUNT },
      { Condition: { StringLike: { 'sts:RoleSessionName': '${aws:PrincipalAccount}-*' } } },
    );
    expect(assumed(trust, { request: { session: '000000000000-x' } }).session).toBe('000000000000-x');
    expect(() => assumed(trust)).toThrow('sts:AssumeRole');
  });

  test('tags the session where the trust lets it, and the tags count', () => {
    const tagged = { tags: { team: 'data' } };
    const tagging = trusts({ AWS: ACCOUNT }, { Action: ['sts:AssumeRole', 'sts:TagSession'] });
    expect(() => assumed(trusts({ AWS: ACCOUNT }), { request: tagged })).toThrow('perform: sts:TagSession');
    expect(() => assumed(tagging, { request: tagged, identity: [allow('sts:AssumeRole')] })).toThrow(
      'perform: sts:TagSession',
    );
    const session = assumed(tagging, { request: tagged });
    expect(session.tags).toEqual({ team: 'data' });
    const theirs = {
      Policies: [
        { PolicyName: 'p', PolicyDocument: policy(allow('s3:GetObject', 'arn:aws:s3:::x/${aws:PrincipalTag/team}')) },
      ],
    };
    const iam = judgeOf(tagging, [allow('sts:*')], theirs);
    expect(may(iam, 's3:GetObject', 'arn:aws:s3:::x/data', iam.assumeRoleAs(worker, { ...asked, ...tagged }))).toBe(
      true,
    );
    expect(may(iam, 's3:GetObject', 'arn:aws:s3:::x/data', iam.assumeRoleAs(worker, asked))).toBe(false);
  });

  test.each<[string, unknown, Partial<AssumeRole>, boolean]>([
    ['RequestTag', { StringEquals: { 'aws:RequestTag/team': 'data' } }, { tags: { team: 'data' } }, true],
    [
      'RequestTag of another value',
      { StringEquals: { 'aws:RequestTag/team': 'data' } },
      { tags: { team: 'x' } },
      false,
    ],
    ['TagKeys', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['team'] } }, { tags: { team: 'x', a: 'b' } }, false],
    [
      'TransitiveTagKeys',
      { 'ForAnyValue:StringEquals': { 'sts:TransitiveTagKeys': 'team' } },
      { tags: { team: 'x' }, transitiveTags: ['team'] },
      true,
    ],
    ['SourceIdentity', { StringEquals: { 'sts:SourceIdentity': 'anna' } }, { sourceIdentity: 'anna' }, true],
    ['no SourceIdentity', { StringEquals: { 'sts:SourceIdentity': 'anna' } }, {}, false],
    ['PrincipalTag', { StringEquals: { 'aws:PrincipalTag/stage': 'prod' } }, {}, true],
  ])('may be asked for %s', (_, Condition, request, expected) => {
    const trust = trusts(
      { AWS: ACCOUNT },
      { Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'], Condition },
    );
    const iam = judge(
      [allow('sts:*')],
      {
        Target: { Type: 'AWS::IAM::Role', Properties: { RoleName: 'target', AssumeRolePolicyDocument: policy(trust) } },
      },
      { Tags: [{ Key: 'stage', Value: 'prod' }] },
    );
    const attempt = () => iam.assumeRoleAs(worker, { ...asked, ...request });
    if (expected) expect(attempt()).toMatchObject({ roleArn: TARGET });
    else expect(attempt).toThrow('not authorized to perform: sts:');
  });

  test('with managed policies that narrow the session', () => {
    const trust = trusts({ AWS: ACCOUNT });
    const theirs = { Policies: [{ PolicyName: 'p', PolicyDocument: policy(allow('*')) }] };
    const iam = judgeOf(trust, [allow('sts:*')], theirs);
    const session = iam.assumeRoleAs(worker, {
      ...asked,
      policyArns: ['arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess'],
    });
    expect(may(iam, 's3:GetObject', 'arn:aws:s3:::x/y', session)).toBe(true);
    expect(may(iam, 's3:PutObject', 'arn:aws:s3:::x/y', session)).toBe(false);
    expect(() => iam.assumeRoleAs(worker, { ...asked, policyArns: ['arn:aws:iam::aws:policy/Strange'] })).toThrow(
      'does not know the managed policy arn:aws:iam::aws:policy/Strange',
    );
    expect(() => iam.assumeRoleAs(worker, { ...asked, policy: { Statement: [{ Effect: 'Maybe' }] } })).toThrow(
      'the session policy of as, statement 0: Effect must be Allow or Deny',
    );
  });

  test('that is not in the template', () => {
    expect(() => judge([allow('sts:*')]).assumeRoleAs(worker, asked)).toThrow(
      expect.objectContaining({
        code: 'AccessDenied',
        message: expect.stringContaining('the template has no such role'),
      }),
    );
  });

  test('as the person at the keyboard, whatever the trust', () => {
    const iam = judgeOf(trusts({ Service: 'lambda.amazonaws.com' }), []);
    expect(iam.assumeRoleAs({ kind: 'root' }, asked)).toMatchObject({ roleArn: TARGET });
  });
});

describe('a service assumes a role', () => {
  const { account, region } = DEFAULT_PLACE;
  const of = (service: string, resource: string) => `arn:aws:${service}:${region}:${account}:${resource}`;

  test.each([
    ['lambda', of('lambda', 'function:f')],
    ['states', of('states', 'stateMachine:m')],
    ['sagemaker', of('sagemaker', 'training-job/j')],
    ['scheduler', of('scheduler', 'schedule-group/default')],
    ['events', of('events', 'rule/r')],
  ])('%s for the resource and the account that the trust names', (name, sourceArn) => {
    const principal = `${name}.amazonaws.com`;
    const given = (arn: string, owner: string) =>
      judgeOf(
        trusts(
          { Service: principal },
          { Condition: { ArnLike: { 'aws:SourceArn': arn }, StringEquals: { 'aws:SourceAccount': owner } } },
        ),
        [],
      );
    expect(given(sourceArn, account).assumeRole(TARGET, principal, sourceArn)).toMatchObject({ roleArn: TARGET });
    for (const iam of [given(`${sourceArn}x`, account), given(sourceArn, '111111111111')]) {
      expect(() => iam.assumeRole(TARGET, principal, sourceArn)).toThrow(
        `its trust policy does not let ${principal} assume it for ${sourceArn}`,
      );
    }
    expect(() => given(sourceArn, account).assumeRole(TARGET, 'other.amazonaws.com', sourceArn)).toThrow(
      'does not let other.amazonaws.com',
    );
  });

  test('by its name in the region', () => {
    const iam = judgeOf(trusts({ Service: `states.${region}.amazonaws.com` }), []);
    expect(iam.assumeRole(TARGET, 'states.amazonaws.com')).toMatchObject({ session: 'states' });
    expect(() =>
      judgeOf(trusts({ Service: 'states.xx-east-9.amazonaws.com' }), []).assumeRole(TARGET, 'states.amazonaws.com'),
    ).toThrow('does not let');
  });
});
