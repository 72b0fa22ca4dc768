import {
  anything,
  compound,
  computed,
  type Fields,
  isObject,
  type Kind,
  list,
  number,
  oneOf,
  structure,
  text,
  whole,
} from './kinds';

const MAX_BATCH_BYTES = 262_144;
/** What may begin a Map run's name. */
const LABEL = /^[^\s?*<>{}[\]:;,\\|^~$#%&`"/\p{Cc}]{1,40}$/u;

const WHOLE = Number.MAX_SAFE_INTEGER;

/** The kinds of files that an item reader reads. */
const INPUT_TYPES = ['CSV', 'JSON', 'JSONL', 'PARQUET', 'MANIFEST'];

const readerConfig: Kind = (value, at, scope) => {
  structure({
    InputType: oneOf(...INPUT_TYPES),
    CSVHeaderLocation: oneOf('FIRST_ROW', 'GIVEN'),
    CSVHeaders: list(text, 1),
    CSVDelimiter: oneOf('COMMA', 'PIPE', 'SEMICOLON', 'SPACE', 'TAB'),
    MaxItems: computed(whole(0, 100_000_000)),
    ItemsPointer: text,
    Transformation: oneOf('NONE', 'LOAD_AND_FLATTEN'),
    ManifestType: oneOf('S3_INVENTORY', 'ATHENA_DATA'),
  })(value, at, scope);
  if (!isObject(value)) return;
  const { report } = scope;
  const { InputType: type, CSVHeaderLocation: location, CSVHeaders: headers, ItemsPointer: pointer } = value;
  const csv = ['CSVHeaderLocation', 'CSVHeaders'].filter((field) => field in value);
  if (csv.length > 0 && type !== 'CSV') {
    report.schema(at, `${csv.join(', ')} can only be used when InputType is CSV`, { got: type });
  }
  if (location === 'GIVEN' && headers === undefined) report.schema(at, 'These fields are required: [CSVHeaders]');
  if (location !== 'GIVEN' && headers !== undefined) {
    report.schema(at, 'CSVHeaders can only be used when CSVHeaderLocation is GIVEN', { got: location });
  }
  if (pointer !== undefined && type !== 'JSON') {
    report.schema(at, 'ItemsPointer can only be used when InputType is JSON', { got: type });
  }
  if (typeof pointer === 'string' && !/^(\/([^~/]|~[01])*)+$/.test(pointer)) {
    report.schema(`${at}/ItemsPointer`, 'Value is not a JSON pointer', { got: pointer, allowed: 'e.g. /data/items' });
  }
  if (value.ManifestType === 'S3_INVENTORY' && type !== undefined && type !== 'MANIFEST') {
    report.schema(at, 'InputType can not be used when ManifestType is S3_INVENTORY', { got: type });
  }
  if (value.ManifestType === 'ATHENA_DATA' && type === 'JSON') {
    report.schema(at, 'InputType can not be JSON when ManifestType is ATHENA_DATA');
  }
  if (value.Transformation === 'LOAD_AND_FLATTEN' && type === undefined) {
    report.schema(at, 'These fields are required: [InputType]');
  }
};

/** The resource of an item reader or a result writer: one of a few actions of S3. */
const resource =
  (...actions: readonly string[]): Kind =>
  (value, at, scope) => {
    text(value, at, scope);
    if (typeof value !== 'string') return;
    const [, action] = /^arn:aws[\w-]*:states:::s3:(\w+)$/.exec(value) ?? [];
    if (action !== undefined && actions.includes(action)) return;
    const examples = actions.map((one) => `arn:<partition>:states:::s3:${one}`).join(', ');
    scope.report.schema(at, `The field 'Resource' does not match any of the allowed values. Examples: [${examples}]`, {
      got: value,
    });
  };

const items: Kind = (value, at, scope) => {
  // Text that is no expression fails only when the Map runs.
  if (typeof value !== 'string') compound(value, at, scope);
};

const batcher: Kind = (value, at, scope) => {
  structure({
    MaxItemsPerBatch: computed(whole(1, WHOLE)),
    MaxInputBytesPerBatch: computed(whole(1, MAX_BATCH_BYTES)),
    BatchInput: anything,
  })(value, at, scope);
  if (isObject(value) && !('MaxItemsPerBatch' in value) && !('MaxInputBytesPerBatch' in value)) {
    const allowed = 'MaxItemsPerBatch, MaxInputBytesPerBatch or both';
    scope.report.schema(at, 'These fields are required: [MaxItemsPerBatch]', { allowed });
  }
};

const writer: Kind = (value, at, scope) => {
  const config = structure(
    { Transformation: oneOf('NONE', 'COMPACT', 'FLATTEN'), OutputType: oneOf('JSON', 'JSONL') },
    ['Transformation', 'OutputType'],
  );
  structure({ Resource: resource('putObject'), Arguments: computed(compound), WriterConfig: config })(value, at, scope);
  if (!isObject(value)) return;
  const { report } = scope;
  if ('Resource' in value !== 'Arguments' in value || (!('Resource' in value) && !('WriterConfig' in value))) {
    const allowed = 'WriterConfig, Resource with Arguments, or all three';
    report.schema(at, 'Resource and Arguments belong together', { got: Object.keys(value), allowed });
  }
  const given = value.Arguments;
  if (isObject(given) && !('Bucket' in given)) {
    report.schema(`${at}/Arguments`, 'These fields are required: [Bucket]');
  }
};

const label: Kind = (value, at, scope) => {
  text(value, at, scope);
  if (typeof value === 'string' && !LABEL.test(value)) {
    const allowed = '1 to 40 characters, without spaces, wildcards, brackets and the like';
    scope.report.schema(at, 'Invalid label', { got: value, allowed });
  }
};

/** The fields of a Map beyond those of a Parallel; its processor is looked at as a machine. */
export const MAP_FIELDS: Fields = {
  ItemProcessor: compound,
  Items: computed(items),
  ItemSelector: anything,
  ItemReader: structure(
    {
      Resource: resource('getObject', 'listObjectsV2'),
      Arguments: computed(compound),
      ReaderConfig: computed(readerConfig),
    },
    ['Resource'],
  ),
  ItemBatcher: computed(batcher),
  ResultWriter: writer,
  MaxConcurrency: computed(whole(0, WHOLE)),
  ToleratedFailureCount: computed(whole(0, WHOLE)),
  ToleratedFailurePercentage: computed(number(0, 100)),
  Label: label,
};

export const processorConfig: Kind = (value, at, scope) => {
  structure({ Mode: oneOf('INLINE', 'DISTRIBUTED'), ExecutionType: oneOf('STANDARD', 'EXPRESS') })(value, at, scope);
  if (!isObject(value)) return;
  if (value.Mode === 'DISTRIBUTED' && !('ExecutionType' in value)) {
    scope.report.schema(at, 'These fields are required: [ExecutionType]', { allowed: 'STANDARD, EXPRESS' });
  }
};
