import { identify } from '../../assembly/resource-types';
import {
  ApiError,
  type AssumeRole,
  type AwsEnvironment,
  type Caller,
  type RequiredPermission,
  type Resource,
  type RoleCaller,
  type Shape,
} from '../../service';
import { keyPolicy, managedKeyPolicy, ownerOf } from '../kms/service';
import { type Decision, decide, type Policies } from './decide';
import { factsOf } from './facts';
import { MANAGED } from './managed';
import { arnOf } from './pattern';
import type { Identity } from './principal';
import { RESOURCES } from './resources';
import { type PolicyKind, readPolicy, type Statement } from './statement';

interface Role {
  readonly arn: string;
  readonly path: string;
  /** AWS's unique id, e.g. `AROA…`. */
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly trust: readonly Statement[];
  readonly policies: Statement[];
  /** Actions of each statement (as written) that have allowed something. */
  readonly used: Map<Statement, Set<string>>;
  /** What no identity policy can go beyond. */
  readonly boundary: readonly Statement[] | undefined;
  /** Managed policies whose content the engine does not know: they grant nothing here. */
  readonly unknown: string[];
}

/** An action that a role was given and has not used. */
export interface UnusedPermission {
  readonly role: string;
  /** The role's construct path. */
  readonly path: string;
  /** The statement: its Sid, or the policy and the statement's index. */
  readonly statement: string;
  /** As written, e.g. `s3:GetObject*`. */
  readonly action: string;
  readonly resources: readonly string[];
  /** False where the engine never asks for actions of this service (e.g. `logs:`), and so cannot know. */
  readonly judged: boolean;
}

/** Services whose actions the engine asks IAM for; of others it cannot tell whether a permission is used. */
const JUDGED = new Set(
  's3 dynamodb sqs sns cloudwatch events scheduler lambda states sagemaker kms iam sts'.split(' '),
);

/** Resources with a policy of their own: where the policy is, and what it is for. */
const RESOURCE_POLICIES: Readonly<Record<string, { document: string; of: string }>> = {
  'AWS::S3::BucketPolicy': { document: 'PolicyDocument', of: 'Bucket' },
  'AWS::SQS::QueuePolicy': { document: 'PolicyDocument', of: 'Queues' },
  'AWS::SNS::TopicPolicy': { document: 'PolicyDocument', of: 'Topics' },
};

/** The policies of an assembly, and the judge of every call. */
export class Iam {
  readonly resourceTypes = Object.keys(RESOURCES);
  private readonly roles = new Map<string, Role>();
  private readonly resourcePolicies = new Map<string, Statement[]>();
  private readonly resourceTags = new Map<string, Record<string, string>>();
  private readonly managed = new Map<string, readonly Statement[]>();
  /** Keys whose policy is known: without it nobody may use them. */
  private readonly keys = new Set<string>();

  /**
   * @param now the engine's time, in milliseconds since the epoch
   * @throws Error naming template, resource and statement of a policy that AWS would refuse or the engine does not know
   */
  constructor(
    private readonly aws: AwsEnvironment,
    resources: readonly Resource[],
    private readonly now: () => number = Date.now,
  ) {
    const byId = new Map(resources.map((one) => [one.physicalId, one]));
    const { managed } = this;
    for (const one of resources) {
      if (one.type === 'AWS::IAM::ManagedPolicy') managed.set(one.arn, this.read(one, one.properties.PolicyDocument));
      // a bucket's tags count only where it is told so (ABAC), which no template can
      if (one.type !== 'AWS::S3::Bucket') this.resourceTags.set(one.arn, tagsOf(one.properties.Tags));
    }
    for (const one of resources) if (one.type === 'AWS::IAM::Role') this.roles.set(one.arn, this.roleOf(one, managed));
    for (const one of resources) {
      if (one.type === 'AWS::IAM::Policy') this.attach(one, this.read(one, one.properties.PolicyDocument));
      if (one.type === 'AWS::IAM::ManagedPolicy') this.attach(one, managed.get(one.arn) ?? []);
      const kind = RESOURCE_POLICIES[one.type];
      if (kind !== undefined) {
        const statements = this.read(one, one.properties[kind.document], 'resource');
        for (const target of listOf<string>(one.properties[kind.of])) {
          this.let(byId.get(target)?.arn ?? this.bucketArn(target), statements);
        }
      }
      if (one.type === 'AWS::Lambda::Permission') this.letInvoke(one);
      if (one.type === 'AWS::KMS::Key') {
        this.let(one.arn, this.read(one, keyPolicy(this.aws, one.properties), 'resource'));
        this.keys.add(one.arn);
      }
    }
  }

  /** The ARNs of the template's roles. */
  get roleArns(): string[] {
    return [...this.roles.keys()];
  }

  /** Managed policies that are attached to roles but not known to the engine, which therefore grant nothing. */
  get unknownPolicies(): { readonly role: string; readonly policy: string }[] {
    return [...this.roles.values()].flatMap(({ path, unknown }) => unknown.map((policy) => ({ role: path, policy })));
  }

  /** Throws `AccessDeniedException` unless the caller may. */
  authorize(caller: Caller, need: RequiredPermission): void {
    if (caller.kind === 'root') return;
    const isOfKey = need.action.startsWith('kms:') && this.knowsKey(need.resource);
    if (need.action.startsWith('kms:') && !isOfKey && caller.kind === 'service') return; // nobody knows its policy here
    this.judge(caller, need, { resource: this.policyOf(need.resource), closed: isOfKey });
  }

  /**
   * The caller that a service becomes under a role, if the role's trust policy lets it in.
   *
   * @param sourceArn the resource on whose behalf it acts
   */
  assumeRole(roleArn: string, principal: string, sourceArn?: string, session?: string): RoleCaller {
    const role = this.known(roleArn, principal);
    const caller: Caller = { kind: 'service', principal, sourceArn: sourceArn ?? '' };
    const need = { action: 'sts:AssumeRole', resource: roleArn };
    const decision = this.decide(caller, need, { resource: role.trust, closed: true });
    if (!decision.allowed) {
      const why = `its trust policy does not let ${principal} assume it${sourceArn === undefined ? '' : ` for ${sourceArn}`}`;
      throw new ApiError(
        'AccessDenied',
        `${principal} is not authorized to perform: sts:AssumeRole on resource: ${roleArn} (${role.path}): ${why}`,
        403,
      );
    }
    return { kind: 'role', roleArn, session: session ?? principal.split('.')[0] ?? 'local', since: this.now() };
  }

  /**
   * The caller that somebody becomes under a role, if both their own policies and the role's trust policy allow it.
   *
   * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
   */
  assumeRoleAs(caller: Caller, asked: AssumeRole): RoleCaller {
    const { roleArn, session, externalId, tags = {}, transitiveTags = [], sourceIdentity } = asked;
    const role = this.known(roleArn, callerName(caller, this.aws));
    const conditions: Record<string, string | string[]> = { 'sts:RoleSessionName': session };
    if (sourceIdentity !== undefined) conditions['sts:SourceIdentity'] = sourceIdentity;
    if (externalId !== undefined) conditions['sts:ExternalId'] = externalId;
    const names = Object.keys(tags);
    if (names.length > 0) conditions['aws:TagKeys'] = names;
    if (transitiveTags.length > 0) conditions['sts:TransitiveTagKeys'] = [...transitiveTags];
    for (const [name, value] of Object.entries(tags)) conditions[`aws:RequestTag/${name}`] = value;
    // what is said of the session are actions of their own, which the trust policy has to allow as well
    const actions = ['sts:AssumeRole'];
    if (names.length > 0) actions.push('sts:TagSession');
    if (sourceIdentity !== undefined) actions.push('sts:SetSourceIdentity');
    for (const action of caller.kind === 'root' ? [] : actions) {
      const need = { action, resource: roleArn, conditions };
      this.judge(caller, need, { resource: role.trust, closed: true }, role);
    }
    const policies = this.sessionPolicies(asked);
    return {
      kind: 'role',
      roleArn,
      session,
      since: this.now(),
      ...(policies !== undefined && { policies }),
      ...(names.length > 0 && { tags }),
    };
  }

  /** A caller's `aws:userid`. */
  userId(caller: Caller): string {
    if (caller.kind !== 'role') return this.aws.account;
    return `${this.roles.get(caller.roleArn)?.id}:${caller.session ?? 'local'}`;
  }

  private sessionPolicies({ session, policy, policyArns = [] }: AssumeRole): Statement[] | undefined {
    if (policy === undefined && policyArns.length === 0) return undefined;
    const where = `the session policy of ${session}`;
    try {
      const named = policyArns.flatMap((arn) => {
        const found = managedPolicy(arn, this.managed);
        if (found === undefined) throw new Error(`${where}: the engine does not know the managed policy ${arn}`);
        return found;
      });
      return [...named, ...(policy === undefined ? [] : readPolicy(policy, 'identity', where))];
    } catch (error) {
      throw new ApiError('MalformedPolicyDocument', (error as Error).message);
    }
  }

  /** What the roles were granted and have not used so far. */
  unused(): UnusedPermission[] {
    return [...this.roles.values()].flatMap((role) =>
      role.policies
        .filter(({ effect }) => effect === 'Allow')
        .flatMap((statement) =>
          [...statement.actions.keys()]
            .filter((action) => role.used.get(statement)?.has(action) !== true)
            .map((action) => ({
              role: role.arn,
              path: role.path,
              statement: statement.label,
              action,
              resources: statement.resources,
              judged: JUDGED.has(action.split(':')[0]?.toLowerCase() ?? ''),
            })),
        ),
    );
  }

  /** @param target the role that is asked for, if one is: its trust policy is then the resource's */
  private judge(
    caller: Caller,
    need: RequiredPermission,
    policies: Pick<Policies, 'resource' | 'closed'>,
    target?: Role,
  ): void {
    const decision = this.decide(caller, need, policies);
    const role = caller.kind === 'role' ? this.roles.get(caller.roleArn) : undefined;
    if (decision.allowed) {
      if (role !== undefined) for (const statement of decision.by) note(role, statement, need.action);
      return;
    }
    throw denied(caller, need, decision, target, hintOf(caller, role, decision));
  }

  private decide(
    caller: Caller,
    need: RequiredPermission,
    { resource, closed }: Pick<Policies, 'resource' | 'closed'>,
  ): Decision {
    const role = caller.kind === 'role' ? this.roles.get(caller.roleArn) : undefined;
    const { aws } = this;
    const resourceTags = this.resourceTags.get(need.resource) ?? {};
    const facts = factsOf({ aws, caller, need, role, resourceTags, now: this.now() });
    const policies: Policies = {
      identity: role?.policies ?? [],
      boundary: role?.boundary,
      session: caller.kind === 'role' ? caller.policies : undefined,
      resource,
      ...(closed !== undefined && { closed }),
    };
    return decide(policies, this.identityOf(caller), {
      action: need.action.toLowerCase(),
      resource: arnOf(need.resource),
      facts,
    });
  }

  private identityOf(caller: Caller): Identity {
    const { account, region } = this.aws;
    if (caller.kind === 'service') return { service: caller.principal, region };
    if (caller.kind === 'root') return { account, region };
    return { session: callerName(caller), role: caller.roleArn, account, region };
  }

  private known(roleArn: string, who: string): Role {
    const role = this.roles.get(roleArn);
    if (role !== undefined) return role;
    const known = this.roleArns.join(', ');
    throw new ApiError(
      'AccessDenied',
      `${who} cannot assume ${roleArn}: the template has no such role, only ${known}`,
      403,
    );
  }

  private read(
    { stack, path, type }: Resource,
    document: Shape,
    kind: PolicyKind = 'identity',
    name = '',
  ): Statement[] {
    const where = `${path.replace(/\/Resource$/, '')}${name}`;
    try {
      return readPolicy(document, kind, where);
    } catch (error) {
      throw new Error(`stack ${stack}, ${type}: ${(error as Error).message}`);
    }
  }

  private roleOf(resource: Resource, managed: ReadonlyMap<string, readonly Statement[]>): Role {
    const { arn, path, properties, type, stack, logicalId } = resource;
    const statements: Statement[] = [];
    const unknown: string[] = [];
    for (const { PolicyName, PolicyDocument } of listOf<Shape>(properties.Policies)) {
      statements.push(...this.read(resource, PolicyDocument, 'identity', `/${PolicyName}`));
    }
    for (const policyArn of listOf<string>(properties.ManagedPolicyArns)) {
      const found = managedPolicy(policyArn, managed);
      if (found === undefined) unknown.push(policyArn.slice(policyArn.lastIndexOf('/') + 1));
      else statements.push(...found);
    }
    const { PermissionsBoundary: boundaryArn } = properties;
    const boundary = boundaryArn === undefined ? undefined : managedPolicy(boundaryArn, managed);
    if (boundaryArn !== undefined && boundary === undefined) unknown.push(`${boundaryArn} (a boundary, not heeded)`);
    const { AssumeRolePolicyDocument: document = { Statement: [] } } = properties;
    const trust = this.read(resource, document, 'trust', '/AssumeRolePolicyDocument');
    const id = String(identify(type, stack, logicalId, properties, this.aws, '').attributes.RoleId?.());
    return {
      arn,
      path,
      id,
      tags: tagsOf(properties.Tags),
      trust,
      policies: statements,
      used: new Map(),
      boundary,
      unknown,
    };
  }

  private attach(policy: Resource, statements: readonly Statement[]): void {
    for (const name of listOf<string>(policy.properties.Roles)) {
      const role = [...this.roles.values()].find(({ arn }) => arn.endsWith(`/${name}`) || arn === name);
      role?.policies.push(...statements);
    }
  }

  private let(resourceArn: string, statements: readonly Statement[]): void {
    this.resourcePolicies.set(resourceArn, [...(this.resourcePolicies.get(resourceArn) ?? []), ...statements]);
  }

  private letInvoke(permission: Resource): void {
    const { FunctionName: name, Principal, Action, SourceArn, SourceAccount, EventSourceToken } = permission.properties;
    if (EventSourceToken !== undefined) return;
    const { partition, region, account } = this.aws;
    const Resource = name.startsWith('arn:') ? name : `arn:${partition}:lambda:${region}:${account}:function:${name}`;
    const Condition = {
      ...(SourceArn !== undefined && { ArnLike: { 'aws:SourceArn': SourceArn } }),
      ...(SourceAccount !== undefined && { StringEquals: { 'aws:SourceAccount': SourceAccount } }),
    };
    const service = /\.amazonaws\.com/.test(Principal) ? { Service: Principal } : { AWS: Principal };
    const Statement = { Sid: permission.logicalId, Effect: 'Allow', Principal: service, Action, Resource, Condition };
    this.let(Resource, this.read(permission, { Version: '2012-10-17', Statement }, 'resource'));
  }

  /** Whether a key's policy is known; one that AWS manages has it from the first use on. */
  private knowsKey(keyArn: string): boolean {
    const owner = ownerOf(keyArn);
    if (owner !== undefined && !this.keys.has(keyArn)) {
      this.keys.add(keyArn);
      this.let(keyArn, readPolicy(managedKeyPolicy(this.aws, owner), 'resource', keyArn));
    }
    return this.keys.has(keyArn);
  }

  private bucketArn(target: string): string {
    return target.startsWith('arn:') ? target : `arn:${this.aws.partition}:s3:::${target}`;
  }

  /** The policy of a resource, or of what it lies in: the bucket of an object, the function of a version. */
  private policyOf(resource: string): readonly Statement[] {
    const found: Statement[] = [];
    for (const arn of holders(resource)) found.push(...(this.resourcePolicies.get(arn) ?? []));
    return found;
  }
}

/** A resource, and what it may lie in: its ARN up to each of the first slashes and colons after the fifth colon. */
function holders(resource: string): string[] {
  const [, head = '', rest = ''] = /^((?:[^:]*:){5})(.*)$/s.exec(resource) ?? [];
  const ends: number[] = [];
  for (let i = 0; i < rest.length && ends.length < 3; i++) if (rest[i] === '/' || rest[i] === ':') ends.push(i);
  return [...ends.map((end) => head + rest.slice(0, end)), resource];
}

/** The statements of a managed policy, the template's or AWS's; undefined if the engine does not know it. */
function managedPolicy(
  policyArn: string,
  managed: ReadonlyMap<string, readonly Statement[]>,
): readonly Statement[] | undefined {
  const name = policyArn.slice(policyArn.lastIndexOf('/') + 1);
  const actions = policyArn.includes(':iam::aws:policy/') ? MANAGED[name] : undefined;
  if (actions === undefined) return managed.get(policyArn);
  return readPolicy({ Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] }, 'identity', name);
}

/** Remembers which of a statement's actions have allowed something. */
function note({ used }: Role, statement: Statement, action: string): void {
  const actions = used.get(statement) ?? new Set();
  const lower = action.toLowerCase();
  for (const [pattern, takes] of statement.actions) if (takes(lower)) actions.add(pattern);
  used.set(statement, actions);
}

/** Tags as templates have them: a list, or an object. */
function tagsOf(tags: Shape): Record<string, string> {
  if (!Array.isArray(tags)) return tags ?? {};
  return Object.fromEntries(tags.map(({ Key, Value }) => [Key, String(Value)]));
}

export function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}

/** How AWS names a caller in its messages. */
export function callerName(caller: Caller, aws?: AwsEnvironment): string {
  if (caller.kind === 'root') return `arn:${aws?.partition ?? 'aws'}:iam::${aws?.account ?? ''}:root`;
  if (caller.kind === 'service') return `${caller.principal} (for ${caller.sourceArn})`;
  const [, partition, account, name] = /^arn:([^:]+):iam::(\d*):role\/(?:.*\/)?([^/]+)$/.exec(caller.roleArn) ?? [];
  return `arn:${partition}:sts::${account}:assumed-role/${name}/${caller.session ?? 'local'}`;
}

function hintOf(
  caller: Caller,
  role: Role | undefined,
  { because, by }: Decision & { allowed: false },
): string | undefined {
  if (because !== 'identity-based policy') return undefined;
  if (by !== undefined) return by.label;
  if (role === undefined) return caller.kind === 'role' ? 'the template has no such role' : undefined;
  return role.unknown.length > 0 ? `the engine does not know ${role.unknown.join(', ')}` : `role ${role.path}`;
}

/** @see https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html */
function denied(
  caller: Caller,
  { action, resource, refusal }: RequiredPermission,
  { because, by }: Decision & { allowed: false },
  target?: Role,
  hint = because === 'resource-based policy' ? target?.path : undefined,
): ApiError {
  const named = action.startsWith('kms:') ? resource : `"${resource}"`; // KMS alone writes it bare
  const where = resource === '*' ? '' : ` on resource: ${named}`;
  const policy = target !== undefined && because === 'resource-based policy' ? 'role trust policy' : because;
  const article = policy === 'role trust policy' ? 'the' : policy === 'identity-based policy' ? 'an' : 'a';
  const why =
    by === undefined
      ? `because no ${policy} allows the ${action} action`
      : `with an explicit deny in ${article} ${policy}`;
  const user = `User: ${callerName(caller)} is not authorized to perform: ${action}${where} ${why}`;
  const {
    code,
    status,
    before = '',
  } = refusal ?? { code: target === undefined ? 'AccessDeniedException' : 'AccessDenied', status: 403 }; // STS has a name of its own
  return new ApiError(code, `${before}${user}${hint === undefined ? '' : ` (${hint})`}`, status);
}
