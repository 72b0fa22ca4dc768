/** The evidence in one p value: p^(-1/2) / 2, which is 1 on average where there is nothing to find. */
export function evidence(p: number): number {
  return 0.5 / Math.sqrt(p);
}

/**
 * The running evidence (Shiryaev-Roberts) after one more p value: e · (M + 1).
 *
 * Where there is nothing to find, it stays below A for at least A values on average.
 */
export function nextEvidence(running: number, p: number): number {
  return evidence(p) * (running + 1);
}
