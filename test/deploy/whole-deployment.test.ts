import { describe, expect, test } from 'vitest';
import type { Machine } from '../../engine/src/services/states/definition';
import { StatesError } from '../../engine/src/services/states/errors';
import { type Answers, converse, golden } from '../support/conversation';
import { machinesOf } from '../support/definition';
import { templateOf, wholeLoop } from '../support/stacks';

const { deployment } = machinesOf(templateOf(wholeLoop({ pipelineName: 'loop', servingInstanceCount: 4 }).stack));
const machine = deployment as unknown as Machine;

const INPUT = { modelPackageArn: 'arn:package/2', approvedAt: '2026-03-01T00:00:00.000Z' };
const PLAN = {
  version: 2,
  runId: 'run-2',
  modelName: 'loop-v2',
  endpointConfigName: 'new',
  exists: { model: false, config: false },
};
const FIRST = { ...PLAN, action: 'create' };
const NEXT = { ...PLAN, action: 'update', previousConfigName: 'old' };

const serving = (EndpointConfigName: string) => ({ EndpointStatus: 'InService', EndpointConfigName });
const approved = { ModelApprovalStatus: 'Approved' };
/** Answers in their order; the last one for ever. */
const inOrder =
  (...all: unknown[]) =>
  (_: unknown, before: number) =>
    all[Math.min(before, all.length - 1)];
const fails =
  (name: string, cause = `${name}: because`) =>
  () => {
    throw new StatesError(name, cause);
  };
const ANSWERS: Answers = { Plan: NEXT, describeEndpoint: serving('new'), describeModelPackage: approved };
const deploy = (answers: Answers) => converse(machine, INPUT, { ...ANSWERS, ...answers });
/** What was changed, and what was recorded. */
const did = async (answers: Answers) => {
  const { asked, end, hours } = await deploy(answers);
  const changes = asked.filter(({ what }) => /^(create|update|delete)/.test(what)).map(({ what }) => what);
  return { changes, end, hours, recorded: asked.at(-1)?.request as Record<string, unknown>, asked };
};

describe('a deployment, from the first request to the last', () => {
  test.each([
    ['a first model', 'first-deployment', { Plan: FIRST }],
    ['the next model', 'next-deployment', {}],
    [
      'a model that does not answer, whose predecessor comes back',
      'rolled-back-deployment',
      { SmokeTest: fails('Perennial.SmokeTestFailed'), describeEndpoint: inOrder(serving('new'), serving('old')) },
    ],
  ])('of %s asks for what the golden file says, in its order', async (_, file, answers) => {
    const { asked } = await deploy(answers);
    await expect(golden(asked)).toMatchFileSnapshot(`../golden/${file}.json`);
  });
});

describe('a deployment', () => {
  test('makes nothing that is there already', async () => {
    const there = { ...NEXT, exists: { model: true, config: true } };
    expect(await did({ Plan: there })).toMatchObject({ changes: ['updateEndpoint'], end: 'In service' });
    const model = { ...FIRST, exists: { model: true, config: false } };
    expect((await did({ Plan: model })).changes).toEqual(['createEndpointConfig', 'createEndpoint']);
  });

  test('of what serves already does nothing, and says so', async () => {
    const { changes, end, recorded } = await did({ Plan: { ...NEXT, action: 'none' } });
    expect([changes, end]).toEqual([[], 'Nothing to do']);
    expect(recorded).toMatchObject({ outcome: 'SKIPPED', plan: { action: 'none' } });
    expect(recorded).not.toHaveProperty('error');
  });

  test('waits for a change of somebody else’s, for hours and not for ever', async () => {
    const soon = await did({ Plan: inOrder({ ...NEXT, action: 'wait' }, { ...NEXT, action: 'wait' }, NEXT) });
    expect(soon).toMatchObject({
      end: 'In service',
      changes: ['createModel', 'createEndpointConfig', 'updateEndpoint'],
    });
    const never = await did({ Plan: { ...NEXT, action: 'wait' } });
    expect(never).toMatchObject({ end: 'Deployment failed', changes: [], recorded: { outcome: 'FAILED' } });
    expect(never.hours).toBeGreaterThan(3.9);
    expect(never.hours).toBeLessThan(4.2);
  });

  test('makes an endpoint that has failed anew', async () => {
    const Plan = inOrder({ ...FIRST, action: 'recreate' }, FIRST);
    const { changes, end } = await did({ Plan });
    expect(changes).toEqual(['deleteEndpoint', 'createModel', 'createEndpointConfig', 'createEndpoint']);
    expect(end).toBe('In service');
  });

  test.each(['createModel', 'createEndpointConfig'])(
    'looks again where %s finds that somebody has made it meanwhile',
    async (action) => {
      const { asked, end } = await did({
        Plan: inOrder(FIRST, { ...FIRST, exists: { model: true, config: true } }),
        [action]: fails('SageMaker.SageMakerException', 'Cannot create already existing thing'),
      });
      expect(asked.filter(({ what }) => what === 'Plan')).toHaveLength(2);
      expect(end).toBe('In service');
      expect(asked.at(-1)?.request).not.toHaveProperty('error');
    },
  );

  test('of a first model that finds an endpoint made meanwhile looks at what it serves', async () => {
    const createEndpoint = fails('SageMaker.SageMakerException', 'Cannot create already existing endpoint');
    expect(await did({ Plan: FIRST, createEndpoint })).toMatchObject({ end: 'In service' });
  });

  test('looks until the endpoint has settled, less often as time goes by, and gives up after eight hours', async () => {
    const updating = { EndpointStatus: 'Updating', EndpointConfigName: 'old' };
    const soon = await did({ describeEndpoint: inOrder(updating, updating, serving('new')) });
    expect(soon).toMatchObject({ end: 'In service', recorded: { outcome: 'DEPLOYED' } });
    expect(soon.hours * 120).toBeCloseTo(3, 6); // half a minute each
    const pending = { ...serving('new'), PendingDeploymentSummary: {} };
    expect((await did({ describeEndpoint: inOrder(pending, serving('new')) })).hours * 120).toBeCloseTo(2, 6);
    const never = await did({ describeEndpoint: updating });
    expect(never).toMatchObject({ end: 'Deployment failed', recorded: { outcome: 'FAILED' } });
    expect(never.hours).toBeGreaterThan(7.9);
    expect(never.hours).toBeLessThan(8.2);
  });
});

describe('a deployment that goes wrong', () => {
  test('is rolled back by an alarm: SageMaker serves the old configuration again, and that is what is recorded', async () => {
    const FailureReason = 'the alarm loop-errors was triggered';
    const describeEndpoint = { ...serving('old'), FailureReason };
    const { changes, end, recorded } = await did({ describeEndpoint });
    expect(changes.at(-1)).toBe('updateEndpoint'); // and nothing afterwards
    expect(changes.filter((change) => change === 'updateEndpoint')).toHaveLength(1);
    expect(end).toBe('Deployment failed');
    expect(recorded).toMatchObject({
      outcome: 'ROLLED_BACK',
      error: { name: 'Perennial.DeploymentFailed', cause: expect.stringContaining(FailureReason) },
    });
  });

  test.each([
    ['does not answer', { SmokeTest: fails('Perennial.SmokeTestFailed') }, 'Perennial.SmokeTestFailed'],
    ['loses its approval', { describeModelPackage: { ModelApprovalStatus: 'Rejected' } }, 'Perennial.NotDeployable'],
    ['whose approval cannot be looked at', { describeModelPackage: fails('Mine') }, 'Mine'],
  ])('because the model %s brings the old model back', async (_, answers, name) => {
    const updating = { EndpointStatus: 'Updating', EndpointConfigName: 'new' };
    const describeEndpoint = inOrder(serving('new'), updating, serving('old'));
    const { asked, end, recorded } = await did({ ...answers, describeEndpoint });
    const updates = asked.filter(({ what }) => what === 'updateEndpoint').map(({ request }) => request);
    expect(updates).toMatchObject([{ EndpointConfigName: 'new' }, { EndpointConfigName: 'old' }]);
    expect(recorded).toMatchObject({ outcome: 'ROLLED_BACK', error: { name } });
    expect(end).toBe('Deployment failed');
  });

  test('takes a first model out of service that does not answer', async () => {
    const { changes, end, recorded } = await did({ Plan: FIRST, SmokeTest: fails('Perennial.SmokeTestFailed') });
    expect(changes).toEqual(['createModel', 'createEndpointConfig', 'createEndpoint', 'deleteEndpoint']);
    expect(recorded).toMatchObject({ outcome: 'ROLLED_BACK', error: { name: 'Perennial.SmokeTestFailed' } });
    expect(end).toBe('Deployment failed');
  });

  test('says so where the old model does not come back', async () => {
    const failed = { EndpointStatus: 'Failed', EndpointConfigName: 'old' };
    const SmokeTest = fails('Perennial.SmokeTestFailed');
    const wrong = await did({ SmokeTest, describeEndpoint: inOrder(serving('new'), failed) });
    expect(wrong).toMatchObject({ end: 'Deployment failed', recorded: { outcome: 'FAILED' } });
    const updating = { EndpointStatus: 'Updating', EndpointConfigName: 'new' };
    const never = await did({ SmokeTest, describeEndpoint: inOrder(serving('new'), updating) });
    expect(never).toMatchObject({ end: 'Deployment failed', recorded: { outcome: 'FAILED' } });
    expect(never.hours).toBeGreaterThan(3.9);
    expect(never.hours).toBeLessThan(4.2);
  });

  test('says so where the endpoint has failed', async () => {
    const describeEndpoint = { EndpointStatus: 'Failed', FailureReason: 'the container did not start' };
    const { recorded } = await did({ Plan: FIRST, describeEndpoint });
    const cause = 'the endpoint is Failed: the container did not start';
    expect(recorded).toMatchObject({ outcome: 'FAILED', error: { cause } });
  });

  test.each([
    'Plan',
    'createModel',
    'createEndpointConfig',
    'createEndpoint',
    'updateEndpoint',
    'describeEndpoint',
    'deleteEndpoint',
  ])('at %s records why', async (what) => {
    const Plan =
      what === 'deleteEndpoint' ? { ...FIRST, action: 'recreate' } : what === 'createEndpoint' ? FIRST : NEXT;
    const { end, recorded } = await did({ Plan, [what]: fails('Mine') });
    expect(end).toBe('Deployment failed');
    expect(recorded).toMatchObject({ outcome: 'FAILED', error: { name: 'Mine', cause: 'Mine: because' } });
  });

  test.each([
    ['the way back', { updateEndpoint: (_: unknown, before: number) => (before === 0 ? {} : fails('Mine')()) }, NEXT],
    [
      'the look at the old model',
      { describeEndpoint: (_: unknown, n: number) => (n === 0 ? serving('new') : fails('Mine')()) },
      NEXT,
    ],
    ['the end of a first model', { deleteEndpoint: fails('Mine') }, FIRST],
  ])('at %s too', async (_, answers, Plan) => {
    const { end, recorded } = await did({ Plan, SmokeTest: fails('Perennial.SmokeTestFailed'), ...answers });
    expect(end).toBe('Deployment failed');
    expect(recorded).toMatchObject({ outcome: 'FAILED', error: { name: 'Mine' } });
  });
});
