import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { DeployOnly, TrainOnly } from '../examples/parts/stacks';
import { exampleStacks } from './support/examples';

describe('the examples', () => {
  test('synthesize, and every alarm of theirs has an action', () => {
    const app = new App();
    exampleStacks(app);
    const { stacks } = app.synth();
    expect(stacks).toHaveLength(6);
    for (const { template, stackName } of stacks) {
      const alarms = Object.values<{ Type: string; Properties: { AlarmActions?: unknown } }>(template.Resources).filter(
        ({ Type }) => Type === 'AWS::CloudWatch::Alarm',
      );
      expect(alarms.length, stackName).toBeGreaterThan(0);
      expect(
        alarms.filter(({ Properties }) => Properties.AlarmActions === undefined),
        stackName,
      ).toEqual([]);
    }
  });

  test('that only train bring no endpoint, and no function of a deployment', () => {
    const template = JSON.stringify(Template.fromStack(new TrainOnly(new App(), 'TrainOnly')).toJSON());
    expect(template).not.toContain('CreateEndpoint');
    expect(template).toContain('CreateTrainingJob');
  });

  test('that only deploy train nothing', () => {
    const app = new App();
    const stack = new DeployOnly(app, 'DeployOnly', new TrainOnly(app, 'TrainOnly'));
    const template = JSON.stringify(Template.fromStack(stack).toJSON());
    expect(template).not.toContain('CreateTrainingJob');
    expect(template).toContain('CANARY');
  });
});
