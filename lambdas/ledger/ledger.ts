import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandOutput,
} from '@aws-sdk/client-dynamodb';
import type { Fact } from '../../lib/core/ledger/ledger';
import { EnvName } from '../../lib/core/names';
import { env } from '../shared/env';
import { fromItem, toItem } from './items';

/** One pipeline's part of the ledger table. */
export interface LedgerTable {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  /** The partition key. */
  readonly pipeline: string;
}

/** The ledger that the function's construct names. */
export function ledgerTable(): LedgerTable {
  return { client: new DynamoDBClient(), tableName: env(EnvName.LEDGER_TABLE), pipeline: env(EnvName.PIPELINE) };
}

/**
 * Appends a fact; one that is already there stays as it is.
 *
 * @returns whether the fact is new
 */
export async function appendFact<F extends Fact>(table: LedgerTable, fact: Omit<F, 'pk'>): Promise<boolean> {
  try {
    await table.client.send(
      new PutItemCommand({
        TableName: table.tableName,
        Item: toItem({ ...fact, pk: table.pipeline }),
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    );
    return true;
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return false; // a retry, or a duplicate of the event
    throw error;
  }
}

/** The facts whose sort keys begin with a prefix, oldest first (or newest first), at most `limit`. */
export async function queryFacts<F extends Fact>(
  table: LedgerTable,
  prefix: string,
  options: { readonly newestFirst?: boolean; readonly limit?: number } = {},
): Promise<F[]> {
  const facts: F[] = [];
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  let start: QueryCommandOutput['LastEvaluatedKey'];
  do {
    const page: QueryCommandOutput = await table.client.send(
      new QueryCommand({
        TableName: table.tableName,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
        ExpressionAttributeValues: toItem({ ':pk': table.pipeline, ':sk': prefix }),
        ConsistentRead: true,
        ScanIndexForward: !options.newestFirst,
        ExclusiveStartKey: start,
        ...(Number.isFinite(limit) && { Limit: limit - facts.length }),
      }),
    );
    for (const item of page.Items ?? []) facts.push(fromItem<F>(item));
    start = page.LastEvaluatedKey;
  } while (start !== undefined && facts.length < limit);
  return facts;
}
