import { RESERVED_WORDS } from './reserved-words';
import { type Item, invalid, type Value } from './values';

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

const TOKEN = /\s*(?:([A-Za-z_][\w-]*|#[\w-]+|:[\w-]+|\d+)|(<>|<=|>=|[=<>()[\],.+-]))/y;

class Parser {
  private readonly tokens: string[] = [];
  private at = 0;

  constructor(
    text: string,
    private readonly what: string,
    private readonly placeholders: Placeholders,
  ) {
    if (text.trim() === '') throw invalid(`Invalid ${what}: The expression can not be empty;`);
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.trimEnd().length) {
      const from = TOKEN.lastIndex;
      const found = TOKEN.exec(text);
      if (!found) throw this.syntaxError(text.slice(from).trim()[0], text.slice(from, from + 20));
      this.tokens.push(found[1] ?? found[2]);
    }
  }

  private syntaxError(token = '<EOF>', near = this.tokens.slice(Math.max(this.at - 2, 0), this.at + 2).join(' ')) {
    return invalid(`Invalid ${this.what}: Syntax error; token: "${token}", near: "${near}"`);
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
    if (!this.take(word)) throw this.syntaxError(this.peek());
  }

  private next(): string {
    const token = this.peek();
    if (token === undefined) throw this.syntaxError();
    this.at += 1;
    return token;
  }

  end(): void {
    if (this.peek() !== undefined) throw this.syntaxError(this.peek());
  }

  list<T>(one: () => T): T[] {
    const items = [one()];
    while (this.take(',')) items.push(one());
    return items;
  }

  condition(): Condition {
    let left = this.conjunction();
    while (this.take('OR')) left = { kind: 'or', left, right: this.conjunction() };
    return left;
  }

  private conjunction(): Condition {
    let left = this.negation();
    while (this.take('AND')) left = { kind: 'and', left, right: this.negation() };
    return left;
  }

  private negation(): Condition {
    if (this.take('NOT')) return { kind: 'not', of: this.negation() };
    if (this.take('(')) {
      const inner = this.condition();
      this.expect(')');
      return inner;
    }
    const name = this.peek() ?? '';
    if (this.tokens[this.at + 1] === '(' && name !== 'size') return this.predicate();
    const left = this.operand();
    if (this.take('BETWEEN')) {
      const low = this.operand();
      this.expect('AND');
      return { kind: 'between', of: left, low, high: this.operand() };
    }
    if (this.take('IN')) {
      this.expect('(');
      const list = this.list(() => this.operand());
      this.expect(')');
      return { kind: 'in', of: left, list };
    }
    const comparator = this.next();
    if (!['=', '<>', '<', '<=', '>', '>='].includes(comparator)) throw this.syntaxError(comparator);
    return { kind: 'compare', comparator: comparator as Comparator, left, right: this.operand() };
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
      condition = { kind: name, of, argument: this.operand() };
    } else {
      throw invalid(`Invalid ${this.what}: Invalid function name; function: ${name}`);
    }
    this.expect(')');
    return condition;
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
    if (!token.startsWith(':')) throw this.syntaxError(token);
    return this.placeholders.value(token, this.what);
  }

  path(): Path {
    const path: (string | number)[] = [this.name()];
    for (;;) {
      if (this.take('.')) {
        path.push(this.name());
      } else if (this.take('[')) {
        const index = this.next();
        if (!/^\d+$/.test(index)) throw this.syntaxError(index);
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
    if (!/^[A-Za-z]\w*$/.test(token)) throw this.syntaxError(token);
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
      if (!['SET', 'REMOVE', 'ADD', 'DELETE'].includes(name)) throw this.syntaxError(clause);
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
