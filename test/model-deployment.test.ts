import { Duration } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { DatasetBucket, ModelDeployment, type ModelDeploymentProps, ModelRegistry, RunLedger } from '../lib';
import { definitionsOf, statesOf } from './support/definition';
import { emptyStack } from './support/stacks';

function deploy(props: Partial<ModelDeploymentProps> = {}) {
  const stack = emptyStack();
  new ModelDeployment(stack, 'Deployment', {
    data: new DatasetBucket(stack, 'Dataset').bucket,
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    pipelineName: 'loop',
    ...props,
  });
  const template = Template.fromStack(stack);
  const [definition] = Object.values(definitionsOf(template));
  return { template, states: Object.fromEntries(statesOf(definition as never)) };
}

describe('ModelDeployment', () => {
  test('serves on one ml.m5.large under the name of the pipeline, and captures everything', () => {
    const { states } = deploy();
    expect(states['Create endpoint'].Arguments.EndpointName).toBe('loop');
    const { ProductionVariants, DataCaptureConfig } = states['Create endpoint configuration'].Arguments;
    expect(ProductionVariants).toMatchObject([{ InstanceType: 'ml.m5.large', InitialInstanceCount: 1 }]);
    expect(DataCaptureConfig).toMatchObject({ EnableCapture: true, InitialSamplingPercentage: 100 });
  });

  test('serves as told', () => {
    const { states } = deploy({
      endpointName: 'shop',
      instanceType: 'ml.g5.xlarge',
      instanceCount: 3,
      capturePercent: 0,
    });
    expect(states['Create endpoint'].Arguments.EndpointName).toBe('shop');
    const { ProductionVariants, DataCaptureConfig } = states['Create endpoint configuration'].Arguments;
    expect(ProductionVariants).toMatchObject([{ InstanceType: 'ml.g5.xlarge', InitialInstanceCount: 3 }]);
    expect(DataCaptureConfig.EnableCapture).toBe(false);
  });

  test('shifts traffic all at once with one instance, and by a canary with more', () => {
    const traffic = (props: Partial<ModelDeploymentProps>) =>
      deploy(props).states['Update endpoint'].Arguments.DeploymentConfig.BlueGreenUpdatePolicy
        .TrafficRoutingConfiguration;
    expect(traffic({})).toEqual({ Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 300 });
    expect(traffic({ instanceCount: 20, bakeTime: Duration.minutes(10) })).toEqual({
      Type: 'CANARY',
      CanarySize: { Type: 'INSTANCE_COUNT', Value: 2 },
      WaitIntervalInSeconds: 600,
    });
  });

  test('lets alarms on errors and latency bring the old model back', () => {
    const { states, template } = deploy({ maxLatency: Duration.millis(250) });
    expect(states['Update endpoint'].Arguments.DeploymentConfig.AutoRollbackConfiguration.Alarms).toHaveLength(2);
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'ModelLatency', Threshold: 250_000 });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Invocation5XXErrors', Threshold: 1 });
  });

  test('deploys on an approval, and not when anything else of an approved version changes', () => {
    deploy().template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        detail: {
          ModelPackageGroupName: ['models'],
          ModelApprovalStatus: ['Approved'],
          $or: [
            { UpdatedModelPackageFields: ['ModelApprovalStatus'] },
            { UpdatedModelPackageFields: [{ exists: false }] },
          ],
        },
      },
    });
  });

  test('looks for lost approvals every hour, or as told', () => {
    deploy().template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(1 hour)' });
    deploy({ reconcileEvery: Duration.minutes(15) }).template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(15 minutes)',
    });
  });

  test('pulls from any repository, or from the one it is told', () => {
    const pulls = (resource: unknown) => ({
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Action: Match.arrayWith(['ecr:BatchGetImage']), Resource: resource }),
        ]),
      },
    });
    deploy().template.hasResourceProperties('AWS::IAM::Policy', pulls({ 'Fn::Join': Match.anyValue() }));
    const imageRepositoryArn = 'arn:aws:ecr:us-east-1:123456789012:repository/models';
    deploy({ imageRepositoryArn: imageRepositoryArn }).template.hasResourceProperties(
      'AWS::IAM::Policy',
      pulls(imageRepositoryArn),
    );
  });

  test('empties SageMaker before the roles go', () => {
    deploy().template.hasResource('Custom::PerennialEmptied', {
      Properties: { EndpointName: 'loop' },
      DependsOn: Match.arrayWith([Match.stringLikeRegexp('ServingRole')]),
    });
  });

  test.each<[Partial<ModelDeploymentProps>, string]>([
    [
      { endpointName: 'Shop_1' },
      "endpointName must be 1 to 40 lower-case letters, digits and inner hyphens, got 'Shop_1'",
    ],
    [{ instanceType: 'm5.large' }, "instanceType must look like ml.m5.large, got 'm5.large'"],
    [{ instanceCount: 0 }, 'instanceCount must be 1 to 1000, got 0'],
    [{ capturePercent: 101 }, 'capturePercent must be 0 to 100, got 101'],
    [{ bakeTime: Duration.hours(2) }, 'bakeTime must be 0 to 60 minutes, got 2 hours'],
  ])('refuses %o', (props, message) => {
    expect(() => deploy(props)).toThrow(message);
  });
});
