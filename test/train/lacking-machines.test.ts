import { Duration } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import type { Machine } from '../../engine/src/services/states/definition';
import { StatesError } from '../../engine/src/services/states/errors';
import type { TaskCall } from '../../engine/src/services/states/frame';
import { machinesOf } from '../support/definition';
import { play } from '../support/played-states';
import { templateOf, wholeLoop } from '../support/stacks';

const template = templateOf(wholeLoop({ retryPolicy: { quotaWait: Duration.minutes(20) } }).stack);
const { training, deployment } = machinesOf(template) as unknown as Record<'training' | 'deployment', Machine>;

const refused = (limit: string) =>
  new StatesError(
    'SageMaker.ResourceLimitExceededException',
    `The account-level service limit '${limit}' is 1 Instances, with current utilization of 1 Instances (Service: SageMaker, Status Code: 400)`,
  );
const failed = (reason: string) =>
  new StatesError('States.TaskFailed', JSON.stringify({ TransformJobStatus: 'Failed', FailureReason: reason }));
const NO_CAPACITY = failed('CapacityError: Unable to provision requested ML compute capacity.');
const INTERNAL = failed('InternalServerError: We encountered an internal error. Please try again.');
const SCRIPT = failed('ClientError: the model answered 400 to rows.csv: ResourceLimitExceeded, I made that up');

interface Job {
  readonly TransformJobName: string;
  readonly ModelName: string;
}

/** Scores candidate and champion; how the calls fail, in their order. */
async function score(faultOf: (job: Job, call: number) => StatesError | undefined, champion = true) {
  const jobs: Job[] = [];
  const variables = { champion: champion ? { champion: { modelName: 'champion' } } : {}, data: 's3://bucket/' };
  const ends = ['Judge', 'Record failure'];
  const played = await play(training, { from: 'Score', variables, ends }, (call) => {
    const job = call.arguments as Job;
    jobs.push(job);
    const fault = faultOf(job, jobs.length);
    if (fault !== undefined) throw fault;
    return {};
  });
  return { ...played, jobs, of: jobs.map(({ ModelName }) => (ModelName === 'champion' ? 'champion' : 'candidate')) };
}

test('what is refused a machine beside the other is scored after it', async () => {
  const { end, of, hours } = await score(({ ModelName }, call) =>
    call <= 2 && ModelName === 'champion' ? refused('ml.m5.large for transform job usage') : undefined,
  );
  expect(end).toBe('Judge');
  expect(of.sort()).toEqual(['candidate', 'champion', 'champion']);
  expect(hours).toBe(0);
});

test.each([
  ['a full quota', refused('ml.m5.large for transform job usage')],
  ['a lack of capacity', NO_CAPACITY],
  ['a fault of SageMaker’s', INTERNAL],
])('%s for both is waited for, and each is scored once, under names of their own', async (_, fault) => {
  const { end, jobs, of, hours } = await score((_, call) => (call <= 4 ? fault : undefined));
  expect(end).toBe('Judge');
  expect(of.slice(-2)).toEqual(['candidate', 'champion']);
  expect(jobs).toHaveLength(6);
  expect(new Set(jobs.map(({ TransformJobName }) => TransformJobName)).size).toBe(6);
  expect(hours * 60).toBeCloseTo(5, 1); // 2 and 3 minutes
});

test('it is waited for so long and no longer, and the failure says what was lacking', async () => {
  const { end, variables, hours } = await score(() => refused('ml.m5.large for transform job usage'), false);
  expect(end).toBe('Record failure');
  expect(hours).toBeGreaterThan(20 / 60);
  expect(hours).toBeLessThan(0.6);
  expect(variables.get('failure')).toMatchObject({
    name: 'Perennial.ScoringFailed',
    cause: expect.stringContaining("'ml.m5.large for transform job usage'"),
  });
});

test('a model that answers wrongly is not asked again, whatever it says', async () => {
  const { end, jobs, variables } = await score(() => SCRIPT, false);
  expect(end).toBe('Record failure');
  expect(jobs).toHaveLength(1);
  expect((variables.get('failure') as { cause: string }).cause).toContain('the model answered 400');
});

/** Deploys version 2; how each call fails that changes the endpoint, and what the endpoint comes to after it. */
async function deploy(calls: ReadonlyArray<StatesError | 'serves' | 'no machines'>, previous: string | undefined) {
  const names = { endpointConfigName: 'new', modelName: 'm', version: 2, runId: 'r' };
  const plan = { ...names, ...(previous && { previousConfigName: previous }), exists: { model: true, config: true } };
  let change = 0;
  let outcome: 'serves' | 'no machines' = 'serves';
  const actions: string[] = [];
  const answer = ({ resource: { action }, arguments: given }: TaskCall): unknown => {
    const { Payload } = given as { Payload?: object };
    if (Payload !== undefined && 'versionsOf' in Payload) {
      const isFailed = previous === undefined && outcome === 'no machines' && actions.at(-1) !== 'deleteEndpoint';
      return { Payload: { ...plan, action: isFailed ? 'recreate' : previous ? 'update' : 'create' } };
    }
    if (Payload !== undefined) return { Payload: {} };
    if (action !== 'describeEndpoint') actions.push(action);
    if (action === 'describeModelPackage') return { ModelApprovalStatus: 'Approved' };
    if (action === 'describeEndpoint') {
      if (outcome === 'serves') return { EndpointStatus: 'InService', EndpointConfigName: 'new' };
      const FailureReason =
        'Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error.';
      const after = previous
        ? { EndpointStatus: 'InService', EndpointConfigName: 'old' }
        : { EndpointStatus: 'Failed' };
      return { ...after, FailureReason };
    }
    if (action === 'deleteEndpoint') return {};
    const next = calls[Math.min(change++, calls.length - 1)] as (typeof calls)[number];
    if (next instanceof StatesError) throw next;
    outcome = next;
    return {};
  };
  const ends = ['Record failure', 'Record rollback', 'Record deployment'];
  const played = await play(deployment, { input: { modelPackageArn: 'arn' }, ends }, answer);
  return { ...played, actions, failure: played.variables.get('failure') };
}

const FULL = refused('ml.m5.large for endpoint usage');

test.each([
  ['an endpoint is made', undefined],
  ['a new fleet stands beside the one that serves', 'old'],
])('a deployment waits for its machines until %s', async (_, previous) => {
  const { end, hours } = await deploy([FULL, FULL, 'no machines', 'no machines', 'serves'], previous);
  expect(end).toBe('Record deployment');
  expect(hours * 60).toBeGreaterThan(2 + 3 + 2 + 3); // the quota, and then the capacity
});

test.each([
  ['a full quota', undefined, FULL, 'Record failure', 'ml.m5.large for endpoint usage'],
  ['a full quota', 'old', FULL, 'Record failure', 'ml.m5.large for endpoint usage'],
  ['a lack of machines', undefined, 'no machines', 'Record failure', 'the version stays approved'],
  ['a lack of machines', 'old', 'no machines', 'Record rollback', 'the version stays approved'],
] as const)('%s that lasts ends it by name (before: %s)', async (_, previous, given, expected, cause) => {
  const { end, failure, hours } = await deploy([given], previous);
  expect(end).toBe(expected);
  expect(failure).toEqual({ name: 'Perennial.NoMachines', cause: expect.stringContaining(cause) });
  expect(hours * 60).toBeGreaterThan(20);
  expect(hours).toBeLessThan(1);
});
