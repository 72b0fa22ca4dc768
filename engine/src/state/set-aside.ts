import { appendFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** The folder, below the engine's state, of what could not be read. */
export const ASIDE = 'set-aside';
const REASONS = 'reasons.txt';

/** Takes what is torn or foreign out of the way of the engine's start. Nothing is deleted, and everything is told. */
export class SetAside {
  /** What was set aside, each in a sentence. */
  readonly told: string[] = [];
  /** Told of what is set aside from now on. */
  listener: (what: string) => void = () => {};

  /** @param stateDir the engine's state */
  constructor(private readonly stateDir: string) {}

  /** Moves a file, or a folder, of the state. */
  file(path: string, why: string): void {
    this.keep(relative(this.stateDir, path), why, (to) => renameSync(path, to));
  }

  /** Keeps a line of a file whose other lines go on. */
  line(file: string, text: string, why: string): void {
    this.keep(`a line of ${file}`, why, (to) => appendFileSync(to, `${text}\n`), file);
  }

  /** Keeps a value of the journal. */
  value(name: string, value: unknown, why: string): void {
    this.keep(name, why, (to) => appendFileSync(to, `${JSON.stringify([name, value])}\n`), 'values.jsonl');
  }

  /** @param shared the name of the file that several things may lie in; else each has one of its own */
  private keep(what: string, why: string, put: (to: string) => void, shared?: string): void {
    const folder = join(this.stateDir, ASIDE);
    mkdirSync(folder, { recursive: true });
    const to = shared === undefined ? free(join(folder, basename(what))) : join(folder, shared);
    put(to);
    const told = `${what} is set aside in ${relative(this.stateDir, to)}: ${why}`;
    appendFileSync(join(folder, REASONS), `${new Date().toISOString()} ${told}\n`);
    this.told.push(told);
    this.listener(told);
  }
}

/** A path that nothing has. */
function free(path: string): string {
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? path : `${path}.${number}`;
    if (!existsSync(candidate)) return candidate;
  }
}
