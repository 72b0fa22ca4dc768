import { ApiError } from '../../service';

/** Values by the start of their period. */
export type Series = ReadonlyMap<number, number>;

/**
 * Metric math, as far as alarms commonly use it: `+ - * /`, parentheses, numbers,
 * ids of other queries, and `FILL(id, number)`. Other functions are refused by name.
 *
 * @param periods those that `FILL` fills
 */
export function evaluate(expression: string, series: (id: string) => Series, periods: readonly number[]): Series {
  const tokens = expression.match(/[A-Za-z_]\w*|\d+(?:\.\d+)?|[-+*/(),]|\S/g) ?? [];
  let at = 0;
  const refuse = (what: string) =>
    new ApiError(
      'ValidationError',
      `Error in expression '${expression}': ${what}; the local engine does + - * / ( ) and FILL(id, number)`,
    );
  const expect = (token: string) => {
    if (tokens[at++] !== token) throw refuse(`expected '${token}', got '${tokens[at - 1] ?? 'the end'}'`);
  };

  type Operand = Series | number;
  const combine = (left: Operand, right: Operand, f: (a: number, b: number) => number): Operand => {
    if (typeof left === 'number' && typeof right === 'number') return f(left, right);
    const value = (of: Operand, start: number) => (typeof of === 'number' ? of : of.get(start));
    const starts = [left, right].flatMap((one) => (typeof one === 'number' ? [] : [...one.keys()]));
    const result = new Map<number, number>();
    for (const start of new Set(starts)) {
      const [a, b] = [value(left, start), value(right, start)];
      if (a === undefined || b === undefined) continue;
      const combined = f(a, b);
      if (Number.isFinite(combined)) result.set(start, combined); // a division by zero has no value
    }
    return result;
  };

  function sum(): Operand {
    let left = product();
    while (tokens[at] === '+' || tokens[at] === '-') {
      const minus = tokens[at++] === '-';
      left = combine(left, product(), minus ? (a, b) => a - b : (a, b) => a + b);
    }
    return left;
  }
  function product(): Operand {
    let left = factor();
    while (tokens[at] === '*' || tokens[at] === '/') {
      const divided = tokens[at++] === '/';
      left = combine(left, factor(), divided ? (a, b) => a / b : (a, b) => a * b);
    }
    return left;
  }
  function factor(): Operand {
    const token = tokens[at++];
    if (token === undefined) throw refuse('it ends early');
    if (token === '-') return combine(0, factor(), (a, b) => a - b);
    if (token === '(') {
      const inner = sum();
      expect(')');
      return inner;
    }
    if (/^\d/.test(token)) return Number(token);
    if (token === 'FILL' && tokens[at] === '(') {
      at += 1;
      const filled = sum();
      expect(',');
      const by = sum();
      expect(')');
      if (typeof filled === 'number' || typeof by !== 'number') throw refuse('FILL takes a series and a number');
      return new Map([...periods.map((start) => [start, by] as const), ...filled]);
    }
    if (tokens[at] === '(') throw refuse(`the function ${token} is not implemented`);
    if (!/^[a-z]/.test(token)) throw refuse(`unexpected '${token}'`);
    return series(token);
  }

  const result = sum();
  if (at < tokens.length) throw refuse(`unexpected '${tokens[at]}'`);
  return typeof result === 'number' ? new Map(periods.map((start) => [start, result])) : result;
}
