import { createHash, randomUUID } from 'node:crypto';
import jsonata from 'jsonata';
import { QUERY_ERROR, StatesError } from './errors';

const HASHES = ['MD5', 'SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'];

/**
 * Evaluates the JSONata of state machines: jsonata 2.0.6, the dialect of Step Functions,
 * with the functions that Step Functions adds and without `$eval`.
 */
export class Evaluator {
  private readonly compiled = new Map<string, jsonata.Expression>();

  constructor(
    private readonly random: () => number,
    private readonly now: () => number,
  ) {}

  /** Evaluates every `{% … %}` in a value. */
  async evaluate(template: unknown, bindings: Record<string, unknown>, field: string): Promise<unknown> {
    if (typeof template === 'string') {
      const source = expression(template);
      return source === undefined ? template : await this.query(source, bindings, field);
    }
    if (Array.isArray(template)) {
      const values = [];
      for (const [index, part] of template.entries()) {
        values.push(await this.evaluate(part, bindings, `${field}[${index}]`));
      }
      return values;
    }
    if (template !== null && typeof template === 'object') {
      const values: Record<string, unknown> = {};
      for (const [key, part] of Object.entries(template)) {
        values[key] = await this.evaluate(part, bindings, `${field}/${key}`);
      }
      return values;
    }
    return template;
  }

  /** Parses an expression; throws jsonata's own error if it is none. */
  compile(source: string): jsonata.Expression {
    const known = this.compiled.get(source);
    if (known !== undefined) return known;
    const made = jsonata(source);
    register(made, this.random, this.now);
    this.compiled.set(source, made);
    return made;
  }

  private async query(source: string, bindings: Record<string, unknown>, field: string): Promise<unknown> {
    const said = `The JSONata expression '${source}' specified for the field '${field}'`;
    let value: unknown;
    try {
      value = await this.compile(source).evaluate(undefined, bindings);
    } catch (error) {
      const message = (error as { message?: string }).message ?? String(error);
      throw new StatesError(QUERY_ERROR, `${said} threw an error during evaluation. ${message}`, field);
    }
    if (value === undefined) throw new StatesError(QUERY_ERROR, `${said} returned nothing (undefined).`, field);
    const result = plain(value);
    if (result === UNSUPPORTED) {
      throw new StatesError(QUERY_ERROR, `${said} returned an unsupported result type.`, field);
    }
    return result;
  }
}

/** What is between `{%` and `%}`; undefined for text that is no expression. */
export function expression(text: string): string | undefined {
  return text.startsWith('{%') && text.endsWith('%}') && text.length >= 4 ? text.slice(2, -2).trim() : undefined;
}

const UNSUPPORTED = Symbol('a function');

/** A copy as JSON would make it: without jsonata's marks on arrays, which would change later evaluations. */
function plain(value: unknown): unknown {
  if (typeof value === 'function') return UNSUPPORTED;
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => (item === undefined ? null : plain(item)));
    return items.includes(UNSUPPORTED) ? UNSUPPORTED : items;
  }
  if ('_jsonata_lambda' in value || '_jsonata_function' in value || value instanceof RegExp) return UNSUPPORTED;
  const members: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const copy = plain(member);
    if (copy === UNSUPPORTED) return UNSUPPORTED;
    members[key] = copy;
  }
  return members;
}

/** Writes a time as `$now` does. */
const WRITTEN = jsonata('$exists(picture) ? $fromMillis(time, picture, zone) : $fromMillis(time)');

function register(target: jsonata.Expression, random: () => number, now: () => number): void {
  target.registerFunction('millis', () => now(), '<:n>');
  target.registerFunction(
    'now',
    (picture?: string, zone?: string) => WRITTEN.evaluate({ time: now(), picture, zone }),
    '<s?s?:s>',
  );
  target.registerFunction('parse', (text: string) => JSON.parse(text), '<s-:j>');
  target.registerFunction('uuid', () => randomUUID(), '<:s>');
  target.registerFunction('random', (seed?: number) => (seed === undefined ? random() : seeded(seed)), '<n?:n>');
  target.registerFunction('partition', (items: unknown[], size: number) => partition(items, size), '<an:a>');
  target.registerFunction('range', (first: number, last: number, step: number) => range(first, last, step), '<nnn:a>');
  target.registerFunction('hash', (text: string, algorithm: string) => hash(text, algorithm), '<ss:s>');
  target.registerFunction('eval', () => {
    throw new Error('$eval is not available in Step Functions. Use $parse for JSON.');
  });
}

function partition(items: unknown[], size: number): unknown[][] {
  if (!(Number.isInteger(size) && size > 0)) {
    throw new Error(`$partition takes a positive whole number of items, got ${size}`);
  }
  return Array.from({ length: Math.ceil(items.length / size) }, (_, part) =>
    items.slice(part * size, (part + 1) * size),
  );
}

function range(first: number, last: number, step: number): number[] {
  if (![first, last, step].every(Number.isInteger) || step === 0) {
    throw new Error(`$range takes whole numbers and a step that is not 0, got ${first}, ${last}, ${step}`);
  }
  const length = Math.max(0, Math.floor((last - first) / step) + 1);
  if (length > 1000) throw new Error(`$range gives at most 1000 numbers, these would be ${length}`);
  return Array.from({ length }, (_, index) => first + index * step);
}

function hash(text: string, algorithm: string): string {
  if (!HASHES.includes(algorithm)) {
    throw new Error(`$hash knows ${HASHES.join(', ')}, got '${algorithm}'`);
  }
  return createHash(algorithm.replace('-', '').toLowerCase()).update(text).digest('hex');
}

/** The same number in [0, 1) for the same seed. */
function seeded(seed: number): number {
  const digest = createHash('sha256').update(String(seed)).digest();
  return digest.readUIntBE(0, 6) / 2 ** 48;
}
