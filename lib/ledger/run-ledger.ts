import { RemovalPolicy } from 'aws-cdk-lib';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import { Construct, type IConstruct } from 'constructs';
import { EnvName } from '../core/names';
import { tellFunction } from '../private/environment';
import { grantKey, keyOf } from '../private/keys';
import { refuse } from '../private/validate';

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
 * What happened to pipelines, and why: a table that several of them may share, each with a partition of its name.
 *
 * Every grant includes what the table's key asks; a function finds the table's name in `LEDGER_TABLE`, and the pipeline's,
 * where one is given, in `PIPELINE`.
 */
export interface IRunLedger extends IConstruct {
  /** The table: partition key `pk`, sort key `sk`, both strings. */
  readonly table: dynamodb.ITable;

  /**
   * Allows to read facts: in order, and by their keys.
   *
   * @param pipelineName of this pipeline; of all of them, if it is not given
   */
  grantRead(grantee: iam.IGrantable, pipelineName?: string): iam.Grant;

  /** Allows to append facts of a pipeline. */
  grantAppend(grantee: iam.IGrantable, pipelineName: string): iam.Grant;

  /** Allows to read and replace what changes in place: a pipeline's leases, and the monitor's running evidence. */
  grantLease(grantee: iam.IGrantable, pipelineName: string): iam.Grant;
}

abstract class LedgerBase extends Construct implements IRunLedger {
  public abstract readonly table: dynamodb.ITable;

  public grantRead(grantee: iam.IGrantable, pipelineName?: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:Query', 'dynamodb:GetItem', 'dynamodb:BatchGetItem'], pipelineName);
  }

  public grantAppend(grantee: iam.IGrantable, pipelineName: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:PutItem'], pipelineName);
  }

  public grantLease(grantee: iam.IGrantable, pipelineName: string): iam.Grant {
    return this.grant(grantee, ['dynamodb:GetItem', 'dynamodb:PutItem'], pipelineName);
  }

  /**
   * A pipeline's functions see its own partition alone: with others in the table they could take their leases away.
   *
   * @see https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
   */
  private grant(grantee: iam.IGrantable, actions: string[], pipelineName: string | undefined): iam.Grant {
    const { table } = this;
    tellFunction(grantee, {
      [EnvName.LEDGER_TABLE]: table.tableName,
      ...(pipelineName !== undefined && { [EnvName.PIPELINE]: pipelineName }),
    });
    // to read or write, DynamoDB decrypts the table's key in the caller's name: https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html
    grantKey(grantee, table.encryptionKey, table, 'dynamodb', ['kms:Decrypt']);
    const own = { 'ForAllValues:StringEquals': { 'dynamodb:LeadingKeys': [pipelineName] } };
    return iam.Grant.addToPrincipal({
      grantee,
      actions,
      resourceArns: [table.tableArn],
      ...(pipelineName !== undefined && { conditions: own }),
    });
  }
}

/**
 * Remembers every run, attempt, verdict, deployment and decision with its evidence.
 *
 * Defines one table, which several pipelines may share: its partition key is the pipeline's name.
 */
export class RunLedger extends LedgerBase {
  /** A ledger that was made elsewhere, by its table's name; `fromTable`, if its table is under a key of yours. */
  public static fromTableName(scope: Construct, id: string, tableName: string): IRunLedger {
    return RunLedger.fromTable(scope, id, dynamodb.Table.fromTableName(scope, `${id}Table`, tableName));
  }

  /**
   * A ledger that was made elsewhere.
   *
   * @param table if it is imported and under a key of yours, with its `encryptionKey` (`Table.fromTableAttributes`)
   */
  public static fromTable(scope: Construct, id: string, table: dynamodb.ITable): IRunLedger {
    const ledger = new ImportedLedger(scope, id, table);
    refuse(ledger, [keysMistake(table)]);
    return ledger;
  }

  /** The table. */
  public readonly table: dynamodb.ITable;

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
}

class ImportedLedger extends LedgerBase {
  constructor(
    scope: Construct,
    id: string,
    public readonly table: dynamodb.ITable,
  ) {
    super(scope, id);
  }
}

/** What is wrong with the keys of a table, where the app defines it. */
function keysMistake(table: dynamodb.ITable): string | false {
  if (!(table instanceof dynamodb.Table)) return false;
  const { partitionKeys, sortKeys } = table.schemaV2();
  const got = [partitionKeys, sortKeys].map(
    (keys) => keys.map(({ name, type }) => `${name} (${type})`).join(', ') || 'none',
  );
  return (
    got.join() !== 'pk (S),sk (S)' &&
    `table must have the partition key pk and the sort key sk, both strings, got ${got.join(' and ')}`
  );
}
