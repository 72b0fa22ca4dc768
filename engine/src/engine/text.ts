/** Names one after the other, as many as a person reads: `a, b and 1,990 more`. */
export function listed(names: readonly string[], most = 10, separator = ', '): string {
  const named = names.slice(0, most).map((name) => shortened(name, LONGEST_NAME));
  const more = names.length - named.length;
  return more === 0 ? named.join(separator) : `${named.join(separator)} and ${grouped(more)} more`;
}

/** As long as an S3 key may be. */
const LONGEST_NAME = 1024;

/** The beginning of a text that is longer than `most` characters, and how much is left out: `abc… (1,997 more characters)`. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text;
  const cut = /[\ud800-\udbff]$/.test(text.slice(0, most)) ? most - 1 : most; // half a character is none
  return `${text.slice(0, cut)}… (${grouped(text.length - cut)} more characters)`;
}

function grouped(number: number): string {
  return number.toLocaleString('en-US');
}
