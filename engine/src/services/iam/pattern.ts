/** The value that a policy variable has in a request; undefined if it has none, or several. */
export type Variables = (key: string) => string | undefined;

/** How a text of a policy is read. */
export interface Syntax {
  /** Whether `${…}` stands for a value of the request: only in policies of version 2012-10-17. */
  readonly variables: boolean;
}

/** Character codes of a pattern; `*` and `?` have codes that no character has. */
type Codes = readonly number[];
const MANY = -1;
const ONE = -2;
const COLON = 58;

/** A policy variable; without a key it is malformed, and has never a value. */
interface Variable {
  readonly key: string | undefined;
  readonly fallback: string | undefined;
}

type Tokens = readonly (number | Variable)[];

/**
 * Reads a text in which `*` and `?` are wild.
 *
 * @returns whether a value is like it; a variable without a value makes it like nothing
 */
export function glob(text: string, syntax: Syntax): (value: string, variables: Variables) => boolean {
  if (isLiteral(text, syntax)) return (value) => value === text;
  const tokens = tokensOf(text, syntax);
  if (isPlain(tokens)) return (value) => matches(tokens, value);
  return (value, variables) => {
    const codes = fill(tokens, variables);
    return codes !== undefined && matches(codes, value);
  };
}

/**
 * Reads a text in which nothing is wild.
 *
 * @returns what it says in a request; undefined if a variable has no value
 */
export function text(pattern: string, syntax: Syntax): (variables: Variables) => string | undefined {
  if (!syntax.variables || !pattern.includes('${')) return () => pattern;
  const tokens = tokensOf(pattern, syntax).map((one) => (one === MANY ? codeOf('*') : one === ONE ? codeOf('?') : one));
  return (variables) => {
    const codes = fill(tokens, variables);
    return codes === undefined ? undefined : String.fromCharCode(...codes);
  };
}

/** An ARN, taken apart once a request. */
export interface Arn {
  readonly text: string;
  readonly parts: readonly string[];
}

export function arnOf(text: string): Arn {
  return { text, parts: text.split(':') };
}

/** Whether an ARN is like a pattern; with a variable that has no value it is like nothing. */
export type ResourcePattern = (arn: Arn, variables: Variables) => boolean;

export interface ResourceSyntax extends Syntax {
  /** Whether parts that are missing are taken for `*`, as they are in policies of identities. */
  readonly completed: boolean;
}

/**
 * Reads the `Resource` of a statement. A wildcard stays between two colons, but for one at the end, which takes
 * whatever follows. Of variables there may be some after the fifth colon.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
 */
export function resource(pattern: string, syntax: ResourceSyntax): ResourcePattern {
  let read: ResourcePattern | undefined; // of an app's many patterns a run asks few
  return (arn, variables) => {
    read ??= readResource(pattern, syntax);
    return read(arn, variables);
  };
}

function readResource(pattern: string, syntax: ResourceSyntax): ResourcePattern {
  if (pattern === '*') return () => true;
  if (isLiteral(pattern, syntax) && pattern.split(':').length >= 6) return ({ text }) => text === pattern;
  const segments = split(tokensOf(pattern, syntax));
  while (syntax.completed && segments.length < 6) segments.push([MANY]);
  if (segments.slice(0, 5).some((segment) => !isPlain(segment))) return () => false;
  const last = segments.length - 1;
  const plain = segments.every(isPlain) ? (segments as Codes[]) : undefined;
  return ({ parts }, variables) => {
    const filled: readonly (Codes | undefined)[] = plain ?? segments.map((segment) => fill(segment, variables));
    if (!isFilled(filled) || parts.length <= last) return false;
    return filled.every((codes, i) => matches(codes, i < last ? (parts[i] as string) : parts.slice(last).join(':')));
  };
}

/**
 * Reads the value of a condition on an ARN: six parts, compared one by one.
 *
 * @returns undefined where the value or the pattern is no ARN
 */
export function arnLike(pattern: string, syntax: Syntax): (value: string, variables: Variables) => boolean | undefined {
  const tokens = tokensOf(pattern, syntax);
  const plain = isPlain(tokens) ? sixOf(tokens) : undefined;
  return (value, variables) => {
    const codes = isPlain(tokens) ? tokens : fill(tokens, variables);
    if (codes === undefined) return false;
    const [wanted, given] = [plain ?? sixOf(codes), value.split(':')];
    if (wanted === undefined || given.length < 6) return undefined;
    return wanted.every((part, i) => matches(part, i < 5 ? (given[i] as string) : given.slice(5).join(':')));
  };
}

/** The six parts of an ARN, the last with all its colons. */
function sixOf(codes: Codes): Codes[] | undefined {
  const segments = split(codes);
  if (segments.length < 6) return undefined;
  const rest = segments.slice(5).flatMap((segment, i) => (i === 0 ? segment : [COLON, ...segment]));
  return [...segments.slice(0, 5), rest];
}

function isLiteral(text: string, { variables }: Syntax): boolean {
  return !/[*?]/.test(text) && !(variables && text.includes('${'));
}

function tokensOf(text: string, { variables }: Syntax): Tokens {
  const pieces = variables ? text.split(/(\$\{[^}]*\})/) : [text];
  return pieces.flatMap((piece, i): (number | Variable)[] => {
    if (i % 2 === 0) return codesOf(piece).map((code) => (code === 42 ? MANY : code === 63 ? ONE : code));
    const inner = piece.slice(2, -1);
    return inner === '*' || inner === '?' || inner === '$' ? codesOf(inner) : [variableOf(inner)];
  });
}

/** e.g. `aws:PrincipalTag/team, 'none'` */
function variableOf(inner: string): Variable {
  const [, key, fallback] = /^([^,'"]+?)(?:\s*,\s+'([^']*)')?$/.exec(inner) ?? [];
  return { key: key?.trim().toLowerCase(), fallback };
}

function isFilled(segments: readonly (Codes | undefined)[]): segments is readonly Codes[] {
  return !segments.includes(undefined);
}

function fill(tokens: Tokens, variables: Variables): Codes | undefined {
  const codes: number[] = [];
  for (const token of tokens) {
    if (typeof token === 'number') {
      codes.push(token);
      continue;
    }
    const value = token.key === undefined ? undefined : (variables(token.key) ?? token.fallback);
    if (value === undefined) return undefined;
    for (let i = 0; i < value.length; i++) codes.push(value.charCodeAt(i));
  }
  return codes;
}

function isPlain(tokens: Tokens): tokens is Codes {
  return tokens.every((token) => typeof token === 'number');
}

function split<T extends Tokens>(tokens: T): T[] {
  const segments: (number | Variable)[][] = [[]];
  for (const token of tokens) {
    if (token === COLON) segments.push([]);
    else segments.at(-1)?.push(token);
  }
  return segments as unknown as T[];
}

function codesOf(text: string): number[] {
  const codes: number[] = [];
  for (let i = 0; i < text.length; i++) codes.push(text.charCodeAt(i));
  return codes;
}

function codeOf(character: string): number {
  return character.charCodeAt(0);
}

/** In time that grows with the product of the lengths at most, whatever the pattern. */
function matches(pattern: Codes, text: string): boolean {
  let [at, next, star, from] = [0, 0, -1, 0];
  while (at < text.length) {
    const code = pattern[next];
    if (code === MANY) {
      star = next++;
      from = at;
    } else if (code === ONE || code === text.charCodeAt(at)) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++from;
    } else return false;
  }
  while (pattern[next] === MANY) next++;
  return next === pattern.length;
}
