import { ErrorName, PerennialError } from '../../core/errors';
import { listed, shortened } from '../../core/listed';
import { items, MOST_MISTAKES, show } from '../../core/shape';
import type { Shape } from '../service';
import { groupsOf, hostNames } from './training-cluster';

/** Which training jobs a fault may strike: those that fit all that is said here. */
export interface FaultMatch {
  /** A part of the job's name. */
  readonly job?: string;
  /** e.g. `ml.g5.xlarge` */
  readonly instanceType?: string;
  /** Whether the job asks for spot instances. */
  readonly spot?: boolean;
}

/** What all faults have. */
export interface AnyFault<Kind extends string> {
  readonly kind: Kind;
  /** @default - any job that can have the fault */
  readonly match?: FaultMatch;
  /** How often it is taken: by jobs that are created, and by its own job when that starts again. @default 1 */
  readonly times?: number;
}

/** When it strikes: at a second of the script, or once a host has logged a line. At most one of both. */
export interface FaultMoment {
  /** Real seconds since the script began, also of the one that goes on. @default 0 unless `afterLine` is given */
  readonly afterSeconds?: number;
  /** A part of the line. */
  readonly afterLine?: string;
}

/** There are no instances: the job fails before it trains. */
export interface CapacityFault extends AnyFault<'capacity'> {
  /** Of the engine's time. @default 0 */
  readonly afterSeconds?: number;
}

/** The account's quota for the instance type is 0: the call is refused. */
export interface QuotaFault extends AnyFault<'quota'> {}

/** The call is refused, for there were too many. */
export interface ThrottleFault extends AnyFault<'throttle'> {}

/** The service itself fails. Where `RetryStrategy` allows it, the job starts again from its checkpoints. */
export interface InternalFault extends AnyFault<'internal'>, FaultMoment {}

/** Spot instances are taken away, with two minutes' notice. */
export interface InterruptionFault extends AnyFault<'interruption'>, FaultMoment {
  /** Of the engine's time, from the end of the script until there are instances again. @default 60 */
  readonly resumeAfterSeconds?: number;
  /** False if there never are instances again: the job ends with `MaxWaitTimeInSeconds`. @default true */
  readonly resumes?: boolean;
}

/** There never are spot instances: the job ends with `MaxWaitTimeInSeconds`. */
export interface MaxWaitFault extends AnyFault<'maxWait'> {}

/** The instances come late; too late where `MaxPendingTimeInSeconds` or `MaxWaitTimeInSeconds` is shorter. */
export interface SlowStartFault extends AnyFault<'slowStart'> {
  /** Of the engine's time. */
  readonly seconds: number;
}

/** One instance of several is lost with all that runs on it; else an {@link InternalFault}. */
export interface NodeLossFault extends AnyFault<'nodeLoss'>, FaultMoment {
  /** e.g. `algo-2` */
  readonly host: string;
}

/** What may befall a training job that does nothing wrong. */
export type TrainingFault =
  | CapacityFault
  | QuotaFault
  | ThrottleFault
  | InternalFault
  | InterruptionFault
  | MaxWaitFault
  | SlowStartFault
  | NodeLossFault;

/** A fault that strikes while the script runs. */
export type StrikingFault = InternalFault | InterruptionFault | NodeLossFault;

/** The faults that are still to come. */
export interface Faults {
  /** Each job that is created takes the first one that it can have and whose `match` it fits. */
  readonly training: TrainingFault[];
}

const taken = new WeakMap<TrainingFault, number>();

/** The fault that a new job meets; it leaves the queue once it was taken as often as it says. */
export function takeFault(queue: TrainingFault[], input: Shape): TrainingFault | undefined {
  checkFaults({ training: queue });
  const fault = queue.find((one) => fits(one, input));
  if (fault !== undefined) take(queue, fault);
  return fault;
}

/** Whether a job that starts again meets its fault once more. */
export function takeAgain(queue: TrainingFault[], fault: TrainingFault): boolean {
  if (!queue.includes(fault)) return false;
  take(queue, fault);
  return true;
}

function take(queue: TrainingFault[], fault: TrainingFault): void {
  const times = (taken.get(fault) ?? 0) + 1;
  taken.set(fault, times);
  if (times < (fault.times ?? 1)) return;
  queue.splice(queue.indexOf(fault), 1);
  taken.delete(fault);
}

function fits(fault: TrainingFault, input: Shape): boolean {
  const { job = '', instanceType, spot } = fault.match ?? {};
  const groups = groupsOf(input.ResourceConfig);
  const isSpot = input.EnableManagedSpotTraining === true;
  if (!input.TrainingJobName.includes(job)) return false;
  if (instanceType !== undefined && !groups.some(({ InstanceType }) => InstanceType === instanceType)) return false;
  if (spot !== undefined && spot !== isSpot) return false;
  if (fault.kind === 'interruption' || fault.kind === 'maxWait') return isSpot;
  if (fault.kind !== 'nodeLoss') return true;
  const hosts = hostNames(groups);
  return hosts.length > 1 && hosts.includes(fault.host);
}

type Rule = readonly [what: string, holds: (value: unknown) => boolean];

const TEXT: Rule = ['a text that is not empty', (value) => typeof value === 'string' && value !== ''];
const FLAG: Rule = ['true or false', (value) => typeof value === 'boolean'];
const SECONDS: Rule = [
  'a number of seconds from 0 on',
  (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
];
const TIMES: Rule = ['a whole number from 1 on', (value) => Number.isInteger(value) && Number(value) >= 1];
const HOST: Rule = [
  'the name of a host, e.g. algo-2',
  (value) => typeof value === 'string' && /^algo-\d+$/.test(value),
];
const MOMENT = { afterSeconds: SECONDS, afterLine: TEXT };
const MATCH: Readonly<Record<string, Rule>> = { job: TEXT, instanceType: TEXT, spot: FLAG };

/** The members of each kind, besides those that all have. */
const KINDS: Readonly<Record<TrainingFault['kind'], Readonly<Record<string, Rule>>>> = {
  capacity: { afterSeconds: SECONDS },
  quota: {},
  throttle: {},
  internal: MOMENT,
  interruption: { ...MOMENT, resumeAfterSeconds: SECONDS, resumes: FLAG },
  maxWait: {},
  slowStart: { seconds: SECONDS },
  nodeLoss: { ...MOMENT, host: HOST },
};
const REQUIRED: Readonly<Record<string, readonly string[]>> = { slowStart: ['seconds'], nodeLoss: ['host'] };

/**
 * Refuses what are no faults, naming every mistake at once.
 *
 * @param source where they are from, for the message
 */
export function checkFaults(given: unknown, source = 'faults'): Faults {
  const mistakes = isObject(given) ? [] : ['it must be an object with a list `training`'];
  if (isObject(given)) {
    const { training = [], ...others } = given;
    for (const name of Object.keys(others))
      mistakes.push(`there are no faults of '${shortened(name, 100)}', only of training`);
    if (Array.isArray(training))
      for (const [i, fault] of items(training).entries()) mistakes.push(...mistakesOf(fault, `training[${i}]`));
    else mistakes.push(wrong('training', 'a list of faults', training));
    if (mistakes.length === 0) return { training: training as TrainingFault[] };
  }
  throw new PerennialError(ErrorName.INVALID_DOCUMENT, `${source}: ${listed(mistakes, MOST_MISTAKES, '; ')}`);
}

function mistakesOf(fault: unknown, path: string): string[] {
  if (!isObject(fault)) return [wrong(path, 'an object', fault)];
  const { kind, match = {}, times = 1, ...members } = fault;
  const rules =
    typeof kind === 'string' && Object.hasOwn(KINDS, kind) ? KINDS[kind as TrainingFault['kind']] : undefined;
  if (typeof kind !== 'string' || rules === undefined) {
    return [wrong(`${path}.kind`, `one of ${Object.keys(KINDS).join(', ')}`, kind)];
  }
  const missing = (REQUIRED[kind] ?? []).filter((name) => members[name] === undefined);
  return [
    ...missing.map((name) => wrong(`${path}.${name}`, rules[name]?.[0] ?? '', undefined)),
    ...membersOf(members, path, rules, ['kind', 'match', 'times']),
    ...(isObject(match) ? membersOf(match, `${path}.match`, MATCH) : [wrong(`${path}.match`, 'an object', match)]),
    ...membersOf({ times }, path, { times: TIMES }),
    ...(members.afterSeconds !== undefined && members.afterLine !== undefined
      ? [`${path} must have afterSeconds or afterLine, got both`]
      : []),
    ...(members.resumes === false && members.resumeAfterSeconds !== undefined
      ? [`${path} must not have resumeAfterSeconds where resumes is false`]
      : []),
  ];
}

function membersOf(given: Shape, path: string, rules: Readonly<Record<string, Rule>>, others: string[] = []): string[] {
  return Object.entries(given).flatMap(([name, value]) => {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule === undefined)
      return [`${path} has no '${shortened(name, 100)}'; it has ${[...others, ...Object.keys(rules)].join(', ')}`];
    return value === undefined || rule[1](value) ? [] : [wrong(`${path}.${name}`, rule[0], value)];
  });
}

function wrong(path: string, what: string, got: unknown): string {
  return `${path} must be ${what}, got ${typeof got === 'string' ? JSON.stringify(shortened(got, 100)) : show(got)}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
