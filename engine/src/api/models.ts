import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { packageFile } from '../containers/python';

/** A shape of an API's input, as botocore's models give it. */
export interface ApiShape {
  readonly type: string;
  readonly required?: readonly string[];
  /** Of a structure: each member's shape, by name. */
  readonly members?: Readonly<Record<string, string>>;
  readonly union?: boolean;
  /** Of a list: the shape of its items. */
  readonly member?: string;
  /** Of a map. */
  readonly key?: string;
  readonly value?: string;
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
}

/** The inputs of a service's operations: those that the engine offers. */
export interface ApiModel {
  /** The name of each operation's input shape; empty for one that takes nothing. */
  readonly operations: Readonly<Record<string, string>>;
  readonly shapes: Readonly<Record<string, ApiShape>>;
}

/** The services that the engine has models of, by signing name. Written by `engine/api-models.mjs`, as are the models. */
const MODELLED = [
  ...['cloudformation', 'dynamodb', 'events', 'lambda', 'logs', 'monitoring', 's3', 'sagemaker', 'scheduler'],
  ...['sns', 'sqs', 'states', 'sts'],
];

const models = new Map<string, ApiModel>();

/** The model of a service, by its signing name; read when it is first asked for. */
export function apiModel(service: string): ApiModel | undefined {
  const known = models.get(service);
  if (known !== undefined || !MODELLED.includes(service)) return known;
  const model: ApiModel = JSON.parse(readFileSync(packageFile(`api/${service}.json`), 'utf8'));
  models.set(service, model);
  return model;
}

let actions: Readonly<Record<string, string>> | undefined;

/** The names of a service's operations, all of them, by the name that SDKs give the service: `sfn`, `cloudwatch`. */
export function sdkActions(service: string): readonly string[] | undefined {
  actions ??= JSON.parse(gunzipSync(readFileSync(packageFile('api/actions.json.gz'))).toString());
  const names = Object.keys(actions ?? {});
  // The Java SDK, whose names Step Functions uses, drops a last "service" of some names.
  const name = [service, `${service}service`].find((one) => names.includes(one));
  return name === undefined ? undefined : actions?.[name]?.split(' ');
}
