import { type ApiModel, type ApiShape, apiModel } from '../../../api/models';
import { listed } from '../../../engine/text';
import { signingName } from '../../../gateway/signing-names';
import { KNOWN_FIELDS } from '../integrations';
import { pascalCase } from '../shapes';
import { type Integration, readIntegration } from './integrations';
import { isObject, type Scope } from './kinds';
import type { Report } from './report';

/** How many fields of an API a message names. */
const MOST_FIELDS = 40;

/** Checks what a Task calls, and the fields that it gives along. */
export function checkTask(
  state: Readonly<Record<string, unknown>>,
  at: string,
  { report, language }: Scope,
  express: boolean,
): void {
  const { Resource: resource, TimeoutSeconds: timeout, HeartbeatSeconds: heartbeat } = state;
  if (typeof timeout === 'number' && typeof heartbeat === 'number' && heartbeat >= timeout) {
    const message = 'HeartbeatSeconds must be smaller than TimeoutSeconds';
    report.schema(`${at}/HeartbeatSeconds`, message, { got: heartbeat, allowed: `less than ${timeout}` });
  }
  if (typeof resource !== 'string' || resource === '') return;
  if (/^arn:aws[\w-]*:(lambda:[^:]*:[^:]*:function:.+|states:[^:]+:[^:]+:activity:.+)$/.test(resource)) return;
  const read = readIntegration(resource);
  if ('allowed' in read) {
    const message = `The resource provided ${resource} is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.`;
    report.schema(`${at}/Resource`, message, { allowed: read.allowed });
    return;
  }
  if (express && read.pattern !== undefined) {
    const message = `Express state machine does not support '.${read.pattern}' service integration`;
    report.schema(`${at}/Resource`, message, { got: resource });
  }
  if (language === 'JSONata' && isObject(state.Arguments)) {
    checkArguments(read, state.Arguments, `${at}/Arguments`, report);
  }
}

function checkArguments(
  { service, action, sdk }: Integration,
  given: Readonly<Record<string, unknown>>,
  at: string,
  report: Report,
): void {
  const model = apiModel(signingName(service));
  const input = model?.operations[pascalCase(action)];
  if (model === undefined || !input) return; // an operation that the engine does not have
  const known = sdk || service !== 'sagemaker' ? undefined : KNOWN_FIELDS[action];
  for (const field of Object.keys(given)) {
    if (known === undefined || known.includes(field) || memberOf(model.shapes[input], field) === undefined) continue;
    const allowed = `${known.join(', ')}; every field of the API in aws-sdk:sagemaker:${action}`;
    report.schema(`${at}/${field}`, unsupported(field), { allowed });
  }
  const shape = model.shapes[input] as ApiShape;
  const names = Object.keys(given).map((field) => field.toLowerCase());
  for (const field of shape.required ?? []) {
    if (names.includes(field.toLowerCase())) continue;
    report.schema(at, `The field '${pascalCase(field)}' is required but was missing`);
  }
  new Arguments(model, report).structure(shape, given, at);
}

/** Compares what a Task gives with the shape of the API's input. Only names count: values are the API's to refuse. */
class Arguments {
  constructor(
    private readonly model: ApiModel,
    private readonly report: Report,
  ) {}

  structure(shape: ApiShape, given: Readonly<Record<string, unknown>>, at: string): void {
    for (const [field, value] of Object.entries(given)) {
      const member = memberOf(shape, field);
      if (member !== undefined) this.value(member, value, `${at}/${field}`);
      else {
        const allowed = listed(Object.keys(shape.members ?? {}).map(pascalCase), MOST_FIELDS);
        this.report.schema(`${at}/${field}`, unsupported(field), { allowed });
      }
    }
  }

  private value(name: string, value: unknown, at: string): void {
    const shape = this.model.shapes[name];
    // The SDK for Java calls some kinds of attribute values otherwise than the API does.
    if (shape === undefined || name === 'AttributeValue') return;
    if (shape.type === 'structure' && isObject(value)) this.structure(shape, value, at);
    if (shape.type === 'list' && Array.isArray(value)) {
      for (const [index, item] of value.entries()) this.value(shape.member ?? '', item, `${at}[${index}]`);
    }
    if (shape.type === 'map' && isObject(value)) {
      for (const [key, item] of Object.entries(value)) this.value(shape.value ?? '', item, `${at}/${key}`);
    }
  }
}

/** The shape of the member that a field stands for: its first letter is a capital, the others as the SDK for Java has it. */
function memberOf(shape: ApiShape | undefined, field: string): string | undefined {
  if (field !== pascalCase(field)) return undefined;
  const name = Object.keys(shape?.members ?? {}).find((member) => member.toLowerCase() === field.toLowerCase());
  return name === undefined ? undefined : shape?.members?.[name];
}

function unsupported(field: string): string {
  return `The field "${field}" is not supported by Step Functions`;
}
