import Table from 'cli-table3';
import type { RunJudged } from '../../lib/core/ledger/facts';
import { type History, type Run, type Served, until, versionOf, whyServed } from '../../lib/core/ledger/history';
import { count, duration, interval, metric, minute, shortVersion, signed } from './format';
import { printable } from './printable';

/** A plain table: a line below the heads, none elsewhere. */
export function printTable(
  heads: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
  numbers: readonly number[] = [],
): string {
  const none = Object.fromEntries(
    [
      'top',
      'top-mid',
      'top-left',
      'top-right',
      'bottom',
      'bottom-mid',
      'bottom-left',
      'bottom-right',
      'left',
      'left-mid',
      'right',
      'right-mid',
      'mid',
      'mid-mid',
    ].map((part) => [part, '']),
  );
  const table = new Table({
    chars: { ...none, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    colAligns: heads.map((_, i) => (numbers.includes(i) ? 'right' : 'left')),
  });
  const shown = rows.map((row) => row.map(printable)); // here too, for the columns' widths
  const width = (i: number) => Math.max(...[heads, ...shown].map((row) => longest(row[i] ?? '')));
  table.push(
    [...heads],
    heads.map((_, i) => '─'.repeat(width(i))),
    ...shown.map((row) => [...row]),
  );
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function longest(cell: string): number {
  return Math.max(...cell.split('\n').map((line) => line.length));
}

/** The runs, oldest first: why, on what, and how each was judged; what has come since and started none; what was refused. */
export function printRuns(facts: History): string {
  const ignored = printIgnored(facts);
  return [
    runsTable(facts) + older(facts.older?.includes('runs')),
    ...(ignored === undefined ? [] : [ignored]),
    ...printRefused(facts.refused),
  ].join('\n\n');
}

/** That the ledger has more, if it has. */
function older(hasOlder = false): string {
  return hasOlder ? '\nand older ones, which --limit or --since list' : '';
}

/** So many are listed; the report has more, and the ledger all. */
const MOST_IGNORED = 10;

function printIgnored({ runs, decisions }: History): string | undefined {
  const since = runs.at(-1)?.startedAt ?? '';
  const ignored = decisions.filter(({ at, decided }) => decided === 'IGNORED' && at > since);
  if (ignored.length === 0) return undefined;
  return printTable(
    ['SINCE THEN (UTC)', 'TRIGGER', 'IGNORED BECAUSE'],
    ignored.slice(-MOST_IGNORED).map(({ at, reason, because }) => [minute(at), reason, wrap(because, 100)]),
  );
}

function runsTable({ runs }: History): string {
  if (runs.length === 0) return 'no run yet: upload data to incoming/, or ask for one with `perennial start`';
  return printTable(
    ['STARTED (UTC)', 'RUN', 'REASON', 'DATA', 'ROWS', 'VERDICT', 'CANDIDATE', 'DIFFERENCE', 'OUTCOME'],
    runs.map((run) => [
      minute(run.startedAt),
      run.runId,
      run.started?.reason ?? '–',
      shortVersion(run.started?.dataVersion),
      run.prepared === undefined ? '–' : count(rowsOf(run)),
      run.judged?.verdict ?? '–',
      run.judged === undefined ? '–' : `${run.judged.metric} ${metric(run.judged.candidate)}`,
      run.judged === undefined ? '–' : difference(run.judged),
      outcome(run),
    ]),
    [4],
  );
}

/** Files that no run can use, the newest refusal first, and why; as many as a person reads. */
export function printRefused(refused: History['refused']): string[] {
  if (refused.length === 0) return [];
  const newest = [...refused].sort((a, b) => (a.at < b.at ? 1 : -1));
  const more = newest.length - MOST_REFUSED;
  return [
    printTable(
      ['FILE REFUSED', 'SINCE (UTC)', 'BECAUSE'],
      newest.slice(0, MOST_REFUSED).map(({ key, at, because }) => [key, minute(at), wrap(because, 80)]),
    ) + (more > 0 ? `\nand ${count(more)} more, which \`perennial report\` lists` : ''),
  ];
}

const MOST_REFUSED = 20;

/** Which model served when, oldest first. */
export function printServed(periods: readonly Served[], hasOlder = false): string {
  if (periods.length === 0) return 'no model has served yet';
  const table = printTable(
    ['FROM (UTC)', 'TO', 'MODEL', 'MADE BY', 'DATA', 'WHY'],
    periods.map((period) => [
      minute(period.from),
      until(period, minute),
      `v${period.version}`,
      period.deployment.runId ?? '–',
      shortVersion(period.run?.started?.dataVersion),
      wrap(whyServed(period), 60),
    ]),
  );
  return [table + older(hasOlder), ...periods.flatMap(({ gone }) => gone ?? [])].join('\n\n');
}

/** The windows that the monitor has judged, oldest first. */
export function printWindows({ windows }: History): string {
  if (windows.length === 0) return 'no window has been judged yet';
  return printTable(
    ['UNTIL (UTC)', 'MODEL', 'ROWS', 'VERDICT', 'FINDINGS'],
    windows.map(({ at, modelVersion, rows, verdict, summary }) => [
      minute(at),
      `v${modelVersion}`,
      count(rows),
      verdict,
      wrap(summary, 80),
    ]),
    [2],
  );
}

/** Rows that a run trained and judged on. */
export function rowsOf({ prepared }: Run): number {
  return prepared === undefined ? 0 : prepared.rows.train + prepared.rows.validation + prepared.rows.holdout;
}

/** The improvement with its interval, and over which version, or the trivial answer. */
export function difference(judged: RunJudged): string {
  const over = judged.championVersion === undefined ? 'the trivial answer' : `v${judged.championVersion}`;
  return `${signed(judged.difference)} ${interval(judged.interval)} over ${over}`;
}

/** How a run ended, with the version it registered. */
export function outcome(run: Run): string {
  const version = versionOf(run);
  if (run.ended === undefined) return 'RUNNING';
  return version === undefined ? run.ended.outcome : `${run.ended.outcome} v${version}`;
}

/** How long a run took; undefined while it runs. */
export function took(run: Run): string | undefined {
  return run.ended === undefined ? undefined : duration(Date.parse(run.ended.at) - Date.parse(run.startedAt));
}

/** Breaks a text into lines between words. */
export function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}
