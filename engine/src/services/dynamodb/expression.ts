import { RESERVED_WORDS } from './reserved-words';
import { compare, type Item, invalid, typeOf, type Value } from './values';

/** `a.b[0]`: names and indexes. */
export type Path = readonly (string | number)[];

export type Operand =
  | { readonly kind: 'path'; readonly path: Path }
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'size'; readonly of: Path };

export type Comparator = '=' | '<>' | '<' | '<=' | '>' | '>=';

export type Condition =
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'compare'; readonly comparator: Comparator; readonly left: Operand; readonly right: Operand }
  | { readonly kind: 'between'; readonly of: Operand; readonly low: Operand; readonly high: Operand }
  | { readonly kind: 'in'; readonly of: Operand; readonly list: readonly Operand[] }
  | { readonly kind: 'exists'; readonly path: Path; readonly wanted: boolean }
  | {
      readonly kind: 'attribute_type' | 'begins_with' | 'contains';
      readonly of: Operand;
      readonly argument: Operand;
    };

/** What a SET assigns. */
export type Assigned =
  | Operand
  | { readonly kind: 'if_not_exists'; readonly path: Path; readonly otherwise: Assigned }
  | { readonly kind: 'list_append'; readonly first: Assigned; readonly second: Assigned }
  | { readonly kind: '+' | '-'; readonly left: Assigned; readonly right: Assigned };

export interface Update {
  readonly set: readonly { readonly path: Path; readonly value: Assigned }[];
  readonly remove: readonly Path[];
  readonly add: readonly { readonly path: Path; readonly value: Value }[];
  readonly delete: readonly { readonly path: Path; readonly value: Value }[];
}

/** The placeholders of a request, and which of them its expressions used. */
export class Placeholders {
  private readonly used = new Set<string>();

  constructor(
    private readonly names: Readonly<Record<string, string>> = {},
    private readonly values: Item = {},
  ) {}

  name(placeholder: string, what: string): string {
    this.used.add(placeholder);
    const name = this.names[placeholder];
    if (name !== undefined) return name;
    throw invalid(
      `Invalid ${what}: An expression attribute name used in the document path is not defined; attribute name: ${placeholder}`,
    );
  }

  value(placeholder: string, what: string): Value {
    this.used.add(placeholder);
    const value = this.values[placeholder];
    if (value !== undefined) return value;
    throw invalid(
      `Invalid ${what}: An expression attribute value used in expression is not defined; attribute value: ${placeholder}`,
    );
  }

  /** Throws if the request defines a placeholder that none of its expressions uses. */
  checkUsed(): void {
    const unused = (of: object) => Object.keys(of).filter((placeholder) => !this.used.has(placeholder));
    for (const [kind, of] of [
      ['ExpressionAttributeNames', this.names],
      ['ExpressionAttributeValues', this.values],
    ] as const) {
      const left = unused(of);
      if (left.length > 0) throw invalid(`Value provided in ${kind} unused in expressions: keys: {${left.join(', ')}}`);
    }
  }
}

/** Parses `ConditionExpression`, `FilterExpression` or `KeyConditionExpression`; `what` is its name. */
export function parseCondition(text: string, what: string, placeholders: Placeholders): Condition {
  const parser = new Parser(text, what, placeholders);
  const condition = parser.condition();
  parser.end();
  return condition;
}

export function parseProjection(text: string, placeholders: Placeholders): Path[] {
  const parser = new Parser(text, 'ProjectionExpression', placeholders);
  const paths = parser.list(() => parser.path());
  parser.end();
  refuseOverlaps(paths, 'ProjectionExpression');
  return paths;
}

export function parseUpdate(text: string, placeholders: Placeholders): Update {
  const parser = new Parser(text, 'UpdateExpression', placeholders);
  const update = parser.update();
  parser.end();
  const paths = [...update.set, ...update.add, ...update.delete].map(({ path }) => path);
  refuseOverlaps([...paths, ...update.remove], 'UpdateExpression');
  return update;
}

function refuseOverlaps(paths: readonly Path[], what: string): void {
  for (const [i, one] of paths.entries()) {
    for (const other of paths.slice(i + 1)) {
      const shorter = Math.min(one.length, other.length);
      if (one.slice(0, shorter).every((step, at) => step === other[at])) {
        throw invalid(
          `Invalid ${what}: Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [${one.join(', ')}], path two: [${other.join(', ')}]`,
        );
      }
    }
  }
}

/** In the order in which DynamoDB names them. */
const TYPE_NAMES = ['B', 'NULL', 'SS', 'BOOL', 'L', 'BS', 'N', 'NS', 'S', 'M'];

/** A value as messages show it: `{S:text}`. */
function shown(value: Value): string {
  const type = typeOf(value);
  return `{${type}:${typeof value[type] === 'object' ? JSON.stringify(value[type]) : value[type]}}`;
}

const TOKEN = /\s*(?:([A-Za-z_][\w-]*|#[\w-]+|:[\w-]+|\d+)|(<>|<=|>=|[=<>()[\],.+-]))/y;

/** In bytes. */
const LONGEST_EXPRESSION = 4096;
const MOST_OPERATORS = 300;
const MOST_IN_LIST = 100;

class Parser {
  private readonly tokens: string[] = [];
  /** Where each token begins and ends in the text. */
  private readonly places: [start: number, end: number][] = [];
  private at = 0;
  private operators = 0;

  constructor(
    private readonly text: string,
    private readonly what: string,
    private readonly placeholders: Placeholders,
  ) {
    const size = Buffer.byteLength(text);
    if (text.trim() === '') throw this.wrong('The expression can not be empty;');
    if (size > LONGEST_EXPRESSION) {
      throw this.wrong(`Expression size has exceeded the maximum allowed size; expression size: ${size}`);
    }
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const from = TOKEN.lastIndex;
      const found = TOKEN.exec(text);
      if (!found) {
        const rest = text.slice(from).trim();
        throw this.wrong(`Syntax error; token: "${rest[0]}", near: "${rest.slice(0, 2).trim()}"`);
      }
      const token = found[1] ?? found[2];
      this.tokens.push(token);
      this.places.push([TOKEN.lastIndex - token.length, TOKEN.lastIndex]);
    }
  }

  private wrong(fault: string) {
    return invalid(`Invalid ${this.what}: ${fault}`);
  }

  /** Says what is wrong with a token: the next one, or the one just taken. */
  private syntaxError(index = this.at) {
    const [start] = this.places[Math.max(index - 1, 0)] ?? [0];
    const [, end] = this.places[Math.min(index + 1, this.places.length - 1)] ?? [0, 0];
    const near = this.text.slice(start, end);
    return this.wrong(`Syntax error; token: "${this.tokens[index] ?? '<EOF>'}", near: "${near}"`);
  }

  private operator(): void {
    this.operators += 1;
    if (this.operators <= MOST_OPERATORS) return;
    throw this.wrong(`The expression contains too many operators; operators: more than ${MOST_OPERATORS}`);
  }

  private peek(): string | undefined {
    return this.tokens[this.at];
  }

  private is(word: string): boolean {
    return this.peek()?.toUpperCase() === word;
  }

  private take(word: string): boolean {
    if (!this.is(word)) return false;
    this.at += 1;
    return true;
  }

  private expect(word: string): void {
    if (!this.take(word)) throw this.syntaxError();
  }

  private next(): string {
    const token = this.peek();
    if (token === undefined) throw this.syntaxError();
    this.at += 1;
    return token;
  }

  end(): void {
    if (this.peek() !== undefined) throw this.syntaxError();
  }

  list<T>(one: () => T): T[] {
    const items = [one()];
    while (this.take(',')) items.push(one());
    return items;
  }

  condition(): Condition {
    let left = this.conjunction();
    while (this.take('OR')) {
      this.operator();
      left = { kind: 'or', left, right: this.conjunction() };
    }
    return left;
  }

  private conjunction(): Condition {
    let left = this.negation();
    while (this.take('AND')) {
      this.operator();
      left = { kind: 'and', left, right: this.negation() };
    }
    return left;
  }

  private negation(): Condition {
    if (this.take('NOT')) {
      this.operator();
      return { kind: 'not', of: this.negation() };
    }
    if (this.take('(')) {
      const again = this.peek() === '(';
      const from = this.at;
      const inner = this.condition();
      // Brackets around nothing but brackets; a query's key condition may have them.
      const redundant = again && this.closing(from) === this.at - 1 && this.what !== 'KeyConditionExpression';
      if (redundant) throw this.wrong('The expression has redundant parentheses;');
      this.expect(')');
      return inner;
    }
    const name = this.peek() ?? '';
    this.operator();
    if (this.tokens[this.at + 1] === '(' && name !== 'size') return this.predicate();
    const left = this.operand();
    if (this.take('BETWEEN')) {
      const low = this.operand();
      this.expect('AND');
      return this.between(left, low, this.operand());
    }
    if (this.take('IN')) {
      this.expect('(');
      const list = this.list(() => this.operand());
      this.expect(')');
      if (list.length > MOST_IN_LIST) {
        throw this.wrong(`The IN operator is provided with too many operands; number of operands: ${list.length}`);
      }
      return { kind: 'in', of: this.distinct('IN', left, list), list };
    }
    const comparator = this.next();
    if (!['=', '<>', '<', '<=', '>', '>='].includes(comparator)) throw this.syntaxError(this.at - 1);
    const right = this.operand();
    if (comparator !== '=' && comparator !== '<>') this.ordered(comparator, left, right);
    return {
      kind: 'compare',
      comparator: comparator as Comparator,
      left: this.distinct(comparator, left, [right]),
      right,
    };
  }

  /** The bracket that closes the one at an index. */
  private closing(open: number): number {
    let depth = 0;
    for (let index = open; index < this.tokens.length; index++) {
      if (this.tokens[index] === '(') depth += 1;
      if (this.tokens[index] === ')') depth -= 1;
      if (depth === 0) return index;
    }
    return -1;
  }

  private between(of: Operand, low: Operand, high: Operand): Condition {
    this.ordered('BETWEEN', of, low, high);
    if (low.kind === 'value' && high.kind === 'value' && (compare(low.value, high.value) ?? 0) > 0) {
      const [lower, upper] = [low, high].map(({ value }) => `AttributeValue: ${shown(value)}`);
      throw this.wrong(
        `The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: ${lower}, upper bound operand: ${upper}`,
      );
    }
    return { kind: 'between', of: this.distinct('BETWEEN', of, [low, high]), low, high };
  }

  /** Refuses a comparison of an attribute with itself. */
  private distinct(operator: string, first: Operand, others: readonly Operand[]): Operand {
    const same = others.some(
      (other) => first.kind === 'path' && other.kind === 'path' && String(first.path) === String(other.path),
    );
    if (!same || first.kind !== 'path') return first;
    throw this.wrong(
      `The first operand must be distinct from the remaining operands for this operator or function; operator: ${operator}, first operand: [${first.path.join(', ')}]`,
    );
  }

  /** Refuses values that have no order. */
  private ordered(operator: string, ...operands: readonly Operand[]): void {
    for (const operand of operands) this.typed(`operator: ${operator}`, operand, ['S', 'N', 'B']);
  }

  private typed(operator: string, operand: Operand, types: readonly string[]): void {
    if (operand.kind !== 'value' || types.includes(typeOf(operand.value))) return;
    const type = typeOf(operand.value);
    throw this.wrong(`Incorrect operand type for operator or function; ${operator}, operand type: ${type}`);
  }

  private predicate(): Condition {
    const name = this.next();
    this.expect('(');
    let condition: Condition;
    if (name === 'attribute_exists' || name === 'attribute_not_exists') {
      condition = { kind: 'exists', path: this.path(), wanted: name === 'attribute_exists' };
    } else if (name === 'attribute_type' || name === 'begins_with' || name === 'contains') {
      const of = this.operand();
      this.expect(',');
      const argument = this.operand();
      if (name === 'attribute_type') this.checkTypeName(argument);
      if (name === 'begins_with') {
        for (const one of [of, argument]) this.typed('operator or function: begins_with', one, ['S', 'B']);
      }
      condition = { kind: name, of: this.distinct(name, of, [argument]), argument };
    } else {
      throw this.wrong(`Invalid function name; function: ${name}`);
    }
    this.expect(')');
    return condition;
  }

  private checkTypeName(argument: Operand): void {
    this.typed('operator or function: attribute_type', argument, ['S']);
    if (argument.kind !== 'value' || TYPE_NAMES.includes(argument.value.S)) return;
    const valid = `valid types: {${TYPE_NAMES.join(',')}}`;
    throw this.wrong(`Invalid attribute type name found; type: ${argument.value.S}, ${valid}`);
  }

  private operand(): Operand {
    const token = this.peek() ?? '';
    if (token.startsWith(':')) return { kind: 'value', value: this.value() };
    if (token === 'size' && this.tokens[this.at + 1] === '(') {
      this.at += 2;
      const of = this.path();
      this.expect(')');
      return { kind: 'size', of };
    }
    return { kind: 'path', path: this.path() };
  }

  private value(): Value {
    const token = this.next();
    if (!token.startsWith(':')) throw this.syntaxError(this.at - 1);
    return this.placeholders.value(token, this.what);
  }

  path(): Path {
    const path: (string | number)[] = [this.name()];
    for (;;) {
      if (this.take('.')) {
        path.push(this.name());
      } else if (this.take('[')) {
        const index = this.next();
        if (!/^\d+$/.test(index)) throw this.syntaxError(this.at - 1);
        path.push(Number(index));
        this.expect(']');
      } else {
        return path;
      }
    }
  }

  private name(): string {
    const token = this.next();
    if (token.startsWith('#')) return this.placeholders.name(token, this.what);
    if (!/^[A-Za-z]\w*$/.test(token)) throw this.syntaxError(this.at - 1);
    if (RESERVED_WORDS.has(token.toUpperCase())) {
      throw invalid(`Invalid ${this.what}: Attribute name is a reserved keyword; reserved keyword: ${token}`);
    }
    return token;
  }

  update(): Update {
    const found: { set?: Update['set']; remove?: Path[]; add?: Update['add']; delete?: Update['delete'] } = {};
    while (this.peek() !== undefined) {
      const clause = this.next();
      const name = clause.toUpperCase();
      const key = name.toLowerCase() as keyof typeof found;
      if (!['SET', 'REMOVE', 'ADD', 'DELETE'].includes(name)) throw this.syntaxError(this.at - 1);
      if (found[key]) {
        throw invalid(`Invalid UpdateExpression: The "${name}" section can only be used once in an update expression;`);
      }
      if (key === 'set') found.set = this.list(() => this.assignment());
      else if (key === 'remove') found.remove = this.list(() => this.path());
      else found[key] = this.list(() => ({ path: this.path(), value: this.value() }));
    }
    return { set: found.set ?? [], remove: found.remove ?? [], add: found.add ?? [], delete: found.delete ?? [] };
  }

  private assignment(): { path: Path; value: Assigned } {
    const path = this.path();
    this.expect('=');
    const left = this.term();
    const sign = this.peek();
    if (sign !== '+' && sign !== '-') return { path, value: left };
    this.at += 1;
    return { path, value: { kind: sign, left, right: this.term() } };
  }

  private term(): Assigned {
    const name = this.peek() ?? '';
    if (this.tokens[this.at + 1] !== '(') return this.operand();
    this.at += 2;
    let term: Assigned;
    if (name === 'if_not_exists') {
      const path = this.path();
      this.expect(',');
      term = { kind: name, path, otherwise: this.term() };
    } else if (name === 'list_append') {
      const first = this.term();
      this.expect(',');
      term = { kind: name, first, second: this.term() };
    } else {
      throw invalid(`Invalid UpdateExpression: Invalid function name; function: ${name}`);
    }
    this.expect(')');
    return term;
  }
}
