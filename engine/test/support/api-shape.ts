import * as sagemaker from '@aws-sdk/client-sagemaker';

/**
 * Checks a request that may hold JSONata against the API's own shape, as the SDK's client carries it.
 *
 * A string `{% … %}` may stand for any value. Returns what is wrong, with the path to it.
 */
export function mistakesIn(operation: string, request: unknown): string[] {
  const shape = (sagemaker as Record<string, unknown>)[`${operation}Request$`] ?? inputOf(operation);
  if (shape === undefined) return [`SageMaker has no operation ${operation}`];
  return check(shape, request, operation);
}

function inputOf(operation: string): unknown {
  const schema = (sagemaker as Record<string, unknown>)[`${operation}$`] as unknown[] | undefined;
  return typeof schema?.[4] === 'function' ? schema[4]() : schema?.[4];
}

/** How the SDK writes shapes: a number for a simple one, a tuple that begins with its kind for the others. */
const LIST = 1;
const MAP = 2;
const STRUCTURE = 3;
const UNION = 4;
const LIST_OF = 64;
const MAP_OF = 128;
const SIMPLE: Record<number, string> = { 0: 'string', 1: 'number', 2: 'boolean' };

function check(schema: unknown, value: unknown, path: string): string[] {
  if (typeof value === 'string' && /^\{%.*%\}$/s.test(value)) return [];
  if (typeof schema === 'function') return check(schema(), value, path);
  if (typeof schema === 'number') {
    if (schema >= MAP_OF) return entries(schema - MAP_OF, value, path);
    if (schema >= LIST_OF) return items(schema - LIST_OF, value, path);
    const wanted = SIMPLE[schema];
    return wanted === undefined || typeof value === wanted ? [] : [`${path} must be a ${wanted}, got ${typeof value}`];
  }
  const tuple = schema as unknown[];
  if (tuple.length === 2) return check(tuple[0], value, path); // a member with traits
  const [kind] = tuple;
  if (kind === 0) return check(tuple[4], value, path); // a simple shape with traits
  if (kind === LIST) return items(tuple[4], value, path);
  if (kind === MAP) return entries(tuple[5], value, path);
  if (kind !== STRUCTURE && kind !== UNION) throw new Error(`${path}: a shape of an unknown kind ${kind}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} must be a structure`];
  const [names, members, required = 0] = tuple.slice(4) as [string[], unknown[], number?];
  const set = Object.keys(value).length;
  if (kind === UNION && set !== 1) return [`${path} must have exactly one member, got ${set}`];
  const missing = names.slice(0, required).filter((name) => !(name in value));
  return [
    ...missing.map((name) => `${path}.${name} is required`),
    ...Object.entries(value).flatMap(([name, member]) =>
      names.includes(name)
        ? check(members[names.indexOf(name)], member, `${path}.${name}`)
        : [`${path}.${name} is unknown to the API`],
    ),
  ];
}

function items(schema: unknown, value: unknown, path: string): string[] {
  if (!Array.isArray(value)) return [`${path} must be a list`];
  return value.flatMap((item, index) => check(schema, item, `${path}[${index}]`));
}

function entries(schema: unknown, value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [`${path} must be a map`];
  return Object.entries(value).flatMap(([key, item]) => check(schema, item, `${path}.${key}`));
}
