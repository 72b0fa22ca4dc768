/** Logarithm of the gamma function for a positive number (Lanczos, g = 7). */
export function logGamma(x: number): number {
  const terms = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ];
  const sum = terms.reduce((total, term, i) => total + term / (x + i), 0.9999999999998099);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** Regularised upper incomplete gamma function Q(a, x): a series for small x, a continued fraction for large. */
export function gammaTail(a: number, x: number): number {
  if (x <= 0) return 1;
  if (x === Infinity) return 0;
  const scale = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = a + 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
      term *= x / n;
      sum += term;
    }
    return 1 - sum * scale;
  }
  return (
    scale *
    continuedFraction(
      (i) => (i === 0 ? 1 : -i * (i - a)),
      (i) => x + 2 * i + 1 - a,
    )
  );
}

/** Regularised incomplete beta function I_x(a, b). */
export function betaShare(a: number, b: number, x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaShare(b, a, 1 - x);
  const scale = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  const numerator = (i: number) => {
    if (i === 0) return 1;
    const m = i >> 1;
    return i % 2 === 0
      ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
      : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
  };
  return scale * continuedFraction(numerator, () => 1);
}

/** n0 / (d0 + n1 / (d1 + n2 / (d2 + …))), by Lentz's method. */
function continuedFraction(numerator: (i: number) => number, denominator: (i: number) => number): number {
  const tiny = 1e-300;
  let value = tiny;
  let c = value;
  let d = 0;
  for (let i = 0; i < 100_000; i++) {
    d = denominator(i) + numerator(i) * d || tiny;
    c = denominator(i) + numerator(i) / c || tiny;
    d = 1 / d;
    value *= c * d;
    if (i > 0 && Math.abs(c * d - 1) < 1e-16) break;
  }
  return value;
}
