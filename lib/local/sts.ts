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
        run: ({ RoleArn: roleArn, RoleSessionName: session, DurationSeconds: seconds = 3600 }) => {
          if (!roleArn || !session)
            throw new ApiError('ValidationError', 'AssumeRole needs RoleArn and RoleSessionName');
          const until = Date.now() + Number(seconds) * 1000;
          const keys = context.credentials(roleArn, session, until);
          return {
            Credentials: {
              AccessKeyId: keys.AWS_ACCESS_KEY_ID,
              SecretAccessKey: keys.AWS_SECRET_ACCESS_KEY,
              SessionToken: keys.AWS_SESSION_TOKEN,
              Expiration: new Date(until),
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
