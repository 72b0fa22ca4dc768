import { createHash } from 'node:crypto';
import {
  causeText,
  type History,
  REASONS_IN_WORDS,
  type Run,
  type Served,
  servedPeriods,
  until,
  versionOf,
  whyServed,
} from '../../lib/core/ledger/history';
import { money, usd } from '../../lib/core/train/prices';
import type { Finding } from '../../lib/core/watch/findings';
import { billed, noteOf, spentUsd } from '../commands/costs';
import { count, duration, interval, metric, minute, several, shortVersion, signed } from '../commands/format';
import { rowsOf, took } from '../commands/tables';
import { type Content, Html, html } from './html';
import { driftPlot, performancePlot, servedPlot, verdictPlot } from './plots';
import { STYLE } from './style';

/** What a report is made of. */
export interface ReportFacts extends History {
  /** The monitor's findings by window id. */
  readonly findings?: Readonly<Record<string, readonly Finding[]>>;
  /** ISO. */
  readonly writtenAt: string;
}

/** Decisions and windows that the page lists; the ledger has them all. */
const MOST_LISTED = 100;

/**
 * All text is escaped, so nothing in it is obeyed. Should that ever fail, the browser runs no script, loads and sends
 * nothing, and heeds this page's own style alone.
 */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** One self-contained HTML page about a pipeline. */
export async function renderReport(given: ReportFacts): Promise<string> {
  const facts = { ...given, writtenAt: newest(given) };
  const { pipeline, writtenAt, findings = {} } = facts;
  const [served, verdicts, performance, drift] = await Promise.all([
    servedPlot(facts, writtenAt),
    verdictPlot(facts),
    performancePlot(facts, findings),
    driftPlot(facts, findings),
  ]);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${pipeline}: what serves and why</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>
<header>
<p class="overline">Perennial · pipeline ${pipeline}</p>
${headline(facts)}
<ul class="cards">${cards(facts)}</ul>
</header>
${section('Which model served when', servedSection(facts, served))}
${section('Runs', runsSection(facts, verdicts))}
${section('Watching', watchSection(facts, performance, drift))}
${section('Decisions', decisionsSection(facts))}
${section('Rows set aside', quarantineSection(facts))}
<footer><p>Written ${time(writtenAt)} from the pipeline’s ledger. All times are UTC.${olderNote(facts)}</p></footer>
</main>
</body>
</html>
`;
  return page.markup;
}

/** That the ledger has more than the page was made of. */
function olderNote({ older = [] }: ReportFacts): string {
  return older.length === 0 ? '' : ` It has older ${older.join(', ')}, which --limit or --since of the command read.`;
}

/** When the page was written, as the ledger counts time: an engine's clock runs ahead where waits are shortened. */
function newest({ writtenAt, deployments, runs, windows }: ReportFacts): string {
  const times = [...deployments, ...windows, ...runs.flatMap(({ ended }) => ended ?? [])].map(({ at }) => at);
  return [writtenAt, ...times].reduce((a, b) => (Date.parse(b) > Date.parse(a) ? b : a));
}

function headline(facts: ReportFacts): Html {
  const now = servedPeriods(facts).at(-1);
  if (now === undefined) {
    return html`<h1>No model serves yet</h1><p class="lead">The first upload of labelled data starts a run; a model that is good enough is then deployed.</p>`;
  }
  if (now.gone !== undefined) {
    return html`<h1>Version ${now.version} was deployed last</h1><p class="lead">${sentence(now.gone)}</p>`;
  }
  const lasts = Date.parse(facts.writtenAt) - Date.parse(now.from);
  const since = lasts < 60_000 ? 'just now' : duration(lasts);
  return html`<h1>Version ${now.version} serves, since ${minute(now.from)} <small>(${since})</small></h1>
<p class="lead">${sentence(whyServed(now))}</p>`;
}

function cards({ runs, windows, decisions, refused, writtenAt }: ReportFacts): Html[] {
  const month = runs
    .filter(({ startedAt }) => startedAt.startsWith(writtenAt.slice(0, 7)))
    .flatMap(({ attempts }) => attempts);
  const run = runs.at(-1);
  const window = windows.at(-1);
  const promoted = runs.filter(({ ended }) => ended?.outcome === 'PROMOTED').length;
  const ignored = decisions.filter(({ decided }) => decided === 'IGNORED').length;
  const card = (label: string, value: Content, note: Content) =>
    html`<li><span class="label">${label}</span><span class="value">${value}</span><span class="note">${note}</span></li>`;
  return [
    card('runs', count(runs.length), `${promoted} promoted`),
    card('newest run', run === undefined ? '–' : chip(run.ended?.outcome ?? 'RUNNING'), run && minute(run.startedAt)),
    card('newest window', window === undefined ? '–' : chip(window.verdict), window && minute(window.at)),
    card('USD for training', money(spentUsd(month)), 'this month'),
    card('triggers', count(decisions.length), `${ignored} ignored`),
    ...(refused.length === 0 ? [] : [card('files refused', count(refused.length), 'see below')]),
  ];
}

function servedSection(facts: ReportFacts, plot: Html | undefined): Content {
  const periods = servedPeriods(facts);
  const failed = facts.deployments.filter(({ outcome }) => outcome === 'ROLLED_BACK' || outcome === 'FAILED');
  if (periods.length === 0 && failed.length === 0) return none('No model has been deployed yet.');
  return [
    figure(plot, 'Each bar is a stretch of time in which one model version answered requests.'),
    table(
      ['from', 'to', 'model', 'made by', 'data', 'why'],
      [...periods]
        .reverse()
        .map((period: Served) => [
          time(period.from),
          period.to === undefined ? html`<strong>${until(period, minute)}</strong>` : time(period.to),
          `v${period.version}`,
          code(period.deployment.runId),
          code(shortVersion(period.run?.started?.dataVersion)),
          sentence(whyServed(period)),
        ]),
    ),
    failed.length === 0
      ? undefined
      : html`<h3>Deployments that changed nothing</h3>${table(
          ['at', 'model', 'outcome', 'error'],
          failed.map(({ at, modelVersion, outcome, error }) => [
            time(at),
            `v${modelVersion}`,
            chip(outcome),
            error === undefined ? '–' : `${error.name}: ${causeText(error.cause)}`,
          ]),
        )}`,
  ];
}

function runsSection({ runs }: ReportFacts, plot: Html | undefined): Content {
  if (runs.length === 0) return none('No run yet.');
  return [
    figure(
      plot,
      'Both models are scored on the same held-out rows. Above zero the candidate is better; a bar is the confidence interval of the difference.',
    ),
    table(
      ['#', 'started', 'run', 'data', 'rows', 'candidate', 'improvement', 'verdict', 'outcome'],
      runs.map((run, i) => [i + 1, ...runCells(run)]).reverse(),
      [0, 4],
    ),
    details(
      'What the verdicts say',
      table(
        ['run', 'verdict', 'because'],
        runs
          .filter(({ judged }) => judged !== undefined)
          .map(({ runId, judged }) => [code(runId), chip(judged?.verdict ?? ''), judged?.because]),
      ),
      runs.some(({ judged }) => judged !== undefined),
    ),
    trainingJobs(runs),
    failures(runs),
  ];
}

/** Every training job, newest first: where it ran, how it ended, and what it cost against what was expected. */
function trainingJobs(runs: readonly Run[]): Content {
  const jobs = runs.flatMap((run) => run.attempts.map((attempt) => ({ run, attempt }))).reverse();
  if (jobs.length === 0) return undefined;
  return html`<h3>Training jobs</h3>
<p>Costs at on-demand prices; of a spot job fewer seconds are billed than it ran.</p>${table(
    ['run', 'on', 'ended as', 'billed', 'expected', 'at most', 'cost', ''],
    jobs.slice(0, MOST_LISTED).map(({ run, attempt }) => {
      const reserved = run.requested.find(({ job }) => job === attempt.job);
      return [
        code(run.runId),
        attempt.option,
        chip(attempt.failureKind ?? attempt.status.toUpperCase()),
        billed(attempt),
        reserved?.expectedUsd === undefined ? '–' : usd(reserved.expectedUsd),
        usd(reserved?.atMostUsd),
        usd(attempt.costUsd),
        noteOf(attempt),
      ];
    }),
    [4, 5, 6],
  )}${more(jobs.length)}`;
}

function runCells(run: Run): Content[] {
  const { started, prepared, judged, ended } = run;
  const version = versionOf(run);
  return [
    [time(run.startedAt), html`<br><span class="note">${took(run) ?? 'runs'}</span>`],
    [
      code(run.runId),
      html`<br><span class="note">${started === undefined ? 'no data' : REASONS_IN_WORDS[started.reason]}</span>`,
    ],
    code(shortVersion(started?.dataVersion)),
    prepared === undefined ? '–' : count(rowsOf(run)),
    candidate(run),
    improvement(run),
    judged === undefined ? '–' : chip(judged.verdict),
    [
      chip(ended?.outcome ?? 'RUNNING'),
      version === undefined ? undefined : html`<br><span class="note">as v${version}</span>`,
    ],
  ];
}

function candidate({ judged }: Run): Content {
  if (judged === undefined) return '–';
  const against =
    judged.champion === undefined
      ? judged.trivial === undefined
        ? undefined
        : `trivial: ${metric(judged.trivial)}`
      : `v${judged.championVersion ?? '?'}: ${metric(judged.champion)}`;
  return html`${judged.metric} ${metric(judged.candidate)}<br><span class="note">${against}</span>`;
}

function improvement({ judged }: Run): Content {
  if (judged === undefined) return '–';
  return html`${signed(judged.difference)}<br><span class="note">${interval(judged.interval)}</span>`;
}

function failures(runs: readonly Run[]): Content {
  const failed = runs.flatMap(({ runId, ended }) => (ended?.error === undefined ? [] : [{ runId, ...ended.error }]));
  if (failed.length === 0) return undefined;
  return html`<h3>Runs that failed</h3>${table(
    ['run', 'error', 'cause'],
    failed.map(({ runId, name, cause }) => [code(runId), code(name), causeText(cause)]),
  )}`;
}

function watchSection({ windows }: ReportFacts, performance: Html | undefined, drift: Html | undefined): Content {
  if (windows.length === 0) return none('The monitor has not judged a window yet.');
  const numbered = windows.map((window, i) => ({ ...window, number: i + 1 })).reverse();
  return [
    figure(
      performance,
      'The metric on rows whose outcome became known. The red tick is the limit from which a change matters.',
    ),
    figure(
      drift,
      'How far inputs, predictions and performance have moved from what the model was trained on. Only a change that matters, is significant and persists is called drift.',
    ),
    table(
      ['#', 'judged', 'model', 'rows', 'verdict', 'summary'],
      numbered
        .slice(0, MOST_LISTED)
        .map(({ number, at, modelVersion, rows, verdict, summary }) => [
          number,
          time(at),
          `v${modelVersion}`,
          count(rows),
          chip(verdict),
          summary,
        ]),
      [0, 3],
    ),
    more(numbered.length),
  ];
}

function decisionsSection({ decisions }: ReportFacts): Content {
  if (decisions.length === 0) return none('No trigger has come yet.');
  return [
    html`<p>Every trigger, and what the controller did about it.</p>`,
    table(
      ['at', 'trigger', 'decided', 'run', 'because'],
      [...decisions]
        .reverse()
        .slice(0, MOST_LISTED)
        .map(({ at, reason, decided, runId, because }) => [
          time(at),
          REASONS_IN_WORDS[reason],
          chip(decided),
          runId === undefined ? '–' : code(runId),
          because,
        ]),
    ),
    more(decisions.length),
  ];
}

function quarantineSection({ runs, refused }: ReportFacts): Content {
  const reasons = runs.flatMap(({ runId, prepared }) => (prepared?.quarantine ?? []).map((one) => ({ runId, ...one })));
  if (reasons.length === 0 && refused.length === 0) return none('Every row and every file so far was good.');
  return [
    reasons.length === 0
      ? undefined
      : table(
          ['run', 'rows', 'because'],
          [...reasons].reverse().map(({ runId, rows, reason }) => [code(runId), count(rows), reason]),
          [1],
        ),
    refused.length === 0
      ? undefined
      : html`<h3>Files that no run can use</h3>${table(
          ['file', 'since', 'because'],
          refused.map(({ key, at, because }) => [code(key), time(at), because]),
        )}`,
  ];
}

function section(title: string, content: Content): Html {
  return html`<section><h2>${title}</h2>${content}</section>`;
}

function figure(plot: Html | undefined, caption: string): Content {
  return plot && html`<figure>${plot}<figcaption>${caption}</figcaption></figure>`;
}

function details(summary: string, content: Content, present: boolean): Content {
  return present ? html`<details><summary>${summary}</summary>${content}</details>` : undefined;
}

function table(
  heads: readonly string[],
  rows: ReadonlyArray<readonly Content[]>,
  numbers: readonly number[] = [],
): Html {
  const kind = (i: number) => new Html(numbers.includes(i) ? ' class="number"' : '');
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${heads.join(', ')}"><table>
<thead><tr>${heads.map((head, i) => html`<th scope="col"${kind(i)}>${head}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td${kind(i)}>${cell}</td>`)}</tr>\n`)}</tbody>
</table></div>`;
}

function more(total: number): Content {
  return total > MOST_LISTED ? none(`${several(total - MOST_LISTED, 'older one')} in the ledger.`) : undefined;
}

/** How good a word of the ledger is, for its colour; the word itself stands there too. */
const TONES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    PROMOTED: 'good',
    BETTER: 'good',
    NOT_WORSE: 'good',
    FIRST: 'good',
    DEPLOYED: 'good',
    OK: 'good',
    STARTED: 'good',
    COMPLETED: 'good',
    FAILED: 'bad',
    ALGORITHM: 'bad',
    CLIENT: 'bad',
    WORSE: 'bad',
    FIRST_REFUSED: 'bad',
    ROLLED_BACK: 'bad',
    DRIFT: 'bad',
    BAD_DATA: 'bad',
  }),
);

function chip(word: string): Html {
  return html`<span class="chip ${TONES.get(word) ?? 'neutral'}">${word.toLowerCase().replaceAll('_', ' ')}</span>`;
}

function time(iso: string): Html {
  return html`<time datetime="${iso}">${minute(iso)}</time>`;
}

function code(text: string | undefined): Content {
  return text === undefined || text === '–' ? '–' : html`<code>${text}</code>`;
}

function none(text: string): Html {
  return html`<p class="none">${text}</p>`;
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}
