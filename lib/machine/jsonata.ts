/** Types alone: nothing of it is there at run time. */
declare const YIELDS: unique symbol;
declare const FIELD: unique symbol;

/** JSONata that yields a `T`: a text, or a {@link Path}. */
export interface Expression<T> {
  readonly [YIELDS]: () => T;
}

/** An expression as text, which may be a part of a longer one. */
export type Text<T> = string & Expression<T>;

/** An expression as the language of states has it in a field, `{% … %}`. */
export type Jsonata<T> = string & { readonly [FIELD]: () => T };

/**
 * The way to a value, e.g. `$attempt.job.name`. Each member of it is one as well; of what may be missing, its members
 * may be missing too. In a template string it is its text.
 */
export type Path<T> = Expression<T> & Members<NonNullable<T>, Extract<T, null | undefined>>;

type Members<T, Missing> = [T] extends [string | number | boolean | readonly unknown[]]
  ? unknown
  : { readonly [K in Extract<keyof T, string>]: Path<T[K] | ([Missing] extends [never] ? never : undefined)> };

/** A `T` of which any part may be JSONata that yields that part. */
export type Templated<T> = Jsonata<T> | Parts<T>;

type Parts<T> = unknown extends T
  ? unknown
  : T extends string
    ? T & { readonly [FIELD]?: never } // JSONata is text as well, but must yield the right thing
    : T extends number | boolean | null | undefined
      ? T
      : T extends ReadonlyArray<infer Item>
        ? ReadonlyArray<Templated<Item>>
        : { readonly [K in keyof T]: Templated<Exclude<T[K], undefined>> }; // what yields nothing fails

/** Values for some of a machine's variables. */
export type Assigned<Variables> = { readonly [K in keyof Variables]?: Templated<Variables[K]> };

/** The text of an expression, whose type whoever writes it answers for. */
export function expression<T>(text: string): Text<T> {
  return text as Text<T>;
}

/** A JSONata field. */
export function jsonata<T>(expression: Expression<T>): Jsonata<T>;
export function jsonata(expression: string): Jsonata<unknown>;
export function jsonata(expression: unknown): string {
  return `{% ${expression} %}`;
}

/** The way to a value, see {@link Path}. */
export function path<T>(text: string): Path<T> {
  const member = (_: unknown, name: string | symbol) =>
    typeof name === 'string' ? path(`${text}.${name}`) : name === Symbol.toPrimitive ? () => text : undefined;
  // a function, which the CDK refuses where a path stands in a request and jsonata() was forgotten
  return new Proxy(() => {}, { get: member }) as unknown as Path<T>;
}

/** The variables of a machine: `variables<{ model: string }>().model` is `$model`. */
export function variables<Variables extends object>(): { readonly [K in keyof Variables]: Path<Variables[K]> } {
  const variable = (_: unknown, name: string | symbol) => path(`$${String(name)}`);
  return new Proxy({}, { get: variable }) as { readonly [K in keyof Variables]: Path<Variables[K]> };
}

/** What a state is given. */
export const stateInput = <T>() => path<T>('$states.input');

/** A value as JSONata writes it. */
export function literal<const T>(value: T): Text<T> {
  const isPlain = typeof value === 'string' && !/['\\\p{Cc}]/u.test(value);
  return expression(isPlain ? `'${value}'` : JSON.stringify(value));
}

/** The same value, which is there whenever this is evaluated. */
export function present<T>(value: Expression<T>): Expression<NonNullable<T>> {
  return value as Expression<NonNullable<T>>;
}

/** Whether a value is this one. */
export function equals<T>(value: Expression<T>, other: NoInfer<NonNullable<T>>): Text<boolean> {
  return expression(`${value} = ${literal(other)}`);
}

/** Whether there is a value. */
export function exists(value: Expression<unknown>): Text<boolean> {
  return expression(`$exists(${value})`);
}

/** A value, or another where there is none. */
export function orElse<T>(value: Expression<T>, other: NoInfer<NonNullable<T>>): Text<Exclude<T, undefined>> {
  return expression(`${exists(value)} ? ${value} : ${literal(other)}`);
}

type OptionalKey<T> = { [K in keyof T]-?: undefined extends T[K] ? K : never }[keyof T];

/**
 * An object, member by member. A member whose expression yields nothing is left out, which only optional ones may be.
 *
 * @param set further optional members, left out where their expression is null, too
 */
export function object<T>(
  members: { readonly [K in keyof T]: Expression<T[K]> },
  set: { readonly [K in OptionalKey<T>]?: Expression<T[K] | null> } = {},
): Text<T> {
  const always = braces(Object.entries(members));
  const sometimes = Object.entries(set).map(([name, value]) => `${value} ? ${braces([[name, value]])} : {}`);
  return expression(sometimes.length === 0 ? always : `$merge([${[always, ...sometimes].join(', ')}])`);
}

function braces(members: ReadonlyArray<readonly [name: string, value: unknown]>): string {
  return `{${members.map(([name, value]) => `'${name}': ${value}`).join(', ')}}`;
}

/** An object without one of its members. */
export function without<T, K extends keyof T & string>(value: Expression<T>, name: K): Text<Omit<T, K>> {
  return expression(`$sift(${value}, function($v, $k) { $k != '${name}' })`);
}
