/** S3 orders keys by their UTF-8 bytes; JavaScript orders UTF-16, which differs beyond the first 65,536 characters. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Puts surrogates above all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The index of the first key that is not before `key`. */
export function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(sorted[middle], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface ListOptions<T> {
  readonly prefix: string;
  readonly delimiter: string;
  /** A page begins after this key, or after this common prefix. */
  readonly after: string;
  /** What of the items of the key {@link after} is still to be listed; nothing, if it is left out. */
  readonly rest?: (items: readonly T[]) => readonly T[];
  readonly limit: number;
}

export interface Listing<T> {
  readonly items: readonly T[];
  readonly commonPrefixes: readonly string[];
  readonly truncated: boolean;
  /** The last key or common prefix of the page. */
  readonly last: string;
}

/** One page of a listing: `itemsOf` gives what there is under a key, in order; nothing, if it is not to be seen. */
export function list<T>(
  sorted: readonly string[],
  itemsOf: (key: string) => readonly T[],
  { prefix, delimiter, after, rest = () => [], limit }: ListOptions<T>,
): Listing<T> {
  const items: T[] = [];
  const commonPrefixes: string[] = [];
  let last = '';
  let group: string | undefined;
  for (let i = lowerBound(sorted, compareKeys(prefix, after) > 0 ? prefix : after); i < sorted.length; i++) {
    const key = sorted[i];
    if (!key.startsWith(prefix)) break;
    if (group !== undefined && key.startsWith(group)) continue;
    const found = key === after ? rest(itemsOf(key)) : itemsOf(key);
    if (found.length === 0) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const common = cut < 0 ? undefined : key.slice(0, cut + delimiter.length);
    if (common !== undefined && common === after) {
      group = common; // listed on the page before
      continue;
    }
    for (const item of common === undefined ? found : [undefined]) {
      if (items.length + commonPrefixes.length >= limit) return { items, commonPrefixes, truncated: limit > 0, last };
      if (item !== undefined) items.push(item);
      last = common ?? key;
    }
    if (common !== undefined) {
      group = common;
      commonPrefixes.push(common);
    }
  }
  return { items, commonPrefixes, truncated: false, last };
}
