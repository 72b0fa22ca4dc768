import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { grantKey, keyOf } from '../private/keys';

/** Properties of a {@link RunLedger}. */
export interface RunLedgerProps {
  /**
   * What happens to the ledger when the stack is deleted. Nobody can delete it, unless it is `DESTROY`.
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
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN;
    this.table = new dynamodb.Table(this, 'Resource', {
      partitionKey: { name: 'pk', type: dynamodb.AttributeType.STRING },
      sortKey: { name: 'sk', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      ...(encryptionKey !== undefined && { encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED, encryptionKey }),
      removalPolicy,
      deletionProtection: removalPolicy !== RemovalPolicy.DESTROY,
    });
  }

  /** Allows to append facts of a pipeline. */
  public grantAppend(grantee: iam.IGrantable, pipelineName: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:PutItem'], pipelineName);
  }

  /**
   * Allows to read facts in order.
   *
   * @param pipelineName of this pipeline; of all of them, if it is not given
   */
  public grantQuery(grantee: iam.IGrantable, pipelineName?: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:Query'], pipelineName);
  }

  /** Allows to read and replace what changes in place: a pipeline's leases, and the monitor's running evidence. */
  public grantLease(grantee: iam.IGrantable, pipelineName: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:GetItem', 'dynamodb:PutItem'], pipelineName);
  }

  /**
   * A pipeline's functions see its own partition alone: with others in the table they could take their leases away.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
   */
  private grant(grantee: iam.IGrantable, actions: string[], pipelineName: string | undefined): iam.Grant {
    // to read or write, DynamoDB decrypts the table's key in the caller's name: https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html
    grantKey(grantee, this.table.encryptionKey, this.table, 'dynamodb', ['kms:Decrypt']);
    const own = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': [pipelineName] } };
    return iam.Grant.addToPrincipal({
      grantee,
      actions,
      resourceArns: [this.table.tableArn],
      ...(pipelineName !== undefined && { conditions: own }),
    });
  }
}
