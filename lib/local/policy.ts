import type { Shape } from './service';

/** A statement of a policy document, as the template has it; a list may be a single string. */
export interface Statement {
  readonly Sid?: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: Shape;
  readonly NotPrincipal?: Shape;
  readonly Action?: string | readonly string[];
  readonly NotAction?: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly NotResource?: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, Shape>>>>;
}

/** What a statement is compared with. */
export interface Request {
  readonly action: string;
  readonly resource: string;
  /** Condition keys of the request; names are compared without case. */
  readonly context: Readonly<Record<string, string | readonly string[]>>;
}

/** The statements of a policy document. */
export function statementsOf(document: Shape): readonly Statement[] {
  return document === undefined ? [] : listOf(document.Statement);
}

/** Whether a statement's action, resource and conditions take the request in; principals are the caller's to check. */
export function matches(statement: Statement, request: Request): boolean {
  const { Action, NotAction, Resource, NotResource, Condition } = statement;
  const named = (patterns: string | readonly string[]) =>
    listOf(patterns).some((pattern) => like(request.action.toLowerCase(), pattern.toLowerCase()));
  const meant = (patterns: string | readonly string[]) =>
    listOf(patterns).some((pattern) => matchesResource(pattern, request));
  if (Action !== undefined ? !named(Action) : NotAction === undefined || named(NotAction)) return false;
  if (Resource !== undefined ? !meant(Resource) : NotResource !== undefined && meant(NotResource)) return false;
  return meets(Condition, request.context);
}

/** Whether all conditions of a statement hold. Throws on an operator that the engine does not know. */
export function meets(condition: Statement['Condition'], context: Request['context']): boolean {
  return Object.entries(condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, wanted]) => holds(operator, key, listOf(wanted).map(String), context)),
  );
}

function matchesResource(pattern: string, { resource, context }: Request): boolean {
  const filled = fill(pattern, context);
  return filled !== undefined && like(resource, filled);
}

type Test = (value: string, wanted: string) => boolean;

/** The operators without their negation, `IfExists` and set prefixes. */
const TESTS: Readonly<Record<string, Test>> = {
  StringEquals: (value, wanted) => value === wanted,
  StringEqualsIgnoreCase: (value, wanted) => value.toLowerCase() === wanted.toLowerCase(),
  StringLike: like,
  ArnEquals: arnLike,
  ArnLike: arnLike,
  Bool: (value, wanted) => value.toLowerCase() === wanted.toLowerCase(),
  NumericEquals: (value, wanted) => Number(value) === Number(wanted),
  NumericLessThan: (value, wanted) => Number(value) < Number(wanted),
  NumericLessThanEquals: (value, wanted) => Number(value) <= Number(wanted),
  NumericGreaterThan: (value, wanted) => Number(value) > Number(wanted),
  NumericGreaterThanEquals: (value, wanted) => Number(value) >= Number(wanted),
  DateEquals: (value, wanted) => time(value) === time(wanted),
  DateLessThan: (value, wanted) => time(value) < time(wanted),
  DateLessThanEquals: (value, wanted) => time(value) <= time(wanted),
  DateGreaterThan: (value, wanted) => time(value) > time(wanted),
  DateGreaterThanEquals: (value, wanted) => time(value) >= time(wanted),
};

/** Negated operators: true when none of the wanted values is met. */
const NEGATED: Readonly<Record<string, string>> = {
  StringNotEquals: 'StringEquals',
  StringNotEqualsIgnoreCase: 'StringEqualsIgnoreCase',
  StringNotLike: 'StringLike',
  ArnNotEquals: 'ArnEquals',
  ArnNotLike: 'ArnLike',
  NumericNotEquals: 'NumericEquals',
  DateNotEquals: 'DateEquals',
};

function holds(operator: string, key: string, wanted: readonly string[], context: Request['context']): boolean {
  const [, set, bare = '', ifExists] = /^(?:(ForAnyValue|ForAllValues):)?(\w+?)(IfExists)?$/.exec(operator) ?? [];
  const found = lookUp(context, key);
  if (bare === 'Null') return wanted.some((one) => (one.toLowerCase() === 'true') === (found === undefined));
  const negated = NEGATED[bare];
  const test = TESTS[negated ?? bare];
  if (test === undefined) {
    const known = [...Object.keys(TESTS), ...Object.keys(NEGATED), 'Null'];
    throw new Error(`condition operator ${operator} is not known to the engine; it knows ${known.join(', ')}`);
  }
  const values = found === undefined ? [] : listOf(found);
  const filled = wanted.map((one) => fill(one, context)).filter((one) => one !== undefined);
  const one = (value: string) => filled.some((pattern) => test(value, pattern)) === (negated === undefined);
  if (set === 'ForAllValues') return values.every(one);
  if (values.length === 0) return ifExists !== undefined || (negated !== undefined && set === undefined);
  return negated !== undefined && set === undefined ? values.every(one) : values.some(one);
}

function lookUp(context: Request['context'], key: string): string | readonly string[] | undefined {
  const wanted = key.toLowerCase();
  return Object.entries(context).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

/** Put before a `*` or `?` that means itself; a private character, which no ARN has. */
const LITERAL = '\uE000';

/** Replaces policy variables; undefined if one has no value, for then the pattern matches nothing. */
function fill(pattern: string, context: Request['context']): string | undefined {
  let missing = false;
  const filled = pattern.replace(/\$\{([^}]+)\}/g, (_, variable: string) => {
    if (variable === '*' || variable === '?' || variable === '$') return `${LITERAL}${variable}`;
    const [name = '', fallback] = variable.split(/\s*,\s*/);
    const value = lookUp(context, name) ?? fallback?.replace(/^'|'$/g, '');
    if (typeof value !== 'string') missing = true;
    return String(value).replace(/[*?]/g, `${LITERAL}$&`);
  });
  return missing ? undefined : filled;
}

const patterns = new Map<string, RegExp>();

/** Whether text matches a pattern with `*` and `?`. A character after {@link LITERAL} means itself. */
export function like(text: string, pattern: string): boolean {
  let regexp = patterns.get(pattern);
  if (regexp === undefined) {
    const source = pattern.replace(/\uE000?[\s\S]/g, (one) =>
      one === '*' ? '[\\s\\S]*' : one === '?' ? '[\\s\\S]' : one.slice(-1).replace(/[\\^$.*+?()[\]{}|/]/, '\\$&'),
    );
    regexp = new RegExp(`^${source}$`);
    patterns.set(pattern, regexp);
  }
  return regexp.test(text);
}

/** ARNs are compared part by part: a `*` in one of the first five does not reach into the next. */
function arnLike(value: string, pattern: string): boolean {
  const split = (arn: string) => {
    const parts = arn.split(':');
    return [...parts.slice(0, 5), parts.slice(5).join(':')];
  };
  const [values, patterns] = [split(value), split(pattern)];
  return patterns.every((part, index) => like(values[index] ?? '', part));
}

function time(text: string): number {
  return /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
}

export function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}
