import { readFileSync, statSync } from 'node:fs';
import { shortened } from '../../lib/core/listed';
import { CommandError, UsageError } from './failure';

/** The longest text that goes along with a request, in characters: events and model packages have limits. */
const LONGEST_NOTE = 1000;

/** A text as messages show it. */
export function brief(text: string): string {
  return text === '' ? "''" : shortened(text, 100);
}

/** Reads a file of JSON. */
export function readJson(file: string, fix: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const got = code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'a folder' : message;
    throw new CommandError(`${file} must be a JSON file, got ${got}; ${fix}`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CommandError(`${file} must be a JSON file, got ${(error as Error).message}; ${fix}`);
  }
}

/** Refuses what is no folder. */
export function folder(option: string, path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) return;
  throw new UsageError(`${option} must be a folder, got ${brief(path)}, which is ${found ? 'none' : 'not there'}`);
}

/** Milliseconds of an ISO time; UTC if it names no zone. */
export function moment(option: string, text: string): number {
  const iso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text);
  const at = iso ? Date.parse(text.length > 10 && !/(Z|[+-]\d\d:?\d\d)$/.test(text) ? `${text}Z` : text) : Number.NaN;
  if (Number.isNaN(at)) {
    throw new UsageError(`${option} must be an ISO time like 2026-11-23T12:00:00Z, got ${brief(text)}`);
  }
  return at;
}

/** Rows that a command can list at once. */
const MOST_LISTED = 100_000;

/** How many are wanted. */
export function atMost(option: string, text: string): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MOST_LISTED) return number;
  throw new UsageError(`${option} must be a whole number from 1 to ${MOST_LISTED}, got ${brief(text)}`);
}

/** A person's words that go along with a request. */
export function note(option: string, text: string | undefined): string | undefined {
  if (text === undefined || (text.trim() !== '' && text.length <= LONGEST_NOTE)) return text;
  throw new UsageError(`${option} must have 1 to ${LONGEST_NOTE} characters, got ${text.trim().length}`);
}

/** The name of a stack, as CloudFormation allows it. */
export function stackName(text: string): string {
  if (/^[A-Za-z][-A-Za-z0-9]{0,127}$/.test(text) || /^arn:[^\s]{1,2000}$/.test(text)) return text;
  throw new UsageError(
    `--stack (or PERENNIAL_STACK) must be the name of a stack, 1 to 128 letters, digits and hyphens, got ${brief(text)}`,
  );
}

/** The number of a model version, like 3 or v3. */
export function versionNumber(text: string): string {
  const [, number] = /^v?([1-9]\d{0,8})$/.exec(text) ?? [];
  if (number === undefined) throw new UsageError(`<version> must be a number like 3 or v3, got ${brief(text)}`);
  return number;
}
