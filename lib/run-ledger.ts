import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { grantKey, keyOf } from './private/keys';

/** Properties of a {@link RunLedger}. */
export interface RunLedgerProps {
  /**
   * What happens to the ledger when the stack is deleted.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy;

  /**
   * The key of yours that encrypts the table.
   *
   * @default - DynamoDB's own key
   */
  readonly encryptionKey?: kms.IKey;
}

/**
 * Remembers every run, attempt, verdict, deployment and decision with its evidence.
 *
 * Defines one table, which several pipelines may share: its partition key is the pipeline's name.
 */
export class RunLedger extends Construct {
  /** The table. */
  public readonly table: dynamodb.Table;

  constructor(scope: Construct, id: string, props: RunLedgerProps = {}) {
    super(scope, id);
    const encryptionKey = keyOf(this, props.encryptionKey);
    this.table = new dynamodb.Table(this, 'Resource', {
      partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      ...(encryptionKey !== undefined && { encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
      removalPolicy: props.removalPolicy ?? RemovalPolicy.RETAIN,
    });
  }

  /** Allows to append facts. */
  public grantAppend(grantee: iam.IGrantable): iam.Grant {
    return this.grant(grantee, 'dynamodb:PutItem');
  }

  /** Allows to read facts in order. */
  public grantQuery(grantee: iam.IGrantable): iam.Grant {
    return this.grant(grantee, 'dynamodb:Query');
  }

  /** Allows to read and replace what changes in place: leases, and the monitor's running evidence. */
  public grantLease(grantee: iam.IGrantable): iam.Grant {
    return this.grant(grantee, 'dynamodb:GetItem', 'dynamodb:PutItem');
  }

  /** To read or write, DynamoDB decrypts the table's key in the caller's name. @see https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html */
  private grant(grantee: iam.IGrantable, ...actions: string[]): iam.Grant {
    grantKey(grantee, this.table.encryptionKey, this.table, 'dynamodb', ['kms:Decrypt']);
    return this.table.grant(grantee, ...actions);
  }
}
