import { App, Stack, Tags } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { definitionsOf, type State } from './support/definition';
import { wholeLoop } from './support/stacks';

/** By the name of a state: the tags of what it makes. */
function tagsIn(template: Template): Record<string, Record<string, string>> {
  const states = Object.values(definitionsOf(template)).flatMap(({ States }) => Object.entries<State>(States));
  const listed = (tags: Array<{ Key: string; Value: string }>) =>
    Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
  return Object.fromEntries(
    states.flatMap(([name, { Arguments }]) => {
      const tags = Arguments?.Tags ?? Arguments?.Payload?.tags;
      return tags === undefined ? [] : [[name, listed(tags)]];
    }),
  );
}

function loopIn(stack: Stack, change: (made: ReturnType<typeof wholeLoop>) => void): ReturnType<typeof tagsIn> {
  const made = wholeLoop({ stack });
  change(made);
  return tagsIn(Template.fromStack(stack));
}

test('what is made at run time has the tags that the app gives to app, stack and construct, the nearest first', () => {
  const app = new App();
  const tags = loopIn(new Stack(app, 'Stack', { tags: { owner: 'data', cost: 'stack' } }), ({ stack, loop }) => {
    Tags.of(app).add('product', 'flights');
    Tags.of(stack).add('team', 'all');
    Tags.of(loop.training).add('team', 'training');
    Tags.of(loop.deployment).add('cost', 'serving');
  });
  const common = { owner: 'data', product: 'flights' };
  expect(tags['Train on option 1']).toMatchObject({ ...common, team: 'training', cost: 'stack' });
  expect(tags['Create candidate model']).toMatchObject({ ...common, team: 'training' });
  expect(tags.Champion).toMatchObject({ ...common, team: 'training' });
  for (const name of ['Create model', 'Create endpoint configuration', 'Create endpoint']) {
    expect(tags[name], name).toMatchObject({ ...common, team: 'all', cost: 'serving' });
  }
  const others = Object.entries(tags).filter(([, one]) => one.product !== 'flights');
  expect(others).toEqual([]);
  expect(Object.keys(tags).length).toBeGreaterThan(8);
});

test('the tags that say whose a thing is cannot be taken by the app', () => {
  const tags = loopIn(new Stack(new App(), 'Stack'), ({ stack }) => Tags.of(stack).add('perennial:pipeline', 'theirs'));
  expect(tags['Create endpoint']?.['perennial:pipeline']).not.toBe('theirs');
});

test('versions have those of their group, for SageMaker takes none for them', () => {
  const { stack } = wholeLoop();
  Tags.of(stack).add('team', 'all');
  Template.fromStack(stack).hasResourceProperties('AWS::SageMaker::ModelPackageGroup', {
    Tags: [{ Key: 'team', Value: 'all' }],
  });
});
