import { listed, shortened } from '../../engine/text';
import { ApiError, type Shape } from '../../service';

/** Which jobs or endpoints a fault may happen to: those that fit all that is said here. */
export interface FaultMatch {
  /** A part of the job's name. */
  readonly job?: string;
  /** A part of the endpoint's name. */
  readonly endpoint?: string;
  /** e.g. `ml.g5.xlarge` */
  readonly instanceType?: string;
  /** Whether the job asks for spot instances. */
  readonly spot?: boolean;
}

/** What all faults have. */
export interface AnyFault<Kind extends string> {
  readonly kind: Kind;
  /** @default - any job, or endpoint, that can have the fault */
  readonly match?: FaultMatch;
  /** How often it is taken: by jobs that are created, and by its own job when that starts again. @default 1 */
  readonly times?: number;
}

/** When it happens: at a second of the script, or once a host has logged a line. At most one of both. */
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

/** The account's quota stays as it is: a call is refused while so many instances of its type are in use already. */
export interface StandingQuota extends Omit<AnyFault<'quota'>, 'times'> {
  /** Instances at once; a new fleet of an endpoint needs its own beside those of the old one. */
  readonly atOnce: number;
}

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

/** Faults of a training job that does nothing wrong. */
export type TrainingFault =
  | CapacityFault
  | QuotaFault
  | ThrottleFault
  | InternalFault
  | InterruptionFault
  | MaxWaitFault
  | SlowStartFault
  | NodeLossFault;

/** Faults of a batch transform. */
export type TransformFault =
  | CapacityFault
  | QuotaFault
  | StandingQuota
  | ThrottleFault
  | AnyFault<'internal'>
  | SlowStartFault;

/** Faults of an endpoint that is created or updated; an update that fails is rolled back. */
export type EndpointFault = TransformFault;

/** A fault that happens while the script runs. */
export type ScriptFault = InternalFault | InterruptionFault | NodeLossFault;

/** The faults that are still to come: each job, or call, takes the first one that it can have and whose `match` it fits. */
export interface Faults {
  readonly training: TrainingFault[];
  readonly transform: TransformFault[];
  readonly endpoints: EndpointFault[];
}

type Fault = TrainingFault | TransformFault;

const taken = new WeakMap<Fault, number>();

/** What a training job is asked for. */
export interface AskedTraining {
  readonly job: string;
  readonly types: readonly string[];
  readonly spot: boolean;
  /** The hosts' names. */
  readonly hosts: readonly string[];
}

/** The fault that a new training job meets; it leaves the queue once it was taken as often as it says. */
export function takeFault(queue: TrainingFault[], asked: AskedTraining): TrainingFault | undefined {
  checkFaults({ training: queue });
  const fault = queue.find((one) => matches(one, asked) && canHave(one, asked.spot, asked.hosts));
  if (fault !== undefined) take(queue, fault);
  return fault;
}

/** What a batch transform, or an endpoint's new fleet, is asked for. */
export interface Asked {
  readonly job?: string;
  readonly endpoint?: string;
  readonly types: readonly string[];
  /** Its own instances, and those of its types that are in use already. */
  readonly instances: number;
  readonly inUse: number;
}

/** The fault that a new batch transform, or an endpoint's new fleet, meets. */
export function takeServingFault(
  queue: TransformFault[],
  area: 'transform' | 'endpoints',
  asked: Asked,
): TransformFault | undefined {
  checkFaults({ [area]: queue });
  const happens = (one: TransformFault) => !('atOnce' in one) || asked.inUse + asked.instances > one.atOnce;
  const fault = queue.find((one) => matches(one, asked) && happens(one));
  if (fault !== undefined && !('atOnce' in fault)) take(queue, fault);
  return fault;
}

/** What a job fails with for which there are no instances. */
export const CAPACITY =
  'CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.';
/** What a job fails with for which SageMaker has no better reason. */
export const INTERNAL = 'InternalServerError: We encountered an internal error. Please try again.';

/**
 * Refuses a call whose fault says so; gives any other fault back.
 *
 * @param limit the quota's name
 */
export function refuseCall(
  fault: TransformFault | undefined,
  limit: string,
  { instances, inUse }: Pick<Asked, 'instances' | 'inUse'>,
): TransformFault | undefined {
  if (fault?.kind === 'throttle') throw new ApiError('ThrottlingException', 'Rate exceeded');
  if (fault?.kind === 'quota') {
    const most = 'atOnce' in fault ? fault.atOnce : 0;
    throw new ApiError('ResourceLimitExceeded', quotaMessage(limit, most, 'atOnce' in fault ? inUse : 0, instances));
  }
  return fault;
}

/** In SageMaker's words. */
export function quotaMessage(limit: string, most: number, inUse: number, instances: number): string {
  return `The account-level service limit '${limit}' is ${most} Instances, with current utilization of ${inUse} Instances and a request delta of ${instances} Instances. Please use AWS Service Quotas to request an increase for this quota.`;
}

/** Seconds of the engine's time before a fault lets its job begin, or fail. */
export function waitOf(fault: TransformFault): number {
  if (fault.kind === 'slowStart') return fault.seconds;
  return fault.kind === 'capacity' ? (fault.afterSeconds ?? 0) : 0;
}

/** Whether a job that starts again meets its fault once more. */
export function takeAgain(queue: TrainingFault[], fault: TrainingFault): boolean {
  if (!queue.includes(fault)) return false;
  take(queue, fault);
  return true;
}

function take<F extends Fault>(queue: F[], fault: F): void {
  const times = (taken.get(fault) ?? 0) + 1;
  taken.set(fault, times);
  if (times < (('times' in fault && fault.times) || 1)) return;
  queue.splice(queue.indexOf(fault), 1);
  taken.delete(fault);
}

function matches(
  { match = {} }: Fault,
  asked: { job?: string; endpoint?: string; types: readonly string[]; spot?: boolean },
): boolean {
  const { job, endpoint, instanceType, spot } = match;
  if (job !== undefined && asked.job?.includes(job) !== true) return false;
  if (endpoint !== undefined && asked.endpoint?.includes(endpoint) !== true) return false;
  if (instanceType !== undefined && !asked.types.includes(instanceType)) return false;
  return spot === undefined || spot === asked.spot;
}

function canHave(fault: TrainingFault, isSpot: boolean, hosts: readonly string[]): boolean {
  if (fault.kind === 'interruption' || fault.kind === 'maxWait') return isSpot;
  return fault.kind !== 'nodeLoss' || (hosts.length > 1 && hosts.includes(fault.host));
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
const COUNT: Rule = ['a whole number from 0 on', (value) => Number.isInteger(value) && Number(value) >= 0];

type Rules = Readonly<Record<string, Rule>>;

/** The members of each kind of training fault, besides those that all have. */
const TRAINING: Readonly<Record<TrainingFault['kind'], Rules>> = {
  capacity: { afterSeconds: SECONDS },
  quota: {},
  throttle: {},
  internal: MOMENT,
  interruption: { ...MOMENT, resumeAfterSeconds: SECONDS, resumes: FLAG },
  maxWait: {},
  slowStart: { seconds: SECONDS },
  nodeLoss: { ...MOMENT, host: HOST },
};
const SERVING: Readonly<Record<TransformFault['kind'], Rules>> = {
  capacity: { afterSeconds: SECONDS },
  quota: { atOnce: COUNT },
  throttle: {},
  internal: {},
  slowStart: { seconds: SECONDS },
};
/** What each list may hold, and what its faults may be told to match. */
const AREAS: Readonly<Record<keyof Faults, { kinds: Readonly<Record<string, Rules>>; match: Rules }>> = {
  training: { kinds: TRAINING, match: { job: TEXT, instanceType: TEXT, spot: FLAG } },
  transform: { kinds: SERVING, match: { job: TEXT, instanceType: TEXT } },
  endpoints: { kinds: SERVING, match: { endpoint: TEXT, instanceType: TEXT } },
};
const REQUIRED: Readonly<Record<string, readonly string[]>> = { slowStart: ['seconds'], nodeLoss: ['host'] };

/** So many mistakes are named; a person mends those, and sees whether there are more. */
const MOST_MISTAKES = 20;

/** What should be faults is something else; the message names every mistake. */
export class FaultsError extends Error {
  override readonly name = 'FaultsError';
}

/**
 * Refuses what are no faults, naming every mistake at once.
 *
 * @param source where they are from, for the message
 * @throws FaultsError
 */
export function checkFaults(given: unknown, source = 'faults'): Faults {
  const names = Object.keys(AREAS);
  const mistakes = isObject(given) ? [] : [`it must be an object with the lists ${names.join(', ')}`];
  const found: Partial<Record<string, unknown[]>> = {};
  for (const [area, list] of Object.entries(isObject(given) ? given : {})) {
    if (!Object.hasOwn(AREAS, area))
      mistakes.push(`there are no faults of '${shortened(area, 100)}', only of ${names.join(', ')}`);
    else if (!Array.isArray(list)) mistakes.push(wrong(area, 'a list of faults', list));
    else {
      for (let i = 0; i < list.length; i++) {
        mistakes.push(...mistakesOf(list[i], `${area}[${i}]`, AREAS[area as keyof Faults]));
      }
      found[area] = list;
    }
  }
  if (mistakes.length > 0) {
    throw new FaultsError(`${source}: ${listed(mistakes, MOST_MISTAKES, '; ')}`);
  }
  return { training: [], transform: [], endpoints: [], ...(found as Partial<Faults>) };
}

function mistakesOf(fault: unknown, path: string, area: (typeof AREAS)[keyof Faults]): string[] {
  if (!isObject(fault)) return [wrong(path, 'an object', fault)];
  const { kind, match = {}, times = 1, ...members } = fault;
  const rules = typeof kind === 'string' && Object.hasOwn(area.kinds, kind) ? area.kinds[kind] : undefined;
  if (rules === undefined) return [wrong(`${path}.kind`, `one of ${Object.keys(area.kinds).join(', ')}`, kind)];
  const missing = (REQUIRED[kind as string] ?? []).filter((name) => members[name] === undefined);
  return [
    ...missing.map((name) => wrong(`${path}.${name}`, rules[name]?.[0] ?? '', undefined)),
    ...membersOf(members, path, rules, ['kind', 'match', 'times']),
    ...(isObject(match) ? membersOf(match, `${path}.match`, area.match) : [wrong(`${path}.match`, 'an object', match)]),
    ...membersOf({ times }, path, { times: TIMES }),
    ...(members.afterSeconds !== undefined && members.afterLine !== undefined
      ? [`${path} must have afterSeconds or afterLine, got both`]
      : []),
    ...(members.resumes === false && members.resumeAfterSeconds !== undefined
      ? [`${path} must not have resumeAfterSeconds where resumes is false`]
      : []),
    ...(members.atOnce !== undefined && fault.times !== undefined
      ? [`${path} must have times or atOnce, got both: a quota with atOnce stays`]
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
  return `${path} must be ${what}, got ${shown(got)}`;
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return JSON.stringify(shortened(value, 100));
  if (Array.isArray(value)) return 'a list';
  return isObject(value) ? 'an object' : String(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
