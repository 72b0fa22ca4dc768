import { Duration } from 'aws-cdk-lib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Machine, State } from '../engine/src/services/states/definition';
import { StatesError } from '../engine/src/services/states/errors';
import type { TaskCall } from '../engine/src/services/states/frame';
import {
  firstAttempt,
  lookSeconds,
  MOST_ATTEMPTS,
  mostAttempts,
  type Next,
  nextAttempt,
} from '../lib/core/train/attempts';
import { machinesOf } from './support/definition';
import { type Played, play } from './support/played-states';
import { templateOf, wholeLoop } from './support/stacks';

/** @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html */
const MOST_EVENTS = 25_000;
const QUOTA = new StatesError(
  'SageMaker.ResourceLimitExceededException',
  "The account-level service limit 'ml.m5.large for transform job usage' is 0 Instances (Error Code: ResourceLimitExceeded)",
);

const patient = templateOf(wholeLoop({ retryPolicy: { quotaWait: Duration.hours(24), maxPasses: 1 } }).stack);
const { training, deployment } = machinesOf(patient) as unknown as Record<'training' | 'deployment', Machine>;

/** A failed call of a Task is scheduled, started and failed once more. */
const EVENTS_OF_A_RETRY = 3;
const retriesOf = ({ Retry = [] }: State) =>
  Retry.reduce((sum, { MaxAttempts = 3 }) => sum + (MaxAttempts as number), 0);

/** The events of a history, had every call failed as often as it is retried. */
function withRetries({ events }: Played, { States }: Machine): number {
  const entered = events
    .filter(({ type }) => type === 'TaskStateEntered')
    .map(({ stateEnteredEventDetails }) => (stateEnteredEventDetails as { name: string }).name);
  return entered.reduce(
    (sum, name) => sum + EVENTS_OF_A_RETRY * retriesOf(States[name] ?? ({} as State)),
    events.length,
  );
}

const ENDS = ['Seal model', 'Judge', 'Record failure'];
const FAILED = { action: 'FAILED', failure: { name: 'x', cause: 'y' } };

/** Walks the capacity options until so many decisions were made; each job that is asked for is made, and fails. */
function played(decisions: number, decision: object): Promise<Played> {
  let made = 0;
  const job = {
    name: 'j',
    option: 2,
    checkpoints: 'c',
    maxRuntimeSeconds: 60,
    maxWaitSeconds: 60,
    hyperparameters: {},
  };
  const variables = { attempt: null, caught: null, data: 's3://bucket/' };
  return play(training, { from: 'Next attempt', variables, ends: ENDS }, (call) => {
    if (call.resource.action !== 'createTrainingJob') {
      return { Payload: made++ < decisions ? { job, progress: {}, waitSeconds: 60, ...decision } : FAILED };
    }
    call.submitted({});
    throw new StatesError('States.TaskFailed', 'there was no machine');
  });
}

/** Events that each decision more adds. */
const eventsOf = async (decision: object) =>
  ((await played(20, decision)).events.length - (await played(10, decision)).events.length) / 10;

test('no training run can reach the most events of a history', async () => {
  const attempts = MOST_ATTEMPTS * (await eventsOf({ action: 'TRAIN' }));
  let [looks, seconds] = [0, 0];
  for (; seconds < 365 * 86_400; looks++) seconds += lookSeconds(looks);
  const watched = looks * (await eventsOf({ action: 'LOOK' }));

  const variables = { champion: { champion: { modelName: 'm' } }, data: 's3://bucket/' };
  const scored = await play(training, { from: 'Score', variables, ends: ENDS }, () => {
    throw QUOTA;
  });
  expect(scored.end).toBe('Record failure');
  expect(scored.hours).toBeGreaterThan(24);

  // entered once at most: what neither tries the capacity options nor scores
  const others = Object.entries(training.States).filter(
    ([name]) => !/option|machines|attempt|scor|Trained/i.test(name),
  );
  const once = others.reduce((sum, [, state]) => sum + 6 + EVENTS_OF_A_RETRY * retriesOf(state), 0);
  expect(Object.keys(training.States).length - others.length).toBeLessThan(15);

  const all = attempts + watched + withRetries(scored, training) + once;
  expect(all).toBeGreaterThan(15_000); // else the bound is too strict
  expect(all + 500 * EVENTS_OF_A_RETRY).toBeLessThan(MOST_EVENTS); // and 500 calls may be made again besides
}, 180_000);

test('no deployment can reach it either, though every call fails as often as it is retried', async () => {
  const looks = { plan: 0, forward: 0, back: 0 };
  let isBack = false;
  const names = { endpointConfigName: 'new', previousConfigName: 'old', modelName: 'm', version: 1, runId: 'r' };
  const plan = { ...names, exists: { model: false, config: false } };
  const answer = ({ resource: { action }, arguments: given }: TaskCall): unknown => {
    const { Payload } = given as { Payload?: object };
    if (Payload !== undefined && 'versionsOf' in Payload) {
      // the most waits for a change of somebody else's before the second try
      const isBusy = looks.forward > 0 && looks.plan++ < 134;
      return { Payload: { ...plan, action: isBusy ? 'wait' : 'update' } };
    }
    if (Payload !== undefined) throw new StatesError('Perennial.SmokeTestFailed', 'wrong');
    if (action === 'updateEndpoint') isBack = (given as { EndpointConfigName: string }).EndpointConfigName === 'old';
    if (action !== 'describeEndpoint') return {};
    if (isBack) looks.back++;
    else looks.forward++;
    // no machine after the longest wait after which it is tried again; then the model comes at the last moment
    if (!isBack && looks.forward === 254) {
      const FailureReason = 'due to InsufficientInstanceCapacity error';
      return { EndpointStatus: 'InService', EndpointConfigName: 'old', FailureReason };
    }
    if (!isBack && looks.forward === 254 + 255) return { EndpointStatus: 'InService', EndpointConfigName: 'new' };
    return { EndpointStatus: 'Updating' };
  };
  const input = { modelPackageArn: 'arn' };
  const played = await play(deployment, { input, ends: ['Record failure', 'Record rollback'] }, answer);

  expect(played.end).toBe('Record failure');
  expect(looks).toEqual({ plan: 135, forward: 254 + 255, back: 135 });
  expect(withRetries(played, deployment)).toBeLessThan(MOST_EVENTS);
}, 180_000);

test('no pass through the capacity options asks for more jobs than were counted', () => {
  const seconds = (max: number) => fc.integer({ min: 0, max });
  const rulesOf = fc.record({
    capacityOptions: fc.integer({ min: 1, max: 4 }),
    quota: seconds(7200),
    maxPasses: fc.integer({ min: 1, max: 4 }),
  });
  const kinds = fc.array(fc.constantFrom('QUOTA', 'THROTTLE', 'INTERNAL', 'CAPACITY'), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(rulesOf, kinds, fc.nat(), ({ capacityOptions, quota, maxPasses }, faults, salt) => {
      const option = {
        label: 'o',
        instances: [{ instanceType: 'ml.m5.large', count: 1 }],
        spot: false,
        maxRuntimeSeconds: 60,
      };
      const rules = {
        capacityOptions: Array(capacityOptions).fill(option),
        quotaWaitSeconds: quota,
        maxPasses,
        passIntervalSeconds: 60,
      };
      const owner = { pipeline: 'p', registry: 'r', runId: `run-${salt}`, startedAt: '2026-03-01T00:00:00Z' };
      let now = Date.parse(owner.startedAt);
      const context = () => ({
        ...owner,
        now: new Date(now).toISOString(),
        region: 'eu-west-1',
        spentThisMonthUsd: 0,
        history: [],
      });
      let next: Next = firstAttempt(rules, context());
      for (let i = 0; next.action === 'TRAIN'; i++) {
        now += next.waitSeconds * 1000;
        const failure = { kind: faults[i % faults.length] as 'QUOTA', reason: 'r' };
        next = nextAttempt(rules, next.progress, failure, { billableSeconds: 0 }, context());
      }
      expect(next.action).toBe('FAILED');
      expect(next.progress.attempts).toBeLessThanOrEqual(mostAttempts(rules));
    }),
    { numRuns: 300 },
  );
});

test.each([
  [
    { retryPolicy: { quotaWait: Duration.hours(24), maxPasses: 3 } },
    'retryPolicy: 3 capacity options may be asked for 1944 times',
  ],
  [{ retryPolicy: { maxPasses: 100 } }, 'retryPolicy: 3 capacity options may be asked for'],
])('settings that could reach it are refused: %o', (props, message) => {
  expect(() => wholeLoop(props)).toThrow(message);
});
