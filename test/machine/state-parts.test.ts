import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { expect, test } from 'vitest';
import { type Expression, jsonata, variables } from '../../lib/machine/jsonata';
import { callSageMaker } from '../../lib/machine/state-parts';
import { definitionsOf } from '../support/definition';
import { emptyStack, templateOf } from '../support/stacks';

const $ = variables<{ model: string }>();

/** The one state of a machine that creates a model of some name. */
function stateWith(name: Expression<string> | string) {
  const stack = emptyStack();
  const task = callSageMaker(stack, 'Create', { action: 'createModel', parameters: { ModelName: name } });
  new sfn.StateMachine(stack, 'Machine', { definitionBody: sfn.DefinitionBody.fromChainable(task) });
  return Object.values(definitionsOf(templateOf(stack)))[0]?.States.Create;
}

test('a request has the field that a path is made into', () => {
  expect(stateWith(jsonata($.model)).Arguments).toEqual({ ModelName: '{% $model %}' });
});

test('a path of which no field is made is refused at synthesis', () => {
  expect(() => stateWith($.model)).toThrow(/non-data object.*\$model/s);
});
