import { betaShare, gammaTail } from './special';

/** P(Z > z) of the standard normal distribution, exact far out in the tail. */
export function normalTail(z: number): number {
  return z < 0 ? 1 - normalTail(-z) : 0.5 * gammaTail(0.5, (z * z) / 2);
}

/** The z below which a standard normal value lies with probability p. */
export function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p);
  if (p === 0.5) return 0;
  if (!(p > 0)) return -Infinity;
  const t = Math.sqrt(-2 * Math.log(p));
  let z = t - (2.30753 + 0.27061 * t) / (1 + (0.99229 + 0.04481 * t) * t); // good to 0.003, then Halley's steps
  for (let step = 0; step < 4; step++) {
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    const excess = (normalTail(z) - p) / density;
    z += excess / (1 - (z * excess) / 2);
  }
  return -z;
}

/** P(X > x) of the chi-square distribution; 1 without degrees of freedom. */
export function chiSquareTail(x: number, degrees: number): number {
  return degrees <= 0 ? 1 : gammaTail(degrees / 2, x / 2);
}

/** The x that a chi-square value exceeds with probability p. */
export function chiSquareLimit(p: number, degrees: number): number {
  if (degrees <= 0 || p >= 1) return 0;
  let low = 0;
  let high = degrees + 10;
  while (chiSquareTail(high, degrees) > p) high *= 2;
  for (let step = 0; step < 200 && high - low > 1e-15 * high; step++) {
    const middle = (low + high) / 2;
    if (chiSquareTail(middle, degrees) > p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** P(X >= successes) of that many trials, each of which succeeds with a probability. */
export function binomialTail(successes: number, trials: number, probability: number): number {
  if (successes <= 0) return 1;
  return successes > trials ? 0 : betaShare(successes, trials - successes + 1, probability);
}

/** P(sqrt(n) D > x) of Kolmogorov's limit distribution. */
export function kolmogorovTail(x: number): number {
  if (x <= 0) return 1;
  if (x < 1) {
    let sum = 0; // theta function's other series, quick for small x
    for (let k = 1; k < 20; k += 2) sum += Math.exp((-k * k * Math.PI * Math.PI) / (8 * x * x));
    return 1 - (Math.sqrt(2 * Math.PI) / x) * sum;
  }
  let sum = 0;
  for (let k = 1; k < 20; k++) sum += (k % 2 === 1 ? 2 : -2) * Math.exp(-2 * k * k * x * x);
  return sum;
}
