import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Shape } from '../src/service';
import { sizeOfNumber } from '../src/services/dynamodb/number';
import { DynamoDb } from '../src/services/dynamodb/service';
import { sizeOfItem } from '../src/services/dynamodb/values';
import { ServedContext } from './support/served-context';

const caller = { kind: 'root' } as const;
const context = new ServedContext();

const table = (name: string, keys: [string, string, string?][], index?: { IndexName: string; KeySchema: Shape[] }) => ({
  stack: 'App',
  logicalId: name,
  path: `App/${name}`,
  type: 'AWS::DynamoDB::Table',
  physicalId: name,
  arn: `arn:aws:dynamodb:eu-west-1:111122223333:table/${name}`,
  properties: {
    KeySchema: keys
      .filter(([, , kind]) => kind !== undefined)
      .map(([AttributeName, , KeyType]) => ({ AttributeName, KeyType })),
    AttributeDefinitions: keys.map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType })),
    ...(index && { GlobalSecondaryIndexes: [index] }),
  },
});

beforeAll(async () => {
  const db = new DynamoDb(context);
  db.load([
    table(
      'ledger',
      [
        ['pk', 'S', 'HASH'],
        ['sk', 'S', 'RANGE'],
        ['kind', 'S'],
        ['at', 'B'],
      ],
      {
        IndexName: 'byKind',
        KeySchema: [
          { AttributeName: 'kind', KeyType: 'HASH' },
          { AttributeName: 'at', KeyType: 'RANGE' },
        ],
      },
    ),
    table('plain', [['pk', 'S', 'HASH']]),
    table('binary', [['pk', 'B', 'HASH']]),
  ]);
  await context.serve(db);
});
afterAll(() => context.close());

const S = (text: string) => ({ S: text });
const long = (length: number) => S('k'.repeat(length));
const key = (sk = 'a', pk = 'p') => ({ pk: S(pk), sk: S(sk) });

async function refusal(operation: string, input: Shape): Promise<string> {
  try {
    await context.call('dynamodb', operation, input, caller);
    return '';
  } catch (error) {
    const { code, message, details } = error as { code: string; message: string; details: Shape };
    const [reason] = details?.CancellationReasons ?? [];
    return reason === undefined ? `${code}: ${message}` : `${code}: ${reason.Code}: ${reason.Message}`;
  }
}

const put = (item: Shape, TableName = 'ledger') =>
  refusal('PutItem', { TableName, Item: { ...(TableName === 'ledger' && key()), ...item } });
const invalid = (message: string) => `ValidationException: ${message}`;
const wrong = (message: string) => invalid(`One or more parameter values were invalid: ${message}`);
const one = (message: string) => invalid(`1 validation error detected: ${message}`);
const empty = (kind: string) => `The AttributeValue for a key attribute cannot contain an empty ${kind} value.`;

describe('a key', () => {
  const hash = wrong('Size of hashkey has exceeded the maximum size limit of2048 bytes');
  const range = wrong('Aggregated size of all range keys has exceeded the size limit of 1024 bytes');
  test.each([
    ['PutItem', { Item: { pk: long(2049), sk: S('a') } }, hash],
    ['PutItem', { Item: { pk: S('p'), sk: long(1025) } }, range],
    ['PutItem', { Item: { pk: S('p'), sk: S('ä'.repeat(513)) } }, range],
    ['GetItem', { Key: { pk: S('p'), sk: long(1025) } }, range],
    ['GetItem', { Key: { pk: long(2049), sk: S('a') } }, hash],
    ['DeleteItem', { Key: { pk: S('p'), sk: long(1025) } }, range],
    ['UpdateItem', { Key: { pk: S('p'), sk: long(1025) } }, range],
    ['PutItem', { Item: { ...key(), kind: long(2049) } }, hash],
    ['PutItem', { Item: { ...key(), kind: S('k'), at: { B: Buffer.alloc(1025).toString('base64') } } }, range],
    ['Query', { KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': long(2049) } }, hash],
    [
      'Query',
      { KeyConditionExpression: 'pk = :p AND sk > :s', ExpressionAttributeValues: { ':p': S('p'), ':s': long(1025) } },
      range,
    ],
  ])('is as long as DynamoDB takes it: %s', async (operation, input, expected) => {
    expect(await refusal(operation, { TableName: 'ledger', ...input })).toBe(expected);
  });

  test('may be as long as the limits', async () => {
    expect(
      await put({ pk: long(2048), sk: long(1024), kind: long(2048), at: { B: Buffer.alloc(1024).toString('base64') } }),
    ).toBe('');
    expect(await refusal('GetItem', { TableName: 'ledger', Key: { pk: long(2048), sk: S('ä'.repeat(512)) } })).toBe('');
  });

  test.each([
    [{ pk: S('') }, 'plain', invalid(`One or more parameter values are not valid. ${empty('string')} Key: pk`)],
    [{ pk: { B: '' } }, 'binary', invalid(`One or more parameter values are not valid. ${empty('binary')} Key: pk`)],
    [
      { kind: S('') },
      'ledger',
      invalid(
        `One or more parameter values are not valid. A value specified for a secondary index key is not supported. ${empty('string')} IndexName: byKind, IndexKey: kind`,
      ),
    ],
    [{ pk: { N: '5' } }, 'plain', wrong('Type mismatch for key pk expected: S actual: N')],
    [{ pk: { L: [S('x')] } }, 'plain', wrong('Type mismatch for key pk expected: S actual: L')],
    [{ kind: { N: '5' } }, 'ledger', wrong('Type mismatch for Index Key kind Expected: S Actual: N IndexName: byKind')],
    [{ other: S('x') }, 'plain', wrong('Missing the key pk in the item')],
  ])('%j is none of %s', async (item, name, expected) => expect(await put(item, name)).toBe(expected));

  test('in a request is the whole key and nothing else', async () => {
    const mismatch =
      /^ValidationException: The provided key element does not match the schema: expected pk \(S\) and sk \(S\), got /;
    for (const Key of [{ pk: S('p') }, { ...key(), x: S('y') }, { pk: { N: '1' }, sk: S('a') }]) {
      expect(await refusal('GetItem', { TableName: 'ledger', Key })).toMatch(mismatch);
    }
    expect(
      await refusal('BatchWriteItem', { RequestItems: { plain: [{ PutRequest: { Item: { pk: { N: '5' } } } }] } }),
    ).toMatch(/^ValidationException: The provided key element does not match the schema/);
  });

  test('of an index is no empty value that an update makes', async () => {
    const input = {
      TableName: 'ledger',
      Key: key(),
      UpdateExpression: 'SET kind = :v',
      ExpressionAttributeValues: { ':v': S('') },
    };
    expect(await refusal('UpdateItem', input)).toBe(
      invalid(
        `One or more parameter values are not valid. The update expression attempted to update a secondary index key to a value that is not supported. ${empty('string')}`,
      ),
    );
  });
});

describe('a value', () => {
  const types = 'must contain exactly one of the supported datatypes';
  test.each([
    [{}, invalid(`Supplied AttributeValue is empty, ${types}`)],
    [{ S: 'a', N: '1' }, invalid(`Supplied AttributeValue has more than one datatypes set, ${types}`)],
    [{ SS: [] }, wrong('An string set  may not be empty')],
    [{ NS: [] }, wrong('An number set  may not be empty')],
    [{ BS: [] }, wrong('Binary sets should not be empty')],
    [{ SS: ['a', ''] }, wrong('An string set may not have a empty string as a member')],
    [{ BS: [''] }, wrong('Binary sets may not contain null or empty values')],
    [{ SS: ['a', 'b', 'a'] }, wrong('Input collection [a, b, a] contains duplicates.')],
    [{ NS: ['1', '1.0'] }, invalid('Input collection contains duplicates')],
    [{ BS: ['YQ==', 'YQ=='] }, wrong('Input collection [YQ==, YQ==]of type BS contains duplicates.')],
    [{ M: { a: { L: [{ SS: [] }] } } }, wrong('An string set  may not be empty')],
    [{ N: '' }, invalid('The parameter cannot be converted to a numeric value')],
    [{ N: 'x' }, invalid('The parameter cannot be converted to a numeric value: x')],
    [{ N: '1'.repeat(39) }, invalid('Attempting to store more than 38 significant digits in a Number')],
    [
      { N: '1e126' },
      invalid('Number overflow. Attempting to store a number with magnitude larger than supported range'),
    ],
    [
      { N: '-1e-131' },
      invalid('Number underflow. Attempting to store a number with magnitude smaller than supported range'),
    ],
    [{ N: 5 }, 'SerializationException: NUMBER_VALUE cannot be converted to String'],
    [{ BOOL: 'yes' }, 'SerializationException: STRING_VALUE cannot be converted to Boolean'],
  ])('%j is refused', async (v, expected) => expect(await put({ v })).toBe(expected));

  test('may be empty text where it is no key, and NULL whatever is given for it', async () => {
    const item = { ...key('values'), s: S(''), b: { B: '' }, n: { NULL: false }, l: { L: [S('')] } };
    expect(await put(item)).toBe('');
    const { Item } = (await context.call(
      'dynamodb',
      'GetItem',
      { TableName: 'ledger', Key: key('values') },
      caller,
    )) as Shape;
    expect(Item).toEqual({ ...item, n: { NULL: true } });
  });

  test('nests 32 deep', async () => {
    const nested = (depth: number): Shape => (depth === 0 ? S('x') : { M: { a: nested(depth - 1) } });
    expect(await put({ v: nested(32) })).toBe('');
    expect(await put({ v: nested(33) })).toBe(
      invalid(
        'Nesting Levels have exceeded supported limits: Attributes in the item have nested levels beyond supported limit',
      ),
    );
  });

  test('has a name of 1 to 65,535 bytes', async () => {
    expect(await put({ ['n'.repeat(65_535)]: S('x') })).toBe('');
    expect(await put({ ['n'.repeat(65_536)]: S('x') })).toMatch(
      /at 'item' failed to satisfy constraint: Map keys must satisfy constraint: \[Member must have length less than or equal to 65535\]$/,
    );
    expect(await put({ '': S('x') })).toBe(wrong('Attribute name cannot be empty'));
  });
});

describe('the size of an item', () => {
  test.each([
    ['0', 1],
    ['1', 2],
    ['12', 2],
    ['123', 3],
    ['1234', 3],
    ['12345678901234567890123456789012345678', 20],
    ['100', 2],
    ['1010', 3],
    ['0.0000001', 2],
    [`1${'0'.repeat(125)}`, 2],
    ['1.5', 3],
    ['15', 2],
    ['1.234', 4],
    ['3.14159', 5],
    ['123456', 4],
    ['100.5', 4],
    ['0.15', 2],
    ['-42', 3],
  ])('counts the number %s as %d bytes', (number, bytes) => expect(sizeOfNumber(number)).toBe(bytes));

  test('counts names, values and what holds them', () => {
    expect(sizeOfItem({ ä: S('ö'), b: { B: 'YWI=' }, n: { NULL: true }, o: { BOOL: false } })).toBe(4 + 3 + 2 + 2);
    expect(sizeOfItem({ s: { SS: ['ab', 'c'] }, t: { NS: ['1', '12'] } })).toBe(4 + 5);
    expect(sizeOfItem({ l: { L: [S('ab'), { N: '1' }] }, m: { M: { a: S('b') } } })).toBe(
      1 + 3 + 3 + 3 + 1 + 3 + 1 + 2,
    );
  });

  const filled = (bytes: number, base: Shape = key('size')) => ({
    ...base,
    v: S('x'.repeat(bytes - sizeOfItem(base) - 1)),
  });
  test('is at most 409,600 bytes, put or updated', async () => {
    const tooLarge = 'Item size has exceeded the maximum allowed size';
    const updated = 'Item size to update has exceeded the maximum allowed size';
    const update = (bytes: number) => ({
      TableName: 'ledger',
      Key: key('size'),
      UpdateExpression: 'SET v = :v',
      ExpressionAttributeValues: { ':v': filled(bytes).v },
    });
    expect(await put(filled(409_600))).toBe('');
    expect(await put(filled(409_601))).toBe(invalid(tooLarge));
    expect(await refusal('UpdateItem', update(409_601))).toBe(invalid(updated));
    const batch = { RequestItems: { ledger: [{ PutRequest: { Item: filled(409_601) } }] } };
    expect(await refusal('BatchWriteItem', batch)).toBe(invalid(tooLarge));
    const transact = (item: Shape) => refusal('TransactWriteItems', { TransactItems: [item] });
    expect(await transact({ Put: { TableName: 'ledger', Item: filled(409_601) } })).toBe(invalid(tooLarge));
    expect(await transact({ Update: update(409_600) })).toBe('');
    expect(await transact({ Update: update(409_601) })).toBe(
      `TransactionCanceledException: ValidationError: ${updated}`,
    );
  });

  test('bounds transactions, and the answers of batches', async () => {
    const items = Array.from({ length: 42 }, (_, n) => filled(400_000, key(`t${n}`, 'many')));
    const puts = (count: number) => items.slice(0, count).map((Item) => ({ Put: { TableName: 'ledger', Item } }));
    expect(await refusal('TransactWriteItems', { TransactItems: puts(10) })).toBe('');
    expect(await refusal('TransactWriteItems', { TransactItems: puts(11) })).toBe(
      invalid('The aggregate size of the items in a transaction must be at most 4 MB, got 4400000 bytes'),
    );
    for (const Item of items) expect(await put(Item)).toBe('');
    const Keys = items.map(({ pk, sk }) => ({ pk, sk }));
    const gets = Keys.slice(0, 11).map((Key) => ({ Get: { TableName: 'ledger', Key } }));
    expect(await refusal('TransactGetItems', { TransactItems: gets })).toContain('got 4400000 bytes');
    const read = async (RequestItems: Shape) =>
      (await context.call('dynamodb', 'BatchGetItem', { RequestItems }, caller)) as Shape;
    const first = await read({ ledger: { Keys, ConsistentRead: true } });
    expect(first.Responses.ledger).toHaveLength(41);
    expect(first.UnprocessedKeys).toEqual({ ledger: { ConsistentRead: true, Keys: Keys.slice(41) } });
    expect((await read(first.UnprocessedKeys)).Responses.ledger).toHaveLength(1);
  });
});

describe('a request', () => {
  const puts = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ PutRequest: { Item: { pk: S(`${n}`) } } }));
  const keys = (count: number) => Array.from({ length: count }, (_, n) => ({ pk: S(`${n}`) }));
  const twice = [{ PutRequest: { Item: { pk: S('a') } } }, { DeleteRequest: { Key: { pk: S('a') } } }];
  const gets = (count: number) => keys(count).map((Key) => ({ Get: { TableName: 'plain', Key } }));
  test.each([
    [
      'BatchWriteItem',
      { RequestItems: { plain: puts(26) } },
      /^ValidationException: 1 validation error detected: Value '\{"plain":\[.+' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: \[Member must have length less than or equal to 25, Member must have length greater than or equal to 1\]$/s,
    ],
    [
      'BatchWriteItem',
      { RequestItems: { plain: puts(20), ledger: Array(6).fill({ PutRequest: { Item: key() } }) } },
      /^ValidationException: Too many items requested for the BatchWriteItem call$/,
    ],
    [
      'BatchWriteItem',
      { RequestItems: { plain: twice } },
      /^ValidationException: Provided list of item keys contains duplicates$/,
    ],
    ['BatchWriteItem', { RequestItems: { plain: [] } }, /Map value must satisfy constraint/],
    [
      'BatchGetItem',
      { RequestItems: { plain: { Keys: keys(101) } } },
      /at 'requestItems\.plain\.member\.keys' failed to satisfy constraint: Member must have length less than or equal to 100$/,
    ],
    [
      'BatchGetItem',
      {
        RequestItems: {
          plain: { Keys: keys(60) },
          ledger: { Keys: Array.from({ length: 41 }, (_, n) => key(`${n}`)) },
        },
      },
      /^ValidationException: Too many items requested for the BatchGetItem call$/,
    ],
    [
      'BatchGetItem',
      { RequestItems: { plain: { Keys: [...keys(1), ...keys(1)] } } },
      /^ValidationException: Provided list of item keys contains duplicates$/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: [] },
      /Value '\[\]' at 'transactItems' failed to satisfy constraint: Member must have length greater than or equal to 1$/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: keys(101).map((Item) => ({ Put: { TableName: 'plain', Item } })) },
      /at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100$/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: [{}] },
      /^ValidationException: The action or operation requested is invalid/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: Array(2).fill({ Put: { TableName: 'plain', Item: { pk: S('a') } } }) },
      /^ValidationException: Transaction request cannot include multiple operations on one item$/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: [{ Put: { TableName: 'plain', Item: { pk: { N: '5' } } } }] },
      /^TransactionCanceledException: ValidationError: One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N$/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: [{ Delete: { TableName: 'plain', Key: { pk: { N: '5' } } } }] },
      /^TransactionCanceledException: ValidationError: The provided key element does not match the schema/,
    ],
    [
      'TransactWriteItems',
      { TransactItems: [{ Put: { TableName: 'plain', Item: { pk: S('') } } }] },
      /^ValidationException: One or more parameter values are not valid/,
    ],
    ['TransactGetItems', { TransactItems: gets(101) }, /less than or equal to 100$/],
    [
      'TransactGetItems',
      { TransactItems: [{ Get: { TableName: 'plain', Key: {} } }] },
      /^TransactionCanceledException: ValidationError: /,
    ],
    [
      'GetItem',
      { TableName: 'n'.repeat(256), Key: {} },
      /failed to satisfy constraint: Member must have length less than or equal to 255$/,
    ],
    [
      'GetItem',
      { TableName: '', Key: {} },
      /at 'tableName' failed to satisfy constraint: Member must have length greater than or equal to 1$/,
    ],
    [
      'GetItem',
      { TableName: 'bad table!', Key: {} },
      /at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: \[a-zA-Z0-9_\.-\]\+$/,
    ],
    [
      'Scan',
      { TableName: 'plain', Segment: 0 },
      /^ValidationException: The TotalSegments parameter is required but was not present in the request when Segment parameter is present$/,
    ],
    [
      'Scan',
      { TableName: 'plain', TotalSegments: 4 },
      /^ValidationException: The Segment parameter is required but was not present in the request when parameter TotalSegments is present$/,
    ],
    [
      'Scan',
      { TableName: 'plain', Segment: 5, TotalSegments: 5 },
      /^ValidationException: The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: 5 is not less than TotalSegments: 5$/,
    ],
    [
      'Scan',
      { TableName: 'plain', Limit: 0 },
      /Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1$/,
    ],
    [
      'Scan',
      { TableName: 'plain', ExclusiveStartKey: { x: S('y') } },
      /^ValidationException: The provided starting key is invalid: The provided key element does not match the schema$/,
    ],
    [
      'Scan',
      { TableName: 'plain', Select: 'ALL_PROJECTED_ATTRIBUTES' },
      /^ValidationException: ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName$/,
    ],
    [
      'Scan',
      { TableName: 'plain', Select: 'SPECIFIC_ATTRIBUTES' },
      /^ValidationException: Must specify the AttributesToGet or ProjectionExpression/,
    ],
    [
      'Scan',
      { TableName: 'plain', Select: 'COUNT', ProjectionExpression: 'a' },
      /^ValidationException: Cannot specify the ProjectionExpression when choosing to get only the Count$/,
    ],
    [
      'PutItem',
      { TableName: 'plain', Item: { pk: S('a') }, ReturnValues: 'ALL_NEW' },
      /^ValidationException: ReturnValues can only be ALL_OLD or NONE$/,
    ],
    [
      'PutItem',
      { TableName: 'plain', Item: { pk: S('a') }, Expected: {}, ConditionExpression: 'attribute_exists(pk)' },
      /^ValidationException: Can not use both expression and non-expression parameters in the same request: Non-expression parameters: \{Expected\} Expression parameters: \{ConditionExpression\}$/,
    ],
  ])('%s %j is refused', async (operation, input, expected) => {
    expect(await refusal(operation, input)).toMatch(expected);
  });

  test('may be as large as the limits', async () => {
    expect(await refusal('BatchWriteItem', { RequestItems: { plain: puts(25) } })).toBe('');
    expect(await refusal('BatchGetItem', { RequestItems: { plain: { Keys: keys(100) } } })).toBe('');
    expect(await refusal('TransactGetItems', { TransactItems: gets(100) })).toBe('');
  });
});

describe('an expression', () => {
  const scan = (FilterExpression: string, values?: Shape, names?: Shape) =>
    refusal('Scan', {
      TableName: 'ledger',
      FilterExpression,
      ...(values && { ExpressionAttributeValues: values }),
      ...(names && { ExpressionAttributeNames: names }),
    });
  const query = (KeyConditionExpression: string, values: Shape) =>
    refusal('Query', { TableName: 'ledger', KeyConditionExpression, ExpressionAttributeValues: values });
  const filter = (fault: string) => invalid(`Invalid FilterExpression: ${fault}`);
  const v = { ':v': S('x') };
  const distinct = 'The first operand must be distinct from the remaining operands for this operator or function;';
  const type = 'Incorrect operand type for operator or function;';

  test.each([
    ['', undefined, 'The expression can not be empty;'],
    ['((a = :v))', v, 'The expression has redundant parentheses;'],
    ['contains(a, a)', undefined, `${distinct} operator: contains, first operand: [a]`],
    ['a.b = a.b', undefined, `${distinct} operator: =, first operand: [a, b]`],
    ['begins_with(a, :v)', { ':v': { N: '5' } }, `${type} operator or function: begins_with, operand type: N`],
    ['a < :v', { ':v': { BOOL: true } }, `${type} operator: <, operand type: BOOL`],
    ['attribute_type(a, :v)', { ':v': { N: '5' } }, `${type} operator or function: attribute_type, operand type: N`],
    [
      'attribute_type(a, :v)',
      v,
      'Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}',
    ],
    [
      'a BETWEEN :v AND :u',
      { ':v': S('b'), ':u': S('a') },
      'The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {S:b}, upper bound operand: AttributeValue: {S:a}',
    ],
    ['nothing(a)', undefined, 'Invalid function name; function: nothing'],
    ['!!! INVALID !!!', undefined, 'Syntax error; token: "!", near: "!!"'],
    ['a = = :v', v, 'Syntax error; token: "=", near: "= = :v"'],
    ['a =', undefined, 'Syntax error; token: "<EOF>", near: "="'],
    [`${'a'.repeat(4092)} = :v`, v, 'Expression size has exceeded the maximum allowed size; expression size: 4097'],
    [
      `a IN (${Array(101).fill(':v').join(', ')})`,
      v,
      'The IN operator is provided with too many operands; number of operands: 101',
    ],
    [Array(151).fill('a = :v').join(' OR '), v, 'The expression contains too many operators; operators: more than 300'],
  ])('%s is refused', async (expression, values, fault) => expect(await scan(expression, values)).toBe(filter(fault)));

  test.each([
    '(a = :v) AND (b = :v OR c = :v)',
    '((a = :v) OR b = :v)',
    `${'a'.repeat(4091)} = :v`,
    `a IN (${Array(100).fill(':v').join(', ')})`,
    Array(150).fill('a = :v').join(' OR '),
  ])('%s is taken', async (expression) => expect(await scan(expression, v)).toBe(''));

  test.each([
    [{ v: S('x') }, undefined, 'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"'],
    [{}, undefined, 'ExpressionAttributeValues must not be empty'],
    [
      { ':v': { SS: [] } },
      undefined,
      'ExpressionAttributeValues contains invalid value: One or more parameter values were invalid: An string set  may not be empty for key :v',
    ],
    [
      { ...v, ':unused': S('y') },
      undefined,
      'Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}',
    ],
    [v, { a: 'b' }, 'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"'],
    [v, {}, 'ExpressionAttributeNames must not be empty'],
    [
      v,
      { [`#${'n'.repeat(255)}`]: 'b' },
      'ExpressionAttributeNames contains invalid key: it must have at most 255 bytes, got 256; key: "#nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn… (156 more characters)"',
    ],
  ])('has placeholders that DynamoDB takes: %j %j', async (values, names, message) => {
    expect(await scan('a = :v', values, names)).toBe(invalid(message));
  });

  test('is there where placeholders are', async () => {
    const input = { TableName: 'plain', Item: { pk: S('a') } };
    expect(await refusal('PutItem', { ...input, ExpressionAttributeValues: v })).toBe(
      invalid('ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null'),
    );
    expect(await refusal('PutItem', { ...input, ExpressionAttributeNames: { '#a': 'a' } })).toBe(
      invalid('ExpressionAttributeNames can only be specified when using expressions'),
    );
  });

  test.each([
    ['sk = :v', v, 'Query condition missed key schema element: pk'],
    ['colour = :v', v, 'Query condition missed key schema element: pk'],
    ['pk = :v AND colour = :v', v, 'Query condition missed key schema element: sk'],
    ['pk > :v', v, 'Query key condition not supported'],
    ['pk = :v OR sk = :v', v, 'Invalid operator used in KeyConditionExpression: OR'],
    ['pk = :v AND sk <> :v', v, 'Invalid operator used in KeyConditionExpression: <>'],
    ['pk = :v AND sk IN (:v)', v, 'Invalid operator used in KeyConditionExpression: IN'],
    ['pk = :v AND sk.a = :v', v, 'KeyConditionExpressions cannot have conditions on nested attributes'],
    ['pk = :v AND sk = :v AND sk = :v', v, 'Conditions can be of length 1 or 2 only'],
    ['pk = :v AND pk = :v', v, 'KeyConditionExpressions must only contain one condition per key'],
    [
      'pk = :v',
      { ':v': { N: '5' } },
      'One or more parameter values were invalid: Condition parameter type does not match schema type',
    ],
    ['pk = :v', { ':v': S('') }, `One or more parameter values are not valid. ${empty('string')} Key: pk`],
  ])('for a key is no %s', async (expression, values, message) => {
    expect(await query(expression, values)).toBe(invalid(message));
  });

  test.each([
    ['pk = :v AND :v <= sk', v],
    ['(pk = :v) AND (sk = :v)', v],
    ['((pk = :v)) AND ((sk = :v))', v],
    [':v = pk', v],
  ])('for a key may be %s', async (expression, values) => expect(await query(expression, values)).toBe(''));

  test('that is wrong is told of in an update too', async () => {
    const update = (UpdateExpression: string) =>
      refusal('UpdateItem', { TableName: 'ledger', Key: key(), UpdateExpression, ExpressionAttributeValues: v });
    expect(await update('INVALID SYNTAX HERE')).toBe(
      invalid('Invalid UpdateExpression: Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
    );
    expect(await update('SET sk = :v')).toBe(wrong('Cannot update attribute sk. This attribute is part of the key'));
  });
});

test('what the model forbids is told of before what a table forbids', async () => {
  expect(await refusal('GetItem', { TableName: 'gone' })).toBe(
    one("Value null at 'key' failed to satisfy constraint: Member must not be null"),
  );
});
