/** Corrects p values so that any false finding among all is as rare as p says, by multiplying with their number. */
export function bonferroni(p: readonly number[]): number[] {
  return p.map((value) => Math.min(1, value * p.length));
}

/** Corrects like {@link bonferroni}, but never more than it: the i-th smallest by the number of those not smaller. */
export function holm(p: readonly number[]): number[] {
  let running = 0;
  return inOrder(p, ascending(p), (value, rank) => {
    running = Math.max(running, Math.min(1, (p.length - rank) * value));
    return running;
  });
}

/** Corrects p values so that p bounds the expected share of false findings among the findings (Benjamini-Hochberg). */
export function benjaminiHochberg(p: readonly number[]): number[] {
  let running = 1;
  const descending = ascending(p).reverse();
  return inOrder(p, descending, (value, fromTop) => {
    running = Math.min(running, (value * p.length) / (p.length - fromTop));
    return running;
  });
}

function ascending(p: readonly number[]): number[] {
  return p.map((_, i) => i).sort((a, b) => p[a] - p[b]);
}

/** Visits values in an order and returns what each became, in the original order. */
function inOrder(p: readonly number[], order: readonly number[], visit: (value: number, rank: number) => number) {
  const result = new Array<number>(p.length).fill(0);
  order.forEach((position, rank) => {
    result[position] = visit(p[position], rank);
  });
  return result;
}
