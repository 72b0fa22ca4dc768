import {
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  ConditionalCheckFailedException,
  DynamoDBClient,
  GetItemCommand,
  type KeysAndAttributes,
  PutItemCommand,
  type PutItemCommandInput,
  QueryCommand,
  type QueryCommandOutput,
} from '@aws-sdk/client-dynamodb';
import { rowOf } from '../../lib/core/ledger/rows';
import { EnvName } from '../../lib/core/names';
import { env } from '../shared/env';
import { fromItem, toItem } from './items';
import type { Item, Ledger, QueryOptions } from './ledger';

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

/** So many items are asked for in one call, which is what DynamoDB allows. */
const MOST_TOGETHER = 100;

/** A pipeline's part of the ledger table: of the one that the function's construct names, if it is not given. */
export function dynamoLedger(table: LedgerTable = ledgerTable()): Ledger {
  const { client, tableName: TableName, pipeline: pk } = table;
  const put = async (item: object, condition: Partial<PutItemCommandInput>) => {
    try {
      await client.send(new PutItemCommand({ TableName, Item: toItem({ ...item, pk }), ...condition }));
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false; // a retry, a duplicate, or somebody else
      throw error;
    }
  };
  return {
    append: (fact) => put(fact, { ConditionExpression: 'attribute_not_exists(pk)' }),
    swap: (row, revision, value) => put(rowOf(row, revision, value), unchanged(revision)),
    query: (prefix, options = {}) => query(table, prefix, options),
    async find(sk) {
      const { Item } = await client.send(
        new GetItemCommand({ TableName, Key: toItem({ pk, sk }), ConsistentRead: true }),
      );
      return Item && fromItem<Item>(Item);
    },
    async findAll(sks) {
      const keys = [...new Set(sks)].map((sk) => toItem({ pk, sk }));
      const parts = Array.from({ length: Math.ceil(keys.length / MOST_TOGETHER) }, (_, i) =>
        keys.slice(i * MOST_TOGETHER, (i + 1) * MOST_TOGETHER),
      );
      const found: Item[] = [];
      for (const part of parts) {
        let open: Record<string, KeysAndAttributes> | undefined = { [TableName]: { Keys: part, ConsistentRead: true } };
        while (open?.[TableName] !== undefined) {
          const { Responses, UnprocessedKeys }: BatchGetItemCommandOutput = await client.send(
            new BatchGetItemCommand({ RequestItems: open }),
          );
          for (const item of Responses?.[TableName] ?? []) found.push(fromItem<Item>(item));
          open = UnprocessedKeys;
        }
      }
      return found;
    },
  };
}

async function query({ client, tableName, pipeline }: LedgerTable, prefix: string, options: QueryOptions) {
  const { newestFirst = false, limit = Number.POSITIVE_INFINITY, since, beyond } = options;
  const range = since === undefined ? 'begins_with(sk, :from)' : 'sk BETWEEN :from AND :to';
  const found: Item[] = [];
  let start: QueryCommandOutput['LastEvaluatedKey'] =
    beyond === undefined ? undefined : toItem({ pk: pipeline, sk: beyond });
  do {
    const page: QueryCommandOutput = await client.send(
      new QueryCommand({
        TableName: tableName,
        KeyConditionExpression: `pk = :pk AND ${range}`,
        ExpressionAttributeValues: toItem({
          ':pk': pipeline,
          ':from': prefix + (since ?? ''),
          ...(since !== undefined && { ':to': `${prefix}~` }), // times begin with a digit
        }),
        ConsistentRead: true,
        ScanIndexForward: !newestFirst,
        ExclusiveStartKey: start,
        ...(Number.isFinite(limit) && { Limit: limit - found.length }),
      }),
    );
    for (const item of page.Items ?? []) found.push(fromItem<Item>(item));
    start = page.LastEvaluatedKey;
  } while (start !== undefined && found.length < limit);
  return found;
}

/** That an item is as it was when it was read. */
function unchanged(revision: unknown): Partial<PutItemCommandInput> {
  if (revision === 0) return { ConditionExpression: 'attribute_not_exists(pk)' };
  const names = { ExpressionAttributeNames: { '#revision': 'revision' } };
  if (revision === undefined) {
    return { ConditionExpression: 'attribute_exists(pk) AND attribute_not_exists(#revision)', ...names };
  }
  return {
    ConditionExpression: '#revision = :seen',
    ...names,
    ExpressionAttributeValues: toItem({ ':seen': revision }),
  };
}
