import { App, Duration, type Environment, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import {
  DatasetBucket,
  ModelDeployment,
  type ModelDeploymentProps,
  ModelRegistry,
  type RealTimeEndpointProps,
  RunLedger,
  ServingTarget,
} from '../../lib';
import { definitionsOf, statesOf } from '../support/definition';

function deploy(props: Partial<ModelDeploymentProps> = {}, env?: Environment) {
  const stack = new Stack(new App(), 'Stack', { env });
  new ModelDeployment(stack, 'Deployment', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    pipelineName: 'loop',
    ...props,
  });
  const template = Template.fromStack(stack);
  const [definition] = Object.values(definitionsOf(template));
  return { template, states: Object.fromEntries(statesOf(definition as never)) };
}

/** A deployment to a real-time endpoint. */
function serve(props: RealTimeEndpointProps, env?: Environment) {
  return deploy({ target: ServingTarget.realTimeEndpoint(props) }, env);
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
    const { states } = serve({
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
    const traffic = (props: RealTimeEndpointProps) =>
      serve(props).states['Update endpoint'].Arguments.DeploymentConfig.BlueGreenUpdatePolicy
        .TrafficRoutingConfiguration;
    expect(traffic({})).toEqual({ Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 300 });
    expect(traffic({ instanceCount: 20, bakeTime: Duration.minutes(10) })).toEqual({
      Type: 'CANARY',
      CanarySize: { Type: 'INSTANCE_COUNT', Value: 2 },
      WaitIntervalInSeconds: 600,
    });
  });

  test('waits for the machines that a full quota, or a lack of them, refuses for as long as it is told', () => {
    const waits = (props: RealTimeEndpointProps) => {
      const { states } = serve(props);
      const [create, update, back] = ['Create endpoint', 'Update endpoint', 'Bring back the model before'].map((name) =>
        states[name].Retry.find(({ ErrorEquals }: { ErrorEquals: string[] }) =>
          ErrorEquals.includes('SageMaker.ResourceLimitExceededException'),
        ),
      );
      expect([update, back]).toEqual([create, create]);
      expect(JSON.stringify(states['Is the new model settled?'])).toContain(`$waits < ${create.MaxAttempts} and`);
      return create;
    };
    expect(waits({})).toMatchObject({ IntervalSeconds: 120, BackoffRate: 1.5, MaxDelaySeconds: 900, MaxAttempts: 8 });
    expect(waits({ quotaWait: Duration.hours(4) })).toMatchObject({ MaxAttempts: 20 });
    expect(waits({ quotaWait: Duration.minutes(2) })).toMatchObject({ MaxAttempts: 1 });
    expect(() => serve({ quotaWait: Duration.hours(5) })).toThrow('quotaWait must be 0 to 4 hours, got 5 hours');
  });

  test('lets alarms on errors and latency bring the old model back', () => {
    const { states, template } = serve({ maxLatency: Duration.millis(250) });
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

  test('looks for what no event has told of every hour, or as told', () => {
    deploy().template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(1 hour)',
      Target: { Input: Match.stringLikeRegexp('"detail-type":"Perennial Reconcile".*"pipeline":"') },
    });
    deploy({ reconcileEvery: Duration.minutes(15) }).template.hasResourceProperties('AWS::Scheduler::Schedule', {
      ScheduleExpression: 'rate(15 minutes)',
    });
  });

  test("pulls from the repository of the region's XGBoost image, or from the one that it is told", () => {
    const pulls = (props: RealTimeEndpointProps, env?: Environment) => {
      const policies = serve(props, env).template.findResources('AWS::IAM::Policy');
      return Object.values(policies)
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .filter(({ Action }) => [Action].flat().includes('ecr:BatchGetImage'))
        .map(({ Resource }) => Resource);
    };
    expect(pulls({}, { account: '123456789012', region: 'eu-west-1' })).toEqual([
      {
        'Fn::Join': [
          '',
          ['arn:', { Ref: 'AWS::Partition' }, ':ecr:eu-west-1:141502667606:repository/sagemaker-xgboost'],
        ],
      },
    ]);
    expect(JSON.stringify(pulls({}))).not.toContain('*');
    const imageRepositoryArn = 'arn:aws:ecr:us-east-1:123456789012:repository/models';
    expect(pulls({ imageRepositoryArn })).toEqual([imageRepositoryArn]);
  });

  test("deploys its own pipeline's versions, or those of the one that it is told", () => {
    const told = (props: Partial<ModelDeploymentProps>) => {
      const { template, states } = deploy(props);
      const functions = Object.values(template.findResources('AWS::Lambda::Function'));
      const [variables] = functions
        .map(({ Properties }) => Properties.Environment?.Variables ?? {})
        .filter(({ VERSIONS_OF }) => VERSIONS_OF !== undefined);
      return [states.Plan.Arguments.Payload.versionsOf, variables.VERSIONS_OF];
    };
    expect(told({})).toEqual(['loop', 'loop']);
    expect(told({ versionsOf: 'trains' })).toEqual(['trains', 'trains']);
  });

  test('tags what it makes with whose it is, and may change or delete nothing else', () => {
    const { states, template } = deploy();
    const Tags = [
      { Key: 'perennial:pipeline', Value: 'loop' },
      { Key: 'perennial:registry', Value: 'models' },
      { Key: 'perennial:stack', Value: 'stackname' },
    ];
    for (const state of ['Create model', 'Create endpoint configuration', 'Create endpoint']) {
      expect(states[state].Arguments.Tags).toEqual(Tags);
    }
    const statements = Object.entries(template.findResources('AWS::IAM::Policy'))
      .filter(([id]) => !id.includes('CleanUp'))
      .flatMap(([, { Properties }]) => Properties.PolicyDocument.Statement);
    const changing = statements.filter(
      ({ Action, Resource }) =>
        [Action].flat().some((action) => /^sagemaker:(Delete|UpdateEndpoint)/.test(action)) &&
        // a configuration that an endpoint is moved to does not change, and has our name
        !(Action === 'sagemaker:UpdateEndpoint' && JSON.stringify(Resource).includes('endpoint-config/loop-')),
    );
    expect(changing.length).toBeGreaterThan(3);
    for (const { Condition } of changing) {
      expect(Condition).toEqual({
        StringEquals: { 'aws:ResourceTag/perennial:pipeline': 'loop', 'aws:ResourceTag/perennial:registry': 'models' },
      });
    }
  });

  test('is taken away before the role of its endpoint goes, and after nothing can start a deployment any more', () => {
    const { template } = deploy();
    const [[cleanedUp, resource] = []] = Object.entries(template.findResources('Custom::PerennialCleanUp'));
    expect(resource?.Properties).toMatchObject({
      ...{ What: 'deployment', Endpoint: 'loop', Pipeline: 'loop', Registry: 'models' },
    });
    expect(resource?.DependsOn).toEqual(expect.arrayContaining([expect.stringMatching('ServingRole')]));
    const [mapping] = Object.values(template.findResources('AWS::Lambda::EventSourceMapping'));
    expect(mapping?.DependsOn).toEqual(expect.arrayContaining([cleanedUp]));
  });

  test.each<[RealTimeEndpointProps, string]>([
    [
      { endpointName: 'Shop_1' },
      "the target's name must be 1 to 40 lower-case letters, digits and inner hyphens, got 'Shop_1'",
    ],
    [{ instanceType: 'm5.large' }, "InstanceType must look like ml.m5.large, got 'm5.large'"],
    [{ instanceCount: 0 }, 'InitialInstanceCount must be a whole number from 1 to 1000, got 0'],
    [{ instanceCount: 1.5 }, 'InitialInstanceCount must be a whole number from 1 to 1000, got 1.5'],
    [{ capturePercent: 101 }, 'InitialSamplingPercentage must be 0 to 100, got 101'],
    [{ bakeTime: Duration.hours(2) }, 'bakeTime must be 0 to 60 minutes, got 2 hours'],
  ])('refuses an endpoint with %o', (props, message) => {
    expect(() => serve(props)).toThrow(message);
  });

  test('names what is wrong with it and with its target at once', () => {
    const target = ServingTarget.realTimeEndpoint({ instanceCount: 0, bakeTime: Duration.hours(2) });
    expect(() => deploy({ target, reconcileEvery: Duration.seconds(30) })).toThrow(
      'Stack/Deployment: reconcileEvery must be 1 minute to 1 day, got 30 seconds; ' +
        'InitialInstanceCount must be a whole number from 1 to 1000, got 0; bakeTime must be 0 to 60 minutes, got 2 hours',
    );
  });
});
