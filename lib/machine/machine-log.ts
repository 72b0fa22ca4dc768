import { Names, RemovalPolicy } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { letLogs } from '../private/keys';

/**
 * The log of a state machine. Its name begins with `/aws/vendedlogs/`, because the one resource policy
 * that all other names share may not grow beyond 5,120 characters.
 *
 * @see https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
 */
export function machineLog(scope: Construct, id: string, encryptionKey: kms.IKey | undefined): logs.LogGroup {
  letLogs(scope, encryptionKey);
  return new logs.LogGroup(scope, id, {
    logGroupName: `/aws/vendedlogs/states/${Names.uniqueResourceName(scope, { maxLength: 80, separator: '-' })}`,
    retention: logs.RetentionDays.THREE_MONTHS,
    removalPolicy: RemovalPolicy.DESTROY,
    encryptionKey,
  });
}
