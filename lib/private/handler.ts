import { type Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { EnvName } from '../core/names';
import { functionErrorAlarm } from './alarms';
import { built } from './assets';
import { grantKeyToSend, keyStatement, letLogs } from './keys';

export interface HandlerProps {
  /** The folder of the bundle below `dist/lambdas`. */
  readonly bundle: string;
  /** The module and export, as Lambda names it. */
  readonly entry?: string;
  readonly description: string;
  readonly timeout: Duration;
  /** MiB. */
  readonly memorySize: number;
  readonly ephemeralStorageSize?: lambda.FunctionProps['ephemeralStorageSize'];
  readonly environment: Readonly<Partial<Record<EnvName, string>>>;
  /** What encrypts environment and log; AWS's own keys without it. */
  readonly encryptionKey: kms.IKey | undefined;
  readonly reservedConcurrentExecutions?: number;
  /** Where events go that failed, when the function is invoked without an answer. */
  readonly deadLetterQueue?: sqs.IQueue;
}

/** The function of a file in `lambdas`, with an alarm on its errors, and a role of its own that may write its own log and nothing else yet. */
export class Handler extends Construct {
  readonly function: lambda.Function;
  readonly role: iam.Role;

  constructor(scope: Construct, id: string, props: HandlerProps) {
    super(scope, id);
    const { bundle, entry, encryptionKey, ...rest } = props;
    const disk = rest.ephemeralStorageSize;
    letLogs(this, encryptionKey);
    const logGroup = new logs.LogGroup(this, 'Log', {
      retention: logs.RetentionDays.THREE_MONTHS,
      removalPolicy: RemovalPolicy.DESTROY,
      encryptionKey,
    });
    this.role = new iam.Role(this, 'Role', { assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com') });
    logGroup.grantWrite(this.role);
    if (encryptionKey !== undefined) this.role.addToPolicy(keyStatement(encryptionKey, ['kms:Decrypt'])); // the environment
    if (props.deadLetterQueue !== undefined) grantKeyToSend(this.role, props.deadLetterQueue);
    this.function = new lambda.Function(this, 'Function', {
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      code: lambda.Code.fromAsset(built('lambdas', bundle)),
      handler: entry ?? 'index.handler',
      role: this.role,
      logGroup,
      environmentEncryption: encryptionKey,
      ...rest,
      environment: { ...rest.environment, ...(disk && { [EnvName.STORAGE_MIB]: String(disk.toMebibytes()) }) },
    });
    functionErrorAlarm(this, 'FunctionErrorAlarm', this.function);
  }
}
