import { Assembly, DEFAULT_PLACE } from '../../src/assembly/assembly';
import { ApiError, type Caller } from '../../src/service';
import { Iam } from '../../src/services/iam/service';
import { assemblyOf } from './assembly';

export const ROLE = 'arn:aws:iam::000000000000:role/worker';
export const worker: Caller = { kind: 'role', roleArn: ROLE, session: 'session' };
export const RULE = 'arn:aws:events:us-east-1:000000000000:rule/r';
export const eventBridge = { kind: 'service', principal: 'events.amazonaws.com', sourceArn: RULE } as const;

export const policy = (...Statement: unknown[]) => ({ Version: '2012-10-17', Statement });
export const allow = (Action: unknown, Resource: unknown = '*', more = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
});
export const deny = (Action: unknown, Resource: unknown = '*', more = {}) => ({
  Effect: 'Deny',
  Action,
  Resource,
  ...more,
});

/** The judge of a template with one role, `worker`, that has these statements, and further resources. */
export function judge(
  statements: unknown[],
  resources: Record<string, unknown> = {},
  role: Record<string, unknown> = {},
): Iam {
  const Role = {
    Type: 'AWS::IAM::Role',
    Metadata: { 'aws:cdk:path': 'App/Worker/Resource' },
    Properties: {
      RoleName: 'worker',
      AssumeRolePolicyDocument: policy({
        Effect: 'Allow',
        Action: 'sts:AssumeRole',
        Principal: { Service: 'lambda.amazonaws.com' },
      }),
      ...role,
    },
  };
  const Policy = {
    Type: 'AWS::IAM::Policy',
    Metadata: { 'aws:cdk:path': 'App/Worker/DefaultPolicy/Resource' },
    Properties: { PolicyName: 'p', PolicyDocument: policy(...statements), Roles: [{ Ref: 'Role' }] },
  };
  return new Iam(DEFAULT_PLACE, Assembly.load(assemblyOf({ Role, Policy, ...resources })).resources);
}

/** Whether the caller may. */
export function may(iam: Iam, action: string, resource = '*', caller: Caller = worker, conditions = {}): boolean {
  try {
    iam.authorize(caller, { action, resource, conditions });
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return false;
  }
}
