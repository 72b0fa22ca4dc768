import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import type { Context } from '../../service';

export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Beyond this many bytes the older half of a log is dropped. */
const LARGEST = 4 * 2 ** 20;

/** A log on the disk, its newest lines: memory holds nothing of it. */
export class LogFile {
  private size: number | undefined;

  constructor(
    private readonly context: Pick<Context, 'store' | 'stateDir'>,
    private readonly path: string,
  ) {}

  append(line: LogLine): void {
    const text = `${JSON.stringify([line.at, line.text])}\n`;
    this.size ??= this.open();
    appendFileSync(this.path, text);
    this.size += Buffer.byteLength(text);
    if (this.size > LARGEST) this.halve();
  }

  /** Oldest first. */
  read(): LogLine[] {
    return this.rows().flatMap((row) => parsed(row) ?? []);
  }

  /** Takes what an earlier start wrote; what of it cannot be read is set aside. */
  private open(): number {
    mkdirSync(dirname(this.path), { recursive: true });
    const rows = this.rows();
    const damaged = rows.filter((row) => parsed(row) === undefined);
    if (damaged.length === 0) return Buffer.byteLength(rows.join('\n')) + 1;
    const { store, stateDir } = this.context;
    const name = relative(stateDir, this.path).replaceAll('/', '-');
    for (const row of damaged) store.aside.line(name, row, 'it is no line of a log');
    return this.write(rows.filter((row) => parsed(row) !== undefined));
  }

  private halve(): void {
    const rows = this.rows();
    this.size = this.write(rows.slice(Math.floor(rows.length / 2)));
  }

  private rows(): string[] {
    try {
      return readFileSync(this.path, 'utf8')
        .split('\n')
        .filter((row) => row !== '');
    } catch {
      return []; // nothing has been written
    }
  }

  private write(rows: readonly string[]): number {
    const text = rows.map((row) => `${row}\n`).join('');
    writeFileSync(`${this.path}.part`, text);
    renameSync(`${this.path}.part`, this.path);
    return Buffer.byteLength(text);
  }
}

function parsed(row: string): LogLine | undefined {
  try {
    const [at, text] = JSON.parse(row);
    return typeof at === 'number' && typeof text === 'string' ? { at, text } : undefined;
  } catch {
    return undefined;
  }
}
