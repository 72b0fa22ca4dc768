import { createHash } from 'node:crypto';
import type { DescribeTimeToLiveOutput, TableDescription } from '@aws-sdk/client-dynamodb';
import {
  ApiError,
  type Context,
  type Operation,
  type RequiredPermission,
  type Resource,
  type Service,
  type Shape,
} from '../../service';
import type { Kept } from '../../state/state-store';
import { getItem, keyConditionOf, query, scan } from './read';
import type {
  BatchGetRequest,
  BatchWriteRequest,
  CreateRequest,
  Definition,
  TransactGetRequest,
  TransactItem,
  TransactWriteRequest,
  WriteRequest,
} from './requests';
import { RESOURCES } from './resources';
import { idOf, Table } from './table';
import { checkedItem, type Item, invalid, sizeOfItem, TableFault, typeOf } from './values';
import { prepare, returned, type Write, type WriteKind } from './write';

/** A transaction that was done, by its client's token. */
interface Done {
  readonly digest: string;
  readonly at: number;
}

/** How long a token is remembered. */
const TOKEN_MS = 10 * 60_000;

const LONGEST_TABLE_NAME = 255;
/** The most bytes that one answer of BatchGetItem holds; the rest is left for a further call. */
const LARGEST_ANSWER = 16 * 1024 ** 2;
const LARGEST_TRANSACTION = 4 * 1024 ** 2;

const UPDATE_RETURNS = ['NONE', 'ALL_OLD', 'ALL_NEW', 'UPDATED_OLD', 'UPDATED_NEW'];

/** DynamoDB: tables in memory, and in the engine's state. */
export class DynamoDb implements Service {
  readonly name = 'dynamodb';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly tables = new Map<string, Table>();
  private readonly kept: {
    readonly tables: Kept<{ readonly definition: Definition; readonly created: number }>;
    readonly items: Kept<{ readonly table: string; readonly item: Item }>;
    readonly tokens: Kept<Done>;
  };
  /** Transactions by their token, for clients that repeat them; oldest first. */
  private readonly tokens = new Map<string, Done>();

  constructor(private readonly context: Context) {
    const { store } = context;
    this.kept = {
      tables: store.collection('dynamodb/tables', { definition: 'object', created: 'number' }),
      items: store.collection('dynamodb/items', { table: 'string', item: 'object' }),
      tokens: store.collection('dynamodb/tokens', { digest: 'string', at: 'number' }),
    };
    this.kept.tables.restore(({ definition, created }, name) => {
      this.tables.set(name, new Table(name, definition, created));
    });
    this.kept.items.restore(({ table, item }) => {
      const of = this.table(table);
      of.put(of.checked(item));
    });
    this.kept.tokens.restore((done, token) => this.tokens.set(token, done));

    const underKey = (needs: Operation['needs']): Operation['needs'] => {
      return (input, caller) => this.withKeys(needs(input, caller));
    };
    const one = (kind: WriteKind, allowed?: string[]): Operation => ({
      needs: underKey((input) => [this.need(`${kind}Item`, input.TableName, this.leading(input, kind))]),
      run: (input) => {
        const write = prepare(kind, this.table(input.TableName), input);
        const reply = returned(write, input.ReturnValues, allowed);
        this.commit([write]);
        return reply;
      },
    });
    const read = <I>(action: string, run: (table: Table, input: I) => object): Operation => ({
      needs: underKey((input) => [this.need(action, input.TableName, this.leading(input, action), input.IndexName)]),
      run: (input) => run(this.table(input.TableName), input),
    });
    const control = <I extends { TableName: string }>(action: string, run: (input: I) => object): Operation => ({
      needs: (input: I) => [this.need(action, input.TableName)],
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
        needs: underKey(({ RequestItems = {} }) =>
          Object.keys(RequestItems).map((name) => this.need('BatchGetItem', name)),
        ),
        run: (input) => this.batchGet(input),
      },
      BatchWriteItem: {
        needs: underKey(({ RequestItems = {} }) =>
          Object.keys(RequestItems).map((name) => this.need('BatchWriteItem', name)),
        ),
        run: (input) => this.batchWrite(input),
      },
      TransactGetItems: {
        needs: underKey(({ TransactItems = [] }: TransactGetRequest) =>
          TransactItems.map(({ Get }) => this.need('GetItem', Get.TableName, this.leading(Get, 'GetItem'))),
        ),
        run: (input) => this.transactGet(input),
      },
      TransactWriteItems: {
        needs: underKey(({ TransactItems = [] }: TransactWriteRequest) =>
          TransactItems.map((item) => {
            const [kind, input] = transactionItem(item);
            const action = kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`;
            return this.need(action, input.TableName, this.leading(input, kind));
          }),
        ),
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
      for (const item of earlier?.all() ?? []) this.carryOver(item, earlier as Table, table);
      this.add(table);
    }
  }

  holds({ type, physicalId }: Resource): boolean {
    return /^AWS::DynamoDB::(Global)?Table$/.test(type) && this.tables.has(physicalId);
  }

  unload(resource: Resource): void {
    if (this.holds(resource)) this.deleteTable({ TableName: resource.physicalId });
  }

  /** Takes an item of an earlier start to the table as the template has it now. */
  private carryOver(item: Item, from: Table, to: Table): void {
    try {
      to.put(to.checked(item));
    } catch (error) {
      this.context.store.aside.value(`the item of ${from.name}`, item, (error as Error).message);
      this.kept.items.delete(itemKey(from, from.keyOf(item)));
    }
  }

  private add(table: Table): void {
    this.kept.tables.put(table.name, { definition: table.definition, created: table.created });
    this.tables.set(table.name, table);
  }

  private arn(tableName: string, index?: string): string {
    const { partition, region, account } = this.context.aws;
    const table = tableName.startsWith('arn:')
      ? tableName
      : `arn:${partition}:dynamodb:${region}:${account}:table/${tableName}`;
    return index === undefined ? table : `${table}/index/${index}`;
  }

  private table(nameOrArn: string | undefined): Table {
    const name = nameOrArn?.split('/').at(-1) ?? '';
    checkTableName(name);
    const table = this.tables.get(name);
    if (table) return table;
    const have = [...this.tables.keys()].join(', ') || 'none';
    throw new ApiError(
      'ResourceNotFoundException',
      `Requested resource not found: Table: ${name} not found (there are: ${have})`,
    );
  }

  private need(action: string, tableName: string, leading: readonly string[] = [], index?: string): RequiredPermission {
    return {
      action: `dynamodb:${action}`,
      resource: this.arn(tableName ?? '', index),
      ...(leading.length > 0 && { conditions: { 'dynamodb:LeadingKeys': leading } }),
    };
  }

  /**
   * What a request needs, and what it needs of the keys of its tables: to read or write, DynamoDB decrypts the key of a
   * table in the caller's name. It keeps that for minutes; the engine asks each time.
   *
   * @see https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html
   */
  private withKeys(needs: readonly RequiredPermission[]): readonly RequiredPermission[] {
    const { account } = this.context.aws;
    const names = new Set(needs.map(({ resource }) => /:table\/([^/]+)/.exec(resource)?.[1] ?? ''));
    const ofKeys = [...names].flatMap((name) => {
      const key = this.tables.get(name)?.kmsKey;
      const context = { 'aws:dynamodb:tableName': name, 'aws:dynamodb:subscriberId': account };
      return key === undefined ? [] : this.context.keyNeeds({ key, actions: ['Decrypt'], via: 'dynamodb', context });
    });
    return [...needs, ...ofKeys];
  }

  /** The partition that a request reads or writes, for `dynamodb:LeadingKeys`; none if it cannot be told. */
  private leading(input: Shape, action: string): string[] {
    const table = this.tables.get(String(input.TableName).split('/').at(-1) ?? '');
    if (!table || action === 'Scan') return [];
    try {
      const hash =
        action === 'Query'
          ? keyConditionOf(table, table.index(input.IndexName), input).hash
          : (input.Key ?? input.Item)[table.keys.hash];
      return [String(hash[typeOf(hash)])];
    } catch {
      return []; // the operation itself says what is wrong
    }
  }

  private commit(writes: readonly Write[]): void {
    const changes = writes.filter(({ before, after }) => before !== after);
    if (changes.length === 0) return;
    this.context.store.together(() => {
      for (const { table, key, after } of changes) {
        if (after) this.kept.items.put(itemKey(table, key), { table: table.name, item: after });
        else this.kept.items.delete(itemKey(table, key));
      }
    });
    for (const { table, key, after } of changes) {
      if (after) table.put(after);
      else table.delete(key);
    }
  }

  private batchGet({ RequestItems = {} }: BatchGetRequest): object {
    const Responses: Record<string, Item[]> = {};
    const UnprocessedKeys: BatchGetRequest['RequestItems'] = {};
    const requests = Object.entries(RequestItems).map(([name, { Keys = [], ...rest }]) => {
      const table = this.table(name);
      const keys: Item[] = Keys.map((Key) => table.checkedKey(Key));
      refuseRepeats(
        keys.map((key) => [table, key]),
        'Provided list of item keys contains duplicates',
      );
      return { name, table, keys, rest };
    });
    if (requests.reduce((sum, { keys }) => sum + keys.length, 0) > 100) {
      throw invalid('Too many items requested for the BatchGetItem call');
    }
    let bytes = 0;
    for (const { name, table, keys, rest } of requests) {
      const answers: Item[] = [];
      Responses[name] = answers;
      for (const [index, Key] of keys.entries()) {
        const stored = table.get(Key);
        bytes += stored === undefined ? 0 : sizeOfItem(stored);
        if (bytes > LARGEST_ANSWER) {
          UnprocessedKeys[name] = { ...rest, Keys: keys.slice(index) };
          break;
        }
        const { Item: found } = getItem(table, { ...rest, Key });
        if (found !== undefined) answers.push(found);
      }
    }
    return { Responses, UnprocessedKeys };
  }

  private batchWrite({ RequestItems = {} }: BatchWriteRequest): object {
    const requests = Object.entries(RequestItems);
    if (requests.reduce((sum, [, list]) => sum + list.length, 0) > 25) {
      throw invalid('Too many items requested for the BatchWriteItem call');
    }
    const writes = requests.flatMap(([name, list]) => {
      const table = this.table(name);
      return list.map(({ PutRequest, DeleteRequest }) => {
        if (PutRequest === undefined) return prepare('Delete', table, DeleteRequest ?? {});
        table.checkKeyTypes(PutRequest.Item);
        return prepare('Put', table, PutRequest);
      });
    });
    refuseRepeats(
      writes.map(({ table, key }) => [table, key]),
      'Provided list of item keys contains duplicates',
    );
    this.commit(writes);
    return { UnprocessedItems: {} };
  }

  private transactGet({ TransactItems = [] }: TransactGetRequest): object {
    const gets = TransactItems.map(({ Get }) => Get);
    const read = inTransaction(gets, (get) => getItem(this.table(get.TableName), get));
    const bytes = read.reduce((sum, { Item: found }) => sum + (found === undefined ? 0 : sizeOfItem(found)), 0);
    checkTransactionSize(bytes);
    return { Responses: read };
  }

  private transact({ TransactItems = [], ClientRequestToken }: TransactWriteRequest): object {
    const digest = createHash('sha256').update(JSON.stringify(TransactItems)).digest('hex');
    this.forgetTokens();
    const earlier = ClientRequestToken === undefined ? undefined : this.tokens.get(ClientRequestToken);
    if (earlier?.digest === digest) return {};
    if (earlier !== undefined) {
      throw new ApiError(
        'IdempotentParameterMismatchException',
        'Request uses the same client token as a previous, but non-identical request',
      );
    }
    const items = TransactItems.map(transactionItem);
    const keys = items.flatMap(([kind, input]): [Table, Item][] => {
      const table = this.table(input.TableName);
      try {
        return [[table, kind === 'Put' ? table.keyOf(checkedItem(input.Item ?? {})) : table.checkedKey(input.Key)]];
      } catch (error) {
        if (error instanceof TableFault) return []; // its item says so
        throw error;
      }
    });
    refuseRepeats(keys, 'Transaction request cannot include multiple operations on one item');
    const writes = inTransaction(items, ([kind, input]) => prepare(kind, this.table(input.TableName), input));
    checkTransactionSize(writes.reduce((sum, { after }) => sum + (after === undefined ? 0 : sizeOfItem(after)), 0));
    this.context.store.together(() => {
      this.commit(writes);
      if (ClientRequestToken !== undefined) this.rememberToken(ClientRequestToken, digest);
    });
    return {};
  }

  private rememberToken(token: string, digest: string): void {
    const done = { digest, at: this.context.clock.now() };
    this.kept.tokens.put(token, done);
    this.tokens.set(token, done);
  }

  private forgetTokens(): void {
    const oldest = this.context.clock.now() - TOKEN_MS;
    for (const [token, { at }] of this.tokens) {
      if (at >= oldest) continue;
      this.tokens.delete(token);
      this.kept.tokens.delete(token);
    }
  }

  private createTable(input: CreateRequest): object {
    if (this.tables.has(input.TableName)) {
      throw new ApiError('ResourceInUseException', `Table already exists: ${input.TableName}`);
    }
    const table = new Table(input.TableName, input, this.context.clock.now());
    this.add(table);
    return { TableDescription: this.described(table) };
  }

  private deleteTable({ TableName }: Named): object {
    const table = this.table(TableName);
    if (table.definition.DeletionProtectionEnabled) {
      throw invalid(`Resource cannot be deleted as it is currently protected against deletion: ${table.name}`);
    }
    this.context.store.together(() => {
      this.kept.tables.delete(table.name);
      for (const item of table.all()) this.kept.items.delete(itemKey(table, table.keyOf(item)));
    });
    this.tables.delete(table.name);
    return { TableDescription: { ...this.described(table), TableStatus: 'DELETING' } };
  }

  private described(table: Table): TableDescription {
    const { KeySchema, AttributeDefinitions, GlobalSecondaryIndexes, LocalSecondaryIndexes, BillingMode } =
      table.definition;
    const indexes = (of: Definition['GlobalSecondaryIndexes'] | Definition['LocalSecondaryIndexes']) =>
      of?.map(({ IndexName, KeySchema: keys, Projection }) => ({
        IndexName,
        KeySchema: keys,
        Projection,
        IndexStatus: 'ACTIVE' as const,
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

  private timeToLive({ TableName }: Named): DescribeTimeToLiveOutput {
    const { AttributeName, Enabled } = this.table(TableName).definition.TimeToLiveSpecification ?? {};
    const on = Enabled === true || Enabled === 'true';
    return { TimeToLiveDescription: { TimeToLiveStatus: on ? 'ENABLED' : 'DISABLED', ...(on && { AttributeName }) } };
  }
}

/** What names a table. */
type Named = { readonly TableName: string };

function transactionItem(item: TransactItem): [WriteKind, WriteRequest & Named] {
  const kinds = (['Put', 'Update', 'Delete', 'ConditionCheck'] as const).filter((kind) => item[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined) {
    throw invalid('The action or operation requested is invalid. Verify that the action is typed correctly.');
  }
  if (kinds.length > 1) {
    throw invalid('TransactItems can only contain one of Check, Put, Update or Delete');
  }
  return [kind, item[kind] as WriteRequest & Named];
}

/** Does something for each item of a transaction; what fails for one of them cancels it, with a reason for each. */
function inTransaction<T, R>(items: readonly T[], run: (item: T) => R): R[] {
  const done: R[] = [];
  const reasons: { Code: string; Message?: string }[] = [];
  for (const item of items) {
    try {
      done.push(run(item));
      reasons.push({ Code: 'None' });
    } catch (error) {
      if (error instanceof TableFault) reasons.push({ Code: 'ValidationError', Message: error.message });
      else if (error instanceof ApiError && error.code === 'ConditionalCheckFailedException') {
        reasons.push({ Code: 'ConditionalCheckFailed', Message: error.message, ...error.details });
      } else throw error;
    }
  }
  if (done.length === items.length) return done;
  throw new ApiError(
    'TransactionCanceledException',
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${reasons.map(({ Code }) => Code).join(', ')}]`,
    400,
    { CancellationReasons: reasons },
  );
}

function checkTransactionSize(bytes: number): void {
  if (bytes <= LARGEST_TRANSACTION) return;
  throw invalid(`The aggregate size of the items in a transaction must be at most 4 MB, got ${bytes} bytes`);
}

function checkTableName(name: string): void {
  const wrong = (constraint: string) =>
    invalid(
      `1 validation error detected: Value '${name}' at 'tableName' failed to satisfy constraint: Member must ${constraint}`,
    );
  if (name.length > LONGEST_TABLE_NAME) throw wrong(`have length less than or equal to ${LONGEST_TABLE_NAME}`);
  if (!/^[a-zA-Z0-9_.-]*$/.test(name)) throw wrong('satisfy regular expression pattern: [a-zA-Z0-9_.-]+');
}

function itemKey(table: Table, key: Item): string {
  return JSON.stringify([table.name, ...Object.values(key).map(idOf)]);
}

function refuseRepeats(keys: readonly (readonly [Table, Item])[], message: string): void {
  const ids = keys.map(([table, key]) => `${table.name} ${Object.values(key).map(idOf).join(' ')}`);
  if (new Set(ids).size < ids.length) throw invalid(message);
}
