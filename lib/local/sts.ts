import { accessKeyOf, sessionToken } from './gateway';
import { callerName } from './iam';
import { ApiError, type Context, type Operation, type Service } from './service';

/** AWS's token service: who am I, and keys for the template's roles. */
export class Sts implements Service {
  readonly name = 'sts';
  readonly operations: Readonly<Record<string, Operation>>;

  constructor(context: Context) {
    const { account } = context.place;
    this.operations = {
      GetCallerIdentity: {
        needs: () => [], // as on AWS: nobody is refused
        run: (_, caller) => ({
          UserId: caller.kind === 'root' ? account : 'AROALOCAL',
          Account: account,
          Arn: callerName(caller, context.place),
        }),
      },
      AssumeRole: {
        needs: ({ RoleArn }) => [{ action: 'sts:AssumeRole', resource: RoleArn }],
        run: ({ RoleArn: roleArn, RoleSessionName: session }) => {
          if (!roleArn || !session)
            throw new ApiError('ValidationError', 'AssumeRole needs RoleArn and RoleSessionName');
          return {
            Credentials: {
              AccessKeyId: accessKeyOf(roleArn),
              SecretAccessKey: 'local',
              SessionToken: sessionToken(session),
              Expiration: new Date(Date.now() + 3_600_000),
            },
            AssumedRoleUser: {
              Arn: callerName({ kind: 'role', roleArn, session }),
              AssumedRoleId: `AROALOCAL:${session}`,
            },
          };
        },
      },
    };
  }
}
