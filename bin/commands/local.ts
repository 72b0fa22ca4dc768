import { existsSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import type { Engine, LogEntry } from '../../engine/src';
import type { Envelope } from '../../engine/src/services/events/service';
import type { PublishedMessage } from '../../engine/src/services/sns/service';
import { type CliContext, CommandError } from './failure';
import { bytes } from './format';
import { folder, readJson } from './input';
import { printTable } from './tables';

interface LocalOptions {
  readonly assembly: string;
  readonly port: number;
  readonly state: string;
  readonly speed: number;
  readonly faults?: string;
  readonly verbose?: boolean;
}

export function addLocal(program: Command, context: CliContext): void {
  program
    .command('local')
    .description('run a synthesized app on this machine, until Ctrl-C: no AWS account, no Docker')
    .option('--assembly <folder>', 'what `cdk synth` wrote', 'cdk.out')
    .option('--port <number>', 'port on 127.0.0.1; 0 takes any free one', port, 4566)
    .option('--state <folder>', "the engine's state; safe to delete afterwards", '.perennial/state')
    .option('--speed <factor>', 'how much faster waits pass: with 60 a minute takes a second', speed, 1)
    .option(
      '--faults <file>',
      'faults to inject into jobs and endpoints, in JSON: interruptions, full quotas, lack of capacity',
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ npx cdk synth --quiet && perennial local\n\nIn another terminal, with the lines that it prints:\n  $ aws s3 cp january.parquet s3://<DataBucket>/incoming/\n  $ perennial runs',
    )
    .action(async (_, command: Command) => {
      const options = command.optsWithGlobals<LocalOptions>();
      const { checkFaults, Engine } = await import('../../engine/src'); // the other commands need not wait for it to load
      folder('--assembly', options.assembly);
      if (existsSync(options.state)) folder('--state', options.state);
      let engine: Engine | undefined;
      const isContinued = existsSync(options.state);
      const progress = progressOf(() => engine, options.verbose === true, context);
      try {
        engine = await Engine.start({
          assembly: options.assembly,
          port: options.port,
          stateDir: options.state,
          timeScale: 1 / options.speed,
          ...(options.faults !== undefined && {
            faults: checkFaults(readJson(options.faults, FAULTS), options.faults),
          }),
          log: progress,
        });
      } catch (error) {
        throw options.verbose ? error : new CommandError((error as Error).message);
      }
      context.out(greeting(engine));
      if (isContinued) {
        context.out(`It goes on from what an earlier start left in ${options.state}. Delete the folder to begin anew.`);
        context.out(`${engine.recovered.map((what) => `  ${what}\n`).join('')}`);
      }
      await interrupted();
      context.out('\nstopping; once more ends it at once');
      await engine.stop();
    });
}

/** What a person needs to speak to the engine. */
export function greeting(engine: Pick<Engine, 'environment' | 'outputs' | 'inert' | 'url' | 'stateDir'>): string {
  const { AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = engine.environment;
  const outputs = Object.entries(engine.outputs).flatMap(([stack, values]) =>
    Object.entries(values).map(([key, value]) => [stack, key, value]),
  );
  const inert = inertRows(engine.inert);
  return [
    `The app runs at ${engine.url}; its state is in ${engine.stateDir}. Ctrl-C ends it.`,
    'For the AWS CLI, the SDKs and perennial, in another terminal:\n',
    `  export AWS_ENDPOINT_URL=${AWS_ENDPOINT_URL}`,
    `  export AWS_REGION=${AWS_REGION} AWS_DEFAULT_REGION=${AWS_REGION}`, // boto3 reads only the second
    `  export AWS_ACCESS_KEY_ID=${AWS_ACCESS_KEY_ID} AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}\n`,
    ...(outputs.length === 0 ? [] : [`${printTable(['STACK', 'OUTPUT', 'VALUE'], outputs)}\n`]),
    ...(inert.length === 0 ? [] : [`${printTable(['DOES NOTHING HERE', 'WHICH', 'BECAUSE'], inert)}\n`]),
  ].join('\n');
}

/** Resources that do nothing here, by type. */
function inertRows(inert: Engine['inert']): string[][] {
  const groups = new Map<string, Engine['inert']>();
  for (const one of inert) groups.set(one.type + one.why, [...(groups.get(one.type + one.why) ?? []), one]);
  return [...groups.values()].map(([first, ...others]) => [
    first?.type ?? '',
    others.length === 0 ? (first?.path ?? '') : `${others.length + 1} of them`,
    first?.why ?? '',
  ]);
}

/** Prints a line an event that means something to a person, and what failed; everything if asked to. */
export function progressOf(engine: () => Engine | undefined, verbose: boolean, { out }: Pick<CliContext, 'out'>) {
  let shown = new Set<string>();
  let last = '';
  return (entry: LogEntry) => {
    if (verbose || isTrouble(entry)) out(`${entry.at.toISOString().slice(11, 19)} ${entry.service}: ${entry.message}`);
    const events = engine()?.services.events.events.slice(-20) ?? [];
    const messages = engine()?.services.sns.published.slice(-20) ?? [];
    for (const { event, rules } of events) {
      if (shown.has(event.id)) continue;
      const line = describeEvent(event, rules.length > 0);
      if (line !== undefined && line !== last) out(`${event.time.slice(11, 19)} ${line}`);
      last = line ?? last;
    }
    for (const message of messages) {
      if (shown.has(message.messageId)) continue;
      out(`${message.at.toISOString().slice(11, 19)} notification: ${describeNotification(message)}`);
    }
    shown = new Set([...events.map(({ event }) => event.id), ...messages.map(({ messageId }) => messageId)]);
  };
}

/**
 * Whether a person should know: a permission that is missing, what is lost, a fault. Refused calls are often meant so, and
 * what was recovered is told together.
 */
export function isTrouble({ message, detail }: LogEntry): boolean {
  if (detail?.recovered === true) return false;
  const isCall = detail?.by !== undefined;
  return isCall
    ? /failed: AccessDenied/.test(message)
    : /\bfailed\b|could not be delivered|is lost|is set aside/.test(message);
}

/** One line about an event; undefined if it is of no interest. */
export function describeEvent(
  { source, 'detail-type': type, detail }: Pick<Envelope, 'source' | 'detail-type' | 'detail'>,
  matched: boolean,
): string | undefined {
  if (type === 'Object Created') {
    return matched ? `uploaded ${detail.object.key} (${bytes(detail.object.size ?? 0)})` : undefined;
  }
  if (type === 'Step Functions Execution Status Change') {
    return `execution ${detail.name} ${detail.status}`;
  }
  if (source === 'aws.sagemaker') {
    const statuses = Object.entries<string>(detail).filter(([key]) => /Status$/.test(key));
    const [, name = ''] = Object.entries<string>(detail).find(([key]) => /^(?!.*Group).*(Name|Arn)$/.test(key)) ?? [];
    const [, status = ''] = statuses.find(([key]) => key === 'SecondaryStatus') ?? statuses[0] ?? [];
    return `${type.replace(/^SageMaker | State Change$/g, '').toLowerCase()} ${name.replace(/^.*:[^/]*\//, '')} ${status}`;
  }
  if (source === 'perennial') {
    const { runId, deploymentId, outcome, summary, requestedBy } = detail;
    const facts = [runId ?? deploymentId, outcome, summary, requestedBy && `by ${requestedBy}`];
    return [type.replace(/^Perennial /, '').toLowerCase(), ...facts.filter((fact) => fact !== undefined)].join(' ');
  }
  return matched ? `${type} (${source})` : undefined;
}

/** One line about what was published to a topic; of an alarm, what it means. */
export function describeNotification({ subject, message }: Pick<PublishedMessage, 'subject' | 'message'>): string {
  if (subject === undefined) return message.replace(/^"|"$/g, ''); // a rule's text comes in quotes
  const { AlarmDescription } = JSON.parse(message);
  return `${subject}: ${AlarmDescription ?? message}`;
}

/** What a shell shows of a program that Ctrl-C has ended. */
const INTERRUPTED = 130;

/** Resolves with the first Ctrl-C, request to terminate, or end of the terminal; the second ends the process at once. */
export function interrupted(): Promise<void> {
  return new Promise((done) => {
    let asked = 0;
    const ask = () => {
      asked += 1;
      if (asked > 1) process.exit(INTERRUPTED);
      done();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  });
}

const FAULTS = 'what it may hold: README.md, section "In your own tests"';

function port(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) throw new InvalidArgumentError('it must be a number from 0 to 65535.');
  return value;
}

function speed(text: string): number {
  const value = Number(text);
  if (!(value >= 0.01 && value <= 1e6)) {
    throw new InvalidArgumentError('it must be a number above 0, from 0.01 to 1000000, e.g. 60.');
  }
  return value;
}
