import { isUtf8 } from 'node:buffer';

/**
 * CSV as RFC 4180 has it: fields between commas, `""` for a quote inside quotes, line breaks allowed
 * inside quotes. LF, CRLF and CR end a line, mixed as they come; empty lines are skipped.
 */

const LF = 10;
const CR = 13;
const QUOTE = 34;
const COMMA = 44;

/** The longest record taken for one, in bytes; beyond, a quote was never closed, or the line is no row. */
const MAX_RECORD = 2 ** 20;

/** A record's end may be seen so many bytes after it: a quote or a CR waits for what follows. */
const LONGEST_END = 2;

/** How much of a record that cannot be split into fields is kept to show, in characters. */
const MAX_SHOWN = 1000;

/** The fields of every record of a text that is known to be well formed. */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [];
  let fields: string[] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r\n|\n|\r|$)/y;
  while (field.lastIndex < text.length || fields.length > 0) {
    const match = field.exec(text);
    if (match === null) throw new Error(`a quote must end its field, got ${text.slice(0, 100)}`);
    const [, quotedText, plain, end] = match;
    fields.push(quotedText === undefined ? plain : quotedText.replaceAll('""', '"'));
    if (end === ',') continue;
    if (fields.length > 1 || plain !== '') records.push(fields);
    fields = [];
  }
  return records;
}

/** A record's extent in a buffer; `next` is -1 if the buffer ends before the record does. */
interface Extent {
  readonly next: number;
  readonly end: number;
  readonly fields: number;
  /** Line breaks in the record and at its end. */
  readonly lines: number;
  readonly problem?: string;
}

const INCOMPLETE: Extent = { next: -1, end: -1, fields: 0, lines: 0 };

/**
 * Makes any CSV bytes into CSV that every reader splits alike.
 *
 * Each record becomes `<line>,<problem>,<fields…>` and LF: `line` is the 1-based line on which it began, and
 * `problem` is empty if it has the header's number of fields, is UTF-8, and closes its quotes. Otherwise
 * `problem` says what is wrong, and the first field holds the record's text. The header is not among them.
 */
export class CsvCleaner {
  private rest: Buffer = Buffer.alloc(0);
  private line = 1;
  private columns = 0;
  private out = Buffer.alloc(0);
  private used = 0;
  /** Whether what comes belongs to a line that was too long, and has been recorded already. */
  private skipping = false;

  /** @param onHeader told the header's names before the first record; may refuse them by throwing */
  constructor(private readonly onHeader: (names: string[]) => void) {}

  /** Takes more bytes, and gives the clean records that are complete by now. */
  push(chunk: Buffer): Buffer {
    this.rest = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    return this.take(false);
  }

  /** The records that remain at the end. */
  end(): Buffer {
    return this.take(true);
  }

  private take(final: boolean): Buffer {
    const data = this.rest;
    this.out = Buffer.allocUnsafe(Math.ceil(1.5 * data.length) + 2 ** 10); // a new one: the last may still be on its way to disk
    this.used = 0;
    let start = 0;
    if (this.columns === 0 && data.length >= 3 && data[0] === 0xef && data[1] === 0xbb && data[2] === 0xbf) start = 3;
    while (start < data.length) {
      if (this.skipping) {
        const { next } = firstLine(data, start, final);
        if (next < 0) {
          start = data[data.length - 1] === CR ? data.length - 1 : data.length; // an LF may follow
          break;
        }
        this.skipping = false;
        this.line++;
        start = next;
        continue;
      }
      let extent = scan(data, start, final);
      const tooLong = (extent.next < 0 ? data.length - LONGEST_END : extent.end) - start > MAX_RECORD;
      if (extent.next < 0 && !tooLong && !final) break;
      if (extent.next < 0 || tooLong || (extent.problem !== undefined && extent.lines > 1)) {
        // a quote that is never closed must not swallow the lines below it
        const line = firstLine(data, start, final);
        this.skipping = line.next < 0;
        const end = this.skipping ? data.length : line.end;
        const problem =
          end - start > MAX_RECORD
            ? 'is longer than 1 MiB'
            : (extent.problem ?? 'has a quote that is never closed, or more than 1 MiB');
        extent = { next: this.skipping ? end : line.next, end, fields: 0, lines: this.skipping ? 0 : 1, problem };
      }
      if (extent.end > start) this.record(data, start, extent);
      this.line += extent.lines;
      start = extent.next;
    }
    this.rest = data.subarray(start);
    return this.out.subarray(0, this.used);
  }

  private record(data: Buffer, start: number, { end, fields, problem: broken }: Extent): void {
    if (this.columns === 0) {
      const [names] = parseHeader(data.toString('utf8', start, Math.min(end, start + MAX_RECORD)));
      this.columns = names.length;
      this.onHeader(names);
      return;
    }
    const bytes = data.subarray(start, end);
    const problem =
      broken ?? (fields !== this.columns ? `has ${fields} fields` : text(bytes) ? undefined : 'is not UTF-8 text');
    if (problem === undefined) {
      this.reserve(bytes.length + 24);
      this.used += this.out.write(`${this.line},,`, this.used, 'latin1');
      this.used += bytes.copy(this.out, this.used);
      this.out[this.used++] = LF;
      return;
    }
    const shown = bytes
      .toString('utf8', 0, 4 * MAX_SHOWN)
      .slice(0, MAX_SHOWN)
      .replaceAll('\0', '\ufffd')
      .replaceAll('"', '""');
    const row = `${this.line},"${problem}","${shown}"${','.repeat(this.columns - 1)}\n`;
    this.reserve(4 * row.length);
    this.used += this.out.write(row, this.used);
  }

  private reserve(bytes: number): void {
    if (this.used + bytes <= this.out.length) return;
    const larger = Buffer.allocUnsafe(2 * this.out.length + bytes);
    this.out.copy(larger, 0, 0, this.used);
    this.out = larger;
  }
}

/** Finds where the record ends that begins at `start`. */
function scan(data: Buffer, start: number, final: boolean): Extent {
  const size = data.length;
  let i = start;
  let fields = 1;
  let lines = 1;
  for (;;) {
    if (data[i] === QUOTE && i < size) {
      i++;
      for (;;) {
        const close = data.indexOf(QUOTE, i);
        if (close < 0 || (close + 1 >= size && !final)) return INCOMPLETE;
        lines += breaks(data, i, close);
        i = close + 1;
        if (data[i] !== QUOTE || i >= size) break;
        i++;
      }
    } else {
      let byte = data[i];
      while (i < size && byte !== COMMA && byte !== LF && byte !== CR && byte !== QUOTE) byte = data[++i];
    }
    if (i >= size) return final ? { next: size, end: size, fields, lines } : INCOMPLETE;
    const byte = data[i];
    if (byte === COMMA) {
      fields++;
      i++;
    } else if (byte === LF) {
      return { next: i + 1, end: i, fields, lines };
    } else if (byte === CR) {
      if (i + 1 >= size && !final) return INCOMPLETE;
      return { next: data[i + 1] === LF ? i + 2 : i + 1, end: i, fields, lines };
    } else {
      const line = firstLine(data, i, final);
      if (line.next < 0) return INCOMPLETE;
      return { ...line, lines, problem: 'has a quote inside a field that is not quoted as a whole' };
    }
  }
}

/** The rest of the line, whatever it holds. */
function firstLine(data: Buffer, start: number, final: boolean): Extent {
  let end = start;
  while (end < data.length && data[end] !== LF && data[end] !== CR) end++;
  if (end >= data.length) return final ? { next: end, end, fields: 0, lines: 1 } : INCOMPLETE;
  if (data[end] === CR && end + 1 >= data.length && !final) return INCOMPLETE;
  return { next: data[end] === CR && data[end + 1] === LF ? end + 2 : end + 1, end, fields: 0, lines: 1 };
}

/** Line breaks between two places: LF, CRLF and CR count one each. */
function breaks(data: Buffer, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    if (data[i] === LF || (data[i] === CR && data[i + 1] !== LF)) count++;
  }
  return count;
}

function parseHeader(line: string): string[][] {
  try {
    return parseCsv(line);
  } catch {
    return [line.split(',')];
  }
}

function text(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === 0) return false;
    if (bytes[i] > 127) return !bytes.includes(0, i) && isUtf8(bytes);
  }
  return true;
}
