import { refuse } from './refusal';

/**
 * The most positions at which a wildcard may stand at once while it reads a value. EventBridge publishes no number;
 * this one tells apart the patterns that its documentation calls fine and too complex.
 */
const MAX_WILDCARD_STATES = 10;

/** A wildcard's pieces: `*` for a star, else one literal character. */
function wildcardTokens(pattern: string): { readonly star: boolean; readonly char: string }[] {
  const tokens: { star: boolean; char: string }[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i] as string;
    if (char === '*') {
      if (pattern[i + 1] === '*') refuse(`Consecutive wildcard characters at pos ${position(pattern, i)}`);
      tokens.push({ star: true, char });
    } else if (char === '\\') {
      const escaped = pattern[i + 1];
      if (escaped !== '*' && escaped !== '\\') refuse(`Invalid escape character at pos ${position(pattern, i)}`);
      tokens.push({ star: false, char: escaped });
      i++;
    } else {
      tokens.push({ star: false, char });
    }
  }
  return tokens;
}

/** Reads a wildcard: `*` stands for any characters, `\\*` and `\\\\` for themselves. */
export function wildcard(pattern: string): (value: string) => boolean {
  const tokens = wildcardTokens(pattern);
  if (mostStates(tokens) > MAX_WILDCARD_STATES) {
    refuse(
      'Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character',
    );
  }
  const source = tokens.map(({ star, char }) => (star ? '[^]*' : char.replace(/[\\^$.*+?()[\]{}|/-]/, '\\$&')));
  const expression = new RegExp(`^${source.join('')}$`);
  return (value) => expression.test(value);
}

/** The size of the largest set of positions that some text reaches. */
function mostStates(tokens: ReturnType<typeof wildcardTokens>): number {
  const close = (positions: Iterable<number>) => {
    const closed = new Set(positions);
    for (const position of closed) if (tokens[position]?.star) closed.add(position + 1);
    return closed;
  };
  const alphabet = new Set(tokens.filter((token) => !token.star).map((token) => token.char));
  const start = close([0]);
  const seen = new Map([[[...start].join(), start]]);
  let most = start.size;
  for (const positions of seen.values()) {
    for (const char of alphabet) {
      const next = close(
        [...positions].flatMap((position) =>
          tokens[position]?.star ? [position] : tokens[position]?.char === char ? [position + 1] : [],
        ),
      );
      most = Math.max(most, next.size);
      if (most > MAX_WILDCARD_STATES) return most;
      seen.set([...next].sort((a, b) => a - b).join(), next);
    }
  }
  return most;
}

/** Where EventBridge says that a fault is: in bytes, and behind the quote that it puts before the text. */
function position(pattern: string, index: number): number {
  return Buffer.byteLength(pattern.slice(0, index)) + 1;
}
