import { Template } from 'aws-cdk-lib/assertions';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import { type Definition, definitionsOf, type State } from '../support/definition';
import { wholeLoop } from '../support/stacks';

const machines = Object.entries(definitionsOf(Template.fromStack(wholeLoop({ pipelineName: 'loop' }).stack)));
const machine = (name: string) => machines.find(([id]) => id.includes(name))?.[1] as Definition;
const training = machine('Training');

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
