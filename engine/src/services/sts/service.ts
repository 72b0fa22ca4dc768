import { ApiError, type AssumeRole, type Context, type Operation, type Service, type Shape } from '../../service';
import { callerName } from '../iam/service';

/** AWS's token service: who am I, and keys for the template's roles. */
export class Sts implements Service {
  readonly name = 'sts';
  readonly operations: Readonly<Record<string, Operation>>;

  constructor(context: Context) {
    const { account } = context.aws;
    this.operations = {
      GetCallerIdentity: {
        needs: () => [], // as on AWS: nobody is refused
        run: (_, caller) => ({
          UserId: context.userId(caller),
          Account: account,
          Arn: callerName(caller, context.aws),
        }),
      },
      AssumeRole: {
        needs: () => [], // the role's trust policy has a say as well: asked below
        run: (input, caller) => {
          const session = context.assumeRoleAs(caller, asked(input));
          const until = Date.now() + Number(input.DurationSeconds ?? 3600) * 1000;
          const keys = context.credentials(session, until);
          return {
            Credentials: {
              AccessKeyId: keys.AWS_ACCESS_KEY_ID,
              SecretAccessKey: keys.AWS_SECRET_ACCESS_KEY,
              SessionToken: keys.AWS_SESSION_TOKEN,
              Expiration: new Date(until),
            },
            AssumedRoleUser: { Arn: callerName(session), AssumedRoleId: context.userId(session) },
          };
        },
      },
    };
  }
}

function asked(input: Shape): AssumeRole {
  const { RoleArn, RoleSessionName, ExternalId, Policy, PolicyArns, Tags, TransitiveTagKeys, SourceIdentity } = input;
  if (!RoleArn || !RoleSessionName) {
    throw new ApiError('ValidationError', 'AssumeRole needs RoleArn and RoleSessionName');
  }
  return {
    roleArn: RoleArn,
    session: RoleSessionName,
    ...(ExternalId !== undefined && { externalId: ExternalId }),
    ...(Policy !== undefined && { policy: jsonOf(Policy) }),
    ...(PolicyArns !== undefined && { policyArns: PolicyArns.map(({ arn }: Shape) => arn) }),
    ...(Tags !== undefined && { tags: Object.fromEntries(Tags.map(({ Key, Value }: Shape) => [Key, Value])) }),
    ...(TransitiveTagKeys !== undefined && { transitiveTags: TransitiveTagKeys }),
    ...(SourceIdentity !== undefined && { sourceIdentity: SourceIdentity }),
  };
}

function jsonOf(policy: string): Shape {
  try {
    return JSON.parse(policy);
  } catch {
    throw new ApiError('MalformedPolicyDocument', `a session policy must be JSON, got ${policy.slice(0, 200)}`);
  }
}
