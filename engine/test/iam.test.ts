import { describe, expect, test } from 'vitest';
import type { Caller } from '../src/service';
import { allow, deny, eventBridge, judge, may, policy, ROLE, RULE, worker } from './support/iam';

describe('identity policies', () => {
  const object = 'arn:aws:s3:::data/in/a.csv';

  test.each<[string, unknown[], boolean]>([
    ['nothing is allowed that no statement allows', [], false],
    ['an action and resource that are named', [allow('s3:GetObject', object)], true],
    ['wildcards', [allow('s3:Get*', 'arn:aws:s3:::data/*.csv')], true],
    ['actions in another case', [allow('S3:getobject')], true],
    ['another resource is not allowed', [allow('s3:GetObject', 'arn:aws:s3:::data')], false],
    ['another action is not allowed', [allow('s3:GetObjectTagging')], false],
    ['a denial is stronger than a grant', [allow('s3:*'), deny('s3:GetObject')], false],
    ['NotAction', [allow('s3:*'), { Effect: 'Deny', NotAction: 's3:Get*', Resource: '*' }], true],
    ['NotResource', [{ Effect: 'Allow', Action: 's3:*', NotResource: 'arn:aws:s3:::data/out/*' }], true],
    ['policy variables', [allow('s3:*', "arn:aws:s3:::data/in/${aws:Missing, 'a'}.csv")], true],
    ['policy variables without a value', [allow('s3:*', 'arn:aws:s3:::data/${aws:Missing}')], false],
  ])('%s', (_, statements, expected) => {
    expect(may(judge(statements), 's3:GetObject', object)).toBe(expected);
  });

  test('an action without resources needs a grant on *', () => {
    expect(may(judge([allow('states:ListStateMachines', 'arn:aws:states:*')]), 'states:ListStateMachines')).toBe(false);
    expect(may(judge([allow('states:ListStateMachines')]), 'states:ListStateMachines')).toBe(true);
  });

  test('inline, managed and AWS-managed policies count', () => {
    const Managed = { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: policy(allow('s3:Two')) } };
    const iam = judge(
      [],
      { Managed },
      {
        Policies: [{ PolicyName: 'inline', PolicyDocument: policy(allow('s3:One')) }],
        ManagedPolicyArns: [{ Ref: 'Managed' }, 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole'],
      },
    );
    expect(['s3:One', 's3:Two', 'logs:PutLogEvents', 's3:Three'].map((action) => may(iam, action))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  test('a managed policy that the engine does not know grants nothing, and is named in the refusal', () => {
    const iam = judge([], {}, { ManagedPolicyArns: ['arn:aws:iam::aws:policy/PowerUserAccess'] });
    expect(() => iam.authorize(worker, { action: 's3:GetObject', resource: object })).toThrow(
      '(the engine does not know PowerUserAccess)',
    );
    expect(iam.unknownPolicies).toEqual([{ role: 'App/Worker/Resource', policy: 'PowerUserAccess' }]);
  });

  test('a permissions boundary bounds what the policies allow', () => {
    const Boundary = { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: policy(allow('s3:Get*')) } };
    const iam = judge([allow('s3:*')], { Boundary }, { PermissionsBoundary: { Ref: 'Boundary' } });
    expect(may(iam, 's3:GetObject', object)).toBe(true);
    expect(() => iam.authorize(worker, { action: 's3:PutObject', resource: object })).toThrow(
      'because no permissions boundary allows the s3:PutObject action',
    );
    expect(may(judge([], { Boundary }, { PermissionsBoundary: { Ref: 'Boundary' } }), 's3:GetObject', object)).toBe(
      false,
    );
  });

  test('the person at the keyboard may do everything', () => {
    expect(may(judge([]), 's3:DeleteObject', object, { kind: 'root' })).toBe(true);
  });

  test('a refusal says who, what, on what, and why, as AWS does', () => {
    expect(() => judge([]).authorize(worker, { action: 's3:PutObject', resource: object })).toThrow(
      expect.objectContaining({
        code: 'AccessDeniedException',
        status: 403,
        message: expect.stringContaining(
          `User: arn:aws:sts::000000000000:assumed-role/worker/session is not authorized to perform: s3:PutObject on resource: "${object}" because no identity-based policy allows the s3:PutObject action`,
        ),
      }),
    );
    expect(() => judge([deny('s3:*')]).authorize(worker, { action: 's3:PutObject', resource: object })).toThrow(
      'with an explicit deny in an identity-based policy (App/Worker/DefaultPolicy[0])',
    );
  });

  test('a role that is not in the template may do nothing', () => {
    const stranger: Caller = { kind: 'role', roleArn: 'arn:aws:iam::000000000000:role/stranger' };
    expect(() => judge([]).authorize(stranger, { action: 's3:GetObject', resource: object })).toThrow(
      'the template has no such role',
    );
  });
});

describe('conditions', () => {
  const context = {
    'iam:PassedToService': 'sagemaker.amazonaws.com',
    'aws:TagKeys': ['a', 'b'],
    's3:max-keys': '10',
    'aws:SourceArn': RULE,
  };
  test.each<[string, Record<string, Record<string, unknown>>, boolean]>([
    ['StringEquals', { StringEquals: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } }, true],
    ['keys in another case', { StringEquals: { 'IAM:passedtoservice': 'sagemaker.amazonaws.com' } }, true],
    ['any of several values', { StringEquals: { 'iam:PassedToService': ['x', 'sagemaker.amazonaws.com'] } }, true],
    [
      'all of several operators',
      { StringEquals: { 'iam:PassedToService': 'sagemaker.amazonaws.com' }, Bool: { 'aws:x': 'true' } },
      false,
    ],
    ['a key that is missing', { StringEquals: { 'aws:x': 'y' } }, false],
    ['a key that is missing, IfExists', { StringEqualsIfExists: { 'aws:x': 'y' } }, true],
    ['a key that is missing, negated', { StringNotEquals: { 'aws:x': 'y' } }, true],
    ['StringNotEquals', { StringNotEquals: { 'iam:PassedToService': ['x', 'sagemaker.amazonaws.com'] } }, false],
    ['StringLike', { StringLike: { 'iam:PassedToService': 'sage*.amazonaws.com' } }, true],
    ['StringNotLike', { StringNotLike: { 'iam:PassedToService': 'lambda*' } }, true],
    ['StringEqualsIgnoreCase', { StringEqualsIgnoreCase: { 'iam:PassedToService': 'SageMaker.amazonaws.com' } }, true],
    ['ArnLike', { ArnLike: { 'aws:SourceArn': 'arn:aws:events:*:000000000000:rule/*' } }, true],
    ['ArnLike does not reach over a colon', { ArnLike: { 'aws:SourceArn': 'arn:aws:*:rule/r' } }, false],
    ['ArnEquals', { ArnEquals: { 'aws:SourceArn': RULE } }, true],
    ['Null of a key that is there', { Null: { 'aws:SourceArn': 'true' } }, false],
    ['Null of a key that is missing', { Null: { 'aws:x': 'true' } }, true],
    ['NumericLessThanEquals', { NumericLessThanEquals: { 's3:max-keys': '10' } }, true],
    ['NumericGreaterThan', { NumericGreaterThan: { 's3:max-keys': '10' } }, false],
    ['ForAnyValue', { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['b', 'c'] } }, true],
    ['ForAllValues', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['a', 'c'] } }, false],
    ['ForAllValues of nothing', { 'ForAllValues:StringEquals': { 'aws:x': ['a'] } }, true],
    ['ForAnyValue of nothing', { 'ForAnyValue:StringEquals': { 'aws:x': ['a'] } }, false],
  ])('%s', (_, condition, expected) => {
    const iam = judge([allow('s3:GetObject', '*', { Condition: condition })]);
    expect(may(iam, 's3:GetObject', 'arn:aws:s3:::data/a', worker, context)).toBe(expected);
  });

  test('iam:PassRole is bound to the service that gets the role', () => {
    const iam = judge([
      allow('iam:PassRole', ROLE, {
        Condition: { StringEquals: { 'iam:PassedToService': 'sagemaker.amazonaws.com' } },
      }),
    ]);
    expect(may(iam, 'iam:PassRole', ROLE, worker, { 'iam:PassedToService': 'sagemaker.amazonaws.com' })).toBe(true);
    expect(may(iam, 'iam:PassRole', ROLE, worker, { 'iam:PassedToService': 'lambda.amazonaws.com' })).toBe(false);
  });
});

describe('resource policies', () => {
  const bucketPolicy = (...statements: unknown[]) => ({
    Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } },
    ResourcePolicy: {
      Type: 'AWS::S3::BucketPolicy',
      Properties: { Bucket: { Ref: 'Data' }, PolicyDocument: policy(...statements) },
    },
  });
  const objects = 'arn:aws:s3:::data/*';

  test('a bucket may let a role in, and keep it out', () => {
    const principal = { Principal: { AWS: ROLE } };
    expect(
      may(judge([], bucketPolicy(allow('s3:GetObject', objects, principal))), 's3:GetObject', 'arn:aws:s3:::data/a'),
    ).toBe(true);
    expect(
      may(
        judge([allow('s3:*')], bucketPolicy(deny('s3:*', objects, principal))),
        's3:GetObject',
        'arn:aws:s3:::data/a',
      ),
    ).toBe(false);
  });

  test('a grant to the account leaves the decision to the role', () => {
    const principal = { Principal: { AWS: 'arn:aws:iam::000000000000:root' } };
    expect(
      may(judge([], bucketPolicy(allow('s3:GetObject', objects, principal))), 's3:GetObject', 'arn:aws:s3:::data/a'),
    ).toBe(false);
  });

  test('a bucket that denies plain HTTP is open, for on AWS the same call uses TLS', () => {
    const tlsOnly = deny('s3:*', objects, {
      Principal: { AWS: '*' },
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    });
    expect(may(judge([allow('s3:*')], bucketPolicy(tlsOnly)), 's3:GetObject', 'arn:aws:s3:::data/a')).toBe(true);
  });

  const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:q';
  const queuePolicy = (condition: unknown) => ({
    Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'q' } },
    ResourcePolicy: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: 'Queue' }],
        PolicyDocument: policy(
          allow('sqs:SendMessage', QUEUE, { Principal: { Service: 'events.amazonaws.com' }, Condition: condition }),
        ),
      },
    },
  });

  test('a service needs a grant of the resource, for its own source', () => {
    expect(may(judge([]), 'sqs:SendMessage', QUEUE, eventBridge)).toBe(false);
    expect(
      may(judge([], queuePolicy({ ArnEquals: { 'aws:SourceArn': RULE } })), 'sqs:SendMessage', QUEUE, eventBridge),
    ).toBe(true);
    expect(
      may(
        judge([], queuePolicy({ ArnEquals: { 'aws:SourceArn': `${RULE}x` } })),
        'sqs:SendMessage',
        QUEUE,
        eventBridge,
      ),
    ).toBe(false);
    expect(
      may(
        judge([], queuePolicy({ StringEquals: { 'aws:SourceAccount': '1' } })),
        'sqs:SendMessage',
        QUEUE,
        eventBridge,
      ),
    ).toBe(false);
  });

  test('a Lambda permission lets its service call the function, and its versions', () => {
    const FUNCTION = 'arn:aws:lambda:us-east-1:000000000000:function:f';
    const Permission = {
      Type: 'AWS::Lambda::Permission',
      Properties: {
        FunctionName: 'f',
        Action: 'lambda:InvokeFunction',
        Principal: 'events.amazonaws.com',
        SourceArn: RULE,
      },
    };
    const iam = judge([], { Permission });
    expect(may(iam, 'lambda:InvokeFunction', FUNCTION, eventBridge)).toBe(true);
    expect(may(iam, 'lambda:InvokeFunction', `${FUNCTION}g`, eventBridge)).toBe(false);
    expect(
      may(iam, 'lambda:InvokeFunction', FUNCTION, {
        ...eventBridge,
        sourceArn: 'arn:aws:events:us-east-1:000000000000:rule/other',
      }),
    ).toBe(false);
  });
});

describe('assuming a role', () => {
  test('needs the trust policy to let the service in', () => {
    const iam = judge([]);
    expect(iam.assumeRole(ROLE, 'lambda.amazonaws.com')).toMatchObject({
      kind: 'role',
      roleArn: ROLE,
      session: 'lambda',
    });
    expect(() => iam.assumeRole(ROLE, 'sagemaker.amazonaws.com')).toThrow(
      'sagemaker.amazonaws.com is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::000000000000:role/worker (App/Worker/Resource)',
    );
    expect(() => iam.assumeRole(`${ROLE}x`, 'lambda.amazonaws.com')).toThrow('the template has no such role');
  });

  test('heeds the conditions of the trust policy', () => {
    const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'states.amazonaws.com' } };
    const Condition = {
      ArnLike: { 'aws:SourceArn': 'arn:aws:states:us-east-1:000000000000:stateMachine:*' },
      StringEquals: { 'aws:SourceAccount': '000000000000' },
    };
    const iam = judge([], {}, { AssumeRolePolicyDocument: policy({ ...trust, Condition }) });
    const machine = 'arn:aws:states:us-east-1:000000000000:stateMachine:m';
    expect(iam.assumeRole(ROLE, 'states.amazonaws.com', machine, 'm')).toMatchObject({ session: 'm' });
    expect(() => iam.assumeRole(ROLE, 'states.amazonaws.com', RULE)).toThrow('its trust policy does not let');
  });
});

describe('the usage record', () => {
  test('tells what was granted and never used', () => {
    const iam = judge([
      allow(['s3:GetObject*', 's3:PutObject'], 'arn:aws:s3:::data/*', { Sid: 'Data' }),
      allow('logs:PutLogEvents'),
    ]);
    iam.authorize(worker, { action: 's3:GetObjectVersion', resource: 'arn:aws:s3:::data/a' });
    expect(iam.unused()).toEqual([
      {
        role: ROLE,
        path: 'App/Worker/Resource',
        statement: 'Data',
        action: 's3:PutObject',
        resources: ['arn:aws:s3:::data/*'],
        judged: true,
      },
      {
        role: ROLE,
        path: 'App/Worker/Resource',
        statement: 'App/Worker/DefaultPolicy[1]',
        action: 'logs:PutLogEvents',
        resources: ['*'],
        judged: false,
      },
    ]);
  });

  test('does not count what was refused', () => {
    const iam = judge([allow('s3:PutObject'), deny('s3:PutObject', 'arn:aws:s3:::data/secret')]);
    expect(may(iam, 's3:PutObject', 'arn:aws:s3:::data/secret')).toBe(false);
    expect(iam.unused()).toHaveLength(1);
  });
});
