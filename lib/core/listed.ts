/** As long as an S3 key may be: a file's name is never cut, and what a user's data puts in its place is. */
const LONGEST_NAME = 1024;

/**
 * Names one after the other, as many as a person reads: `a, b and 1,990 more`.
 *
 * Every list that grows with a user's data is written so: messages travel in events, items and causes, which
 * all have a greatest size.
 *
 * @param most how many are named
 */
export function listed(names: readonly string[], most = 10, separator = ', '): string {
  const named = names.slice(0, most).map((name) => shortened(name, LONGEST_NAME));
  const more = names.length - named.length;
  const text = named.join(separator);
  if (more === 0) return text;
  return `${text} and ${grouped(more)} more`;
}

/** The beginning of a text that is longer than `most` characters, and how much is left out: `abc… (1,997 more characters)`. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const cut = /[\ud800-\udbff]$/.test(text.slice(0, most)) ? most - 1 : most; // half a character is none
  return `${text.slice(0, cut)}… (${grouped(text.length - cut)} more characters)`;
}

/** A name as messages have it, whoever gave it: `'fare'`; of a long one the beginning. */
export function inQuotes(name: string): string {
  return `'${shortened(name, 100)}'`;
}

function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
