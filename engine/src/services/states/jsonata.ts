import jsonata from 'jsonata';
import { EvaluationError } from './errors';
import { register } from './jsonata-functions';
import { Bounds, bound } from './jsonata-limits';

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
    bound(made);
    this.compiled.set(source, made);
    return made;
  }

  private async query(source: string, bindings: Record<string, unknown>, field: string): Promise<unknown> {
    const said = `The JSONata expression '${source}' specified for the field '${field}'`;
    let value: unknown;
    try {
      value = await this.compile(source).evaluate(undefined, { ...bindings, ...new Bounds().binding });
    } catch (error) {
      const { code, message } = error as { code?: string; message?: string };
      const why = code === undefined ? `: ${message ?? error}` : `. ${code}: ${message}`;
      throw new EvaluationError(`${said} threw an error during evaluation${why}`, field);
    }
    if (value === undefined) throw new EvaluationError(`${said} returned nothing (undefined).`, field);
    const result = plain(value);
    if (result === UNSUPPORTED) throw new EvaluationError(`${said} returned an unsupported result type.`, field);
    return result;
  }
}

/** What is between `{%` and `%}`; undefined for text that is no expression. */
export function expression(text: string): string | undefined {
  return text.startsWith('{%') && text.endsWith('%}') && text.length >= 4 ? text.slice(2, -2).trim() : undefined;
}

const UNSUPPORTED = Symbol('a function');

/**
 * A copy as JSON would make it: without jsonata's marks on arrays, which would change later evaluations. Step Functions
 * writes numbers that JSON does not have as text.
 */
function plain(value: unknown): unknown {
  if (typeof value === 'function') return UNSUPPORTED;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
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
