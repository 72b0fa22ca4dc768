import type { Assigned, Condition, Operand, Path, Update } from './expression';
import { addNumbers, negated } from './number';
import { compare, equal, type Item, invalid, typeOf, type Value } from './values';

/** What lies at a path; undefined if nothing does. */
export function at(item: Item, path: Path): Value | undefined {
  let value: Value = { M: item };
  for (const step of path) {
    value = typeof step === 'number' ? value.L?.[step] : value.M?.[step];
    if (value === undefined) return undefined;
  }
  return value;
}

export function holds(condition: Condition, item: Item): boolean {
  switch (condition.kind) {
    case 'and':
      return holds(condition.left, item) && holds(condition.right, item);
    case 'or':
      return holds(condition.left, item) || holds(condition.right, item);
    case 'not':
      return !holds(condition.of, item);
    case 'exists':
      return (at(item, condition.path) !== undefined) === condition.wanted;
    case 'in': {
      const of = resolved(condition.of, item);
      return condition.list.some((one) => same(of, resolved(one, item)));
    }
    case 'between': {
      const of = resolved(condition.of, item);
      return (
        (order(resolved(condition.low, item), of) ?? 1) <= 0 && (order(of, resolved(condition.high, item)) ?? 1) <= 0
      );
    }
    case 'compare':
      return compared(condition.comparator, resolved(condition.left, item), resolved(condition.right, item));
    default: {
      const of = resolved(condition.of, item);
      const argument = resolved(condition.argument, item);
      return of !== undefined && argument !== undefined && predicate(condition.kind, of, argument);
    }
  }
}

function compared(comparator: string, left: Value | undefined, right: Value | undefined): boolean {
  if (comparator === '=') return same(left, right);
  if (comparator === '<>') return !same(left, right);
  const ordered = order(left, right);
  if (ordered === undefined) return false;
  if (comparator === '<') return ordered < 0;
  if (comparator === '<=') return ordered <= 0;
  if (comparator === '>') return ordered > 0;
  return ordered >= 0;
}

function same(a: Value | undefined, b: Value | undefined): boolean {
  return a !== undefined && b !== undefined && equal(a, b);
}

function order(a: Value | undefined, b: Value | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : compare(a, b);
}

function predicate(name: 'attribute_type' | 'begins_with' | 'contains', of: Value, argument: Value): boolean {
  const type = typeOf(of);
  if (name === 'attribute_type') return argument.S === type;
  if (name === 'begins_with') {
    if (argument.S !== undefined) return type === 'S' && of.S.startsWith(argument.S);
    if (argument.B === undefined) throw invalid('Invalid operand type for begins_with: allowed are S and B');
    const start = Buffer.from(argument.B, 'base64');
    return type === 'B' && Buffer.from(of.B, 'base64').subarray(0, start.length).equals(start);
  }
  if (type === 'S') return argument.S !== undefined && of.S.includes(argument.S);
  if (type === 'L') return of.L.some((one: Value) => equal(one, argument));
  if (type === 'SS' || type === 'NS' || type === 'BS') return of[type].includes(argument[type[0]]);
  return (
    type === 'B' && argument.B !== undefined && Buffer.from(of.B, 'base64').includes(Buffer.from(argument.B, 'base64'))
  );
}

function resolved(operand: Operand, item: Item): Value | undefined {
  if (operand.kind === 'value') return operand.value;
  if (operand.kind === 'path') return at(item, operand.path);
  const of = at(item, operand.of);
  if (of === undefined) return undefined;
  const type = typeOf(of);
  const content = of[type];
  if (type === 'B') return { N: String(Buffer.byteLength(content, 'base64')) };
  if (type === 'M') return { N: String(Object.keys(content).length) };
  return typeof content === 'string' || Array.isArray(content) ? { N: String(content.length) } : undefined;
}

/** The item after an update; every operand is read from the item before it. */
export function updated(update: Update, before: Item): Item {
  const item: Item = structuredClone(before);
  const assignments = update.set.map(({ path, value }) => ({ path, value: assigned(value, before) }));
  for (const { path, value } of assignments) put(item, path, value);
  for (const { path, value } of update.add) put(item, path, added(at(before, path), value));
  for (const { path, value } of update.delete) {
    const left = subtracted(at(before, path), value);
    if (left === undefined) remove(item, path);
    else put(item, path, left);
  }
  // From the back, so that indexes of a list stay what the expression meant.
  for (const path of [...update.remove].sort(byIndexDescending)) remove(item, path);
  return item;
}

function byIndexDescending(a: Path, b: Path): number {
  const [x, y] = [a.at(-1), b.at(-1)];
  return typeof x === 'number' && typeof y === 'number' ? y - x : 0;
}

const WRONG_TYPE = 'An operand in the update expression has an incorrect data type';

function assigned(value: Assigned, before: Item): Value {
  switch (value.kind) {
    case 'if_not_exists':
      return at(before, value.path) ?? assigned(value.otherwise, before);
    case 'list_append': {
      const first = assigned(value.first, before);
      const second = assigned(value.second, before);
      if (!first.L || !second.L) throw invalid(WRONG_TYPE);
      return { L: [...first.L, ...second.L] };
    }
    case '+':
    case '-': {
      const left = assigned(value.left, before);
      const right = assigned(value.right, before);
      if (left.N === undefined || right.N === undefined) throw invalid(WRONG_TYPE);
      return { N: addNumbers(left.N, value.kind === '-' ? negated(right.N) : right.N) };
    }
    case 'size':
      throw invalid('Invalid UpdateExpression: The function is not allowed in an update expression; function: size');
    default: {
      const found = resolved(value, before);
      if (found === undefined)
        throw invalid('The provided expression refers to an attribute that does not exist in the item');
      return found;
    }
  }
}

function added(before: Value | undefined, value: Value): Value {
  const type = typeOf(value);
  if (!['N', 'SS', 'NS', 'BS'].includes(type)) {
    throw invalid(
      `Invalid UpdateExpression: Incorrect operand type for operator or function; operator: ADD, operand type: ${type}`,
    );
  }
  if (before === undefined) return value;
  if (typeOf(before) !== type) throw invalid(WRONG_TYPE);
  if (type === 'N') return { N: addNumbers(before.N, value.N) };
  return { [type]: [...new Set([...before[type], ...value[type]])] };
}

function subtracted(before: Value | undefined, value: Value): Value | undefined {
  const type = typeOf(value);
  if (!['SS', 'NS', 'BS'].includes(type)) {
    throw invalid(
      `Invalid UpdateExpression: Incorrect operand type for operator or function; operator: DELETE, operand type: ${type}`,
    );
  }
  if (before === undefined) return undefined;
  if (typeOf(before) !== type) throw invalid(WRONG_TYPE);
  const left = before[type].filter((one: string) => !value[type].includes(one));
  return left.length === 0 ? undefined : { [type]: left };
}

const INVALID_PATH = 'The document path provided in the update expression is invalid for update';

function put(item: Item, path: Path, value: Value): void {
  const last = path[path.length - 1];
  const parent = at(item, path.slice(0, -1));
  if (typeof last === 'number' && parent?.L) parent.L[Math.min(last, parent.L.length)] = value;
  else if (typeof last === 'string' && parent?.M) parent.M[last] = value;
  else throw invalid(INVALID_PATH);
}

function remove(item: Item, path: Path): void {
  const last = path[path.length - 1];
  const parent = at(item, path.slice(0, -1));
  if (typeof last === 'number' && parent?.L) parent.L.splice(last, 1);
  else if (typeof last === 'string' && parent?.M) delete parent.M[last];
  else throw invalid(INVALID_PATH);
}

/** Of an item only what the paths name. */
export function projected(item: Item, paths: readonly Path[]): Item {
  const out: Item = {};
  for (const path of paths) {
    const value = at(item, path);
    if (value !== undefined) graft(out, path, value);
  }
  return out;
}

/** Copies the value with the maps and lists around it; a list's elements close ranks. */
function graft(out: Item, path: Path, value: Value): void {
  let target: Value = { M: out };
  for (const [i, step] of path.entries()) {
    const last = i === path.length - 1;
    const empty = typeof path[i + 1] === 'number' ? { L: [] } : { M: {} };
    if (typeof step === 'string') {
      if (last) target.M[step] = value;
      else target.M[step] ??= empty;
      target = target.M[step];
    } else {
      target.L.push(last ? value : empty);
      target = target.L.at(-1);
    }
  }
}
