import { describe, expect, test } from 'vitest';
import type { Caller } from '../src/service';
import { allow, judge, may, policy, ROLE, worker } from './support/iam';

const OBJECT = 'arn:aws:s3:::data/a';

/** Whether a request with these values is allowed by a statement with this condition. */
function holds(condition: unknown, values: Record<string, string | string[]> = {}): boolean {
  return may(judge([allow('s3:GetObject', '*', { Condition: condition })]), 's3:GetObject', OBJECT, worker, values);
}

describe('condition operators', () => {
  const RULE = 'arn:aws:events:eu-west-1:000000000000:rule/r';

  test.each<[operator: string, wanted: unknown, value: string | string[] | undefined, expected: boolean]>([
    ['StringEquals', 'a', 'a', true],
    ['StringEquals', 'a', 'A', false],
    ['StringEquals', 'a*', 'ab', false],
    ['StringEquals', 'a', undefined, false],
    ['StringNotEquals', ['a', 'b'], 'b', false],
    ['StringNotEquals', ['a', 'b'], 'c', true],
    ['StringNotEquals', 'a', undefined, true],
    ['StringEqualsIgnoreCase', 'Ab', 'aB', true],
    ['StringNotEqualsIgnoreCase', 'Ab', 'aB', false],
    ['StringLike', 'a*c?', 'abbbcd', true],
    ['StringLike', 'a*c?', 'abbbc', false],
    ['StringLike', '*', '', true],
    ['StringNotLike', 'a*', 'ba', true],
    ['NumericEquals', '10', '10.0', true],
    ['NumericEquals', 10, '10', true],
    ['NumericNotEquals', '10', '11', true],
    ['NumericLessThan', '10', '9.5', true],
    ['NumericLessThan', '10', '10', false],
    ['NumericLessThanEquals', '10', '10', true],
    ['NumericGreaterThan', '-1', '0', true],
    ['NumericGreaterThanEquals', '10', '9', false],
    ['NumericEquals', '10', 'ten', false],
    ['DateEquals', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00', true],
    ['DateNotEquals', '2026-01-01', '2026-01-01T00:00:00Z', false],
    ['DateLessThan', '2026-01-01T00:00:00Z', '2025-12-31T23:59:59.9Z', true],
    ['DateLessThanEquals', '1767225600', '2026-01-01T00:00:00Z', true],
    ['DateGreaterThan', '2026-01-01T00:00Z', '2026-01-01T00:00:01Z', true],
    ['DateGreaterThanEquals', '2026-01', '2025-12-31T00:00:00Z', false],
    ['Bool', 'true', 'true', true],
    ['Bool', true, 'True', true],
    ['Bool', 'false', 'true', false],
    ['BinaryEquals', 'AQID', 'AQID', true],
    ['BinaryEquals', 'AQID', 'AQIE', false],
    ['IpAddress', '10.0.0.0/8', '10.200.3.4', true],
    ['IpAddress', '10.0.0.0/8', '11.0.0.1', false],
    ['IpAddress', '10.1.2.3', '10.1.2.3', true],
    ['IpAddress', ['192.0.2.0/24', '2001:db8::/32'], '2001:db8:1::5', true],
    ['IpAddress', '0.0.0.0/0', '203.0.113.9', true],
    ['IpAddress', '0.0.0.0/0', '2001:db8::1', false],
    ['NotIpAddress', ['192.0.2.0/24', '203.0.113.0/24'], '203.0.113.1', false],
    ['NotIpAddress', '192.0.2.0/24', '198.51.100.1', true],
    ['ArnEquals', 'arn:aws:events:*:*:rule/*', RULE, true],
    ['ArnLike', 'arn:aws:events:eu-west-?:000000000000:rule/r', RULE, true],
    ['ArnLike', 'arn:aws:*:rule/r', RULE, false],
    ['ArnNotEquals', 'arn:aws:events:*:*:rule/s', RULE, true],
    ['ArnNotLike', 'arn:aws:events:*:*:rule/*', RULE, false],
    ['NotIpAddress', '192.0.2.0/24', undefined, true],
    ['NotIpAddress', '192.0.2.0/24', '2001:db8::1', true],
    ['NotIpAddressIfExists', '192.0.2.0/24', '192.0.2.1', false],
    ['IpAddress', '10.1.2.3/8', '10.200.3.4', true], // only the block counts
    ['DateGreaterThan', '1767225600', '2026-01-01T00:00:01Z', true],
    ['DateGreaterThan', '1767225600', '2026-01-01T00:00:00Z', false],
    ['DateLessThan', '2026-01-01', '1767225599', true],
    ['BinaryEquals', 'AQID', undefined, false],
    ['BinaryEqualsIfExists', 'AQID', undefined, true],
    ['BinaryEquals', ['AQID', 'AQIE'], 'AQIE', true],
    ['Bool', 'false', undefined, false], // a key that is missing is not false
    ['BoolIfExists', 'false', undefined, true],
    ['Null', 'true', [], true],
    ['ForAllValues:StringEquals', ['a'], [], true],
    ['ForAnyValue:StringEquals', ['a'], [], false],
    ['ForAnyValue:StringNotEquals', ['a'], [], false],
    ['StringNotEquals', 'a', [], true],
    ['Null', 'true', undefined, true],
    ['Null', false, 'a', true],
    ['Null', 'true', 'a', false],
    ['StringEqualsIfExists', 'a', undefined, true],
    ['StringEqualsIfExists', 'a', 'b', false],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'b', 'a'], true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'c'], false],
    ['ForAllValues:StringEquals', ['a'], undefined, true],
    ['ForAnyValue:StringEquals', ['a', 'b'], ['c', 'b'], true],
    ['ForAnyValue:StringEquals', ['a'], undefined, false],
    ['ForAnyValue:StringEqualsIfExists', ['a'], undefined, true],
    ['ForAnyValue:StringNotEquals', ['a'], ['a', 'b'], true],
    ['ForAllValues:StringNotLike', ['a*'], ['b', 'ab'], false],
    ['ForAllValues:ArnLike', 'arn:aws:events:*:*:rule/*', [RULE], true],
    ['ForAnyValue:StringEquals', 'a', 'a', true],
  ])('%s %j of %j: %j', (operator, wanted, value, expected) => {
    const values: Record<string, string | string[]> = value === undefined ? {} : { 'aws:SomeKey': value };
    const condition = (name: string, key: string) => ({ [name]: { [key]: wanted } });
    expect(holds(condition(operator, 'aws:SomeKey'), values)).toBe(expected);
    expect(holds(condition(operator.toLowerCase(), 'AWS:SOMEKEY'), values)).toBe(expected);
  });

  test('several values of one key need a set operator', () => {
    const values = { 'aws:SomeKey': ['a', 'b'] };
    expect(holds({ StringEquals: { 'aws:SomeKey': 'a' } }, values)).toBe(false);
    expect(holds({ StringLike: { 'aws:SomeKey': '*' } }, values)).toBe(false);
    expect(holds({ 'ForAnyValue:StringLike': { 'aws:SomeKey': '*' } }, values)).toBe(true);
  });

  test('all operators and all keys of a statement must hold', () => {
    const values = { 'aws:One': '1', 'aws:Two': '2' };
    expect(holds({ StringEquals: { 'aws:One': '1', 'aws:Two': '2' } }, values)).toBe(true);
    expect(holds({ StringEquals: { 'aws:One': '1', 'aws:Two': 'x' } }, values)).toBe(false);
    expect(holds({ StringEquals: { 'aws:One': '1' }, NumericEquals: { 'aws:Two': '3' } }, values)).toBe(false);
  });
});

describe('policy variables', () => {
  const values = { 'aws:Team': 'data', 'aws:Several': ['a', 'b'] };
  const one = (Resource: string, Version = '2012-10-17', resource = OBJECT) => {
    const Policies = [{ PolicyName: 'p', PolicyDocument: { Version, Statement: allow('s3:GetObject', Resource) } }];
    return may(judge([], {}, { Policies }), 's3:GetObject', resource, worker, values);
  };

  test.each<[string, string, boolean]>([
    ['arn:aws:s3:::${aws:Team}/a', '2012-10-17', true],
    ['arn:aws:s3:::${AWS:TEAM}/*', '2012-10-17', true],
    ['arn:aws:s3:::${aws:None}/a', '2012-10-17', false],
    ["arn:aws:s3:::${aws:None, 'data'}/a", '2012-10-17', true],
    ["arn:aws:s3:::${aws:Team, 'other'}/a", '2012-10-17', true],
    ['arn:aws:s3:::${aws:Several}/a', '2012-10-17', false],
    ['arn:aws:s3:::${aws:Team}/a', '2008-10-17', false],
  ])('%s of version %s: %j', (resource, version, expected) => {
    expect(one(resource, version)).toBe(expected);
  });

  test('are plain text before version 2012-10-17', () => {
    expect(one('arn:aws:s3:::data/${aws:Team}', '2008-10-17', 'arn:aws:s3:::data/${aws:Team}')).toBe(true);
  });

  test('${*}, ${?} and ${$} stand for the characters', () => {
    const like = (resource: string) => one('arn:aws:s3:::data/${*}${?}${$}{x}*', '2012-10-17', resource);
    expect(like('arn:aws:s3:::data/*?${x}')).toBe(true);
    expect(like('arn:aws:s3:::data/ab${x}')).toBe(false);
  });

  test('count in conditions: without a value a comparison fails, and its negation holds', () => {
    const equals = (operator: string, wanted: string) =>
      holds({ [operator]: { 'aws:Name': wanted } }, { 'aws:Name': 'data', ...values });
    expect(equals('StringEquals', '${aws:Team}')).toBe(true);
    expect(equals('StringLike', '${aws:None}')).toBe(false);
    expect(equals('StringNotEquals', '${aws:None}')).toBe(true);
  });
});

describe('resources', () => {
  test.each<[pattern: string, resource: string, expected: boolean]>([
    ['arn:aws:s3', OBJECT, true],
    ['arn:aws:s3:::data', OBJECT, false],
    ['arn:aws:s3:::data/*', OBJECT, true],
    ['arn:aws:s3:::d?ta/*', OBJECT, true],
    ['arn:aws:sqs:*', 'arn:aws:sqs:eu-west-1:000000000000:q', true],
    ['arn:aws:sqs', 'arn:aws:sqs:eu-west-1:000000000000:q', true],
    ['arn:aws:sqs:*:000000000000:q', 'arn:aws:sqs:eu-west-1:000000000000:q', true],
    ['arn:aws:sqs:eu-west-1:*', 'arn:aws:sqs:eu-west-1:000000000000:q', true],
    ['arn:aws:sqs:*:q', 'arn:aws:sqs:eu-west-1:000000000000:q', false],
    ['arn:*:sqs:eu-west-1:000000000000:q', 'arn:aws:sqs:eu-west-1:000000000000:q', true],
    ['arn:aws:logs:*:*:log-group:a:*', 'arn:aws:logs:eu-west-1:000000000000:log-group:a:log-stream:b', true],
  ])('%s takes %s in: %j', (pattern, resource, expected) => {
    expect(may(judge([allow('*', pattern)]), 'any:Thing', resource)).toBe(expected);
  });
});

describe('keys that AWS always sends', () => {
  const since = Date.UTC(2026, 0, 1);
  const session: Caller = { kind: 'role', roleArn: ROLE, session: 'session', since, tags: { Step: 'prepare' } };
  const tags = { Tags: [{ Key: 'team', Value: 'data' }] };
  const Queue = {
    Type: 'AWS::SQS::Queue',
    Properties: { QueueName: 'q', Tags: [{ Key: 'stage', Value: 'prod' }] },
  };
  const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:q';

  test.each<[string, string, unknown]>([
    ['aws:PrincipalArn', 'ArnEquals', ROLE],
    ['aws:PrincipalAccount', 'StringEquals', '000000000000'],
    ['aws:PrincipalType', 'StringEquals', 'AssumedRole'],
    ['aws:PrincipalTag/team', 'StringEquals', 'data'],
    ['aws:PrincipalTag/Step', 'StringEquals', 'prepare'],
    ['aws:PrincipalIsAWSService', 'Bool', 'false'],
    ['aws:userid', 'StringLike', 'AROA*:session'],
    ['aws:username', 'Null', 'true'],
    ['aws:TokenIssueTime', 'DateEquals', '2026-01-01T00:00:00Z'],
    ['aws:SourceIp', 'IpAddress', '127.0.0.0/8'],
    ['aws:SecureTransport', 'Bool', 'true'],
    ['aws:CurrentTime', 'DateGreaterThan', '2026-01-01T00:00:00Z'],
    ['aws:EpochTime', 'NumericGreaterThan', '1767225600'],
    ['aws:RequestedRegion', 'StringEquals', 'us-east-1'],
    ['aws:ViaAWSService', 'Bool', 'false'],
    ['aws:CalledVia', 'Null', 'true'],
    ['aws:ResourceAccount', 'StringEquals', '${aws:PrincipalAccount}'],
    ['aws:ResourceTag/stage', 'StringEquals', 'prod'],
    ['aws:SourceArn', 'Null', 'true'],
    ['aws:SourceAccount', 'Null', 'true'],
  ])('%s', (key, operator, wanted) => {
    const request = (Condition: unknown) =>
      may(judge([allow('sqs:SendMessage', '*', { Condition })], { Queue }, tags), 'sqs:SendMessage', QUEUE, session);
    expect(request({ [operator]: { [key]: wanted } })).toBe(true);
    const not = operator === 'Null' ? 'false' : 'true';
    expect(request({ Null: { [key]: not } })).toBe(false);
  });

  test.each<[string, string, boolean]>([
    ['ArnEquals', ROLE, true],
    ['ArnLike', 'arn:aws:iam::*:role/work*', true],
    ['ArnEquals', ROLE.replace('worker', 'Worker'), false],
    ['ArnLike', ROLE.replace('worker', 'WORK*'), false],
    ['StringEqualsIgnoreCase', ROLE.toUpperCase(), true],
    ['StringEquals', 'arn:aws:sts::000000000000:assumed-role/worker/session', false],
    ['ArnLike', 'arn:aws:sts::*:assumed-role/worker/*', false],
  ])(
    'aws:PrincipalArn is the role’s, letter for letter, and never the session’s: %s %s',
    (operator, wanted, expected) => {
      expect(holds({ [operator]: { 'AWS:principalARN': wanted } })).toBe(expected);
    },
  );

  test('a call that a service makes for a role is one through it', () => {
    const iam = judge([
      allow('kms:Decrypt', '*', {
        Condition: {
          Bool: { 'aws:ViaAWSService': 'true' },
          Null: { 'aws:SourceIp': 'true' },
          'ForAnyValue:StringEquals': { 'aws:CalledVia': 'dynamodb.amazonaws.com' },
          StringEquals: { 'aws:CalledViaFirst': 'dynamodb.amazonaws.com' },
        },
      }),
    ]);
    const need = { action: 'kms:Decrypt', resource: '*' };
    expect(() => iam.authorize(worker, { ...need, via: 'dynamodb' })).not.toThrow();
    expect(() => iam.authorize(worker, need)).toThrow('not authorized to perform: kms:Decrypt');
  });

  test('a service that acts in its own name sends for whom', () => {
    const statement = (Condition: unknown) => ({
      Queue,
      QueuePolicy: {
        Type: 'AWS::SQS::QueuePolicy',
        Properties: {
          Queues: [{ Ref: 'Queue' }],
          PolicyDocument: policy(allow('sqs:SendMessage', QUEUE, { Principal: '*', Condition })),
        },
      },
    });
    const sourceArn = 'arn:aws:events:us-east-1:000000000000:rule/r';
    const asked = (Condition: unknown) =>
      may(judge([], statement(Condition)), 'sqs:SendMessage', QUEUE, {
        kind: 'service',
        principal: 'events.amazonaws.com',
        sourceArn,
      });
    expect(asked({ ArnEquals: { 'aws:SourceArn': sourceArn } })).toBe(true);
    expect(asked({ StringEquals: { 'aws:SourceAccount': '000000000000' } })).toBe(true);
    expect(asked({ StringEquals: { 'aws:SourceAccount': '111111111111' } })).toBe(false);
    expect(asked({ Bool: { 'aws:PrincipalIsAWSService': 'true' } })).toBe(true);
    expect(asked({ StringEquals: { 'aws:PrincipalServiceName': 'events.amazonaws.com' } })).toBe(true);
    expect(asked({ Null: { 'aws:PrincipalArn': 'true', 'aws:SourceIp': 'true' } })).toBe(true);
  });
});

describe('what AWS would refuse is refused when the template is read', () => {
  const where = 'stack Stack, AWS::IAM::Policy: App/Worker/DefaultPolicy, statement 1';

  test.each<[string, Record<string, unknown>, string]>([
    [
      'an unknown operator',
      { Condition: { StringContains: { 'aws:x': 'a' } } },
      'the condition operator StringContains is not known',
    ],
    [
      'an operator that every object of JavaScript has',
      { Condition: { constructor: { 'aws:x': 'a' } } },
      'the condition operator constructor is not known',
    ],
    [
      'IfExists on Null',
      { Condition: { NullIfExists: { 'aws:x': 'true' } } },
      'the condition operator NullIfExists is not known',
    ],
    [
      'another set operator',
      { Condition: { 'ForSomeValues:StringEquals': { 'aws:x': 'a' } } },
      'the condition operator ForSomeValues:StringEquals is not known',
    ],
    [
      'a set operator on Null',
      { Condition: { 'ForAnyValue:Null': { 'aws:x': 'true' } } },
      'the condition operator ForAnyValue:Null is not known',
    ],
    [
      'a key without a prefix',
      { Condition: { StringEquals: { x: 'a' } } },
      'a condition key must have a prefix and a name',
    ],
    ['a condition that is no object', { Condition: ['a'] }, 'Condition must be an object, got ["a"]'],
    [
      'keys that are no object',
      { Condition: { StringEquals: 'a' } },
      'Condition.StringEquals must be an object, got "a"',
    ],
    [
      'values that are objects',
      { Condition: { StringEquals: { 'aws:x': { a: 1 } } } },
      'must be compared with texts, numbers or booleans, got {"a":1}',
    ],
    [
      'no number',
      { Condition: { NumericEquals: { 'aws:x': 'ten' } } },
      'NumericEquals of aws:x must be compared with a number, got "ten"',
    ],
    ['no date', { Condition: { DateEquals: { 'aws:x': 'soon' } } }, 'must be compared with a date (ISO 8601)'],
    ['no boolean', { Condition: { Bool: { 'aws:x': 'yes' } } }, 'must be compared with true or false, got "yes"'],
    [
      'no address',
      { Condition: { IpAddress: { 'aws:x': '10.0.0.0/33' } } },
      'must be compared with an address or a block of them',
    ],
    ['no base64', { Condition: { BinaryEquals: { 'aws:x': '!' } } }, 'must be compared with base64, got "!"'],
    [
      'an unknown element',
      { Resources: '*' },
      'a statement must have Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource, Condition, got Resources',
    ],
    ['another effect', { Effect: 'allow' }, 'Effect must be Allow or Deny, got "allow"'],
    ['two actions', { NotAction: 's3:*' }, 'a statement must have Action or NotAction, and not both'],
    ['no resource', { Resource: undefined }, 'a statement must have Resource or NotResource, and not both'],
    [
      'an action without a service',
      { Action: 'GetObject' },
      'an action must be * or a service and its action, as s3:GetObject is, got GetObject',
    ],
    ['a resource that is no ARN', { Resource: 'data/*' }, 'a resource must be * or an ARN, got data/*'],
    ['a principal', { Principal: '*' }, 'the policy of a role names no Principal'],
  ])('%s', (_, change, message) => {
    const statements = [allow('s3:GetObject'), { ...allow('s3:GetObject'), ...change }];
    expect(() => judge(statements)).toThrow(where);
    expect(() => judge(statements)).toThrow(message);
  });

  test('with the statement’s Sid', () => {
    expect(() => judge([allow('GetObject', '*', { Sid: 'Read' })])).toThrow('statement 0 (Read): an action must be');
  });

  test.each<[string, unknown, string]>([
    [
      'another version',
      { Version: '2013-01-01', Statement: [] },
      'Version must be 2012-10-17 or 2008-10-17, got "2013-01-01"',
    ],
    ['no statement', { Version: '2012-10-17' }, 'a policy must have a Statement'],
    [
      'no principal',
      policy({ Effect: 'Allow', Action: 'sts:AssumeRole' }),
      'must have Principal or NotPrincipal, and not both',
    ],
    [
      'a principal of no kind',
      policy({ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Role: 'x' } }),
      'a principal must be one of AWS, Service, Federated, CanonicalUser, got Role',
    ],
    [
      'a principal with wildcards',
      policy({ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { AWS: 'arn:aws:iam::000000000000:role/*' } }),
      'without wildcards, got arn:aws:iam::000000000000:role/*',
    ],
  ])('a trust policy with %s', (_, document, message) => {
    const read = () => judge([], {}, { AssumeRolePolicyDocument: document });
    expect(read).toThrow(message);
    expect(read).toThrow('stack Stack, AWS::IAM::Role: App/Worker/AssumeRolePolicyDocument');
  });
});
