import { like, listOf, matches, meets, type Request, type Statement, statementsOf } from './policy';
import { ApiError, type Caller, type Need, type Place, type Resource, type Shape } from './service';

/** Where a statement stands, for messages and the usage report. */
interface Placed {
  readonly statement: Statement;
  /** e.g. `DefaultPolicy[2]`, or the statement's Sid. */
  readonly label: string;
  /** Actions of the statement (as written) that have allowed something. */
  readonly used: Set<string>;
}

interface Role {
  readonly arn: string;
  readonly path: string;
  readonly trust: readonly Statement[];
  readonly policies: Placed[];
  /** The permissions boundary's statements: what they do not allow, no identity policy can. */
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

/** The contents of AWS's managed policies that templates commonly name, by the policy's name. */
const MANAGED: Readonly<Record<string, readonly string[]>> = {
  AWSLambdaBasicExecutionRole: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
  AWSLambdaVPCAccessExecutionRole: [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ],
  AWSLambdaSQSQueueExecutionRole: [
    'sqs:ReceiveMessage',
    'sqs:DeleteMessage',
    'sqs:GetQueueAttributes',
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
  AWSXRayDaemonWriteAccess: [
    'xray:PutTraceSegments',
    'xray:PutTelemetryRecords',
    'xray:GetSamplingRules',
    'xray:GetSamplingTargets',
    'xray:GetSamplingStatisticSummaries',
  ],
  AmazonS3ReadOnlyAccess: ['s3:Get*', 's3:List*', 's3:Describe*'],
  AmazonS3FullAccess: ['s3:*'],
  AdministratorAccess: ['*'],
};

/** Services whose actions the engine asks IAM for; of others it cannot tell whether a permission is used. */
const JUDGED = new Set('s3 dynamodb sqs sns cloudwatch events scheduler lambda states sagemaker iam sts'.split(' '));

/** Resources with a policy of their own: the type, and where the policy and what it is for are. */
const RESOURCE_POLICIES: Readonly<Record<string, { document: string; of: string }>> = {
  'AWS::S3::BucketPolicy': { document: 'PolicyDocument', of: 'Bucket' },
  'AWS::SQS::QueuePolicy': { document: 'PolicyDocument', of: 'Queues' },
  'AWS::SNS::TopicPolicy': { document: 'PolicyDocument', of: 'Topics' },
};

/** The policies of an assembly, and the judge of every call. */
export class Iam {
  private readonly roles = new Map<string, Role>();
  private readonly resourcePolicies = new Map<string, Statement[]>();

  constructor(
    private readonly place: Place,
    resources: readonly Resource[],
  ) {
    const byId = new Map(resources.map((one) => [one.physicalId, one]));
    const managed = new Map<string, readonly Placed[]>();
    for (const one of resources) {
      if (one.type === 'AWS::IAM::ManagedPolicy') managed.set(one.arn, placed(one, one.properties.PolicyDocument));
    }
    for (const one of resources) if (one.type === 'AWS::IAM::Role') this.roles.set(one.arn, roleOf(one, managed));
    for (const one of resources) {
      if (one.type === 'AWS::IAM::Policy' || one.type === 'AWS::IAM::ManagedPolicy') {
        this.attach(one, placed(one, one.properties.PolicyDocument));
      }
      const kind = RESOURCE_POLICIES[one.type];
      if (kind !== undefined) {
        for (const target of listOf<string>(one.properties[kind.of])) {
          this.addResourcePolicy(byId.get(target)?.arn ?? this.bucketArn(target), one.properties[kind.document]);
        }
      }
      if (one.type === 'AWS::Lambda::Permission') this.addLambdaPermission(one);
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

  /** Lets another policy speak for a resource, as `lambda:AddPermission` or `sqs:SetQueueAttributes` would. */
  addResourcePolicy(resourceArn: string, document: Shape): void {
    const statements = this.resourcePolicies.get(resourceArn) ?? [];
    this.resourcePolicies.set(resourceArn, [...statements, ...statementsOf(document)]);
  }

  /** Throws `AccessDeniedException` unless the caller may. */
  authorize(caller: Caller, need: Need): void {
    if (caller.kind === 'root') return;
    const request: Request = { action: need.action, resource: need.resource, context: this.contextOf(caller, need) };
    const ofResource = this.policyOf(need.resource).filter(
      (statement) => this.isFor(statement, caller) && matches(statement, request),
    );
    const role = caller.kind === 'role' ? this.roles.get(caller.roleArn) : undefined;
    const ofRole = role?.policies.filter(({ statement }) => matches(statement, request)) ?? [];
    if (ofResource.some(({ Effect }) => Effect === 'Deny')) throw denied(caller, need, 'explicit', 'resource-based');
    const denial = ofRole.find(({ statement }) => statement.Effect === 'Deny');
    if (denial !== undefined) throw denied(caller, need, 'explicit', 'identity-based', denial.label);
    const bounds = role?.boundary?.filter((statement) => matches(statement, request));
    if (bounds?.some(({ Effect }) => Effect === 'Deny')) throw denied(caller, need, 'explicit', 'permissions boundary');
    if (bounds?.length === 0 && ofResource.length === 0) throw denied(caller, need, 'none', 'permissions boundary');
    for (const { statement, used } of ofRole) for (const action of meant(statement, need.action)) used.add(action);
    if (ofRole.length > 0 || ofResource.length > 0) return;
    if (caller.kind === 'service') throw denied(caller, need, 'none', 'resource-based');
    if (role === undefined) throw denied(caller, need, 'none', 'identity-based', 'the template has no such role');
    const hint = role.unknown.length > 0 ? `the engine does not know ${role.unknown.join(', ')}` : undefined;
    throw denied(caller, need, 'none', 'identity-based', hint ?? `role ${role.path}`);
  }

  /** The caller that a service becomes under a role, if the role's trust policy lets it in. */
  assumeRole(roleArn: string, principal: string, sourceArn?: string, session?: string): Caller {
    const role = this.roles.get(roleArn);
    if (role === undefined) {
      const known = this.roleArns.join(', ');
      throw new ApiError(
        'AccessDenied',
        `${principal} cannot assume ${roleArn}: the template has no such role, only ${known}`,
        403,
      );
    }
    const context = {
      ...this.ambient(),
      'aws:SourceAccount': this.place.account,
      ...(sourceArn !== undefined && { 'aws:SourceArn': sourceArn }),
    };
    const fits = (statement: Statement) =>
      listOf(statement.Action).some((action) => like('sts:assumerole', action.toLowerCase())) &&
      listOf<string>(statement.Principal?.Service).some(
        (one) => servicePrincipal(one) === servicePrincipal(principal),
      ) &&
      meets(statement.Condition, context);
    const found = role.trust.filter(fits);
    if (found.length === 0 || found.some(({ Effect }) => Effect === 'Deny')) {
      const why = `its trust policy does not let ${principal} assume it${sourceArn === undefined ? '' : ` for ${sourceArn}`}`;
      throw new ApiError(
        'AccessDenied',
        `${principal} is not authorized to perform: sts:AssumeRole on resource: ${roleArn} (${role.path}): ${why}`,
        403,
      );
    }
    return { kind: 'role', roleArn, session: session ?? principal.split('.')[0] ?? 'local' };
  }

  /** What the roles were granted and have not used so far. */
  unused(): UnusedPermission[] {
    return [...this.roles.values()].flatMap((role) =>
      role.policies
        .filter(({ statement }) => statement.Effect === 'Allow')
        .flatMap(({ statement, label, used }) =>
          listOf(statement.Action)
            .filter((action) => !used.has(action))
            .map((action) => ({
              role: role.arn,
              path: role.path,
              statement: label,
              action,
              resources: listOf(statement.Resource),
              judged: JUDGED.has(action.split(':')[0]?.toLowerCase() ?? ''),
            })),
        ),
    );
  }

  private attach(policy: Resource, statements: readonly Placed[]): void {
    for (const name of listOf<string>(policy.properties.Roles)) {
      const role = [...this.roles.values()].find(({ arn }) => arn.endsWith(`/${name}`) || arn === name);
      role?.policies.push(...statements.map((one) => ({ ...one, used: new Set<string>() })));
    }
  }

  private addLambdaPermission({ logicalId, properties }: Resource): void {
    const { FunctionName: name, Principal, Action, SourceArn, SourceAccount, EventSourceToken } = properties;
    const { partition, region, account } = this.place;
    const Resource = name.startsWith('arn:') ? name : `arn:${partition}:lambda:${region}:${account}:function:${name}`;
    const Condition = {
      ...(SourceArn !== undefined && { ArnLike: { 'aws:SourceArn': SourceArn } }),
      ...(SourceAccount !== undefined && { StringEquals: { 'aws:SourceAccount': SourceAccount } }),
    };
    const service = /\.amazonaws\.com/.test(Principal) ? { Service: Principal } : { AWS: Principal };
    const statement = { Sid: logicalId, Effect: 'Allow', Principal: service, Action, Resource, Condition };
    if (EventSourceToken === undefined) this.addResourcePolicy(Resource, { Statement: [statement] });
  }

  private bucketArn(target: string): string {
    return target.startsWith('arn:') ? target : `arn:${this.place.partition}:s3:::${target}`;
  }

  /** The policy of a resource, or of what it lies in: the bucket of an object, the function of a version. */
  private policyOf(resource: string): readonly Statement[] {
    const own = [...this.resourcePolicies].filter(
      ([arn]) => resource === arn || resource.startsWith(`${arn}/`) || resource.startsWith(`${arn}:`),
    );
    return own.flatMap(([, statements]) => statements);
  }

  /** Whether a resource policy's statement speaks of the caller. */
  private isFor({ Effect, Principal, NotPrincipal }: Statement, caller: Caller): boolean {
    const principal = Principal ?? NotPrincipal;
    // a grant to the account leaves the decision to the identity's own policies; a denial binds everybody in it
    const account = Effect === 'Deny' || Principal === undefined;
    const found = principal === '*' || this.names(principal, caller, account);
    return Principal === undefined ? !found : found;
  }

  private names(principal: Shape, caller: Caller, asAccount: boolean): boolean {
    const named = listOf<string>(principal?.AWS);
    if (named.includes('*')) return true;
    if (caller.kind === 'service') {
      const own = servicePrincipal(caller.principal);
      return listOf<string>(principal?.Service).some((one) => servicePrincipal(one) === own);
    }
    const { account, partition } = this.place;
    const whole = asAccount ? [account, `arn:${partition}:iam::${account}:root`] : [];
    const own = caller.kind === 'role' ? [caller.roleArn, ...whole] : whole;
    return named.some((one) => own.includes(one));
  }

  private contextOf(caller: Caller, { conditions }: Need): Request['context'] {
    const own: Record<string, string> = { 'aws:PrincipalIsAWSService': String(caller.kind === 'service') };
    if (caller.kind === 'service') {
      own['aws:SourceArn'] = caller.sourceArn;
      own['aws:SourceAccount'] = this.place.account;
    } else {
      own['aws:PrincipalAccount'] = this.place.account;
      if (caller.kind === 'role') own['aws:PrincipalArn'] = caller.roleArn;
    }
    return { ...this.ambient(), ...own, ...conditions };
  }

  /** What holds of every call. The engine speaks plain HTTP to itself; on AWS the same call would use TLS. */
  private ambient(): Record<string, string> {
    const now = new Date();
    return {
      'aws:SecureTransport': 'true',
      's3:TlsVersion': '1.3',
      'aws:RequestedRegion': this.place.region,
      'aws:ResourceAccount': this.place.account,
      'aws:CurrentTime': now.toISOString(),
      'aws:EpochTime': String(Math.floor(now.getTime() / 1000)),
    };
  }
}

function roleOf({ arn, path, properties }: Resource, managed: ReadonlyMap<string, readonly Placed[]>): Role {
  const policies: Placed[] = [];
  const unknown: string[] = [];
  for (const policy of listOf<Shape>(properties.Policies)) {
    policies.push(...placedAs(policy.PolicyName, policy.PolicyDocument));
  }
  for (const policyArn of listOf<string>(properties.ManagedPolicyArns)) {
    const found = managedPolicy(policyArn, managed);
    if (found === undefined) unknown.push(policyArn.slice(policyArn.lastIndexOf('/') + 1));
    else policies.push(...found);
  }
  const { PermissionsBoundary: boundaryArn } = properties;
  const boundary = boundaryArn === undefined ? undefined : managedPolicy(boundaryArn, managed);
  if (boundaryArn !== undefined && boundary === undefined) unknown.push(`${boundaryArn} (a boundary, not heeded)`);
  const trust = statementsOf(properties.AssumeRolePolicyDocument);
  return { arn, path, trust, policies, boundary: boundary?.map(({ statement }) => statement), unknown };
}

/** The statements of a managed policy, the template's or AWS's; undefined if the engine does not know it. */
function managedPolicy(policyArn: string, managed: ReadonlyMap<string, readonly Placed[]>): Placed[] | undefined {
  const name = policyArn.slice(policyArn.lastIndexOf('/') + 1);
  const actions = policyArn.includes(':iam::aws:policy/') ? MANAGED[name] : undefined;
  if (actions !== undefined)
    return placedAs(name, { Statement: [{ Effect: 'Allow', Action: actions, Resource: '*' }] });
  return managed.get(policyArn)?.map((one) => ({ ...one, used: new Set<string>() }));
}

function placed(policy: Resource, document: Shape): Placed[] {
  return placedAs(policy.path.replace(/\/Resource$/, ''), document);
}

function placedAs(policy: string, document: Shape): Placed[] {
  return statementsOf(document).map((statement, index) => ({
    statement,
    label: statement.Sid ?? `${policy}[${index}]`,
    used: new Set<string>(),
  }));
}

/** The patterns among a statement's actions that take this action in. */
function meant({ Action }: Statement, action: string): string[] {
  return listOf(Action).filter((pattern) => like(action.toLowerCase(), pattern.toLowerCase()));
}

/** `logs.eu-west-1.amazonaws.com` and `logs.amazonaws.com` are one. */
function servicePrincipal(principal: string): string {
  return principal.replace(/^([a-z0-9-]+)\..*amazonaws\.com(\.cn)?$/, '$1');
}

/** How AWS names a caller in its messages. */
export function callerName(caller: Caller, place?: Place): string {
  if (caller.kind === 'root') return `arn:${place?.partition ?? 'aws'}:iam::${place?.account ?? ''}:root`;
  if (caller.kind === 'service') return `${caller.principal} (for ${caller.sourceArn})`;
  const [, partition, account, name] = /^arn:([^:]+):iam::(\d*):role\/(?:.*\/)?([^/]+)$/.exec(caller.roleArn) ?? [];
  return `arn:${partition}:sts::${account}:assumed-role/${name}/${caller.session ?? 'local'}`;
}

function denied(
  caller: Caller,
  { action, resource }: Need,
  how: 'explicit' | 'none',
  basis: 'identity-based' | 'resource-based' | 'permissions boundary',
  hint?: string,
): ApiError {
  const where = resource === '*' ? '' : ` on resource: "${resource}"`;
  const policy = basis === 'permissions boundary' ? basis : `${basis} policy`;
  const because =
    how === 'explicit'
      ? `with an explicit deny in ${basis === 'identity-based' ? 'an' : 'a'} ${policy}`
      : `because no ${policy} allows the ${action} action`;
  const user = `User: ${callerName(caller)} is not authorized to perform: ${action}${where} ${because}`;
  return new ApiError('AccessDeniedException', hint === undefined ? user : `${user} (${hint})`, 403);
}
