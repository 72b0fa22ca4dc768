import type jsonata from 'jsonata';

/*
 * Step Functions stops an expression that nests too deeply, holds too much or takes too long. The first two limits are
 * as measured on AWS: 100 terms of 1+1+… pass and 101 do not, [1..873782] passes and [1..873783] does not. AWS gives an
 * expression one second; here it has five, because a laptop does other things too.
 */
const DEEPEST = 100;
const MOST_BYTES = 873_782 * 8;
const LONGEST_MS = 5_000;

export const MEMORY_EXCEEDED = 'Expression evaluation memory limit exceeded: Check for excessive memory usage';
const STACK_EXCEEDED =
  'Stack overflow error: Check for non-terminating recursive function. Consider rewriting as tail-recursive';
const TIME_EXCEEDED = 'Expression evaluation timeout: Check for infinite loop';

/** The name under which an evaluation finds its bounds; no expression can write it. */
const NAME = ' bounds';

/** A node of an expression's tree, as far as limits go. */
interface Node {
  readonly type: string;
  readonly value?: unknown;
  /** Items of a list. */
  readonly expressions?: readonly unknown[];
  /** Members of an object. */
  readonly lhs?: readonly unknown[];
  readonly group?: unknown;
}

/** What one evaluation has used up. */
export class Bounds {
  private depth = 0;
  /** How many lists and objects are being made, whose parts jsonata evaluates side by side: depth means nothing there. */
  private sideBySide = 0;
  private readonly end = Date.now() + LONGEST_MS;
  /** What objects and lists held when they came by before: `$states` does at every mention. */
  private readonly held = new WeakMap<object, { readonly length: number; readonly bytes: number }>();

  /** To be among the evaluation's variables. */
  get binding(): Record<string, Bounds> {
    return { [NAME]: this };
  }

  enter(node: Node): void {
    if (Date.now() > this.end) throw new Error(TIME_EXCEEDED);
    if (this.sideBySide === 0) this.depth += 1;
    if (this.depth > DEEPEST) throw new Error(STACK_EXCEEDED);
    if (branches(node)) this.sideBySide += 1;
  }

  leave(node: Node, result: unknown): void {
    if (branches(node)) this.sideBySide -= 1;
    if (this.sideBySide === 0) this.depth -= 1;
    if (this.bytes(result) > MOST_BYTES) throw new Error(MEMORY_EXCEEDED);
  }

  /** A character counts one, every other simple value eight. */
  private bytes(value: unknown): number {
    if (typeof value === 'string') return value.length;
    if (typeof value !== 'object' || value === null || '_jsonata_lambda' in value || '_jsonata_function' in value) {
      return 8;
    }
    const length = Array.isArray(value) ? value.length : 0;
    const known = this.held.get(value);
    if (known?.length === length) return known.bytes;
    this.held.set(value, { length, bytes: 0 }); // in case it holds itself
    let bytes = 0;
    if (Array.isArray(value)) for (const item of value) bytes += this.bytes(item);
    else for (const [key, member] of Object.entries(value)) bytes += key.length + this.bytes(member);
    this.held.set(value, { length, bytes });
    return bytes;
  }
}

/** Whether a node's parts are evaluated side by side. */
function branches({ type, value, expressions, lhs, group }: Node): boolean {
  const parts = value === '[' ? expressions : lhs;
  return group !== undefined || (type === 'unary' && (parts?.length ?? 0) > 1);
}

/** Has an expression keep to the bounds that are among its variables. */
export function bound(target: jsonata.Expression): void {
  const on = (event: string, heed: (bounds: Bounds, node: Node, result: unknown) => void): void => {
    const callback = (
      node: Node,
      _: unknown,
      environment: { lookup(name: string): Bounds | undefined },
      result?: unknown,
    ) => {
      const bounds = environment.lookup(NAME);
      if (bounds !== undefined) heed(bounds, node, result);
    };
    target.assign(Symbol.for(`jsonata.__evaluate_${event}`) as unknown as string, callback);
  };
  on('entry', (bounds, node) => bounds.enter(node));
  on('exit', (bounds, node, result) => bounds.leave(node, result));
}
