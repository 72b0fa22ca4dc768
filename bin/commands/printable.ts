/** What a terminal obeys instead of showing it, but for line ends and tabs; and what reverses the text around it. */
const OBEYED = /(?![\n\t])\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A text as a terminal may have it: names, messages and logs come from elsewhere, and an escape sequence in one
 * could move the cursor, write to the clipboard, or hide what follows. It is shown as JSON would write it.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
