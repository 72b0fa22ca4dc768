/** The longest name that is searched for, and the most candidates that are looked at: the time grows with all three. */
const LONGEST = 100;
const MOST_CANDIDATES = 1000;

/** The candidate that a mistyped name most likely means; undefined if none is close. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  if (name.length > LONGEST) return undefined;
  const wanted = name.toLowerCase();
  const limit = Math.max(2, Math.floor(name.length / 2));
  const possible = candidates.filter(({ length }) => Math.abs(length - name.length) <= limit);
  const same = possible.find((candidate) => candidate.toLowerCase() === wanted);
  if (same !== undefined) return same;
  let best: string | undefined;
  let least = limit + 1;
  for (const candidate of possible.slice(0, MOST_CANDIDATES)) {
    if (Math.abs(candidate.length - name.length) >= least) continue; // as many letters must be put in or left out
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** `; did you mean x?`, or nothing. */
export function didYouMean(name: string, candidates: readonly string[]): string {
  const found = nearest(name, candidates);
  return found === undefined ? '' : `; did you mean '${found}'?`;
}

/** Insertions, deletions and replacements that turn one text into another. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      current[j] = Math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    previous = current;
  }
  return previous[b.length];
}
