import { Template } from 'aws-cdk-lib/assertions';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import { type Definition, machinesOf, type State } from '../support/definition';
import { wholeLoop } from '../support/stacks';

const { training, deployment } = machinesOf(Template.fromStack(wholeLoop({ pipelineName: 'loop' }).stack));

/** What a field with an expression comes to. */
function comesTo(field: string, bindings: object): Promise<unknown> {
  return jsonata(field.replace(/^\{% | %\}$/g, '')).evaluate(undefined, { ...bindings });
}

/** Where a Choice goes, and what it sets. */
async function choose(machine: Definition, name: string, bindings: object): Promise<Pick<State, 'Next' | 'Assign'>> {
  const { Choices, Default } = machine.States[name];
  for (const { Condition, Next, Assign } of Choices) {
    if (await comesTo(Condition, bindings)) return { Next, Assign };
  }
  return { Next: Default, Assign: undefined };
}

describe('a model that was judged', () => {
  test('is registered if the judgement says so, and in no other case', async () => {
    const after = (promote: boolean, replay = false) =>
      choose(training, 'Good enough?', { judgement: { promote, verdict: 'BETTER' }, replay });
    expect(await after(true)).toMatchObject({ Next: 'Register' });
    expect(await after(false)).toMatchObject({ Next: 'Finish' });
    for (const promote of [true, false]) {
      expect(await after(promote, true)).toMatchObject({ Next: 'Finish', Assign: { outcome: 'REPLAYED' } });
    }
    expect(Object.values(training.States).filter(({ Next }) => Next === 'Register')).toEqual([]);
  });

  test('is a replay only if the input says so', async () => {
    const { replay } = training.States.Snapshot.Assign;
    const of = (input: object) => comesTo(replay, { states: { input } });
    expect([await of({ replay: true }), await of({ replay: false }), await of({})]).toEqual([true, false, false]);
  });
});

describe('a model that has begun to serve', () => {
  test('stays if it answers and is still approved', async () => {
    expect(deployment.States['Smoke test'].Next).toBe('Look at its approval');
    expect(deployment.States['Look at its approval'].Next).toBe('Is it still approved?');
    const after = (ModelApprovalStatus: string) =>
      choose(deployment, 'Is it still approved?', { states: { input: { ModelApprovalStatus } } });
    expect(await after('Approved')).toMatchObject({ Next: 'Record deployment' });
    for (const status of ['Rejected', 'PendingManualApproval']) {
      expect(await after(status)).toMatchObject({ Next: 'Approval withdrawn' });
    }
  });

  test('makes room for the model before if it does not answer, if its approval is gone, or cannot be looked at', () => {
    const back = 'Was there a model before?';
    expect(deployment.States['Approval withdrawn'].Next).toBe(back);
    for (const state of ['Smoke test', 'Look at its approval']) {
      expect(deployment.States[state].Catch).toMatchObject([{ ErrorEquals: ['States.ALL'], Next: back }]);
    }
  });

  test('is undone by the configuration before, and by no endpoint where there was none', async () => {
    const plan = { endpointConfigName: 'new', previousConfigName: 'old' };
    const before = (plan: object) => choose(deployment, 'Was there a model before?', { plan });
    expect(await before(plan)).toMatchObject({ Next: 'Bring back the model before' });
    expect(await before({ endpointConfigName: 'new' })).toMatchObject({ Next: 'Take out of service' });

    const { EndpointConfigName } = deployment.States['Bring back the model before'].Arguments;
    expect(await comesTo(EndpointConfigName, { plan })).toBe('old');
    expect(deployment.States['Take out of service']).toMatchObject({
      Arguments: { EndpointName: 'loop' },
      Next: 'Record rollback',
    });

    const settled = (name: string, EndpointStatus = 'InService') =>
      choose(deployment, 'Is the old model settled?', {
        plan,
        ...{ polls: 1, looks: 1, waits: 0 },
        states: { input: { EndpointStatus, EndpointConfigName: name } },
      });
    expect(await settled('old')).toMatchObject({ Next: 'Record rollback' });
    expect(await settled('new')).toMatchObject({ Next: 'Record failure' });
    expect(await settled('old', 'Failed')).toMatchObject({ Next: 'Record failure' });
    expect(await settled('old', 'Updating')).toMatchObject({ Next: 'Wait for the old model' });
  });
});
