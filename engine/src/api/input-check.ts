import { ApiError, type Shape } from '../service';
import { type ApiModel, type ApiShape, apiModel } from './models';

/** The code under which a service refuses a value that its model forbids; services without one have their own words. */
const REFUSALS: Readonly<Record<string, string>> = {
  cloudformation: 'ValidationError',
  dynamodb: 'ValidationException',
  events: 'ValidationException',
  lambda: 'ValidationException',
  logs: 'InvalidParameterException',
  monitoring: 'ValidationError',
  sagemaker: 'ValidationException',
  scheduler: 'ValidationException',
  states: 'ValidationException',
  sts: 'ValidationError',
};

/** Services of the query protocol, in which every simple value comes as text. */
const TEXTUAL = ['cloudformation', 'monitoring', 'sns', 'sts'];

/**
 * Refuses an input that the service's model forbids: required members, types, lengths, ranges, patterns, enumerations.
 *
 * @throws ApiError with AWS's words: `1 validation error detected: Value … at … failed to satisfy constraint: …`
 */
export function checkInput(service: string, operation: string, input: Shape): void {
  const model = apiModel(service);
  const name = model?.operations[operation];
  const code = REFUSALS[service];
  if (model === undefined || code === undefined || !name) return;
  const found = new Check(model, TEXTUAL.includes(service)).structure(shapeOf(model, name), input ?? {}, '');
  if (found.length === 0) return;
  const missing = service === 'monitoring' ? /^Value null at '(\w)(\w*)'/.exec(found[0] as string) : null;
  if (missing !== null) {
    const [, first = '', rest = ''] = missing;
    throw new ApiError('MissingParameter', `The parameter ${first.toUpperCase()}${rest} is required.`);
  }
  const count = `${found.length} validation error${found.length === 1 ? '' : 's'} detected`;
  throw new ApiError(code, `${count}: ${found.join('; ')}`);
}

function shapeOf(model: ApiModel, name: string | undefined): ApiShape {
  const shape = model.shapes[name ?? ''];
  if (shape === undefined) throw new Error(`the API's model has no shape ${name}: write it anew`);
  return shape;
}

/** Collects what is wrong with an input. */
class Check {
  constructor(
    private readonly model: ApiModel,
    private readonly textual: boolean,
  ) {}

  structure({ members = {}, required = [] }: ApiShape, value: Shape, path: string): string[] {
    if (!isMap(value)) throw unserializable(value, 'Structure');
    const found: string[] = [];
    for (const member of required) {
      if (value[member] === undefined || value[member] === null) {
        found.push(
          `Value null at '${joined(path, lower(member))}' failed to satisfy constraint: Member must not be null`,
        );
      }
    }
    for (const [member, shape] of Object.entries(members)) {
      const given = value[member];
      if (given === undefined || given === null) continue;
      found.push(...this.value(shapeOf(this.model, shape), given, joined(path, lower(member))));
    }
    return found;
  }

  private value(shape: ApiShape, value: Shape, path: string): string[] {
    switch (shape.type) {
      case 'structure':
        return this.structure(shape, value, path);
      case 'list':
        return this.list(shape, value, path);
      case 'map':
        return this.map(shape, value, path);
      default:
        return this.simple(shape, value).map((constraint) => failed(value, path, constraint));
    }
  }

  private list({ member, ...limits }: ApiShape, value: Shape, path: string): string[] {
    if (!Array.isArray(value)) throw unserializable(value, 'List');
    const shape = shapeOf(this.model, member);
    return [
      ...lengths(value.length, limits).map((constraint) => failed(value, path, constraint)),
      ...value.flatMap((item, index) => this.value(shape, item, `${path}.${index + 1}.member`)),
    ];
  }

  private map({ key, value: of, ...limits }: ApiShape, value: Shape, path: string): string[] {
    if (!isMap(value)) throw unserializable(value, 'Map');
    const [keys, values] = [shapeOf(this.model, key), shapeOf(this.model, of)];
    const found = lengths(Object.keys(value).length, limits).map((constraint) => failed(value, path, constraint));
    for (const [name, item] of Object.entries<Shape>(value)) {
      if (this.simple(keys, name).length > 0) {
        found.push(failed(value, path, `Map keys must satisfy constraint: [${constraints(keys).join(', ')}]`));
      }
      const wrong = Array.isArray(item)
        ? lengths(item.length, values)
        : nested(values)
          ? []
          : this.simple(values, item);
      if (wrong.length > 0) {
        found.push(failed(value, path, `Map value must satisfy constraint: [${constraints(values).join(', ')}]`));
      } else if (nested(values)) {
        found.push(...this.value(values, item, `${path}.${name}.member`));
      }
    }
    return found;
  }

  /** The constraints that a simple value does not satisfy. */
  private simple(shape: ApiShape, value: Shape): string[] {
    switch (shape.type) {
      case 'string':
        if (typeof value !== 'string') throw unserializable(value, 'String');
        return texts(value, shape);
      case 'blob':
        if (value instanceof Uint8Array) return lengths(value.length, shape);
        if (typeof value === 'string') return lengths(Buffer.byteLength(value), shape);
        return []; // a stream
      case 'boolean':
        if (typeof value !== 'boolean' && !this.textual) throw unserializable(value, 'Boolean');
        return [];
      case 'timestamp':
        return [];
      default:
        return this.number(shape, value);
    }
  }

  private number({ type, min, max }: ApiShape, value: Shape): string[] {
    const whole = type === 'integer' || type === 'long';
    const number = this.textual && typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof number !== 'number' && typeof number !== 'bigint')
      throw unserializable(value, whole ? 'Integer' : 'Double');
    if (Number.isNaN(number)) throw unserializable(value, whole ? 'Integer' : 'Double');
    if (min !== undefined && number < min) return [`Member must have value greater than or equal to ${min}`];
    return max !== undefined && number > max ? [`Member must have value less than or equal to ${max}`] : [];
  }
}

function texts(value: string, shape: ApiShape): string[] {
  const { pattern, enum: values } = shape;
  return [
    ...(values !== undefined && !values.includes(value)
      ? [`Member must satisfy enum value set: [${values.join(', ')}]`]
      : []),
    ...lengths(value.length, shape),
    ...(pattern !== undefined && !matcher(pattern).test(value)
      ? [`Member must satisfy regular expression pattern: ${pattern}`]
      : []),
  ];
}

/** All that a shape asks of a value, as it is said of the keys and values of maps. */
function constraints({ type, min, max, pattern, enum: values }: ApiShape): string[] {
  const of = ['string', 'blob', 'list', 'map'].includes(type) ? 'length' : 'value';
  return [
    ...(max === undefined ? [] : [`Member must have ${of} less than or equal to ${max}`]),
    ...(min === undefined ? [] : [`Member must have ${of} greater than or equal to ${min}`]),
    ...(values === undefined ? [] : [`Member must satisfy enum value set: [${values.join(', ')}]`]),
    ...(pattern === undefined ? [] : [`Member must satisfy regular expression pattern: ${pattern}`]),
  ];
}

function nested({ type }: ApiShape): boolean {
  return type === 'structure' || type === 'list' || type === 'map';
}

function lengths(length: number, { min, max }: Pick<ApiShape, 'min' | 'max'>): string[] {
  if (min !== undefined && length < min) return [`Member must have length greater than or equal to ${min}`];
  return max !== undefined && length > max ? [`Member must have length less than or equal to ${max}`] : [];
}

const matchers = new Map<string, RegExp>();

/** The pattern of a whole value. */
function matcher(pattern: string): RegExp {
  const known = matchers.get(pattern);
  if (known !== undefined) return known;
  const whole = `^(?:${pattern})$`;
  let made: RegExp;
  try {
    made = new RegExp(whole, 'u');
  } catch {
    made = new RegExp(whole); // an escape that only this kind takes
  }
  matchers.set(pattern, made);
  return made;
}

/** The longest part of a wrong value that is shown. */
const SHOWN = 300;

function failed(value: Shape, path: string, constraint: string): string {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const shown = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  return `Value '${shown}' at '${path}' failed to satisfy constraint: ${constraint}`;
}

/** The refusal of a value of another type than the member's. */
function unserializable(value: Shape, wanted: string): ApiError {
  if (Array.isArray(value)) return new ApiError('SerializationException', 'Start of list found where not expected');
  if (typeof value === 'object') {
    return new ApiError('SerializationException', 'Start of structure or map found where not expected.');
  }
  const kind = typeof value === 'boolean' ? String(value).toUpperCase() : (typeof value).toUpperCase();
  return new ApiError('SerializationException', `${kind}_VALUE cannot be converted to ${wanted}`);
}

function isMap(value: Shape): value is Record<string, Shape> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array) &&
    !(value instanceof Date)
  );
}

function joined(path: string, member: string): string {
  return path === '' ? member : `${path}.${member}`;
}

function lower(member: string): string {
  return member.charAt(0).toLowerCase() + member.slice(1);
}
