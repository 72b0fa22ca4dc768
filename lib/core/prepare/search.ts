import { count, listOf, object, oneOf, optional, text } from '../shape';

/**
 * Finds the file because of which data cannot be prepared, when the failure itself does not say which: a fault that
 * nobody thought of, a full memory or disk, or a function that ended without a word.
 *
 * What is tried is written down before it is: so an attempt that dies is known to have failed by the next one. A
 * file is guilty if it fails alone as well. Where no file does, they are too much together, or a person is needed.
 */

/** Files of a snapshot that stand beside each other: from the first, up to but without the last. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Files that could not be prepared. */
export interface Failure {
  readonly range: Range;
  /** What was being read of them; absent if all were. */
  readonly reading?: Range;
  /** `DIED`: the function ended without a word. `CAPACITY`: memory or disk were full. `FAULT`: anything else. */
  readonly kind: 'DIED' | 'CAPACITY' | 'FAULT';
  /** In the words of what failed. */
  readonly because: string;
}

/** How far the search has come; the ledger has it, so that the next attempt goes on. */
export interface Search {
  /** How often the function has begun. */
  readonly attempts: number;
  /** What is being tried; it has failed if an attempt finds it here. */
  readonly under?: { readonly range: Range; readonly reading?: Range; readonly since: string };
  readonly failures: readonly Failure[];
  readonly passed: readonly Range[];
  /** Files that fail alone, and how. */
  readonly guilty: ReadonlyArray<{ readonly file: number; readonly failure: Failure }>;
}

export const NOT_BEGUN: Search = { attempts: 0, failures: [], passed: [], guilty: [] };

const RANGE = object<Range>({ from: count, to: count });
const FAILURE = object<Failure>({
  range: RANGE,
  reading: optional(RANGE),
  kind: oneOf(['DIED', 'CAPACITY', 'FAULT']),
  because: text,
});
const SEARCH = object<Search>({
  attempts: count,
  under: optional(object({ range: RANGE, reading: optional(RANGE), since: text })),
  failures: listOf(FAILURE),
  passed: listOf(RANGE),
  guilty: listOf(object({ file: count, failure: FAILURE })),
});

/** Reads what was noted; what somebody has changed by hand says nothing. */
export function readSearch(noted: unknown): Search {
  const mistakes: string[] = [];
  const search = SEARCH.read(noted, '', mistakes);
  return mistakes.length === 0 ? search : NOT_BEGUN;
}

/** The search of a further attempt: what the one before was doing when it ended without a word has failed. */
export function resumed(noted: unknown): Search {
  const known = readSearch(noted);
  const { under, ...search } = { ...known, attempts: known.attempts + 1 };
  return under === undefined ? search : failed(search, died(under));
}

function died({ range, reading, since }: NonNullable<Search['under']>): Failure {
  const what = reading === undefined ? 'computing' : 'reading';
  const because =
    `the function ended without a word while it was ${what} (begun at ${since}): ` +
    'that takes more time or memory than it has, or it crashes the database';
  return { range, kind: 'DIED', because, ...(reading && { reading }) };
}

/** What to do next. */
export type Step =
  /** Prepare all files, for good. */
  | { readonly step: 'PREPARE' }
  /** Prepare some, to see whether it works. */
  | { readonly step: 'TRY'; readonly range: Range }
  /** A file fails alone. */
  | { readonly step: 'GUILTY'; readonly file: number; readonly failure: Failure }
  /** `FOUND`: the run ends because of the guilty files. The other two name none. */
  | { readonly step: 'END'; readonly end: 'FOUND' | 'TOO_MUCH' | 'UNEXPLAINED'; readonly failure: Failure };

/** So often the function is begun at most: enough to halve 10,000 files twice over. */
export const MOST_ATTEMPTS = 30;

/** So many guilty files are named by one run at most; the next, without them, finds more. */
const MOST_GUILTY = 100;

/** From so many files on that fail alone while nothing works, some are tried that nothing speaks against. */
const NOT_TO_BLAME = 3;

/** Decides what to do next about the files of a snapshot, of which there are so many. */
export function nextStep(search: Search, files: number): Step {
  const all = { from: 0, to: files };
  const { guilty, passed } = search;
  const failed = failuresOf(search, all);
  const last = guilty.at(-1)?.failure ?? failed.at(-1);
  const found = last && ({ step: 'END', end: 'FOUND', failure: last } as const);
  if (found !== undefined && guilty.length > 0) {
    if (guilty.length >= NOT_TO_BLAME && passed.length === 0) {
      const control = controls(search, all).find((range) => failuresOf(search, range).length === 0);
      if (control !== undefined) return { step: 'TRY', range: control };
      return { ...found, end: found.failure.kind === 'FAULT' ? 'UNEXPLAINED' : 'TOO_MUCH' };
    }
    const isDone = guilty.length === files || hasPassed(search, all);
    if (isDone || guilty.length >= MOST_GUILTY || search.attempts >= MOST_ATTEMPTS) return found;
    if (failed.length === 0) return { step: 'TRY', range: all };
  }
  const whole = failed.at(-1);
  if (whole === undefined) return { step: 'PREPARE' };

  const hint = whole.reading ?? all;
  const next = suspect(search, hint);
  if (next !== undefined && search.attempts < MOST_ATTEMPTS) return next;
  // a function may end by chance, and a second time it would not
  if (next === undefined && whole.kind === 'DIED' && failed.length < 2) {
    return guilty.length > 0 ? { step: 'TRY', range: all } : { step: 'PREPARE' };
  }
  if (guilty.length > 0) return { step: 'END', end: 'FOUND', failure: whole };
  const isTooMuch = next === undefined && whole.kind !== 'FAULT' && files > 1;
  return { step: 'END', end: isTooMuch ? 'TOO_MUCH' : 'UNEXPLAINED', failure: whole };
}

/** What to do next, once the files that are known to fail alone have been named as guilty. */
export function decideNext(
  search: Search,
  files: number,
): { readonly search: Search; readonly next: Exclude<Step, { readonly step: 'GUILTY' }> } {
  const next = nextStep(search, files);
  return next.step === 'GUILTY' ? decideNext(blamed(search, next.file, next.failure), files) : { search, next };
}

/** Files that nothing speaks against, one by one: if all of them fail too, the files are not to blame. */
function controls(search: Search, all: Range): Range[] {
  const files = filesOf(search, all);
  const some = new Set([0.25, 0.5, 0.75].map((share) => files[Math.floor(share * files.length)]));
  return [...some].filter((file) => file !== undefined).map(alone);
}

/** What to do to find the guilty one among files that are thought to fail; undefined if none of them fails alone. */
function suspect(search: Search, given: Range): Step | undefined {
  const files = filesOf(search, given);
  const range = files.length === 1 ? alone(files[0]) : given;
  if (files.length === 0 || hasPassed(search, range)) return undefined;
  const failures = failuresOf(search, range);
  const failure = failures.at(-1);
  if (failure === undefined) return { step: 'TRY', range };
  if (files.length === 1) {
    const [file] = files;
    const isProven = failure.kind !== 'DIED' || evidence(search, file) > 1;
    return isProven ? { step: 'GUILTY', file, failure } : { step: 'TRY', range };
  }
  const middle = files[Math.floor(files.length / 2)];
  const halves = [
    { from: range.from, to: middle },
    { from: middle, to: range.to },
  ];
  for (const half of halves) {
    const found = suspect(search, half);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The files of a range that are not known to be guilty. */
export function filesOf({ guilty }: Pick<Search, 'guilty'>, { from, to }: Range): number[] {
  const out = new Set(guilty.map(({ file }) => file));
  return Array.from({ length: to - from }, (_, i) => from + i).filter((file) => !out.has(file));
}

/** The search once something is about to be tried. */
export function begun(search: Search, range: Range, since: string, reading?: Range): Search {
  return { ...search, under: { range, since, ...(reading && { reading }) } };
}

/** The search once that has shown nothing. */
export function untried({ under: _, ...rest }: Search): Search {
  return rest;
}

/** The search once that has worked. */
export function worked(search: Search, range: Range): Search {
  return { ...untried(search), passed: [...search.passed, range] };
}

/** The search once that has failed. */
export function failed(search: Search, failure: Failure): Search {
  return { ...untried(search), failures: [...search.failures, failure] };
}

/** The search once a file is known to be guilty: what failed together with it may work without it. */
export function blamed(search: Search, file: number, failure: Failure): Search {
  return {
    ...search,
    guilty: [...search.guilty, { file, failure }],
    failures: search.failures.filter(({ range }) => !(range.from <= file && file < range.to)),
  };
}

function failuresOf({ failures }: Search, range: Range): Failure[] {
  return failures.filter((failure) => same(failure.range, range));
}

function hasPassed({ passed }: Search, range: Range): boolean {
  return passed.some((other) => same(other, range));
}

/** How often the function died while it had this file alone in its hands. */
function evidence({ failures }: Search, file: number): number {
  const it = alone(file);
  return failures.filter(({ range, reading }) => same(range, it) || (reading !== undefined && same(reading, it)))
    .length;
}

function alone(file: number): Range {
  return { from: file, to: file + 1 };
}

function same(a: Range, b: Range): boolean {
  return a.from === b.from && a.to === b.to;
}
