import type { Column } from '../dataset/contract';
import { didYouMean } from '../nearest';
import { UNSTABLE } from './functions';
import { growth, type Node } from './growth';

/**
 * What can be said about a contract's expression from its parse tree (DuckDB's `json_serialize_sql`), before it is
 * bound or computed: that it is one scalar of its row, names columns of the contract alone, gives the same for the
 * same row at any time, and cannot take all memory or all time.
 */

/** Kinds of expressions that are no scalar of one row, as messages call them. */
const REFUSED: Readonly<Record<string, string>> = {
  WINDOW: 'a window',
  SUBQUERY: 'a subquery',
  STAR: 'a star',
  PARAMETER: 'a parameter',
  POSITIONAL_REFERENCE: 'a column by position',
  DEFAULT: 'a default',
};

/** Kinds of expressions that are made of their parts alone. */
const PLAIN = [
  ...['CONSTANT', 'COLUMN_REF', 'FUNCTION', 'OPERATOR', 'COMPARISON', 'CONJUNCTION', 'CASE', 'CAST', 'BETWEEN'],
  ...['LAMBDA', 'COLLATE', 'TYPE'],
];

/** Functions whose arrow makes a parameter of the name before it; elsewhere `->` takes a member out of JSON. */
const TAKE_LAMBDA = /^(list_|array_)?(transform|apply|filter|reduce)$/;

/** Texts that dates and times are read from as the day or moment of reading. */
const CLOCK_TEXT = /^\s*(now|today|tomorrow|yesterday)\b/i;

/** What an expression's tree shows. */
export interface Seen {
  /** What is wrong with it, as "must …"; undefined if nothing. */
  readonly mistake?: string;
  /** The functions that it calls, in lower case. */
  readonly functions: ReadonlySet<string>;
}

/** Looks through the tree of one expression. */
export function lookThrough(tree: Node, columns: readonly Column[]): Seen {
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  const functions = new Set<string>();
  let mistake: string | undefined;
  const walk = (value: unknown, scope: ReadonlySet<string>): void => {
    if (typeof value !== 'object' || value === null || mistake !== undefined) return;
    if (Array.isArray(value)) {
      for (const each of value) walk(each, scope);
      return;
    }
    const node = value as Node;
    mistake = mistakeOf(node, scope, columns);
    if (node.class === 'FUNCTION') {
      const name = String(node.function_name).toLowerCase();
      functions.add(name);
      if (TAKE_LAMBDA.test(name)) {
        for (const child of children(node)) walkArgument(child, scope);
        return;
      }
    }
    for (const part of Object.values(node)) walk(part, scope);
  };
  const walkArgument = (node: Node, scope: ReadonlySet<string>): void => {
    if (node.class !== 'LAMBDA') walk(node, scope);
    else walk(node.expr, new Set([...scope, ...parameters(node.lhs as Node)]));
  };
  walk(tree, names);
  mistake ??= growth(tree, columns);
  return { functions, ...(mistake !== undefined && { mistake }) };
}

function mistakeOf(node: Node, scope: ReadonlySet<string>, columns: readonly Column[]): string | undefined {
  const kind = node.class;
  if (typeof kind !== 'string') return undefined;
  if (kind in REFUSED) return `must not hold ${REFUSED[kind]}`;
  if (!PLAIN.includes(kind) || node.type === 'GROUPING_FUNCTION') return 'must be computed from its own row alone';
  if (kind === 'COLUMN_REF') {
    const [name, ...rest] = node.column_names as string[];
    if (rest.length > 0) return `must name columns by their own names alone, not as ${[name, ...rest].join('.')}`;
    if (scope.has(name.toLowerCase())) return undefined;
    return UNSTABLE.has(name.toLowerCase()) ? sameForSame(name) : unknown(name, columns);
  }
  if (kind === 'FUNCTION') return functionMistake(node, scope, columns);
  const child = node.child as Node | undefined;
  if (kind === 'CAST' && child?.class === 'CONSTANT') {
    const text = (child.value as Node).value;
    if (typeof text === 'string' && CLOCK_TEXT.test(text)) return sameForSame(`'${text.slice(0, 20)}'`);
  }
  return undefined;
}

function functionMistake(node: Node, scope: ReadonlySet<string>, columns: readonly Column[]): string | undefined {
  const name = String(node.function_name).toLowerCase();
  const receiver = String(node.schema ?? ''); // as in city.upper()
  const isMethod = receiver !== '' && receiver !== 'main';
  if (isMethod && !scope.has(receiver.toLowerCase())) {
    return unknown(receiver, columns);
  }
  const count = children(node).length + (isMethod ? 1 : 0);
  if (name === 'unnest') return 'must give one value, and unnest() gives many';
  if (name === 'hash') return 'must give the same in every version, and hash() does not: md5() does';
  if (name === 'age' && count === 1) return 'must give the same for the same row, and age() of one time does not';
  return UNSTABLE.has(name) ? sameForSame(`${name}()`) : undefined;
}

function unknown(name: string, columns: readonly Column[]): string {
  const names = columns.map((column) => column.name);
  return `must name columns of the contract: Referenced column "${name}" not found${didYouMean(name, names)}`;
}

function sameForSame(what: string): string {
  return `must give the same for the same row, and ${what} does not`;
}

function parameters(lhs: Node): string[] {
  const each = lhs.class === 'FUNCTION' ? children(lhs) : [lhs];
  return each.flatMap((node) => (node.column_names as string[] | undefined) ?? []).map((name) => name.toLowerCase());
}

function children(node: Node): Node[] {
  return (node.children as Node[] | undefined) ?? [];
}
