import type { Column } from '../dataset/contract';

/**
 * How much an expression may make of one row.
 *
 * A database computes `repeat('a', 2000000000)` as readily as `upper(city)`, and takes what memory that needs. So an
 * upper bound is computed from the parse tree: of the bytes of each value, of its items, and of the steps that it
 * takes. Texts of columns count as {@link CELL} bytes; what a function makes as many times as a number says needs a
 * number that is bounded: a constant, or a column with a minimum and a maximum.
 */

/** A node of the tree that DuckDB's `json_serialize_sql` writes. */
export type Node = Readonly<Record<string, unknown>>;

/** What a text of a column counts as, in bytes: longer ones are few. */
const CELL = 100;

/** What any other single value counts as, in bytes. */
const SCALAR = 32;

/** The most bytes that a value may have on the way, and the most steps that a row may take. */
const MOST_BYTES = 100_000;
const MOST_STEPS = 100_000;

/** An upper bound of a value. */
interface Bound {
  readonly bytes: number;
  /** Of a list; 1 for all others. */
  readonly items: number;
  /** Bytes of the largest item. */
  readonly item: number;
  /** Of a number: how far it is from 0; infinite if that is not known. */
  readonly number: number;
}

type Scope = ReadonlyMap<string, Bound>;

/** Says which part of an expression may make too much of a row; undefined if none does. */
export function growth(tree: Node, columns: readonly Column[]): string | undefined {
  const scope = new Map(columns.map((column) => [column.name.toLowerCase(), boundOf(column)]));
  const meter = new Meter();
  try {
    meter.measure(tree, scope);
  } catch (error) {
    if (error instanceof TooMuch) return error.message;
    throw error;
  }
  return undefined;
}

class TooMuch extends Error {}

function boundOf({ type, minimum, maximum, allowed }: Column): Bound {
  if (type === 'string') {
    const longest =
      allowed === undefined ? CELL : Math.max(...allowed.map((value) => Buffer.byteLength(String(value))));
    return { bytes: longest, items: 1, item: longest, number: Number.POSITIVE_INFINITY };
  }
  const ends = allowed ?? [minimum, maximum];
  const known = ends.every((end) => typeof end === 'number');
  return scalar(known ? Math.max(...(ends as number[]).map(Math.abs)) : undefined);
}

function scalar(number = Number.POSITIVE_INFINITY): Bound {
  return { bytes: SCALAR, items: 1, item: SCALAR, number };
}

function textOf(bytes: number): Bound {
  return { bytes, items: 1, item: bytes, number: Number.POSITIVE_INFINITY };
}

function listOf(items: number, item: number, bytes = items * item): Bound {
  return { bytes: Math.min(bytes, items * item) + 16, items, item, number: Number.POSITIVE_INFINITY };
}

/** How often a text is made longer by writing it otherwise, at most. */
const TIMES: Readonly<Record<string, number>> = {
  ...{ hex: 2, to_hex: 2, bin: 8, to_binary: 8, base64: 2, to_base64: 2, url_encode: 3, regexp_escape: 2 },
  ...{ json_quote: 6, to_json: 6, json_array: 6, json_object: 6, array_to_json: 6, row_to_json: 6, json_pretty: 20 },
  ...{ nfc_normalize: 3, translate: 2, strftime: 20 },
};

/** Functions that give a number of at most so much. */
const NUMBERS: Readonly<Record<string, number>> = {
  ...{ month: 12, day: 31, dayofmonth: 31, dayofweek: 7, isodow: 7, weekday: 7, dayofyear: 366, hour: 24, minute: 60 },
  ...{ second: 60, week: 53, weekofyear: 53, quarter: 4, sign: 1, year: 10_000, isoyear: 10_000, days_in_month: 31 },
  ...{ century: 100, decade: 1000, ascii: 1_114_112, unicode: 1_114_112, ord: 1_114_112 },
};

/** Functions that give one of their arguments, or a part of it. */
const PARTS = /^(abs|ceil|ceiling|floor|round|trunc|round_even|even|coalesce|least|greatest|nullif|ifnull|if|switch)$/;

/** Functions that count what is in their first argument. */
const LENGTHS =
  /^(len|length|strlen|char_length|character_length|length_grapheme|bit_length|octet_length|array_length|cardinality|instr|position|strpos|json_array_length)$/;

const SPLITS =
  /^(string_split|str_split|string_to_array|split|string_split_regex|str_split_regex|regexp_split_to_array)$/;
const EXTRACTS = /^regexp_extract_all$/;
const LISTS = /^(list_value|list_pack|array_value|row)$/;
const JOINS =
  /^(\|\||concat|list_concat|list_cat|array_concat|array_cat|list_append|array_append|array_push_back|list_prepend|array_prepend|array_push_front|map_concat|list_intersect|array_intersect)$/;
const MAPS = /^(list_|array_)?(transform|apply)$/;
const FILTERS = /^(list_|array_)?filter$/;
const REDUCES = /^(list_|array_)?reduce$/;
const PICKS = /^(list_select|array_select)$/;
const TAKES =
  /^(list_extract|list_element|array_extract|element_at|list_any_value|list_first|list_last|list_max|list_min|list_mode)$/;
const TOGETHER = /^(array_to_string|array_to_string_comma_default|list_string_agg)$/;
const PAIRS = /^(levenshtein|damerau_levenshtein|editdist3|jaro_similarity|jaro_winkler_similarity|jaccard)$/;
const FLATTENS = /^flatten$/;

/** Functions that make as much as a number says, and which argument that is. */
const SIZED: Readonly<Record<string, number>> = {
  ...{ lpad: 1, rpad: 1, bitstring: 1, list_resize: 1, array_resize: 1, repeat: 1 },
  ...{ bar: 3, equi_width_bins: 2, to_base: 2 },
};

class Meter {
  private steps = 0;
  /** How often the part is computed that is being measured. */
  private times = 1;

  measure(node: Node, scope: Scope): Bound {
    this.step(node, 1);
    const bound = this.bound(node, scope);
    if (!(bound.bytes <= MOST_BYTES)) {
      throw new TooMuch(
        `must not make more than ${MOST_BYTES} bytes of a row, and ${nameOf(node)} may: give it a smaller constant, or a column with a minimum and a maximum`,
      );
    }
    return bound;
  }

  private step(node: Node, steps: number): void {
    this.steps += steps * this.times;
    if (!(this.steps <= MOST_STEPS)) {
      throw new TooMuch(
        `must take at most ${MOST_STEPS} steps for a row, and ${nameOf(node)} may take more: give it a shorter list`,
      );
    }
  }

  private bound(node: Node, scope: Scope): Bound {
    switch (node.class) {
      case 'CONSTANT':
        return constant(node.value as Node);
      case 'COLUMN_REF':
        return scope.get(String((node.column_names as string[])[0]).toLowerCase()) ?? scalar();
      case 'CASE':
        return this.cases(node, scope);
      case 'CAST':
        return cast(this.measure(node.child as Node, scope));
      case 'COLLATE':
        return this.measure(node.child as Node, scope);
      case 'OPERATOR':
        return this.operator(node, scope);
      case 'FUNCTION':
        return this.call(node, scope);
      case 'LAMBDA': // an arrow into JSON
        return either([this.measure(node.lhs as Node, scope), this.measure(node.expr as Node, scope)]);
      default:
        for (const part of parts(node)) this.measure(part, scope);
        return scalar(1);
    }
  }

  private cases(node: Node, scope: Scope): Bound {
    const checks = node.case_checks as Array<{ readonly when_expr: Node; readonly then_expr: Node }>;
    for (const { when_expr } of checks) this.measure(when_expr, scope);
    const results = [...checks.map(({ then_expr }) => then_expr), node.else_expr as Node];
    return either(results.map((result) => this.measure(result, scope)));
  }

  private operator(node: Node, scope: Scope): Bound {
    const bounds = parts(node).map((part) => this.measure(part, scope));
    switch (node.type) {
      case 'OPERATOR_COALESCE':
      case 'OPERATOR_TRY':
        return either(bounds);
      case 'ARRAY_CONSTRUCTOR':
        return joined(bounds, bounds.length);
      case 'ARRAY_EXTRACT':
        return textOf(bounds[0]?.item ?? SCALAR);
      case 'ARRAY_SLICE':
      case 'STRUCT_EXTRACT':
        return bounds[0] ?? scalar();
      default:
        return scalar(1); // true or false
    }
  }

  private call(node: Node, scope: Scope): Bound {
    const name = String(node.function_name).toLowerCase();
    const receiver = scope.get(String(node.schema ?? '').toLowerCase()); // as in city.upper()
    const given = parts(node);
    const lambda = given.find((part) => part.class === 'LAMBDA');
    const isLoop = lambda !== undefined && (MAPS.test(name) || FILTERS.test(name) || REDUCES.test(name));
    const plain = given.filter((part) => !isLoop || part !== lambda).map((part) => this.measure(part, scope));
    const bounds = receiver === undefined ? plain : [receiver, ...plain];
    if (isLoop) return this.loop(node, name, lambda as Node, bounds, scope);
    if (PAIRS.test(name)) this.step(node, (bounds[0]?.bytes ?? 1) * (bounds[1]?.bytes ?? 1));
    return applied(name, given, bounds);
  }

  /** A function that computes something for each item of a list. */
  private loop(node: Node, name: string, lambda: Node, bounds: readonly Bound[], scope: Scope): Bound {
    const list = bounds[0] ?? listOf(1, SCALAR);
    const lhs = lambda.lhs as Node;
    const names = (lhs.class === 'FUNCTION' ? parts(lhs) : [lhs]).map((each) =>
      String((each.column_names as string[] | undefined)?.[0]).toLowerCase(),
    );
    const item = textOf(list.item);
    const body = (first: Bound): Bound => {
      const values = REDUCES.test(name) ? [first, item, scalar(list.items)] : [first, scalar(list.items)];
      const inner = new Map(scope);
      for (const [i, parameter] of names.entries()) inner.set(parameter, values[i] ?? scalar());
      return this.measure(lambda.expr as Node, inner);
    };
    const outer = this.times;
    this.times *= Math.max(1, list.items);
    try {
      if (FILTERS.test(name)) {
        body(item);
        return list;
      }
      if (MAPS.test(name)) return listOf(list.items, body(item).bytes);
      const once = body(either([item, ...bounds.slice(1)]));
      const [twice, thrice] = [body(once), body(body(once))];
      const [first, second] = [twice.bytes - once.bytes, thrice.bytes - twice.bytes];
      if (second > 1.5 * first) {
        throw new TooMuch(`must not make more of each item of a list than of the one before, and ${nameOf(node)} does`);
      }
      return textOf(once.bytes + list.items * Math.max(0, first));
    } finally {
      this.times = outer;
    }
  }
}

/** What a function makes of its arguments. */
function applied(name: string, given: readonly Node[], bounds: readonly Bound[]): Bound {
  const [first = scalar(), second = scalar(), third = scalar()] = bounds;
  const all = bounds.reduce((sum, { bytes }) => sum + bytes, 0);
  if (Object.hasOwn(SIZED, name)) return sized(name, bounds);
  if (name === 'range' || name === 'generate_series') {
    return listOf(bounds.length === 1 ? first.number : first.number + second.number, 8);
  }
  if (name === 'printf' || name === 'format') {
    const widths = widthsOf(given[0]);
    return textOf(first.bytes * (1 + Math.max(SCALAR, ...bounds.slice(1).map(({ bytes }) => bytes))) + widths);
  }
  if (name === 'replace') return textOf(first.bytes * Math.max(1, third.bytes / Math.max(1, second.bytes)));
  if (name === 'regexp_replace') return textOf(first.bytes * replacedBy(...patternOf(given, bounds), third));
  if (SPLITS.test(name) || EXTRACTS.test(name)) return listOf(first.bytes + 1, first.bytes, 17 * first.bytes);
  if (LISTS.test(name)) return joined(bounds, bounds.length);
  if (JOINS.test(name)) {
    const items = bounds.reduce((sum, bound) => sum + bound.items, 0);
    return { ...joined(bounds, items), bytes: all };
  }
  if (name === 'concat_ws' || TOGETHER.test(name)) {
    const separator = name === 'concat_ws' ? first : second;
    const items = bounds.reduce((sum, bound) => sum + bound.items, 0);
    return textOf(all + items * separator.bytes);
  }
  if (/^(list_|array_)?aggr(egate)?$/.test(name)) return textOf(all + first.items * third.bytes);
  if (PICKS.test(name)) return listOf(second.items, first.item);
  if (TAKES.test(name)) return textOf(first.item);
  if (FLATTENS.test(name)) return listOf(first.items * (first.item / 8), first.item, 2 * first.bytes);
  if (LENGTHS.test(name)) return scalar(first.bytes);
  if (Object.hasOwn(NUMBERS, name)) return scalar(NUMBERS[name]);
  if (name === 'date_part' || name === 'datepart') return scalar();
  if (name === '+' || name === '-') return scalar(bounds.reduce((sum, { number }) => sum + number, 0));
  if (name === '*') return scalar(first.number * second.number);
  if (name === '/' || name === '//') return scalar(first.number);
  if (name === '%' || name === 'mod') return scalar(second.number);
  if (PARTS.test(name)) return either(bounds);
  if (Object.hasOwn(TIMES, name)) return textOf(all * (TIMES[name] ?? 1) + SCALAR);
  return { ...joined(bounds, Math.max(1, ...bounds.map(({ items }) => items))), bytes: all + SCALAR };
}

function sized(name: string, bounds: readonly Bound[]): Bound {
  const [first = scalar(), second = scalar(), third = scalar()] = bounds;
  const given = bounds[SIZED[name] ?? 0];
  const size = given === undefined ? 100 : given.number; // left out, each of them has a small one
  if (name === 'repeat') {
    const bytes = size * first.bytes;
    return first.items > 1 ? listOf(size * first.items, first.item, bytes) : textOf(bytes);
  }
  if (/resize$/.test(name)) return listOf(Math.max(size, first.items), Math.max(first.item, third.bytes, 8));
  return textOf(Math.max(4 * size, name === 'to_base' ? 64 : first.bytes) + (name === 'bar' ? 0 : second.bytes));
}

/** The pattern and the replacement of `regexp_replace`, also where it is called as a method of its text. */
function patternOf(given: readonly Node[], bounds: readonly Bound[]): [Node | undefined, Node | undefined] {
  const at = bounds.length > given.length ? 0 : 1;
  return [given[at], given[at + 1]];
}

/** How often a text is made longer where matches of a pattern are replaced: each by the new text and what it refers to. */
function replacedBy(pattern: Node | undefined, replacement: Node | undefined, { bytes }: Bound): number {
  const text = textIn(replacement);
  const references = text === undefined ? bytes / 2 : (text.match(/\\\d/g) ?? []).length;
  return (matchesNothing(textIn(pattern)) ? 1 + bytes : Math.max(1, bytes)) + references;
}

/** Whether a pattern may match the empty text, and so between any two characters. */
function matchesNothing(pattern: string | undefined): boolean {
  try {
    return pattern === undefined || new RegExp(pattern.replace(/^\(\?[a-z]+\)/, '')).test('');
  } catch {
    return true; // of another dialect
  }
}

function textIn(node: Node | undefined): string | undefined {
  const value = node?.class === 'CONSTANT' ? (node.value as Node).value : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** How wide a constant format makes its fields; infinite if the width is an argument, or the format no constant. */
function widthsOf(format: Node | undefined): number {
  const text = textIn(format);
  if (text === undefined || /%[^a-zA-Z%]*\*|\{[^}]*\{/.test(text)) return Number.POSITIVE_INFINITY;
  return [...text.matchAll(/\d+/g)].reduce((sum, [digits]) => sum + Number(digits), 0);
}

function constant(value: Node): Bound {
  if (typeof value.value === 'number') return scalar(Math.abs(value.value));
  if (typeof value.value === 'string') return textOf(Buffer.byteLength(value.value));
  return scalar(typeof value.value === 'boolean' ? 1 : undefined);
}

/** A list written as a text gets brackets, commas and escapes. */
function cast(bound: Bound): Bound {
  return bound.items > 1 || bound.bytes > CELL ? { ...bound, bytes: 2 * bound.bytes + SCALAR } : bound;
}

function either(bounds: readonly Bound[]): Bound {
  const most = (part: keyof Bound) => Math.max(0, ...bounds.map((bound) => bound[part]));
  return { bytes: most('bytes'), items: most('items'), item: most('item'), number: most('number') };
}

function joined(bounds: readonly Bound[], items: number): Bound {
  const item = Math.max(SCALAR, ...bounds.map((bound) => bound.item));
  const bytes = bounds.reduce((sum, bound) => sum + bound.bytes, 16);
  return { bytes, items, item, number: Number.POSITIVE_INFINITY };
}

/** The expressions that a node is made of. */
function parts(node: Node): Node[] {
  const found: Node[] = [];
  for (const part of Object.values(node)) {
    for (const each of Array.isArray(part) ? part : [part]) {
      if (typeof each === 'object' && each !== null && typeof (each as Node).class === 'string')
        found.push(each as Node);
    }
  }
  return found;
}

function nameOf(node: Node): string {
  return node.class === 'FUNCTION' ? `${node.function_name}()` : 'a part of it';
}
