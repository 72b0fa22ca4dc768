import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * An append-only file of JSON lines: what a service must still know when the engine is
 * started again on the same state folder.
 */
export class Journal<R> {
  private file: number | undefined;

  constructor(private readonly path: string) {}

  /** The records of an earlier run. A last line that a crash cut off is left out. */
  read(): R[] {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch {
      return []; // the first run on this folder
    }
    const records: R[] = [];
    const lines = text.split('\n');
    lines.pop(); // what follows the last newline: nothing, or a torn line
    for (const line of lines) records.push(JSON.parse(line) as R);
    return records;
  }

  /** Replaces the file by the records that still count, and opens it for {@link append}. */
  rewrite(records: Iterable<R>): void {
    this.close();
    mkdirSync(dirname(this.path), { recursive: true });
    const next = `${this.path}.next`;
    writeFileSync(next, '');
    const file = openSync(next, 'a');
    for (const record of records) writeSync(file, `${JSON.stringify(record)}\n`);
    renameSync(next, this.path);
    this.file = file;
  }

  append(record: R): void {
    if (this.file === undefined) throw new Error(`${this.path} is not open`);
    writeSync(this.file, `${JSON.stringify(record)}\n`);
  }

  close(): void {
    if (this.file !== undefined) closeSync(this.file);
    this.file = undefined;
  }
}
