import type { Contract } from '../contract';
import { nearest } from '../nearest';

/**
 * What is wrong with the columns of a file, in words; empty if they are the contract's, in any order.
 *
 * Columns are found by name and never by position: values under a wrong name would be learnt as if they were right.
 */
export function headerMistakes(contract: Contract, names: readonly string[]): string[] {
  const expected = contract.columns.map(({ name }) => name);
  const missing = expected.filter((name) => !names.includes(name));
  const extra = names.filter((name) => !expected.includes(name));
  const doubled = [...new Set(names.filter((name, i) => names.indexOf(name) !== i && expected.includes(name)))];
  const only = names.length === 1 ? names[0] : '';
  if (expected.length > 1 && /[;\t|]/.test(only)) {
    const found = only.includes(';') ? 'semicolons' : only.includes('\t') ? 'tabs' : 'bars';
    return [`its fields must be separated by commas, got ${found}`];
  }
  if (missing.length === expected.length) {
    return [`its first line must name the columns ${expected.join(', ')}, got ${shorten(names.join(','))}`];
  }
  return [
    ...missing.map((name) => {
      const renamed = nearest(name, extra) ?? (missing.length === 1 && extra.length === 1 ? extra[0] : undefined);
      return `column '${name}' is missing${renamed === undefined ? '' : `: is '${renamed}' meant?`}`;
    }),
    ...(extra.length > 0
      ? [
          `${extra.map((name) => `'${shorten(name)}'`).join(', ')} must not be there: the contract does not name ${extra.length === 1 ? 'it' : 'them'}`,
        ]
      : []),
    ...doubled.map((name) => `column '${name}' is there twice`),
  ];
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
