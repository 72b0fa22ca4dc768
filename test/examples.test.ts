import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { FlightsStack } from '../examples/flights/stack';
import { GpuStack } from '../examples/gpu/stack';
import { OwnScriptStack } from '../examples/own-script/stack';
import { DeployOnly, TrainOnly, WatchAndRetrain } from '../examples/parts/stacks';

describe('the examples', () => {
  test('synthesize, and every alarm of theirs has an action', () => {
    const app = new App();
    for (const Example of [FlightsStack, GpuStack, OwnScriptStack, WatchAndRetrain]) new Example(app, Example.name);
    new DeployOnly(app, 'DeployOnly', new TrainOnly(app, 'TrainOnly'));
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
