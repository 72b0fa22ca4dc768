import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { getItem, keyConditionOf, placeholdersOf, query, scan } from './dynamodb/read';
import { idOf, Table } from './dynamodb/table';
import { checkedItem, type Item, invalid, typeOf } from './dynamodb/values';
import { prepare, returned, type Write, type WriteKind } from './dynamodb/write';
import { Journal } from './journal';
import { ApiError, type Context, type Need, type Operation, type Resource, type Service, type Shape } from './service';

/** One line of the journal: writes that were done together, or a table that came or went. */
type Entry =
  | { readonly writes: readonly { readonly table: string; readonly put?: Item; readonly delete?: Item }[] }
  | { readonly created: { readonly name: string; readonly definition: Shape; readonly at: number } }
  | { readonly dropped: string };

const UPDATE_RETURNS = ['NONE', 'ALL_OLD', 'ALL_NEW', 'UPDATED_OLD', 'UPDATED_NEW'];

/** DynamoDB: tables in memory, and in a journal by which they outlive the engine. */
export class DynamoDb implements Service {
  readonly name = 'dynamodb';
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly tables = new Map<string, Table>();
  private readonly journal: Journal<Entry>;
  /** Transactions by their token, for clients that repeat them. */
  private readonly tokens = new Map<string, string>();

  constructor(private readonly context: Context) {
    this.journal = new Journal(join(context.stateDir, 'dynamodb', 'journal.jsonl'));
    for (const entry of this.journal.read()) this.replay(entry);
    this.journal.rewrite(this.entries());

    const one = (kind: WriteKind, allowed?: string[]): Operation => ({
      needs: (input) => [this.need(`${kind}Item`, input.TableName, this.leading(input, kind))],
      run: (input) => {
        const write = prepare(kind, this.table(input.TableName), input);
        const reply = returned(write, input.ReturnValues, allowed);
        this.commit([write]);
        return reply;
      },
    });
    const read = (action: string, run: (table: Table, input: Shape) => Shape): Operation => ({
      needs: (input) => [this.need(action, input.TableName, this.leading(input, action), input.IndexName)],
      run: (input) => run(this.table(input.TableName), input),
    });
    const control = (action: string, run: (input: Shape) => Shape): Operation => ({
      needs: (input) => [this.need(action, input.TableName)],
      run,
    });
    this.operations = {
      PutItem: one('Put'),
      UpdateItem: one('Update', UPDATE_RETURNS),
      DeleteItem: one('Delete'),
      GetItem: read('GetItem', getItem),
      Query: read('Query', query),
      Scan: read('Scan', scan),
      BatchGetItem: {
        needs: ({ RequestItems = {} }) => Object.keys(RequestItems).map((name) => this.need('BatchGetItem', name)),
        run: (input) => this.batchGet(input),
      },
      BatchWriteItem: {
        needs: ({ RequestItems = {} }) => Object.keys(RequestItems).map((name) => this.need('BatchWriteItem', name)),
        run: (input) => this.batchWrite(input),
      },
      TransactGetItems: {
        needs: ({ TransactItems = [] }) =>
          TransactItems.map(({ Get }: Shape) => this.need('GetItem', Get.TableName, this.leading(Get, 'GetItem'))),
        run: ({ TransactItems = [] }) => ({
          Responses: TransactItems.map(({ Get }: Shape) => getItem(this.table(Get.TableName), Get)),
        }),
      },
      TransactWriteItems: {
        needs: ({ TransactItems = [] }) =>
          TransactItems.map((item: Shape) => {
            const [kind, input] = transactionItem(item);
            const action = kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`;
            return this.need(action, input.TableName, this.leading(input, kind));
          }),
        run: (input) => this.transact(input),
      },
      CreateTable: control('CreateTable', (input) => this.createTable(input)),
      DeleteTable: control('DeleteTable', (input) => this.deleteTable(input)),
      DescribeTable: control('DescribeTable', ({ TableName }) => ({ Table: this.described(this.table(TableName)) })),
      DescribeTimeToLive: control('DescribeTimeToLive', (input) => this.timeToLive(input)),
      ListTables: {
        needs: () => [{ action: 'dynamodb:ListTables', resource: '*' }],
        run: () => ({ TableNames: [...this.tables.keys()].sort() }),
      },
    };
  }

  load(resources: readonly Resource[]): void {
    for (const { type, arn, properties } of resources) {
      if (type !== 'AWS::DynamoDB::Table' && type !== 'AWS::DynamoDB::GlobalTable') continue;
      const name = arn.split('/').at(-1) ?? '';
      const earlier = this.tables.get(name);
      const table = new Table(name, properties, earlier?.created ?? this.context.clock.now());
      for (const item of earlier?.all() ?? []) table.put(table.checked(item));
      this.add(table);
    }
  }

  stop(): void {
    this.journal.close();
  }

  private replay(entry: Entry): void {
    if ('created' in entry) {
      const { name, definition, at } = entry.created;
      const table = new Table(name, definition, at);
      for (const item of this.tables.get(name)?.all() ?? []) table.put(item);
      this.tables.set(name, table);
    } else if ('dropped' in entry) {
      this.tables.delete(entry.dropped);
    } else {
      for (const { table, put, delete: key } of entry.writes) {
        if (put) this.tables.get(table)?.put(put);
        if (key) this.tables.get(table)?.delete(key);
      }
    }
  }

  private *entries(): Iterable<Entry> {
    for (const table of this.tables.values()) {
      yield { created: { name: table.name, definition: table.definition, at: table.created } };
      for (const put of table.all()) yield { writes: [{ table: table.name, put }] };
    }
  }

  private add(table: Table): void {
    this.tables.set(table.name, table);
    this.journal.append({ created: { name: table.name, definition: table.definition, at: table.created } });
  }

  private arn(tableName: string, index?: string): string {
    const { partition, region, account } = this.context.place;
    const table = tableName.startsWith('arn:')
      ? tableName
      : `arn:${partition}:dynamodb:${region}:${account}:table/${tableName}`;
    return index === undefined ? table : `${table}/index/${index}`;
  }

  private table(nameOrArn: string | undefined): Table {
    const name = nameOrArn?.split('/').at(-1) ?? '';
    const table = this.tables.get(name);
    if (table) return table;
    const have = [...this.tables.keys()].join(', ') || 'none';
    throw new ApiError(
      'ResourceNotFoundException',
      `Requested resource not found: Table: ${name} not found (there are: ${have})`,
    );
  }

  private need(action: string, tableName: string, leading: readonly string[] = [], index?: string): Need {
    return {
      action: `dynamodb:${action}`,
      resource: this.arn(tableName ?? '', index),
      ...(leading.length > 0 && { conditions: { 'dynamodb:LeadingKeys': leading } }),
    };
  }

  /** The partition that a request reads or writes, for `dynamodb:LeadingKeys`; none if it cannot be told. */
  private leading(input: Shape, action: string): string[] {
    const table = this.tables.get(String(input.TableName).split('/').at(-1) ?? '');
    if (!table || action === 'Scan') return [];
    try {
      const hash =
        action === 'Query'
          ? keyConditionOf(table, table.index(input.IndexName), input, placeholdersOf(input)).hash
          : (input.Key ?? input.Item)[table.keys.hash];
      return [String(hash[typeOf(hash)])];
    } catch {
      return []; // the operation itself says what is wrong
    }
  }

  private commit(writes: readonly Write[]): void {
    const changes = writes.filter(({ before, after }) => before !== after);
    if (changes.length === 0) return;
    this.journal.append({
      writes: changes.map(({ table, key, after }) => ({
        table: table.name,
        ...(after ? { put: after } : { delete: key }),
      })),
    });
    for (const { table, key, after } of changes) {
      if (after) table.put(after);
      else table.delete(key);
    }
  }

  private batchGet({ RequestItems = {} }: Shape): Shape {
    const Responses: Shape = {};
    let count = 0;
    for (const [name, { Keys = [], ...rest }] of Object.entries<Shape>(RequestItems)) {
      const table = this.table(name);
      count += Keys.length;
      if (count > 100) throw invalid('Too many items requested for the BatchGetItem call');
      refuseRepeats(
        Keys.map((Key: Item) => [table, table.checkedKey(Key)]),
        'Provided list of item keys contains duplicates',
      );
      Responses[name] = Keys.map((Key: Item) => getItem(table, { ...rest, Key }).Item).filter(Boolean);
    }
    return { Responses, UnprocessedKeys: {} };
  }

  private batchWrite({ RequestItems = {} }: Shape): Shape {
    const writes: Write[] = [];
    for (const [name, requests] of Object.entries<Shape[]>(RequestItems)) {
      const table = this.table(name);
      for (const { PutRequest, DeleteRequest } of requests) {
        writes.push(PutRequest ? prepare('Put', table, PutRequest) : prepare('Delete', table, DeleteRequest ?? {}));
      }
    }
    if (writes.length < 1 || writes.length > 25) {
      throw invalid(`a BatchWriteItem must have 1 to 25 requests, got ${writes.length}`);
    }
    refuseRepeats(
      writes.map(({ table, key }) => [table, key]),
      'Provided list of item keys contains duplicates',
    );
    this.commit(writes);
    return { UnprocessedItems: {} };
  }

  private transact({ TransactItems = [], ClientRequestToken }: Shape): Shape {
    const digest = createHash('sha256').update(JSON.stringify(TransactItems)).digest('hex');
    const earlier = ClientRequestToken === undefined ? undefined : this.tokens.get(ClientRequestToken);
    if (earlier === digest) return {};
    if (earlier !== undefined) {
      throw new ApiError(
        'IdempotentParameterMismatchException',
        'Request uses the same client token as a previous, but non-identical request',
      );
    }
    if (TransactItems.length < 1 || TransactItems.length > 100) {
      throw invalid(`a transaction must have 1 to 100 items, got ${TransactItems.length}`);
    }
    const writes: Write[] = [];
    const reasons: Shape[] = [];
    const keys: [Table, Item][] = [];
    for (const item of TransactItems) {
      const [kind, input] = transactionItem(item);
      const table = this.table(input.TableName);
      const key = kind === 'Put' ? table.keyOf(checkedItem(input.Item ?? {})) : table.checkedKey(input.Key);
      keys.push([table, key]);
    }
    refuseRepeats(keys, 'Transaction request cannot include multiple operations on one item');
    for (const item of TransactItems) {
      const [kind, input] = transactionItem(item);
      try {
        writes.push(prepare(kind, this.table(input.TableName), input));
        reasons.push({ Code: 'None' });
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'ConditionalCheckFailedException') throw error;
        reasons.push({ Code: 'ConditionalCheckFailed', Message: error.message, ...error.details });
      }
    }
    if (reasons.some(({ Code }) => Code !== 'None')) {
      throw new ApiError(
        'TransactionCanceledException',
        `Transaction cancelled, please refer cancellation reasons for specific reasons [${reasons.map(({ Code }) => Code).join(', ')}]`,
        400,
        { CancellationReasons: reasons },
      );
    }
    this.commit(writes);
    if (ClientRequestToken !== undefined) this.tokens.set(ClientRequestToken, digest);
    return {};
  }

  private createTable(input: Shape): Shape {
    if (this.tables.has(input.TableName)) {
      throw new ApiError('ResourceInUseException', `Table already exists: ${input.TableName}`);
    }
    const table = new Table(input.TableName, input, this.context.clock.now());
    this.add(table);
    return { TableDescription: this.described(table) };
  }

  private deleteTable({ TableName }: Shape): Shape {
    const table = this.table(TableName);
    if (table.definition.DeletionProtectionEnabled) {
      throw invalid(`Resource cannot be deleted as it is currently protected against deletion: ${table.name}`);
    }
    this.tables.delete(table.name);
    this.journal.append({ dropped: table.name });
    return { TableDescription: { ...this.described(table), TableStatus: 'DELETING' } };
  }

  private described(table: Table): Shape {
    const { KeySchema, AttributeDefinitions, GlobalSecondaryIndexes, LocalSecondaryIndexes, BillingMode } =
      table.definition;
    const indexes = (of: readonly Shape[] | undefined) =>
      of?.map(({ IndexName, KeySchema: keys, Projection }) => ({
        IndexName,
        KeySchema: keys,
        Projection,
        IndexStatus: 'ACTIVE',
        IndexArn: this.arn(table.name, IndexName),
      }));
    return {
      TableName: table.name,
      TableArn: this.arn(table.name),
      TableStatus: 'ACTIVE',
      CreationDateTime: new Date(table.created),
      KeySchema,
      AttributeDefinitions,
      GlobalSecondaryIndexes: indexes(GlobalSecondaryIndexes),
      LocalSecondaryIndexes: indexes(LocalSecondaryIndexes),
      ItemCount: table.size,
      BillingModeSummary: BillingMode && { BillingMode },
    };
  }

  private timeToLive({ TableName }: Shape): Shape {
    const { AttributeName, Enabled } = this.table(TableName).definition.TimeToLiveSpecification ?? {};
    const on = Enabled === true || Enabled === 'true';
    return { TimeToLiveDescription: { TimeToLiveStatus: on ? 'ENABLED' : 'DISABLED', ...(on && { AttributeName }) } };
  }
}

function transactionItem(item: Shape): [WriteKind, Shape] {
  const kinds = (['Put', 'Update', 'Delete', 'ConditionCheck'] as const).filter((kind) => item[kind] !== undefined);
  if (kinds.length !== 1) {
    throw invalid(
      `a transaction's item must have one of Put, Update, Delete, ConditionCheck, got ${Object.keys(item).join(', ')}`,
    );
  }
  return [kinds[0], item[kinds[0]]];
}

function refuseRepeats(keys: readonly (readonly [Table, Item])[], message: string): void {
  const ids = keys.map(([table, key]) => `${table.name} ${Object.values(key).map(idOf).join(' ')}`);
  if (new Set(ids).size < ids.length) throw invalid(message);
}
