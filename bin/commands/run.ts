import { GetExecutionHistoryCommand, type HistoryEvent, SFNClient } from '@aws-sdk/client-sfn';
import type { Command } from 'commander';
import type { Ledger } from '../../lambdas/ledger/ledger';
import { executionArn } from '../../lambdas/shared/executions';
import {
  causeText,
  type History,
  REASONS_IN_WORDS,
  type Run,
  servedPeriods,
  until,
  versionOf,
} from '../../lib/core/ledger/history';
import { listed } from '../../lib/core/listed';
import { usd } from '../../lib/core/train/prices';
import { clientConfig, type PipelineApp } from './app';
import { billed, cost, endedAs, estimate, noteOf } from './costs';
import { type CliContext, CommandError } from './failure';
import { bytes, count, duration, minute, several, shortVersion } from './format';
import { brief } from './input';
import { findRuns, readHistory, readRun } from './ledger';
import { type CommonOptions, openPipeline, show } from './pipeline';
import { difference, outcome, printRefused, printTable, rowsOf, took, wrap } from './tables';

/** What is said of a run that made none of the last deployments, where there are older ones. */
const NOT_SEEN = 'not by one of the newest deployments; `perennial served --limit` goes further back';

/** One state of an execution, as often as it was entered. */
export interface Step {
  readonly state: string;
  readonly enteredAt: Date;
  /** Absent if it was never left: it runs, or it failed. */
  readonly milliseconds?: number;
}

export function addRun(program: Command, context: CliContext): void {
  program
    .command('run <id>')
    .description("show one run: its data, its steps, its verdict and what became of it; 'latest' is the newest")
    .option('--json', 'write JSON')
    .addHelpText('after', '\nExamples:\n  $ perennial run latest\n  $ perennial run data-3f2a91bc0d12')
    .action(async (id: string, _, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions>();
      const { app, facts } = await openPipeline(options, context, (...of) => readOne(...of, id));
      const run = facts.runs.at(-1) as Run;
      const steps = await readSteps(app, run.runId, context);
      show(context, options, { ...run, refused: refusedBy(facts, run), steps }, () => printRun(facts, run, steps));
    });
}

/** Reads the run of this id, or whose id begins so; of several under one id the last. */
export async function readOne(ledger: Ledger, pipeline: string, id: string): Promise<History> {
  if (id === 'latest') {
    const { runs } = await readHistory(ledger, pipeline, { of: ['runs'], limit: 1 });
    const [newest] = runs;
    if (newest !== undefined) return readRun(ledger, pipeline, newest);
  }
  const matches = await findRuns(ledger, id);
  const exact = matches.filter(({ runId }) => runId === id);
  const found = exact.length > 0 ? exact : matches;
  const newest = found.at(-1);
  if (newest === undefined) {
    const { runs } = await readHistory(ledger, pipeline, { of: ['runs'], limit: 5 });
    const known = runs.map(({ runId }) => runId).reverse();
    throw new CommandError(`there is no run ${brief(id)}; the newest are: ${known.join(', ') || 'none yet'}`);
  }
  if (new Set(found.map(({ runId }) => runId)).size > 1) {
    throw new CommandError(
      `several runs begin with ${brief(id)}: ${listed(found.map(({ runId }) => runId))}; name one of them`,
    );
  }
  return readRun(ledger, pipeline, newest);
}

/** Everything known about a run, for the terminal. */
export function printRun(facts: History, run: Run, steps: readonly Step[]): string {
  return [
    printTable(['RUN', run.runId], summary(facts, run)),
    ...(run.attempts.length === 0 ? [] : [printAttempts(run)]),
    ...(steps.length === 0 ? [] : [printSteps(steps)]),
    ...(run.prepared === undefined || run.prepared.quarantine.length === 0
      ? []
      : [
          printTable(
            ['ROWS SET ASIDE', 'BECAUSE'],
            run.prepared.quarantine.map(({ rows, reason }) => [count(rows), reason]),
            [0],
          ),
        ]),
    ...printRefused(refusedBy(facts, run)),
  ].join('\n\n');
}

/** The files that failed a run; later ones leave them out. */
function refusedBy({ refused }: History, { runId }: Run): History['refused'] {
  return refused.filter((file) => file.runId === runId);
}

function summary(facts: History, run: Run): string[][] {
  const { started, prepared, judged, ended } = run;
  const rows: Array<[string, string | undefined]> = [
    ['outcome', outcome(run)],
    ['error', ended?.error && wrap(`${ended.error.name}: ${causeText(ended.error.cause)}`, 100)],
    ['started', `${minute(run.startedAt)} UTC`],
    ['took', took(run)],
    [
      'because',
      started && wrap(started.evidence.map(describeEvidence).join('; ') || REASONS_IN_WORDS[started.reason], 100),
    ],
    [
      'data',
      started && `${shortVersion(started.dataVersion)}: ${several(started.files, 'file')}, ${bytes(started.bytes)}`,
    ],
    [
      'rows',
      prepared &&
        `${count(rowsOf(run))} (${count(prepared.rows.train)} to train, ${count(prepared.rows.validation)} to stop early, ${count(prepared.rows.holdout)} to judge), ${count(prepared.rows.quarantined)} set aside`,
    ],
    ['newest row', prepared?.cutoff],
    ['training was to cost', estimate(run)],
    ['training cost', cost(run)],
    ['verdict', judged && `${judged.verdict}, ${judged.metric} ${difference(judged)}`],
    ['', judged && wrap(judged.because, 100)],
    ['registered as', versionOf(run) === undefined ? undefined : `v${versionOf(run)}`],
    ['served', servedWhen(facts, run)],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== undefined);
}

/** The training jobs: where, how they ended, and what for. */
function printAttempts({ attempts }: Run): string {
  return printTable(
    ['TRAINING JOB', 'ON', 'ENDED AS', 'BILLED', 'COST', ''],
    attempts.map((attempt) => [
      attempt.job,
      attempt.option,
      endedAs(attempt),
      billed(attempt),
      usd(attempt.costUsd),
      wrap(noteOf(attempt), 60),
    ]),
  );
}

function printSteps(steps: readonly Step[]): string {
  return printTable(
    ['STEP', 'ENTERED (UTC)', 'TOOK'],
    steps.map(({ state, enteredAt, milliseconds }) => [
      state,
      enteredAt.toISOString().slice(11, 23),
      milliseconds === undefined ? 'not left' : duration(milliseconds),
    ]),
    [2],
  );
}

function servedWhen(facts: History, run: Run): string | undefined {
  const periods = servedPeriods(facts).filter(({ deployment }) => deployment.runId === run.runId);
  if (periods.length === 0) return facts.older?.includes('deployments') ? NOT_SEEN : undefined;
  return periods.map((period) => `${minute(period.from)} to ${until(period, minute)} UTC`).join(', ');
}

function describeEvidence({ reason, at, detail }: NonNullable<Run['started']>['evidence'][number]): string {
  const facts = [detail.key, detail.summary, detail.requestedBy && `by ${detail.requestedBy}`, detail.note];
  const known = facts.filter((fact) => fact !== undefined).join(', ');
  return `${REASONS_IN_WORDS[reason]} at ${minute(at)}${known === '' ? '' : ` (${known})`}`;
}

/** The states of a run's execution; none if Step Functions does not know it any more. */
async function readSteps(app: PipelineApp, runId: string, context: CliContext): Promise<Step[]> {
  const client = new SFNClient(clientConfig(context));
  const arn = executionArn(app.trainingMachine, runId);
  const events: HistoryEvent[] = [];
  try {
    let nextToken: string | undefined;
    do {
      const page = await client.send(
        new GetExecutionHistoryCommand({ executionArn: arn, maxResults: 1000, nextToken }),
      );
      events.push(...(page.events ?? []));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
  } catch (error) {
    if ((error as Error).name !== 'ExecutionDoesNotExist') throw error;
  } finally {
    client.destroy();
  }
  return stepsOf(events);
}

/** Pairs what was entered with what was left. Branches of a Parallel state run side by side, under names of their own. */
export function stepsOf(events: readonly HistoryEvent[]): Step[] {
  const steps: Array<{ state: string; enteredAt: Date; milliseconds?: number }> = [];
  for (const { timestamp = new Date(0), stateEnteredEventDetails, stateExitedEventDetails } of events) {
    if (stateEnteredEventDetails?.name !== undefined) {
      steps.push({ state: stateEnteredEventDetails.name, enteredAt: timestamp });
    } else if (stateExitedEventDetails?.name !== undefined) {
      const step = steps.find(
        ({ state, milliseconds }) => state === stateExitedEventDetails.name && milliseconds === undefined,
      );
      if (step !== undefined) step.milliseconds = timestamp.getTime() - step.enteredAt.getTime();
    }
  }
  return steps;
}
