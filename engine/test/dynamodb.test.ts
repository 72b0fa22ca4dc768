import {
  type AttributeValue,
  BatchGetItemCommand,
  BatchWriteItemCommand,
  CreateTableCommand,
  DeleteItemCommand,
  DescribeTableCommand,
  DynamoDBClient,
  GetItemCommand,
  ListTablesCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  TransactGetItemsCommand,
  TransactWriteItemsCommand,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { holds } from '../src/services/dynamodb/evaluate';
import { Placeholders, parseCondition } from '../src/services/dynamodb/expression';
import { addNumbers, compareNumbers, normalized } from '../src/services/dynamodb/number';
import { DynamoDb } from '../src/services/dynamodb/service';
import { ServedContext } from './support/served-context';

const TableName = 'ledger';
const ARN = 'arn:aws:dynamodb:eu-west-1:111122223333:table/ledger';
const TABLE = {
  stack: 'App',
  logicalId: 'Ledger',
  path: 'App/Ledger',
  type: 'AWS::DynamoDB::Table',
  physicalId: TableName,
  arn: ARN,
  properties: {
    KeySchema: [
      { AttributeName: 'pk', KeyType: 'HASH' },
      { AttributeName: 'sk', KeyType: 'RANGE' },
    ],
    AttributeDefinitions: ['pk', 'sk', 'kind'].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    GlobalSecondaryIndexes: [
      {
        IndexName: 'byKind',
        KeySchema: [{ AttributeName: 'kind', KeyType: 'HASH' }],
        Projection: { ProjectionType: 'KEYS_ONLY' },
      },
    ],
  },
};

let context: ServedContext;
let db: DynamoDb;
let client: DynamoDBClient;

beforeEach(async () => {
  context = new ServedContext();
  db = new DynamoDb(context);
  db.load([TABLE]);
  await context.serve(db);
  client = new DynamoDBClient(context.client);
});
afterEach(async () => {
  client.destroy();
  await context.close();
});

const S = (text: string) => ({ S: text });
const N = (number: number | string) => ({ N: String(number) });
const Key = (sk = 'a', pk = 'p') => ({ pk: S(pk), sk: S(sk) });

const put = (item: Record<string, AttributeValue>, rest: object = {}) =>
  client.send(new PutItemCommand({ TableName, Item: { ...Key(), ...item }, ...rest }));
const get = async (sk = 'a', rest: object = {}) =>
  (await client.send(new GetItemCommand({ TableName, Key: Key(sk), ...rest }))).Item;
const update = (UpdateExpression: string, values?: object, rest: Partial<UpdateItemCommandInput> = {}) =>
  client.send(
    new UpdateItemCommand({
      TableName,
      Key: Key(),
      UpdateExpression,
      ...(values && { ExpressionAttributeValues: values as Record<string, AttributeValue> }),
      ...rest,
    }),
  );
const query = (rest: Partial<QueryCommandInput> = {}) =>
  client.send(
    new QueryCommand({
      TableName,
      KeyConditionExpression: 'pk = :pk',
      ...rest,
      ExpressionAttributeValues: { ':pk': S('p'), ...rest.ExpressionAttributeValues },
    }),
  );
const sks = (items: Record<string, AttributeValue>[] = []) => items.map(({ sk }) => sk.S);

async function failure(work: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  return await work.then(
    () => Promise.reject(new Error('no failure')),
    (error) => error,
  );
}

describe('items', () => {
  test('come back as they were put, numbers in their one form', async () => {
    const item = {
      text: S('x'),
      number: N('1.50e2'),
      bytes: { B: new Uint8Array([1, 2]) },
      list: { L: [N('007'), { NULL: true as const }] },
      map: { M: { yes: { BOOL: true } } },
      set: { SS: ['a', 'b'] },
    };
    await put(item);
    expect(await get()).toEqual({ ...Key(), ...item, number: N(150), list: { L: [N(7), { NULL: true }] } });
    expect(await get('missing')).toBeUndefined();
  });

  test('are put once under a condition', async () => {
    await put({ v: N(1) }, { ConditionExpression: 'attribute_not_exists(pk)' });
    const again = await failure(
      put(
        { v: N(2) },
        { ConditionExpression: 'attribute_not_exists(pk)', ReturnValuesOnConditionCheckFailure: 'ALL_OLD' },
      ),
    );
    expect(again).toMatchObject({ name: 'ConditionalCheckFailedException', Item: { v: N(1) } });
    expect((await get())?.v).toEqual(N(1));
  });

  test('are deleted, and give what they were', async () => {
    await put({ v: N(1) });
    const gone = await client.send(new DeleteItemCommand({ TableName, Key: Key(), ReturnValues: 'ALL_OLD' }));
    expect(gone.Attributes?.v).toEqual(N(1));
    expect(await get()).toBeUndefined();
  });

  test('are read in part', async () => {
    await put({ m: { M: { a: N(1), b: N(2) } }, l: { L: [N(0), N(1), N(2)] }, x: N(3) });
    const part = await get('a', { ProjectionExpression: 'm.a, l[2], #x', ExpressionAttributeNames: { '#x': 'x' } });
    expect(part).toEqual({ m: { M: { a: N(1) } }, l: { L: [N(2)] }, x: N(3) });
  });

  test.each([
    ['without a key', { pk: undefined }, 'Missing the key pk in the item'],
    ['with a key of another type', { pk: N(1) }, 'Type mismatch for key pk expected: S actual: N'],
    ['with an empty key', { sk: S('') }, 'cannot contain an empty string value. Key: sk'],
    ['that are too large', { big: S('x'.repeat(409_600)) }, 'Item size has exceeded the maximum allowed size'],
    ['with a number that is none', { n: N('1,5') }, 'cannot be converted to a numeric value: 1,5'],
    ['with 39 digits', { n: N('1'.repeat(39)) }, 'more than 38 significant digits'],
    ['with an empty set', { s: { SS: [] } }, 'may not be empty'],
  ])('%s are refused', async (_, item, message) => {
    const error = await failure(put(item as Record<string, AttributeValue>));
    expect(error).toMatchObject({ name: 'ValidationException', message: expect.stringContaining(message) });
  });
});

describe('updates', () => {
  test('make an item that is not there', async () => {
    const { Attributes } = await update('SET a = :one', { ':one': N(1) }, { ReturnValues: 'ALL_NEW' });
    expect(Attributes).toEqual({ ...Key(), a: N(1) });
  });

  test('set, count, append, remove, add and delete in one go, reading the item as it was', async () => {
    await put({ n: N(5), l: { L: [N(1), N(2), N(3)] }, set: { SS: ['a', 'b'] }, m: { M: { x: N(1) } }, gone: S('x') });
    await update(
      'SET n = n - :two, was = n, l[0] = :two, m.y = if_not_exists(m.z, :two), tail = list_append(l, :list) REMOVE gone, l[1] ADD c :two DELETE #set :a',
      { ':two': N(2), ':list': { L: [N(4)] }, ':a': { SS: ['a'] } },
      { ExpressionAttributeNames: { '#set': 'set' } },
    );
    expect(await get()).toEqual({
      ...Key(),
      n: N(3),
      was: N(5),
      l: { L: [N(2), N(3)] },
      tail: { L: [N(1), N(2), N(3), N(4)] },
      m: { M: { x: N(1), y: N(2) } },
      c: N(2),
      set: { SS: ['b'] },
    });
  });

  test('give the attributes that they touched', async () => {
    await put({ a: N(1), b: N(2) });
    const now = await update('SET a = a + :one', { ':one': N(1) }, { ReturnValues: 'UPDATED_NEW' });
    expect(now.Attributes).toEqual({ a: N(2) });
    const before = await update('SET a = a + :one', { ':one': N(1) }, { ReturnValues: 'UPDATED_OLD' });
    expect(before.Attributes).toEqual({ a: N(2) });
  });

  test('by one and the same condition let one of many through', async () => {
    await put({ holder: S('') });
    const tries = Array.from({ length: 8 }, (_, i) =>
      update(
        'SET holder = :me',
        { ':me': S(`run-${i}`), ':none': S('') },
        { ConditionExpression: 'holder = :none' },
      ).then(
        () => 'won',
        (error) => error.name,
      ),
    );
    expect((await Promise.all(tries)).filter((one) => one === 'won')).toHaveLength(1);
  });

  test.each([
    ['SET pk = :v', 'Cannot update attribute pk. This attribute is part of the key'],
    ['SET b = :v, a = absent', 'refers to an attribute that does not exist in the item'],
    ['SET a.b.c = :v', 'The document path provided in the update expression is invalid for update'],
    ['SET a = :v, a = :v', 'Two document paths overlap with each other'],
    ['SET a = :v SET b = :v', 'The "SET" section can only be used once'],
    ['SET a = t + :v', 'An operand in the update expression has an incorrect data type'],
    ['SET status = :v', 'Attribute name is a reserved keyword; reserved keyword: status'],
    ['SET a = :w', 'An expression attribute value used in expression is not defined; attribute value: :w'],
    ['SET #a = :v', 'is not defined; attribute name: #a'],
    ['SET a :v', 'Syntax error; token: ":v"'],
    ['REMOVE a', 'Value provided in ExpressionAttributeValues unused in expressions: keys: {:v}'],
  ])('%s is refused', async (expression, message) => {
    await put({ t: S('text') });
    const error = await failure(update(expression, { ':v': N(1) }));
    expect(error).toMatchObject({ name: 'ValidationException', message: expect.stringContaining(message) });
  });
});

describe('conditions', () => {
  const item = {
    n: N(10),
    t: S('hello'),
    l: { L: [N(1), S('two')] },
    m: { M: { deep: { M: { x: N(1) } } } },
    tags: { SS: ['a', 'b'] },
  };
  const values = {
    ':9': N('9'),
    ':10': N('10'),
    ':h': S('he'),
    ':a': S('a'),
    ':two': S('two'),
    ':S': S('S'),
    ':5': N(5),
  };
  const check = (text: string) =>
    holds(parseCondition(text, 'ConditionExpression', new Placeholders({ '#n': 'n' }, values)), item);

  test.each([
    ['n = :10', true],
    ['#n <> :10', false],
    ['n > :9', true], // by number, not by text
    ['n BETWEEN :9 AND :10', true],
    ['n IN (:9, :10)', true],
    ['n IN (:9)', false],
    ['n < t', false],
    ['absent = :9', false],
    ['absent <> :9', true],
    ['attribute_exists(m.deep.x) AND attribute_not_exists(m.deep.y)', true],
    ['attribute_type(t, :S)', true],
    ['begins_with(t, :h)', true],
    ['contains(t, :h) AND contains(l, :two) AND contains(#n, :9)', false],
    ['contains(tags, :a)', true],
    ['size(t) = :5', true],
    ['size(l) < :5', true],
    ['NOT n = :10 OR t <> n', true],
    ['n = :9 AND n = :10 OR n = :10', true],
    ['n = :9 AND (n = :10 OR n = :10)', false],
    ['not (n = :9) and n = :10', true],
    ['l[0] < :9', true],
  ])('%s is %s', (text, expected) => {
    expect(check(text)).toBe(expected);
  });
});

describe('queries', () => {
  beforeEach(async () => {
    for (const [i, sk] of ['RUN#1', 'RUN#2', 'RUN#3', 'WATCH#1'].entries()) {
      await put({ sk: S(sk), kind: S(sk.split('#')[0]), n: N(i) });
    }
    await put({ pk: S('other'), sk: S('RUN#9'), kind: S('RUN') });
  });

  test('give a partition in the order of its sort keys, from either end', async () => {
    expect(sks((await query()).Items)).toEqual(['RUN#1', 'RUN#2', 'RUN#3', 'WATCH#1']);
    const newest = await query({
      KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
      ExpressionAttributeValues: { ':sk': S('RUN#') },
      ScanIndexForward: false,
      Limit: 2,
    });
    expect(sks(newest.Items)).toEqual(['RUN#3', 'RUN#2']);
    const between = await query({
      KeyConditionExpression: 'pk = :pk AND sk BETWEEN :a AND :b',
      ExpressionAttributeValues: { ':a': S('RUN#2'), ':b': S('RUN#3') },
    });
    expect(sks(between.Items)).toEqual(['RUN#2', 'RUN#3']);
  });

  test('go on page by page, filtered after reading', async () => {
    const seen: (string | undefined)[] = [];
    let ExclusiveStartKey: Record<string, AttributeValue> | undefined;
    let pages = 0;
    do {
      const page: Awaited<ReturnType<typeof query>> = await query({
        Limit: 1,
        FilterExpression: 'n <> :one',
        ExpressionAttributeValues: { ':one': N(1) },
        ExclusiveStartKey,
      });
      expect(page.ScannedCount).toBeLessThanOrEqual(1);
      seen.push(...sks(page.Items));
      ExclusiveStartKey = page.LastEvaluatedKey;
      pages += 1;
    } while (ExclusiveStartKey);
    expect(seen).toEqual(['RUN#1', 'RUN#3', 'WATCH#1']);
    expect(pages).toBe(5); // as on AWS, a full page never knows that it is the last
  });

  test('of an index see what it carries', async () => {
    const found = await query({
      IndexName: 'byKind',
      KeyConditionExpression: 'kind = :pk',
      ExpressionAttributeValues: { ':pk': S('RUN') },
    });
    expect(found.Items).toHaveLength(4);
    expect(Object.keys(found.Items?.[0] ?? {}).sort()).toEqual(['kind', 'pk', 'sk']);
    expect(context.asked.at(-1)).toEqual({
      action: 'dynamodb:Query',
      resource: `${ARN}/index/byKind`,
      conditions: { 'dynamodb:LeadingKeys': ['RUN'] },
    });
  });

  test('count without items', async () => {
    expect(await query({ Select: 'COUNT' })).toMatchObject({ Count: 4, ScannedCount: 4 });
  });

  test('without the partition key are refused', async () => {
    const error = await failure(query({ KeyConditionExpression: 'sk = :pk' }));
    expect(error.message).toContain('Query condition missed key schema element: pk');
  });

  test('scans see every partition, page by page', async () => {
    const seen: (string | undefined)[] = [];
    let ExclusiveStartKey: Record<string, AttributeValue> | undefined;
    do {
      const page: { Items?: Record<string, AttributeValue>[]; LastEvaluatedKey?: Record<string, AttributeValue> } =
        await client.send(new ScanCommand({ TableName, Limit: 2, ExclusiveStartKey }));
      seen.push(...sks(page.Items));
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey);
    expect(seen.sort()).toEqual(['RUN#1', 'RUN#2', 'RUN#3', 'RUN#9', 'WATCH#1']);
  });
});

describe('many items', () => {
  test('are written and read in batches', async () => {
    const RequestItems = { [TableName]: ['a', 'b'].map((sk) => ({ PutRequest: { Item: Key(sk) } })) };
    await client.send(new BatchWriteItemCommand({ RequestItems }));
    const Keys = ['a', 'b', 'c'].map((sk) => Key(sk));
    const { Responses } = await client.send(new BatchGetItemCommand({ RequestItems: { [TableName]: { Keys } } }));
    expect(sks(Responses?.[TableName])).toEqual(['a', 'b']);
  });

  test('are written together or not at all', async () => {
    await put({ v: N(1) });
    const transact = (expected: number) =>
      client.send(
        new TransactWriteItemsCommand({
          TransactItems: [
            { Put: { TableName, Item: Key('new') } },
            {
              Update: {
                TableName,
                Key: Key(),
                UpdateExpression: 'SET v = :next',
                ConditionExpression: 'v = :v',
                ExpressionAttributeValues: { ':v': N(expected), ':next': N(2) },
              },
            },
          ],
        }),
      );
    const error = await failure(transact(9));
    expect(error).toMatchObject({
      name: 'TransactionCanceledException',
      CancellationReasons: [{ Code: 'None' }, { Code: 'ConditionalCheckFailed' }],
    });
    expect(await get('new')).toBeUndefined();
    await transact(1);
    const { Responses } = await client.send(
      new TransactGetItemsCommand({ TransactItems: ['a', 'new'].map((sk) => ({ Get: { TableName, Key: Key(sk) } })) }),
    );
    expect(Responses?.map(({ Item }) => Item?.v)).toEqual([N(2), undefined]);
    expect(Responses?.[1].Item).toEqual(Key('new'));
  });
});

describe('tables', () => {
  test('are described and listed', async () => {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    expect(Table).toMatchObject({
      TableName,
      TableArn: ARN,
      TableStatus: 'ACTIVE',
      KeySchema: TABLE.properties.KeySchema,
    });
    await client.send(
      new CreateTableCommand({
        TableName: 'own',
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'N' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    expect((await client.send(new ListTablesCommand({}))).TableNames).toEqual(['ledger', 'own']);
  });

  test('that do not exist are named', async () => {
    const error = await failure(client.send(new GetItemCommand({ TableName: 'none', Key: Key() })));
    expect(error).toMatchObject({ name: 'ResourceNotFoundException', message: expect.stringContaining('none') });
  });

  test('outlive the engine', async () => {
    await put({ v: N(1) });
    await put({ sk: S('gone') });
    await client.send(new DeleteItemCommand({ TableName, Key: Key('gone') }));
    context.restart();
    const again = new DynamoDb(context);
    again.load([TABLE]);
    const found = await again.operations.Scan.run({ TableName }, { kind: 'root' });
    expect(found.Items).toEqual([{ ...Key(), v: N(1) }]);
  });
});

test('a call asks for its permission on the table, with the partition it touches', async () => {
  await put({});
  expect(context.asked).toEqual([
    { action: 'dynamodb:PutItem', resource: ARN, conditions: { 'dynamodb:LeadingKeys': ['p'] } },
  ]);
});

describe('numbers', () => {
  test('compare and add without rounding', () => {
    expect(compareNumbers('0.1', '0.10')).toBe(0);
    expect(compareNumbers('9007199254740993', '9007199254740992')).toBe(1);
    expect(compareNumbers('-2', '1e-5')).toBe(-1);
    expect(addNumbers('0.1', '0.2')).toBe('0.3');
    expect(addNumbers('99999999999999999999999999999999999999', '-1')).toBe('99999999999999999999999999999999999998');
  });

  test('of integers behave as integers', () => {
    const integer = fc.bigInt(-(10n ** 30n), 10n ** 30n);
    fc.assert(
      fc.property(integer, integer, (a, b) => {
        expect(compareNumbers(`${a}`, `${b}`)).toBe(a < b ? -1 : a > b ? 1 : 0);
        expect(addNumbers(`${a}`, `${b}`)).toBe(`${a + b}`);
        expect(normalized(normalized(`${a}e-7`))).toBe(normalized(`${a}e-7`));
      }),
    );
  });
});
