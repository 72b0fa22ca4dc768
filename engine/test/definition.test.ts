import { describe, expect, test } from 'vitest';
import type { Shape } from '../src/service';
import { Evaluator } from '../src/services/states/jsonata';
import { problems } from '../src/services/states/validate';

const evaluator = new Evaluator(
  () => 0.5,
  () => 0,
);

/** What is wrong with a definition, without what is there and what may be. */
function faults(definition: Shape, type: 'STANDARD' | 'EXPRESS' = 'STANDARD'): string[] {
  const given = JSON.parse(JSON.stringify({ QueryLanguage: 'JSONata', ...definition }));
  return problems(given, evaluator, type).map((fault) => fault.replace(/ \((got|allowed).*$/s, ''));
}

const one = (state: Shape, name = 'E'): Shape => ({ StartAt: name, States: { [name]: { End: true, ...state } } });
const pass = (more: Shape, name = 'E') => one({ Type: 'Pass', ...more }, name);
const task = (more: Shape, resource = 'arn:aws:states:::aws-sdk:sts:getCallerIdentity') =>
  one({ Type: 'Task', Resource: resource, ...more });
const call = (resource: string, given: Shape = {}) => task({ Arguments: given }, `arn:aws:states:::${resource}`);
const map = (more: Shape, processor: Shape = {}) =>
  one({ Type: 'Map', ItemProcessor: { ...pass({}, 'I'), ...processor }, ...more });
const distributed = { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } };
const caught = (more: Shape) => ({
  StartAt: 'E',
  States: {
    E: { ...task({}).States.E, Catch: [{ ErrorEquals: ['States.ALL'], Next: 'F', ...more }] },
    F: { Type: 'Succeed' },
  },
});
const read = (config: Shape, more: Shape = {}) =>
  map(
    {
      ItemReader: {
        Resource: 'arn:aws:states:::s3:getObject',
        Arguments: { Bucket: 'b', Key: 'k' },
        ReaderConfig: config,
        ...more,
      },
    },
    distributed,
  );

const OUTPUT = '/States/E/Output';
const bare = (name: string, at = OUTPUT) =>
  `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '${name}' at the top level is not supported. at ${at}`;
const form = (message: string, at: string) => `SCHEMA_VALIDATION_FAILED: ${message} at ${at}`;

describe('an expression', () => {
  test.each([
    'phone',
    'phone[0].number',
    'phone.number.street',
    '-phone',
    'phone ? 1 : 2',
    '$states.input.a ? phone : 2',
    "phone & 'x'",
    'phone in $states.input.b',
    '$sum(phone)',
    'phone(1)',
    'phone ~> $string()',
    '[1..phone]',
    '(phone)',
    '(phone).other',
    '[phone].other',
    '[phone, 1]',
    '{phone: 1}',
    '{"a": phone}',
    '($x := phone; $x)',
    '$map($states.input.a, function($y){ phone })',
    '$count(phone[inner])',
    'phone.**.deeper',
  ])('%s reads a context that is not there', (source) => {
    expect(faults(pass({ Output: `{% ${source} %}` }))).toEqual([bare('phone')]);
  });

  test.each(['$', '$.phone', '$[0]', '$string($)', '$map($states.input.a, function($x){ $ })'])(
    '%s reads the context itself',
    (source) => expect(faults(pass({ Output: `{% ${source} %}` }))).toEqual([bare('$')]),
  );

  test.each(['$$', '$$.phone'])('%s reads the root', (source) => {
    expect(faults(pass({ Output: `{% ${source} %}` }))).toEqual([
      `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$$' is not supported. at ${OUTPUT}`,
    ]);
  });

  test.each([
    '$states.input.phone',
    '$states.input.a[0].phone',
    '$states.input.items[phone > 3]',
    '$states.input.a^(phone)',
    "$states.input.a{'k': phone}",
    '$states.input.a.(phone)',
    '$states.input.a.$phone',
    '$phone',
    '$states.input.a ~> $string()',
    "$states.input ~> |phone|{'b': 1}|",
    '**.phone',
    "{'k': 1}.phone",
    '$states.input.a[0][phone]',
    '$states.input.a[$ > 1]',
    'function($x){ $x.phone }',
    '$map($states.input.a, function($x){ $x.phone })',
    "'phone'",
    '1 + 1',
    '$now()',
    '$states.error',
    '$states.input.errorOutput',
    '$states',
    '$states.input.result',
  ])('%s is taken', (source) => expect(faults(pass({ Output: `{% ${source} %}` }))).toEqual([]));

  test('is told of once for each name', () => {
    expect(faults(pass({ Output: '{% aaa + bbb + aaa %}' }))).toEqual([bare('aaa'), bare('bbb')]);
  });

  test.each([
    ['phone[1,2)', 'Expected "]", got ","'],
    ['phone %.other', 'The symbol "." cannot be used as a unary operator'],
    ['', 'Unexpected end of expression'],
    ['$states.input.a ?: 1', 'The symbol ":" cannot be used as a unary operator'],
    ['$states.input.a ?? 1', 'The symbol "?" cannot be used as a unary operator'],
  ])('%s is no JSONata 2.0.6', (source, message) => {
    expect(faults(pass({ Output: `{% ${source} %}` }))).toEqual([
      `INVALID_JSONATA_EXPRESSION: ${message} at ${OUTPUT}`,
    ]);
  });

  test('must be closed', () => {
    expect(faults(pass({ Output: '{% 1' }))).toEqual([
      `INVALID_JSONATA_EXPRESSION: Improperly closed expression at ${OUTPUT}`,
    ]);
    expect(faults(pass({ Output: [' {% phone %}', '{%%} {', 'a {% b'] }))).toHaveLength(1);
  });

  test.each([
    ['/States/E/Output/a/b[0]', pass({ Output: { a: { b: ['{% phone %}'] } } })],
    ['/States/E/Assign/v', pass({ Assign: { v: '{% phone %}' } })],
    ['/States/E/Assign/Next', pass({ Assign: { Next: '{% phone %}' } })],
    ['/States/E/Output/ItemProcessor/Comment', pass({ Output: { ItemProcessor: { Comment: '{% phone %}' } } })],
    ['/States/E/Seconds', one({ Type: 'Wait', Seconds: '{% phone %}' })],
    ['/States/E/Timestamp', one({ Type: 'Wait', Timestamp: '{% phone %}' })],
    ['/States/E/Items', map({ Items: '{% phone %}' })],
    ['/States/E/ItemSelector/Next', map({ ItemSelector: { Next: '{% phone %}' } })],
    ['/States/E/MaxConcurrency', map({ MaxConcurrency: '{% phone %}' })],
    [
      '/States/E/ItemBatcher/BatchInput/Comment',
      map({ ItemBatcher: { MaxItemsPerBatch: 1, BatchInput: { Comment: '{% phone %}' } } }, distributed),
    ],
    [
      '/States/E/ItemReader/Arguments/Key',
      read({ InputType: 'JSON' }, { Arguments: { Bucket: 'b', Key: '{% phone %}' } }),
    ],
    ['/States/E/ItemProcessor/States/I/Output', map({}, pass({ Output: '{% phone %}' }, 'I'))],
    [
      '/States/E/Branches[0]/States/I/Output',
      one({ Type: 'Parallel', Branches: [pass({ Output: '{% phone %}' }, 'I')] }),
    ],
    ['/States/E/TimeoutSeconds', task({ TimeoutSeconds: '{% phone %}' })],
    ['/States/E/Catch[0]/Assign/Retry', caught({ Assign: { Retry: '{% phone %}' } })],
    [
      '/States/E/Arguments/Payload/Comment',
      call('lambda:invoke', { FunctionName: 'f', Payload: { Comment: '{% phone %}' } }),
    ],
  ])('is looked at in %s', (at, definition) => expect(faults(definition)).toEqual([bare('phone', at)]));

  test('is looked at in what a Choice and a Fail say', () => {
    const definition = {
      StartAt: 'E',
      States: {
        E: { Type: 'Choice', Choices: [{ Condition: '{% phone = 1 %}', Next: 'F' }], Default: 'F' },
        F: { Type: 'Fail', Cause: '{% phone %}' },
      },
    };
    expect(faults(definition)).toEqual([
      bare('phone', '/States/E/Choices[0]/Condition'),
      bare('phone', '/States/F/Cause'),
    ]);
  });

  test.each([
    pass({ Comment: '{% phone %}' }),
    task({ Retry: [{ ErrorEquals: ['{% phone %}'] }] }),
    read({ InputType: 'CSV', CSVHeaderLocation: 'GIVEN', CSVHeaders: ['{% phone %}'] }),
  ])('is only text in %j', (definition) => expect(faults(definition)).toEqual([]));

  const missing = (member: string, at: string) =>
    `UNSUPPORTED_JSONATA_EXPRESSION: Field '$states.${member}' does not exist. at ${at}`;
  test('reads the error only in what a Catch says', () => {
    const error = '{% $states.errorOutput.Cause %}';
    expect(faults(caught({ Output: { e: error }, Assign: { e: error } }))).toEqual([]);
    expect(faults(pass({ Output: error }))).toEqual([missing('errorOutput', OUTPUT)]);
    expect(faults(pass({ Output: '{% [$states.errorOutput] %}' }))).toEqual([missing('errorOutput', OUTPUT)]);
    expect(faults(task({ Output: error }))).toEqual([missing('errorOutput', OUTPUT)]);
  });

  test('reads the result only in what a Task, Parallel or Map says', () => {
    const result = '{% $states.result %}';
    const branches = { Branches: [pass({}, 'I')] };
    for (const state of [task({}), one({ Type: 'Parallel', ...branches }), map({})]) {
      expect(faults(one({ ...state.States.E, Output: result, Assign: { r: result } }))).toEqual([]);
    }
    expect(faults(pass({ Output: result }))).toEqual([missing('result', OUTPUT)]);
    expect(faults(task({ Arguments: { a: result } }))).toContain(missing('result', '/States/E/Arguments/a'));
    expect(faults(map({ Items: result }))).toEqual([missing('result', '/States/E/Items')]);
    expect(faults(caught({ Output: result }))).toEqual([missing('result', '/States/E/Catch[0]/Output')]);
    expect(faults(pass({ Output: '{% $states.input.a[b = $states.result] %}' }))).toEqual([missing('result', OUTPUT)]);
  });
});

describe('the states of a machine', () => {
  const linked = (States: Shape, StartAt = 'A') => ({ StartAt, States });
  const to = (Next: string) => ({ Type: 'Pass', Next });
  const end = { Type: 'Pass', End: true };
  test.each([
    ['no end', linked({ A: to('B'), B: to('A') }), ['MISSING_END_STATE: Workflow has no terminal state at /']],
    [
      'a start that is not there',
      linked({ B: end }),
      [
        "MISSING_TRANSITION_TARGET: Missing 'Next' target: A at /StartAt",
        'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B',
      ],
    ],
    [
      'a next state that is not there',
      linked({ A: to('C'), B: end }),
      [
        "MISSING_TRANSITION_TARGET: Missing 'Next' target: C at /States/A/Next",
        'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B',
      ],
    ],
    [
      'a state that is not reached',
      linked({ A: end, B: end }),
      ['MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B'],
    ],
    [
      'other targets that are not there',
      linked({
        A: { Type: 'Choice', Choices: [{ Condition: true, Next: 'X' }], Default: 'E' },
        E: { ...caught({ Next: 'Z' }).States.E },
        F: { Type: 'Choice', Choices: [{ Condition: true, Next: 'E' }], Default: 'Y' },
      }),
      [
        "MISSING_TRANSITION_TARGET: Missing 'Next' target: X at /States/A/Choices[0]/Next",
        "MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/E/Catch[0]/Next",
        "MISSING_TRANSITION_TARGET: Missing 'Next' target: Y at /States/F/Default",
        'MISSING_TRANSITION_TARGET: State "F" is not reachable. at /States/F',
      ],
    ],
    [
      'a branch that goes nowhere',
      one({ Type: 'Parallel', Branches: [linked({ A: to('C') })] }),
      ["MISSING_TRANSITION_TARGET: Missing 'Next' target: C at /States/E/Branches[0]/States/A/Next"],
    ],
    [
      'a name twice',
      one({ Type: 'Parallel', Branches: [pass({}, 'I'), pass({}, 'I')] }),
      ['DUPLICATE_STATE_NAME: Duplicate state name: I at /States/E/Branches[1]/States/I'],
    ],
    [
      'a name twice, in a Map',
      map({}, pass({}, 'E')),
      ['DUPLICATE_STATE_NAME: Duplicate state name: E at /States/E/ItemProcessor/States/E'],
    ],
    ['a name of 81 characters', pass({}, 'n'.repeat(81)), [form('Invalid state name', `/States/${'n'.repeat(81)}`)]],
    [
      'no states',
      linked({}),
      [
        form('Value cannot be empty', '/States'),
        expect.stringContaining("Missing 'Next' target: A"),
        expect.stringContaining('MISSING_END_STATE'),
      ],
    ],
    ['neither start nor states', {}, [form('These fields are required: [States, StartAt]', '/')]],
    ['an unknown field', { ...pass({}), Timeout: 1 }, [form("Field 'Timeout' is not supported", '/')]],
    ['a comment that is no text', { ...pass({}), Comment: 1 }, [form('Expected value of type [STRING]', '/Comment')]],
    [
      'another version',
      { ...pass({}), Version: '2.0' },
      [form('Value should be one of the following: [1.0]', '/Version')],
    ],
    [
      'a query language of a branch',
      one({ Type: 'Parallel', Branches: [{ QueryLanguage: 'JSONata', ...pass({}, 'I') }] }),
      [form("Field 'QueryLanguage' is not supported", '/States/E/Branches[0]')],
    ],
    [
      'an unknown query language',
      { ...pass({}), QueryLanguage: 'jsonata' },
      [form('Value should be one of the following: [JSONPath, JSONata]', '/QueryLanguage')],
    ],
    ['a time limit of 0', { ...pass({}), TimeoutSeconds: 0 }, [form('Minimum value is 1', '/TimeoutSeconds')]],
  ])('with %s are refused', (_, definition, expected) => {
    expect(faults(definition)).toEqual(expected);
  });

  test('may loop, and end by failing', () => {
    expect(
      faults(
        linked({
          A: { Type: 'Choice', Choices: [{ Condition: '{% $states.input.a %}', Next: 'A' }], Default: 'B' },
          B: { Type: 'Fail' },
        }),
      ),
    ).toEqual([]);
  });
});

describe('a state', () => {
  const AT = '/States/E';
  test.each([
    ['without a type', one({}), form("The field 'Type' is required", AT)],
    [
      'of an unknown type',
      one({ Type: 'Loop' }),
      form(
        "The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map]",
        AT,
      ),
    ],
    [
      'with both Next and End',
      pass({ Next: 'E' }),
      form('This object should have only one of the following fields: [Next, End]', AT),
    ],
    [
      'with neither',
      { StartAt: 'A', States: { A: { Type: 'Pass' }, B: { Type: 'Succeed' } } },
      form('This object should have one of the following fields: [Next, End]', '/States/A'),
    ],
    ['with an End that is text', pass({ End: 'true' }), form('Expected value of type [BOOLEAN]', `${AT}/End`)],
    ['with Retry where nothing is retried', pass({ Retry: [] }), form("Field 'Retry' is not supported", AT)],
    [
      'with Catch where nothing fails',
      one({ Type: 'Wait', Seconds: 1, Catch: [] }),
      form("Field 'Catch' is not supported", AT),
    ],
    [
      'with a time limit where there is none',
      pass({ TimeoutSeconds: 1 }),
      form("Field 'TimeoutSeconds' is not supported", AT),
    ],
    [
      'with Assign at its end',
      { StartAt: 'E', States: { E: { Type: 'Succeed', Assign: {} } } },
      form("Field 'Assign' is not supported", AT),
    ],
    [
      'with Next at its end',
      { StartAt: 'E', States: { E: { Type: 'Succeed', Next: 'E' } } },
      form("Field 'Next' is not supported", AT),
    ],
    ['with Arguments where nothing is called', pass({ Arguments: {} }), form("Field 'Arguments' is not supported", AT)],
    [
      'with a field of JSONPath',
      pass({ ResultPath: '$.x' }),
      form(
        "The QueryLanguage is set to 'JSONata', but field 'ResultPath' is only supported for the 'JSONPath' QueryLanguage",
        AT,
      ),
    ],
    [
      'with a field of JSONPath in Catch',
      caught({ ResultPath: '$.x' }),
      form(
        "The QueryLanguage is set to 'JSONata', but field 'ResultPath' is only supported for the 'JSONPath' QueryLanguage",
        `${AT}/Catch[0]`,
      ),
    ],
    [
      'in JSONPath where the machine is not',
      pass({ QueryLanguage: 'JSONPath' }),
      form("'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine", AT),
    ],
    ['that is misspelt', pass({ Ouput: 1 }), form("Field 'Ouput' is not supported", AT)],
    ['with a comment that is no text', pass({ Comment: {} }), form('Expected value of type [STRING]', `${AT}/Comment`)],
    [
      'that waits twice',
      one({ Type: 'Wait', Seconds: 1, Timestamp: '2026-01-01T00:00:00Z' }),
      form('This object should have only one of the following fields: [Seconds, Timestamp]', AT),
    ],
    [
      'that waits for nothing',
      one({ Type: 'Wait' }),
      form('This object should have one of the following fields: [Seconds, Timestamp]', AT),
    ],
    [
      'that waits for text',
      one({ Type: 'Wait', Seconds: '5' }),
      form('Expected value of type [INTEGER]', `${AT}/Seconds`),
    ],
    [
      'that waits for less than nothing',
      one({ Type: 'Wait', Seconds: -1 }),
      form('Minimum value is 0', `${AT}/Seconds`),
    ],
    ['that waits too long', one({ Type: 'Wait', Seconds: 1e8 }), form('Maximum value is 99999999', `${AT}/Seconds`)],
    [
      'that waits for no time',
      one({ Type: 'Wait', Timestamp: 'tomorrow' }),
      form('String does not match RFC3339 timestamp', `${AT}/Timestamp`),
    ],
    [
      'that fails with a number',
      { StartAt: 'E', States: { E: { Type: 'Fail', Error: 1 } } },
      form('Expected value of type [STRING]', `${AT}/Error`),
    ],
    [
      'that assigns states',
      pass({ Assign: { states: 1 } }),
      form("Invalid variable name 'states'", `${AT}/Assign/states`),
    ],
    [
      'that assigns a name with a hyphen',
      pass({ Assign: { 'a-b': 1 } }),
      form("Invalid variable name 'a-b'", `${AT}/Assign/a-b`),
    ],
    ['that assigns a number', pass({ Assign: { '1': 1 } }), form("Invalid variable name '1'", `${AT}/Assign/1`)],
    [
      'that assigns a long name',
      pass({ Assign: { ['v'.repeat(81)]: 1 } }),
      form(`Invalid variable name '${'v'.repeat(81)}'`, `${AT}/Assign/${'v'.repeat(81)}`),
    ],
    ['that assigns a list', pass({ Assign: [1] }), form('Expected value of type [OBJECT]', `${AT}/Assign`)],
    ['that calls nothing', one({ Type: 'Task' }), form('These fields are required: [Resource]', AT)],
    ['that calls an empty name', task({}, ''), form('Value cannot be empty', `${AT}/Resource`)],
    [
      'whose sign of life comes too late',
      task({ TimeoutSeconds: 5, HeartbeatSeconds: 5 }),
      form('HeartbeatSeconds must be smaller than TimeoutSeconds', `${AT}/HeartbeatSeconds`),
    ],
    ['that may take no time', task({ TimeoutSeconds: 0 }), form('Minimum value is 1', `${AT}/TimeoutSeconds`)],
    [
      'with credentials without a role',
      task({ Credentials: {} }),
      form('These fields are required: [RoleArn]', `${AT}/Credentials`),
    ],
    ['without branches', one({ Type: 'Parallel', Branches: [] }), form('Value cannot be empty', `${AT}/Branches`)],
    ['without a processor', one({ Type: 'Map' }), form('These fields are required: [ItemProcessor]', AT)],
  ])('%s is refused', (_, definition, expected) => expect(faults(definition)).toContain(expected));

  test.each([
    ['no choices', { Choices: [] }, form('Value cannot be empty', `${AT}/Choices`)],
    [
      'a choice without a target',
      { Choices: [{ Condition: true }] },
      form('These fields are required: [Next]', `${AT}/Choices[0]`),
    ],
    [
      'a choice without a condition',
      { Choices: [{ Next: 'F' }] },
      form('These fields are required: [Condition]', `${AT}/Choices[0]`),
    ],
    [
      'a condition that is text',
      { Choices: [{ Condition: 'true', Next: 'F' }] },
      form('Expected value of type [BOOLEAN]', `${AT}/Choices[0]/Condition`),
    ],
    [
      'a condition of JSONPath',
      { Choices: [{ Variable: '$.a', IsNull: true, Next: 'F' }] },
      form("Field 'Variable' is not supported", `${AT}/Choices[0]`),
    ],
    ['an end', { Choices: [{ Condition: true, Next: 'F' }], End: true }, form("Field 'End' is not supported", AT)],
  ])('of choices with %s is refused', (_, more, expected) => {
    const States = { E: { Type: 'Choice', Default: 'F', ...more }, F: { Type: 'Succeed' } };
    expect(faults({ StartAt: 'E', States })).toContain(expected);
  });

  test.each([
    ['ErrorEquals', undefined, 'These fields are required: [ErrorEquals]', ''],
    ['ErrorEquals', [], 'Value cannot be empty', '/ErrorEquals'],
    ['ErrorEquals', 'A', 'Expected value of type [ARRAY]', '/ErrorEquals'],
    ['ErrorEquals', ['States.ALL', 'A'], 'States.ALL must appear alone and at end of list', '/ErrorEquals'],
    ['IntervalSeconds', 0, 'Minimum value is 1', '/IntervalSeconds'],
    ['IntervalSeconds', 1.5, 'Expected value of type [INTEGER]', '/IntervalSeconds'],
    ['MaxAttempts', -1, 'Minimum value is 0', '/MaxAttempts'],
    ['MaxAttempts', 1e8, 'Maximum value is 99999999', '/MaxAttempts'],
    ['BackoffRate', 0.5, 'Minimum value is 1', '/BackoffRate'],
    ['MaxDelaySeconds', 0, 'Minimum value is 1', '/MaxDelaySeconds'],
    ['MaxDelaySeconds', 31_622_401, 'Maximum value is 31622400', '/MaxDelaySeconds'],
    ['JitterStrategy', 'full', 'Value should be one of the following: [FULL, NONE]', '/JitterStrategy'],
    ['Next', 'E', "Field 'Next' is not supported", ''],
  ])('that retries with %s %j is refused', (field, value, message, at) => {
    expect(faults(task({ Retry: [{ ErrorEquals: ['A'], [field]: value }] }))).toContain(
      form(message, `${AT}/Retry[0]${at}`),
    );
  });

  test('catches all errors only at last', () => {
    const definition = caught({});
    definition.States.E.Catch.push({ ErrorEquals: ['A'], Next: 'F' });
    expect(faults(definition)).toEqual([
      form('States.ALL must appear alone and at end of list', `${AT}/Catch[0]/ErrorEquals`),
    ]);
  });

  test('assigns no variable of an outer scope', () => {
    const outer = (inner: Shape) =>
      one({ Type: 'Parallel', Assign: { v: 1 }, Branches: [pass({ Assign: inner }, 'I')] });
    expect(faults(outer({ w: 1 }))).toEqual([]);
    expect(faults(outer({ v: 1 }))).toEqual([
      `DUPLICATE_VARIABLE_NAME: The variable name 'v' was already defined in a parent scope. at ${AT}/Branches[0]/States/I/Assign/v`,
    ]);
    expect(faults(map({ Assign: { v: 1 } }, pass({ Assign: { v: 2 } }, 'I')))).toHaveLength(1);
    expect(faults(map({ Assign: { v: 1 } }, { ...pass({ Assign: { v: 2 } }, 'I'), ...distributed }))).toEqual([]);
  });
});

describe('a Map', () => {
  const AT = '/States/E';
  const put = { Resource: 'arn:aws:states:::s3:putObject' };
  test.each([
    [
      'a mode that is none',
      map({}, { ProcessorConfig: { Mode: 'PARALLEL' } }),
      form('Value should be one of the following: [INLINE, DISTRIBUTED]', `${AT}/ItemProcessor/ProcessorConfig/Mode`),
    ],
    [
      'no type of executions',
      map({}, { ProcessorConfig: { Mode: 'DISTRIBUTED' } }),
      form('These fields are required: [ExecutionType]', `${AT}/ItemProcessor/ProcessorConfig`),
    ],
    ['items that are a number', map({ Items: 1 }), form('Expected value of type [ARRAY, OBJECT]', `${AT}/Items`)],
    ['less than no concurrency', map({ MaxConcurrency: -1 }), form('Minimum value is 0', `${AT}/MaxConcurrency`)],
    [
      'more than all failures',
      map({ ToleratedFailurePercentage: 101 }),
      form('Maximum value is 100', `${AT}/ToleratedFailurePercentage`),
    ],
    ['a label with a space', map({ Label: 'a b' }), form('Invalid label', `${AT}/Label`)],
    ['a label of 41 characters', map({ Label: 'l'.repeat(41) }), form('Invalid label', `${AT}/Label`)],
    [
      'batches without a size',
      map({ ItemBatcher: {} }),
      form('These fields are required: [MaxItemsPerBatch]', `${AT}/ItemBatcher`),
    ],
    [
      'batches that are too large',
      map({ ItemBatcher: { MaxInputBytesPerBatch: 262_145 } }),
      form('Maximum value is 262144', `${AT}/ItemBatcher/MaxInputBytesPerBatch`),
    ],
    [
      'a reader of another service',
      read({}, { Resource: 'arn:aws:states:::dynamodb:getItem' }),
      form(
        "The field 'Resource' does not match any of the allowed values. Examples: [arn:<partition>:states:::s3:getObject, arn:<partition>:states:::s3:listObjectsV2]",
        `${AT}/ItemReader/Resource`,
      ),
    ],
    [
      'a reader of another format',
      read({ InputType: 'XML' }),
      form(
        'Value should be one of the following: [CSV, JSON, JSONL, PARQUET, MANIFEST]',
        `${AT}/ItemReader/ReaderConfig/InputType`,
      ),
    ],
    [
      'a header for no CSV',
      read({ InputType: 'JSON', CSVHeaderLocation: 'FIRST_ROW' }),
      form('CSVHeaderLocation can only be used when InputType is CSV', `${AT}/ItemReader/ReaderConfig`),
    ],
    [
      'a header that is not given',
      read({ InputType: 'CSV', CSVHeaderLocation: 'GIVEN' }),
      form('These fields are required: [CSVHeaders]', `${AT}/ItemReader/ReaderConfig`),
    ],
    [
      'a pointer into no JSON',
      read({ InputType: 'CSV', ItemsPointer: '/a' }),
      form('ItemsPointer can only be used when InputType is JSON', `${AT}/ItemReader/ReaderConfig`),
    ],
    [
      'a pointer that is none',
      read({ InputType: 'JSON', ItemsPointer: 'a' }),
      form('Value is not a JSON pointer', `${AT}/ItemReader/ReaderConfig/ItemsPointer`),
    ],
    [
      'parameters of JSONPath for its reader',
      read({}, { Parameters: {} }),
      form(
        "The QueryLanguage is set to 'JSONata', but field 'Parameters' is only supported for the 'JSONPath' QueryLanguage",
        `${AT}/ItemReader`,
      ),
    ],
    [
      'a writer to nowhere',
      map({ ResultWriter: put }),
      form('Resource and Arguments belong together', `${AT}/ResultWriter`),
    ],
    [
      'a writer without a bucket',
      map({ ResultWriter: { ...put, Arguments: {} } }),
      form('These fields are required: [Bucket]', `${AT}/ResultWriter/Arguments`),
    ],
    [
      'a writer of an unknown kind',
      map({ ResultWriter: { WriterConfig: { Transformation: 'ZIP', OutputType: 'JSON' } } }),
      form(
        'Value should be one of the following: [NONE, COMPACT, FLATTEN]',
        `${AT}/ResultWriter/WriterConfig/Transformation`,
      ),
    ],
  ])('with %s is refused', (_, definition, expected) => expect(faults(definition)).toContain(expected));

  test('may have all of its fields', () => {
    const all = map(
      {
        ...read({ InputType: 'CSV', CSVHeaderLocation: 'GIVEN', CSVHeaders: ['a'], CSVDelimiter: 'PIPE', MaxItems: 5 })
          .States.E,
        ItemSelector: { a: '{% $states.context.Map.Item.Value %}' },
        ItemBatcher: { MaxItemsPerBatch: '{% $n %}', BatchInput: { a: 1 } },
        ResultWriter: {
          ...put,
          Arguments: { Bucket: 'b' },
          WriterConfig: { Transformation: 'FLATTEN', OutputType: 'JSONL' },
        },
        MaxConcurrency: '{% $n %}',
        ToleratedFailureCount: 1,
        ToleratedFailurePercentage: '{% $n %}',
        Label: 'Runs',
        Retry: [
          {
            ErrorEquals: ['A'],
            IntervalSeconds: 1,
            MaxAttempts: 0,
            BackoffRate: 1,
            MaxDelaySeconds: 2,
            JitterStrategy: 'FULL',
          },
        ],
      },
      distributed,
    );
    expect(faults(all)).toEqual([]);
  });
});

describe('what a Task calls', () => {
  const unknown = (resource: string) =>
    form(
      `The resource provided ${resource} is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.`,
      '/States/E/Resource',
    );
  test.each([
    'x',
    'arn:aws:states:::lambda',
    'arn:aws:states:::sagemaker:createTrainingJobs',
    'arn:aws:states:::sagemaker:createTrainingJob.sync:2',
    'arn:aws:states:::sagemaker:createModel.sync',
    'arn:aws:states:::sqs:sendMessage.sync',
    'arn:aws:states:::sqs:receiveMessage',
    'arn:aws:states:::aws-sdk:sagemaker:createTrainingJob.sync',
    'arn:aws:states:::aws-sdk:sagmaker:createTrainingJob',
    'arn:aws:states:::aws-sdk:sagemaker:CreateTrainingJob',
    'arn:aws:states:::aws-sdk:ec2:describeInstance',
    'arn:aws:states:::aws-sdk:states:startExecution',
  ])('%s is not there', (resource) => expect(faults(task({}, resource))).toEqual([unknown(resource)]));

  test.each([
    'arn:aws:lambda:us-east-1:000000000000:function:f',
    'arn:aws-cn:lambda:cn-north-1:000000000000:function:f:live',
    'arn:aws:states:us-east-1:000000000000:activity:a',
    'arn:aws:states:::lambda:invoke.waitForTaskToken',
    'arn:aws:states:::states:startExecution.sync:2',
    'arn:aws:states:::ecs:runTask.sync',
    'arn:aws:states:::http:invoke',
    'arn:aws-us-gov:states:::aws-sdk:sfn:startExecution.waitForTaskToken',
    'arn:aws:states:::aws-sdk:databasemigration:startReplicationTask',
    'arn:aws:states:::aws-sdk:rds:describeDBInstances',
  ])('%s is there', (resource) => expect(faults(task({}, resource))).toEqual([]));

  const unsupported = (field: string, at = field) =>
    form(`The field "${field}" is not supported by Step Functions`, `/States/E/Arguments/${at}`);
  const job = { TrainingJobName: 'j', RoleArn: 'r', OutputDataConfig: { S3OutputPath: 's3://b' } };
  test.each([
    [
      'a field that the API does not have',
      call('aws-sdk:sagemaker:createTrainingJob', { ...job, Spot: true }),
      unsupported('Spot'),
    ],
    [
      'the same of an optimized integration',
      call('sagemaker:createTrainingJob.sync', { ...job, Spot: true }),
      unsupported('Spot'),
    ],
    [
      'one deep inside',
      call('sagemaker:createTrainingJob.sync', {
        ...job,
        InputDataConfig: [{ ChannelName: 'a', DataSource: { S3: {} } }],
      }),
      unsupported('S3', 'InputDataConfig[0]/DataSource/S3'),
    ],
    [
      'one that the integration does not know',
      call('sagemaker:updateEndpoint', { EndpointName: 'e', EndpointConfigName: 'c', DeploymentConfig: {} }),
      unsupported('DeploymentConfig'),
    ],
    [
      'a small letter',
      call('aws-sdk:dynamodb:getItem', { TableName: 't', Key: {}, consistentRead: true }),
      unsupported('consistentRead'),
    ],
    [
      'a small letter, as the API has it',
      call('aws-sdk:sfn:startExecution', { StateMachineArn: 'a', name: 'n' }),
      unsupported('name'),
    ],
    [
      'not all that is needed',
      call('aws-sdk:sfn:startExecution', { Name: 'n' }),
      form("The field 'StateMachineArn' is required but was missing", '/States/E/Arguments'),
    ],
    [
      'a token beside the payload',
      call('lambda:invoke.waitForTaskToken', { FunctionName: 'f', TaskToken: 't' }),
      unsupported('TaskToken'),
    ],
  ])('is refused with %s', (_, definition, expected) => expect(faults(definition)).toContain(expected));

  test.each([
    call('aws-sdk:sfn:startExecution', { StateMachineArn: '{% $arn %}', Name: 'n', Input: '{}' }),
    call('states:startExecution.sync:2', { StateMachineArn: 'a', Input: { any: { thing: 1 } } }),
    call('lambda:invoke', { FunctionName: 'f', Payload: { any: { thing: 1 } } }),
    call('events:putEvents', { Entries: [{ Source: 's', Detail: { any: 1 }, DetailType: 'd' }] }),
    call('dynamodb:putItem', { TableName: 't', Item: { k: { S: 'x' } } }),
    call('aws-sdk:dynamodb:putItem', { TableName: 't', Item: { k: { Ss: ['x'], m: { M: { Nul: true } } } } }),
    call('aws-sdk:s3:putObject', { Bucket: 'b', Key: 'k', SsekmsKeyId: 'k' }),
    task({ Arguments: '{% $states.input %}' }, 'arn:aws:states:::sqs:sendMessage'),
    call('sagemaker:createTrainingJob.sync', {
      ...job,
      HyperParameters: '{% $h %}',
      Tags: [{ Key: 'k', Value: '{% $v %}' }],
    }),
  ])('may be %j', (definition) => expect(faults(definition)).toEqual([]));

  test('ends at once where the machine is EXPRESS', () => {
    for (const resource of ['sqs:sendMessage.waitForTaskToken', 'sagemaker:createTrainingJob.sync']) {
      const pattern = resource.split('.')[1];
      const message = `Express state machine does not support '.${pattern}' service integration`;
      const definition = task({}, `arn:aws:states:::${resource}`);
      expect(faults(definition)).toEqual([]);
      expect(faults(definition, 'EXPRESS')).toEqual([form(message, '/States/E/Resource')]);
      const express = { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'EXPRESS' } };
      const inner = one({ ...definition.States.E }, 'I');
      expect(faults(map({}, { ...inner, ...express }))).toEqual([
        form(message, '/States/E/ItemProcessor/States/I/Resource'),
      ]);
    }
    expect(faults(map({}, distributed), 'EXPRESS')).toEqual([
      form("Express state machine does not support 'DISTRIBUTED' mode", '/States/E/ItemProcessor'),
    ]);
  });
});

describe('a state in JSONPath', () => {
  const path = (state: Shape): Shape => ({ ...one(state), QueryLanguage: 'JSONPath' });
  test.each([
    path({ Type: 'Pass' }),
    path({ Type: 'Pass', Result: { a: 1 }, Comment: 'c' }),
    path({ Type: 'Pass', Assign: { v: [1] } }),
    path({ Type: 'Wait', Seconds: 1 }),
    path({ Type: 'Parallel', Branches: [one({ Type: 'Pass', QueryLanguage: 'JSONata', Output: 1 }, 'I')] }),
    { StartAt: 'E', QueryLanguage: undefined, States: { E: { Type: 'Succeed' } } },
    { StartAt: 'E', QueryLanguage: undefined, States: { E: { Type: 'Fail', Error: 'e', Cause: 'c' } } },
  ])('means the same where it has no path: %j', (definition) => expect(faults(definition)).toEqual([]));

  const unsupported = (what: string, at: string) => `the local engine ${what} at ${at}`;
  const no = "runs no JSONPath: set QueryLanguage 'JSONata', got a";
  test.each([
    [
      'a path',
      path({ Type: 'Pass', ResultPath: '$.x' }),
      unsupported(`${no} field of JSONPath`, '/States/E/ResultPath'),
    ],
    [
      'a path inside',
      path({ Type: 'Pass', Assign: { 'v.$': '$.x' } }),
      unsupported(`${no} path`, '/States/E/Assign/v.$'),
    ],
    [
      'choices',
      path({ Type: 'Choice' }),
      unsupported(
        "runs no Choice in JSONPath: set QueryLanguage 'JSONata' on the state machine, got JSONPath",
        '/States/E',
      ),
    ],
    [
      'text like an expression',
      path({ Type: 'Pass', Result: '{% 1 %}' }),
      unsupported(
        "runs JSONata alone: set QueryLanguage 'JSONata', got literal text that looks like an expression",
        '/States/E/Result',
      ),
    ],
    [
      'a field of JSONata',
      path({ Type: 'Pass', Output: 1 }),
      form(
        "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage",
        '/States/E',
      ),
    ],
  ])('with %s is refused', (_, definition, expected) => expect(faults(definition)).toContain(expected));
});
