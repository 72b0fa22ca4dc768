import { random } from '../../lib/core/random';

/** How many cases a fuzz test tries: a few with the suite, `npm run fuzz` tries 100,000. */
export const CASES = Number(process.env.FUZZ_CASES ?? 3_000);

/** The seed of the cases; a failing one is told with it. */
export const SEED = Number(process.env.FUZZ_SEED ?? 1);

/** Values that stand where something else should. */
export const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  2,
  1e308,
  Number.MAX_SAFE_INTEGER + 2,
  '',
  ' ',
  'x',
  '0x10',
  'NaN',
  'Infinity',
  '1e400',
  '__proto__',
  'constructor',
  "'; DROP",
  '\0',
  '\ud800',
  'ä'.repeat(300),
  [],
  {},
  [[]],
  [null],
  [[[[[]]]]],
  { toString: 1 },
  { length: 3 },
  { score: null },
  { predictions: null },
];

/** Draws that a seed repeats. */
export class Dice {
  private readonly draw: () => number;

  constructor(seed: number) {
    this.draw = random(seed);
  }

  /** Below `most`. */
  whole(most: number): number {
    return Math.floor(this.draw() * most);
  }

  chance(share: number): boolean {
    return this.draw() < share;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.whole(values.length)] as T;
  }
}

/** Deletes, adds or replaces a member somewhere in a JSON document. */
export function mutate(document: unknown, dice: Dice): unknown {
  const copy = structuredClone(document);
  const holders: object[] = [];
  const collect = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    holders.push(value);
    for (const member of Object.values(value)) collect(member);
  };
  collect(copy);
  const holder = dice.pick(holders) as Record<string, unknown> | undefined;
  if (holder === undefined) return dice.pick(ODD);
  const name = dice.pick(Object.keys(holder)) as string | undefined;
  if (name !== undefined && dice.chance(0.2)) delete holder[name];
  else if (name === undefined || dice.chance(0.1)) {
    const added = dice.pick(['extra', '__proto__', 'constructor', 'toString']);
    Object.defineProperty(holder, added, {
      value: dice.pick(ODD),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else holder[name] = dice.pick(ODD);
  return copy;
}

/** Cuts a piece out of a text, doubles one, or puts characters in. */
export function garble(text: string, dice: Dice): string {
  const at = dice.whole(text.length + 1);
  const length = 1 + dice.whole(20);
  switch (dice.whole(4)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at + length) + text.slice(at);
    default:
      return (
        text.slice(0, at) +
        dice.pick(['"', '\\', ',', '\n', '\r', '\0', '{', ']', '=', '\u2028', '💥']) +
        text.slice(at)
      );
  }
}
