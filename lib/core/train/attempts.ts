import { ErrorName } from '../errors';
import { type JobOwner, jobName, searchName, shortHash } from '../names';
import { random } from '../random';
import type { Failure } from './failures';
import { type Price, trainingPrice, usd } from './prices';
import {
  bestTrial,
  type Hyperparameters,
  isGoodEnough,
  type SearchRules,
  type Trial,
  type TuningRules,
} from './tuning';

/** One way to get machines for a training job; several are tried in order. */
export interface CapacityOptionSpec {
  /** As messages name it, e.g. `2 × ml.g5.2xlarge, spot`. */
  readonly label: string;
  readonly instances: ReadonlyArray<{ readonly instanceType: string; readonly count: number }>;
  readonly spot: boolean;
  /** The longest that a job may run. */
  readonly maxRuntimeSeconds: number;
  /** Spot: the longest that it may wait besides. */
  readonly maxWaitSeconds?: number;
  /** How long the machines are kept, and paid for, after the job. */
  readonly keepAliveSeconds?: number;
}

/** How the capacity options are tried, and what may be spent. */
export interface AttemptRules {
  readonly capacityOptions: readonly CapacityOptionSpec[];
  /** How long a full quota is asked again before the next capacity option is tried. */
  readonly quotaWaitSeconds: number;
  /** How often the list of capacity options is tried. */
  readonly maxPasses: number;
  /** How long to wait before it is tried again. */
  readonly passIntervalSeconds: number;
  /** USD that one run's jobs may cost. */
  readonly maxCostPerRun?: number;
  /** USD that the jobs of all runs that begin in a month (UTC) may cost. */
  readonly maxCostPerMonth?: number;
  /** Prices that go before the table's: USD an hour by instance type. */
  readonly prices?: Readonly<Record<string, number>>;
  /** Hyperparameters are searched for by one job after another. */
  readonly tuning?: TuningRules;
  /** They are searched for by a tuning job of SageMaker's, which makes so many training jobs. */
  readonly search?: SearchRules;
}

/** How far a run has come with its capacity options; the state machine carries it from attempt to attempt. */
export interface TrainingProgress {
  /** Jobs that were asked for so far; a job's number is the count that includes it. */
  readonly attempts: number;
  /** The capacity option that is next, or under way. */
  readonly option: number;
  /** How often the list was tried. */
  readonly pass: number;
  /** How often this capacity option has failed with what is worth another try. */
  readonly tries: number;
  /** ISO time since which the quota of this capacity option is full. */
  readonly quotaSince?: string;
  /** USD that this run's ended jobs have cost, as far as prices are known. */
  readonly spentUsd: number;
  /** How often a job was looked at that had outlived its state. */
  readonly looks?: number;
  /** The job under way. */
  readonly currentJob?: RequestedJob;
  /** Which set of hyperparameters is trained: 1 is the trainer's own. */
  readonly iteration: number;
  readonly trials: readonly Trial[];
  /** What became of each attempt, a sentence each. */
  readonly log: readonly string[];
}

/** A job that was asked for. */
export interface RequestedJob {
  readonly name: string;
  readonly option: number;
  readonly iteration: number;
  readonly maxRuntimeSeconds: number;
  /** Whether the job may run for less than the capacity option says, because the money ends before. */
  readonly cutByBudget?: boolean;
  /** USD; absent if the price is unknown. */
  readonly expectedUsd?: number;
  readonly atMostUsd?: number;
}

/** What is known of money and time when a job is decided on. */
export interface AttemptContext extends JobOwner {
  /** ISO. */
  readonly now: string;
  readonly region: string;
  /** USD that the jobs of this month's other runs have cost, or may cost if they have not ended. */
  readonly spentThisMonthUsd: number;
  /** Billed seconds of completed jobs of earlier runs, newest first. */
  readonly history: ReadonlyArray<{ readonly instanceType: string; readonly seconds: number }>;
}

/** What a completed job came to. */
export type TrialResult = Pick<Trial, 'value' | 'model' | 'arn'>;

export type Next =
  | {
      readonly action: 'TRAIN';
      readonly progress: TrainingProgress;
      readonly currentJob: RequestedJob;
      readonly waitSeconds: number;
      readonly hyperparameters: Hyperparameters;
    }
  | { readonly action: 'TRAINED'; readonly progress: TrainingProgress }
  | {
      readonly action: 'FAILED';
      readonly progress: TrainingProgress;
      readonly failure: { readonly name: ErrorName; readonly cause: string };
    };

const FIRST_STEP: TrainingProgress = {
  attempts: 0,
  option: 0,
  pass: 1,
  tries: 0,
  spentUsd: 0,
  iteration: 1,
  trials: [],
  log: [],
};

/** Seconds that a script has to save its work after it was logged to stop, which are billed. */
export const GRACE_SECONDS = 120;
/** No job is begun that may not run at least so long. */
const SHORTEST_SECONDS = 60;
/** What is to be had only when others give it back is asked for after 2, 3, 4½ … 15 minutes. */
export const RETRY_INTERVAL = { firstSeconds: 120, growth: 1.5, longestSeconds: 900 };
/** SageMaker's own faults are met so often per capacity option: after 30 s and 60 s, and then with the next. */
const INTERNAL = { tries: 2, firstSeconds: 30 };
/** Throttled calls: 5, 10, 20 … 300 s, half an hour in all; then the next capacity option. */
const THROTTLE = { tries: 10, firstSeconds: 5, longestSeconds: 300 };
/**
 * Jobs that a run may ask for. Step Functions allows an execution's history 25,000 events: `test/history.test.ts` counts
 * those of each job, of the looks at jobs that outlive their states (see {@link lookSeconds}), and of all the rest.
 */
export const MOST_ATTEMPTS = 800;
/** The newest so many earlier jobs tell how long one takes. */
const HISTORY = 5;
/** A log keeps so many entries: the first and the newest. */
const LONGEST_LOG = 40;

/** Seconds after which all capacity options have been tried, whatever happens: longer than any run trains. */
export function longestTraining({
  capacityOptions,
  quotaWaitSeconds,
  maxPasses,
  passIntervalSeconds,
  tuning,
  search,
}: AttemptRules) {
  const jobs = (tuning?.suggestions.length ?? 1) * (search?.maxTrials ?? 1);
  const slow = quotaWaitSeconds + THROTTLE.tries * THROTTLE.longestSeconds;
  const each = capacityOptions.map(
    ({ maxRuntimeSeconds, maxWaitSeconds = 86_400 }) =>
      (INTERNAL.tries + 1) * jobs * (maxRuntimeSeconds + maxWaitSeconds + GRACE_SECONDS) + slow,
  );
  return maxPasses * (passIntervalSeconds + each.reduce((sum, seconds) => sum + seconds, 0));
}

/** How often machines may be asked for in all passes. */
export function mostAttempts({ capacityOptions, quotaWaitSeconds, maxPasses }: AttemptRules): number {
  return maxPasses * capacityOptions.length * (quotaTries(quotaWaitSeconds) + THROTTLE.tries + 1);
}

/** The most tries at a full quota: each wait is half as long as it may be, at the end half of what is left. */
function quotaTries(seconds: number): number {
  let [tries, left] = [1, seconds];
  for (; left > 1; tries++) left -= Math.min(retryIntervalSeconds(tries - 1), left) / 2;
  return tries;
}

/** Seconds before what others may give back is asked for again, after so many tries. */
export function retryIntervalSeconds(tries: number): number {
  const { firstSeconds, growth, longestSeconds } = RETRY_INTERVAL;
  return Math.min(longestSeconds, firstSeconds * growth ** tries);
}

/**
 * Seconds before a job is looked at again that has outlived its state: a minute at first, a quarter more each time that
 * the run has looked, a day at most. So a year has 400 looks at most.
 */
export function lookSeconds(looks: number): number {
  return Math.round(Math.min(60 * 1.25 ** looks, 86_400));
}

/** The price of all of a capacity option's machines together, in USD a second; undefined if one is unknown. */
export function capacityPrice(
  option: CapacityOptionSpec,
  region: string,
  own?: AttemptRules['prices'],
): number | undefined {
  const prices = option.instances.map(({ instanceType, count }) => {
    const price: Price | undefined = trainingPrice(region, instanceType, own);
    return price === undefined ? Number.NaN : price.usdPerHour * count;
  });
  const hour = prices.reduce((sum, price) => sum + price, 0);
  return Number.isNaN(hour) ? undefined : hour / 3600;
}

/**
 * What a job has cost: its billed seconds at the on-demand price.
 *
 * Of a spot job SageMaker bills fewer seconds than it ran, which is the discount.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
 */
export function costOf(
  option: CapacityOptionSpec,
  billableSeconds: number,
  region: string,
  own?: AttemptRules['prices'],
): number | undefined {
  const price = capacityPrice(option, region, own);
  return price === undefined ? undefined : price * billableSeconds;
}

/** The first job of a run, or why there may be none. */
export function firstAttempt(rules: AttemptRules, context: AttemptContext): Next {
  return begin(rules, FIRST_STEP, 0, context);
}

/**
 * What follows a job that has ended.
 *
 * @param failure why it did not train; undefined if it did
 * @param ended what it was billed, and what it reached
 */
export function nextAttempt(
  rules: AttemptRules,
  before: TrainingProgress,
  failure: Failure | undefined,
  ended: { readonly billableSeconds: number; readonly trial?: TrialResult },
  context: AttemptContext,
): Next {
  const currentJob = before.currentJob as RequestedJob;
  const option = rules.capacityOptions[currentJob.option] as CapacityOptionSpec;
  const cost = costOf(option, ended.billableSeconds, context.region, rules.prices);
  const progress: TrainingProgress = {
    ...before,
    currentJob: undefined,
    spentUsd: before.spentUsd + (cost ?? 0),
    log: logged(
      before.log,
      `${currentJob.name} on ${option.label}: ${failure === undefined ? 'trained' : `${failure.kind}, ${failure.reason}`}`,
    ),
  };
  if (rules.tuning === undefined) {
    return failure === undefined
      ? { action: 'TRAINED', progress }
      : afterFailure(rules, progress, failure, currentJob, context);
  }
  return nextTrial(rules, rules.tuning, progress, failure, ended.trial, currentJob, context);
}

/** The bounded loop: the next hyperparameters, until the target is reached or a bound is. */
function nextTrial(
  rules: AttemptRules,
  tuning: TuningRules,
  before: TrainingProgress,
  failure: Failure | undefined,
  trial: TrialResult | undefined,
  currentJob: RequestedJob,
  context: AttemptContext,
): Next {
  // other hyperparameters may make a script fail; that the trainer's own do is the script's fault
  const isOver = failure === undefined || (failure.kind === 'ALGORITHM' && before.trials.length > 0);
  if (!isOver) {
    const next = afterFailure(rules, before, failure, currentJob, context);
    return failure.kind === 'CANCELLED' ? next : orBest(tuning, before, next);
  }
  const { iteration, name: job } = currentJob;
  if (failure === undefined && trial?.value === undefined) {
    const because = `the training job ${job} printed no metric ${tuning.metric}, by which hyperparameters are chosen`;
    return orBest(tuning, before, failed(before, ErrorName.TRAINING_FAILED, because));
  }
  const hyperparameters = tuning.suggestions[iteration - 1] ?? {};
  const trials = [...before.trials, { ...(failure === undefined && trial), iteration, hyperparameters, job }];
  const progress: TrainingProgress = { ...before, trials };
  if (isGoodEnough(tuning, trials) || iteration >= tuning.suggestions.length) return { action: 'TRAINED', progress };
  const further = { ...progress, iteration: iteration + 1, tries: 0, quotaSince: undefined };
  return orBest(tuning, progress, begin(rules, further, 0, context));
}

/** Where there is a model already, that no better one can be had is no failure. */
function orBest(tuning: TuningRules, progress: TrainingProgress, next: Next): Next {
  if (next.action !== 'FAILED' || bestTrial(tuning, progress.trials) === undefined) return next;
  return {
    action: 'TRAINED',
    progress: { ...progress, log: logged(progress.log, `the search ended: ${next.failure.cause}`) },
  };
}

function afterFailure(
  rules: AttemptRules,
  progress: TrainingProgress,
  failure: Failure,
  currentJob: RequestedJob,
  context: AttemptContext,
): Next {
  const { kind, reason } = failure;
  const { now } = context;
  const tries = progress.tries + 1;
  const again = (seconds: number, more: Partial<TrainingProgress> = {}) =>
    begin(rules, { ...progress, tries, ...more }, jittered(seconds, progress, context), context);
  switch (kind) {
    case 'ALGORITHM':
    case 'CLIENT':
    case 'CANCELLED': {
      const before = progress.log.slice(0, -1);
      if (failure.atTimeLimit && currentJob.cutByBudget) {
        const limit = `the ceiling allowed ${currentJob.name} ${currentJob.maxRuntimeSeconds} s, which were not enough; its checkpoints are kept`;
        return failed(progress, ErrorName.BUDGET_EXCEEDED, withLog(limit, before));
      }
      const because = `the training job ${currentJob.name} failed (${kind}): ${reason}`;
      return failed(progress, ErrorName.TRAINING_FAILED, withLog(because, before));
    }
    case 'QUOTA': {
      const since = progress.quotaSince ?? now;
      const left = rules.quotaWaitSeconds - (Date.parse(now) - Date.parse(since)) / 1000;
      if (left <= 0) return advance(rules, progress, context);
      return again(Math.min(retryIntervalSeconds(progress.tries), left), { quotaSince: since });
    }
    case 'THROTTLE':
      if (tries > THROTTLE.tries) return advance(rules, progress, context);
      return again(Math.min(THROTTLE.firstSeconds * 2 ** progress.tries, THROTTLE.longestSeconds));
    case 'INTERNAL':
      if (tries > INTERNAL.tries) return advance(rules, progress, context);
      return again(INTERNAL.firstSeconds * 2 ** progress.tries);
    case 'CAPACITY':
    case 'SPOT_TIMEOUT':
      return advance(rules, progress, context);
  }
}

/** The next capacity option; after the last, the first again, as often as is allowed. */
function advance(rules: AttemptRules, progress: TrainingProgress, context: AttemptContext): Next {
  if (progress.option + 1 < rules.capacityOptions.length) {
    return begin(rules, { ...progress, option: progress.option + 1, tries: 0, quotaSince: undefined }, 0, context);
  }
  if (progress.pass < rules.maxPasses) return nextPass(rules, progress, context);
  const passes = rules.maxPasses === 1 ? '' : ` in ${rules.maxPasses} passes`;
  return failed(
    progress,
    ErrorName.TRAINING_FAILED,
    `none of the capacity options gave a machine${passes}: ${progress.log.join(' | ')}`,
  );
}

/** The first capacity option again, after a wait. */
function nextPass(rules: AttemptRules, progress: TrainingProgress, context: AttemptContext): Next {
  const next = { ...progress, option: 0, pass: progress.pass + 1, tries: 0, quotaSince: undefined };
  return begin(rules, next, rules.passIntervalSeconds, context);
}

/** Begins a job on the current capacity option, or on the first after it that the money allows. */
function begin(rules: AttemptRules, progress: TrainingProgress, waitSeconds: number, context: AttemptContext): Next {
  if (progress.attempts >= MOST_ATTEMPTS) {
    const because = `the run has asked for ${MOST_ATTEMPTS} jobs, and its history can hold no more`;
    return failed(progress, ErrorName.TRAINING_FAILED, withLog(because, progress.log));
  }
  const rejected: string[] = [];
  for (let option = progress.option; option < rules.capacityOptions.length; option++) {
    const spec = rules.capacityOptions[option] as CapacityOptionSpec;
    const terms = fitToBudget(rules, spec, progress, context);
    if (typeof terms === 'string') {
      rejected.push(terms);
      continue;
    }
    const attempts = progress.attempts + 1;
    const currentJob: RequestedJob = {
      name: (rules.search === undefined ? jobName : searchName)(context, attempts),
      option,
      iteration: progress.iteration,
      ...terms,
    };
    const hyperparameters = rules.tuning?.suggestions[progress.iteration - 1] ?? {};
    const moved = option === progress.option ? progress : { ...progress, option, tries: 0, quotaSince: undefined };
    const log = rejected.reduce(logged, moved.log);
    return {
      action: 'TRAIN',
      progress: { ...moved, attempts, currentJob, log },
      currentJob,
      waitSeconds: Math.ceil(waitSeconds),
      hyperparameters,
    };
  }
  // capacity options before this one may be cheaper
  if (progress.option > 0 && progress.pass < rules.maxPasses) return nextPass(rules, progress, context);
  return budgetExceeded(progress, rejected.join('; '));
}

/** For how long a capacity option may run, and what that costs; or why it may not at all. */
function fitToBudget(
  rules: AttemptRules,
  option: CapacityOptionSpec,
  progress: TrainingProgress,
  { region, spentThisMonthUsd, history }: AttemptContext,
): Omit<RequestedJob, 'name' | 'option' | 'iteration'> | string {
  const { maxRuntimeSeconds, keepAliveSeconds = 0 } = option;
  const each = capacityPrice(option, region, rules.prices);
  const jobs = rules.search?.maxTrials ?? 1;
  const price = each === undefined ? undefined : each * jobs; // of a second of all of them
  const reserve = GRACE_SECONDS + keepAliveSeconds; // billed beyond the time that a job is given
  const expectedSeconds = expected(option, history);
  const terms = (seconds: number) => ({
    maxRuntimeSeconds: seconds,
    ...(seconds < maxRuntimeSeconds && { cutByBudget: true }),
    ...(price !== undefined && { atMostUsd: price * (seconds + reserve) }),
    ...(price !== undefined && expectedSeconds !== undefined && { expectedUsd: price * expectedSeconds }),
  });
  const left = Math.min(
    (rules.maxCostPerRun ?? Number.POSITIVE_INFINITY) - progress.spentUsd,
    (rules.maxCostPerMonth ?? Number.POSITIVE_INFINITY) - progress.spentUsd - spentThisMonthUsd,
  );
  if (left === Number.POSITIVE_INFINITY) return terms(maxRuntimeSeconds);
  if (price === undefined) {
    return `${option.label}: its price in ${region} is unknown, and a ceiling needs one; tell it by the budget's prices`;
  }
  const seconds = Math.min(maxRuntimeSeconds, Math.floor(left / price - reserve));
  const needed = Math.min(maxRuntimeSeconds, Math.max(SHORTEST_SECONDS, expectedSeconds ?? 0));
  if (seconds < needed) {
    const why =
      expectedSeconds === undefined
        ? `the shortest job (${needed} s)`
        : `a job like the last (${Math.round(needed)} s)`;
    return `${option.label}: ${why} with what is kept in reserve would cost ${usd(price * (needed + reserve))}, and ${usd(Math.max(0, left))} is left of ${ceilings(rules)}`;
  }
  return terms(seconds);
}

function ceilings({ maxCostPerRun, maxCostPerMonth }: AttemptRules): string {
  const named = [
    maxCostPerRun !== undefined && `${usd(maxCostPerRun)} a run`,
    maxCostPerMonth !== undefined && `${usd(maxCostPerMonth)} a month`,
  ];
  return named.filter((ceiling) => ceiling !== false).join(' and ');
}

/** Seconds that a job on this capacity option takes by earlier runs: on the same instance if there were any, else on any. */
function expected(option: CapacityOptionSpec, history: AttemptContext['history']): number | undefined {
  const types = option.instances.map(({ instanceType }) => instanceType);
  const alike = history.filter(({ instanceType }) => types.includes(instanceType));
  const seconds = (alike.length > 0 ? alike : history)
    .slice(0, HISTORY)
    .map((job) => job.seconds)
    .sort((a, b) => a - b);
  return seconds.length === 0 ? undefined : seconds[Math.floor(seconds.length / 2)];
}

function budgetExceeded(progress: TrainingProgress, because: string): Next {
  return failed(progress, ErrorName.BUDGET_EXCEEDED, withLog(because, progress.log));
}

function failed(progress: TrainingProgress, name: ErrorName, cause: string): Next {
  return { action: 'FAILED', progress, failure: { name, cause } };
}

/** A reason, and what was tried before. */
function withLog(because: string, before: readonly string[]): string {
  return before.length === 0 ? because : `${because}. Before that: ${before.join(' | ')}`;
}

function logged(log: readonly string[], sentence: string): readonly string[] {
  const short = sentence.length > 400 ? `${sentence.slice(0, 397)}…` : sentence;
  const all = [...log, short];
  return all.length <= LONGEST_LOG
    ? all
    : [...all.slice(0, LONGEST_LOG / 2), ...all.slice(all.length - LONGEST_LOG / 2)];
}

/** Between half of a wait and all of it: the same for the same attempt, so that a retry decides alike. */
function jittered(seconds: number, progress: TrainingProgress, { runId }: AttemptContext): number {
  const draw = random(Number.parseInt(shortHash(`${runId}#${progress.attempts}`, 8), 16))();
  return seconds * (0.5 + draw / 2);
}
