import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import type * as cxapi from 'aws-cdk-lib/cx-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { exampleStacks, partsExample } from './support/examples';

describe('the examples', () => {
  let stacks: cxapi.CloudFormationStackArtifact[];
  beforeAll(() => {
    const app = new App();
    exampleStacks(app);
    stacks = app.synth().stacks;
  });

  test('synthesize, and every alarm of theirs has an action', () => {
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

  test('let services send to their topics and queues for what is named alone, and pull from named repositories', () => {
    // biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
    const resources = stacks.flatMap(({ template }) => Object.values<any>(template.Resources));
    const allowed = (type: RegExp) =>
      resources
        .filter(({ Type }) => type.test(Type))
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .filter(({ Effect }) => Effect === 'Allow');
    const topics = allowed(/^AWS::SNS::TopicPolicy$/);
    const queues = allowed(/^AWS::SQS::QueuePolicy$/);
    for (const statements of [topics, queues]) {
      expect(statements.length).toBeGreaterThan(10);
      expect(
        statements.filter(
          ({ Condition = {} }) => !Object.values<object>(Condition).some((keys) => 'aws:SourceArn' in keys),
        ),
      ).toEqual([]);
    }
    const pulls = allowed(/^AWS::IAM::Policy$/).filter(({ Action }) => [Action].flat().includes('ecr:BatchGetImage'));
    expect(pulls.length).toBeGreaterThan(10);
    expect(pulls.filter(({ Resource }) => !/repository\/[\w-]+"/.test(JSON.stringify(Resource)))).toEqual([]);
  });

  test('that only train bring no endpoint, and no function of a deployment', () => {
    const template = JSON.stringify(Template.fromStack(partsExample(new App()).training).toJSON());
    expect(template).not.toContain('CreateEndpoint');
    expect(template).toContain('CreateTrainingJob');
  });

  test('that only deploy train nothing', () => {
    const template = JSON.stringify(Template.fromStack(partsExample(new App()).deployment).toJSON());
    expect(template).not.toContain('CreateTrainingJob');
    expect(template).toContain('CANARY');
  });
});
