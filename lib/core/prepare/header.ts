import type { Contract } from '../dataset/contract';
import { inQuotes, listed } from '../listed';
import { nearest } from '../nearest';

/** So many missing columns are named each; finding what was meant by one takes a look at all the others. */
const MOST_NAMED = 10;

/**
 * What is wrong with the columns of a file, in words; empty if they are the contract's, in any order.
 *
 * Columns are found by name and never by position: values under a wrong name would be learnt as if they were right.
 */
export function headerMistakes(contract: Contract, names: readonly string[]): string[] {
  const expected = contract.columns.map(({ name }) => name);
  const wanted = new Set(expected);
  const times = new Map<string, number>();
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
  const missing = expected.filter((name) => !times.has(name));
  const extra = [...times.keys()].filter((name) => !wanted.has(name));
  const doubled = expected.filter((name) => (times.get(name) ?? 0) > 1);
  const only = names.length === 1 ? names[0] : '';
  if (expected.length > 1 && /[;\t|]/.test(only)) {
    const found = only.includes(';') ? 'semicolons' : only.includes('\t') ? 'tabs' : 'bars';
    return [`its fields must be separated by commas, got ${found}`];
  }
  if (missing.length === expected.length) {
    return [`its first line must name the columns ${listed(expected)}, got ${listed(names.map(inQuotes))}`];
  }
  return [
    ...missing.slice(0, MOST_NAMED).map((name) => {
      const renamed = nearest(name, extra) ?? (missing.length === 1 && extra.length === 1 ? extra[0] : undefined);
      return `column '${name}' is missing${renamed === undefined ? '' : `: is ${inQuotes(renamed)} meant?`}`;
    }),
    ...(missing.length > MOST_NAMED ? [`${missing.length - MOST_NAMED} more columns are missing`] : []),
    ...(extra.length > 0
      ? [
          `${listed(extra.map(inQuotes))} must not be there: the contract does not name ${extra.length === 1 ? 'it' : 'them'}`,
        ]
      : []),
    ...(doubled.length > 0 ? [`${listed(doubled.map(inQuotes))} must be there only once`] : []),
  ];
}
