import validate from 'asl-validator';
import jsonata from 'jsonata';
import { describe, expect, test } from 'vitest';
import { Evaluator } from '../engine/src/services/states/jsonata';
import { problems } from '../engine/src/services/states/validate';
import { mistakesIn } from '../engine/test/support/api-shape';
import { definitionsOf, machinesOf, statesOf } from './support/definition';
import { templateOf, wholeLoop } from './support/stacks';

const template = templateOf(wholeLoop().stack);
const definitions = definitionsOf(template);
const { training, deployment } = machinesOf(template);
const states = Object.values(definitions).flatMap(statesOf);
const evaluator = new Evaluator(
  () => 0,
  () => 0,
);
const sageMakerTasks = states.flatMap(([name, state]) => {
  const [, action] = /:states:::(?:aws-sdk:)?sagemaker:(\w+)/.exec(state.Resource ?? '') ?? [];
  return action === undefined ? [] : [{ name, operation: action[0]?.toUpperCase() + action.slice(1), state }];
});

describe('the state machines', () => {
  test.each(Object.entries(definitions))('%s is valid in the language of states', (_, definition) => {
    expect(problems(definition as never, evaluator)).toEqual([]);
    const { isValid, errors } = validate(definition as never);
    expect(errors).toEqual([]);
    expect(isValid).toBe(true);
  });

  test.each(Object.entries(definitions))(
    '%s speaks JSONata in the dialect that Step Functions has',
    (_, definition) => {
      expect(definition.QueryLanguage).toBe('JSONata');
      expect(JSON.stringify(definition)).not.toMatch(/\?\?|\?:/);
    },
  );

  test('no variable has the name of a function of JSONata, which would be meant where the variable is not set', async () => {
    const assigned = states.flatMap(([, state]) =>
      [state, ...(state.Choices ?? []), ...(state.Catch ?? [])].flatMap(({ Assign }) => Object.keys(Assign ?? {})),
    );
    expect(assigned).toContain('failure');
    for (const name of assigned) expect(await jsonata(`$${name}`).evaluate(undefined), name).toBeUndefined();
    expect(await jsonata('$error').evaluate(undefined)).toBeDefined();
  });

  test.each(sageMakerTasks)('$name asks SageMaker for what its API knows', ({ operation, state }) => {
    expect(mistakesIn(operation, state.Arguments)).toEqual([]);
  });

  test('the check of requests finds what the API does not know', () => {
    expect(mistakesIn('CreateModel', { ModelName: 1, Container: {} })).toEqual([
      'CreateModel.ModelName must be a string, got number',
      'CreateModel.Container is unknown to the API',
    ]);
    expect(mistakesIn('CreateTrainingJob', {})).toContain('CreateTrainingJob.TrainingJobName is required');
  });

  test('every task that can fail is caught, so that no run ends without a record', () => {
    const open = Object.values(definitions).flatMap((definition) =>
      Object.entries(definition.States)
        .filter(([, state]) => ['Task', 'Parallel'].includes(state.Type) && !state.Catch)
        .map(([name]) => name),
    );
    // what records an end cannot record that it failed itself: the event of the execution's end does
    expect(open.sort()).toEqual([
      'Finish',
      'Record deployment',
      'Record failure',
      'Record failure',
      'Record rollback',
      'Record skip',
    ]);
  });

  test('no model is registered on a path without a judgement', () => {
    expect(reachable(training, training?.StartAt, ['Judge'])).not.toContain('Register');
    expect(reachable(training, training?.StartAt)).toContain('Register');
  });

  test('no deployment is recorded as done on a path without a smoke test', () => {
    expect(reachable(deployment, deployment?.StartAt, ['Smoke test'])).not.toContain('Record deployment');
  });

  test('no machine is paid for before the data has been checked', () => {
    expect(reachable(training, training?.StartAt, ['Prepare'])).not.toContain('Train on option 1');
  });
});

/** The states that can be reached without passing through some. */
function reachable(
  definition: (typeof definitions)[string] | undefined,
  from: string | undefined,
  without: string[] = [],
  seen = new Set<string>(),
): string[] {
  if (definition === undefined || from === undefined || seen.has(from) || without.includes(from)) return [...seen];
  seen.add(from);
  const state = definition.States[from];
  const next = [
    state.Next,
    state.Default,
    ...[...(state.Choices ?? []), ...(state.Catch ?? [])].map((rule) => rule.Next),
  ];
  for (const name of next) reachable(definition, name, without, seen);
  return [...seen];
}
