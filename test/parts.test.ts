import { App, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { DatasetBucket, type IMonitor, ModelRegistry, type MonitorTarget, RunLedger } from '../lib';
import { emptyStack, templateOf, wholeLoop } from './support/stacks';

const inEurope = () => new Stack(new App(), 'Stack', { env: { account: '123456789012', region: 'eu-west-1' } });
const GROUP = 'arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/flights';

function userFunction(stack: Stack): lambda.Function {
  const code = lambda.Code.fromInline('exports.handler = async () => {}');
  return new lambda.Function(stack, 'User', { runtime: lambda.Runtime.NODEJS_24_X, handler: 'index.handler', code });
}

/** The environment of the user's function, and what its role may do: actions by resource. */
function grantedTo(stack: Stack, user: lambda.Function) {
  const resources = Template.fromStack(stack).toJSON().Resources;
  const { Properties } = resources[stack.getLogicalId(user.node.defaultChild as lambda.CfnFunction)];
  const [roleId] = Properties.Role['Fn::GetAtt'];
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
  const statements = Object.values<any>(resources)
    .filter(({ Type, Properties }) => Type === 'AWS::IAM::Policy' && Properties.Roles[0].Ref === roleId)
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
  return {
    environment: Properties.Environment?.Variables ?? {},
    actions: [...new Set(statements.flatMap(({ Action }) => Action))].sort(),
    statements,
  };
}

describe('a bucket that was made elsewhere', () => {
  const dataset = (stack: Stack, props: s3.BucketProps) =>
    DatasetBucket.fromBucket(stack, 'Dataset', new s3.Bucket(stack, 'Bucket', props));

  test.each<[string, s3.BucketProps, string]>([
    ['without versions', { eventBridgeEnabled: true }, 'the bucket Stack/Bucket must be versioned, so that a run'],
    ['that tells nobody', { versioned: true }, 'the bucket Stack/Bucket must tell EventBridge about its objects'],
  ])('in the app, %s, is refused', (_, props, message) => {
    const stack = emptyStack();
    dataset(stack, props);
    expect(() => Template.fromStack(stack)).toThrow(message);
  });

  test('in the app, with both, is taken; also where it is told to later', () => {
    const stack = emptyStack();
    const { bucket } = dataset(stack, { versioned: true });
    bucket.enableEventBridgeNotification();
    expect(() => Template.fromStack(stack)).not.toThrow();
  });

  test('outside the app is taken with a warning that says what it must do', () => {
    const stack = emptyStack();
    DatasetBucket.fromBucket(stack, 'Dataset', s3.Bucket.fromBucketName(stack, 'Bucket', 'theirs'));
    const told = Match.stringLikeRegexp('the bucket theirs is not in this app: see that it is versioned and sends its');
    Annotations.fromStack(stack).hasWarning('/Stack/Dataset', told);
  });
});

describe('a registry that was made elsewhere', () => {
  test('by name and by ARN', () => {
    const stack = inEurope();
    const byName = ModelRegistry.fromModelPackageGroupName(stack, 'Name', 'flights');
    const byArn = ModelRegistry.fromModelPackageGroupArn(stack, 'Arn', GROUP);
    for (const { groupName, groupArn } of [byName, byArn]) {
      expect(groupName).toBe('flights');
      expect(stack.resolve(groupArn)).toEqual({
        'Fn::Join': [
          '',
          ['arn:', { Ref: 'AWS::Partition' }, ':sagemaker:eu-west-1:123456789012:model-package-group/flights'],
        ],
      });
    }
    Template.fromStack(stack).resourceCountIs('AWS::SageMaker::ModelPackageGroup', 0);
  });

  test.each([
    [
      'another region',
      GROUP.replace('eu-west-1', 'us-east-1'),
      "the stack's own account and region (123456789012, eu-west-1)",
    ],
    ['another account', GROUP.replace('1234', '4321'), "the stack's own account and region"],
    ['something else', GROUP.replace('model-package-group', 'model'), 'must be of a model-package-group, got'],
  ])('is refused as an ARN of %s', (_, arn, message) => {
    expect(() => ModelRegistry.fromModelPackageGroupArn(inEurope(), 'Registry', arn)).toThrow(message);
  });

  test('is refused where its name is not known at synthesis, or can be none', () => {
    const stack = inEurope();
    const token = new s3.Bucket(stack, 'Bucket').bucketName;
    expect(() => ModelRegistry.fromModelPackageGroupName(stack, 'Token', token)).toThrow(
      'groupName must be known at synthesis',
    );
    expect(() => ModelRegistry.fromModelPackageGroupName(stack, 'Upper', 'Flights')).toThrow(
      "groupName must be 1 to 63 lower-case letters, digits and inner hyphens, got 'Flights'",
    );
  });
});

describe('a ledger that was made elsewhere', () => {
  test('is found by its table’s name', () => {
    const stack = emptyStack();
    const user = userFunction(stack);
    RunLedger.fromTableName(stack, 'Ledger', 'theirs').grantRead(user);
    expect(grantedTo(stack, user)).toMatchObject({
      environment: { LEDGER_TABLE: 'theirs' },
      actions: ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query'],
    });
  });

  test('is refused if its keys are others', () => {
    const stack = emptyStack();
    const table = new dynamodb.Table(stack, 'Table', {
      partitionKey: { name: 'id', type: dynamodb.AttributeType.STRING },
    });
    expect(() => RunLedger.fromTable(stack, 'Ledger', table)).toThrow(
      'table must have the partition key pk and the sort key sk, both strings, got id (S) and none',
    );
  });
});

describe('a grant gives the permission, the key’s, and what the function is to look for', () => {
  const VIA = { StringEquals: { 'kms:ViaService': Match.anyValue() } };

  test.each<[string, (made: ReturnType<typeof wholeLoop>['loop'], user: lambda.Function) => void, string[], string[]]>([
    [
      'dataset.grantUpload',
      ({ dataset }, user) => dataset.grantUpload(user),
      ['DATA_BUCKET'],
      ['kms:Decrypt', 'kms:GenerateDataKey', 's3:AbortMultipartUpload', 's3:PutObject'],
    ],
    [
      'dataset.grantRead',
      ({ dataset }, user) => dataset.grantRead(user),
      ['DATA_BUCKET'],
      ['kms:Decrypt', 's3:GetObject', 's3:GetObjectVersion', 's3:ListBucket'],
    ],
    [
      'ledger.grantRead',
      ({ ledger }, user) => ledger.grantRead(user, 'flights'),
      ['LEDGER_TABLE', 'PIPELINE'],
      ['dynamodb:BatchGetItem', 'dynamodb:GetItem', 'dynamodb:Query', 'kms:Decrypt'],
    ],
    [
      'registry.grantRead',
      ({ registry }, user) => registry.grantRead(user),
      ['MODEL_PACKAGE_GROUP'],
      ['sagemaker:DescribeModelPackage', 'sagemaker:ListModelPackages'],
    ],
    [
      'registry.grantApprove',
      ({ registry }, user) => registry.grantApprove(user),
      ['MODEL_PACKAGE_GROUP'],
      ['sagemaker:DescribeModelPackage', 'sagemaker:ListModelPackages', 'sagemaker:UpdateModelPackage'],
    ],
    [
      'deployment.grantInvoke',
      ({ deployment }, user) => deployment.grantInvoke(user),
      ['ENDPOINT_NAME'],
      ['sagemaker:InvokeEndpoint'],
    ],
    [
      'controller.grantRequestRun',
      ({ controller }, user) => controller.grantRequestRun(user),
      ['PIPELINE'],
      ['events:PutEvents'],
    ],
    [
      'controller.grantReportDrift',
      ({ controller }, user) => controller.grantReportDrift(user),
      ['PIPELINE'],
      ['events:PutEvents'],
    ],
  ])('%s', (_, grant, variables, actions) => {
    const stack = emptyStack();
    const encryptionKey = new kms.Key(stack, 'Key');
    const { loop } = wholeLoop({ stack, encryptionKey, pipelineName: 'flights' });
    const user = userFunction(stack);
    grant(loop, user);
    const granted = grantedTo(stack, user);
    expect(Object.keys(granted.environment).sort()).toEqual(variables);
    expect(granted.actions).toEqual(actions);
    const ofKey = granted.statements.filter(({ Action }) => String(Action).includes('kms:'));
    for (const { Resource, Condition } of ofKey) {
      expect(Resource).toEqual(stack.resolve(encryptionKey.keyArn));
      expect(VIA.StringEquals['kms:ViaService'].test(Condition.StringEquals['kms:ViaService']).hasFailed()).toBe(false);
    }
  });

  test('to a role, which has no environment, gives the permission', () => {
    const { stack, loop } = wholeLoop();
    const role = new iam.Role(stack, 'User', { assumedBy: new iam.ServicePrincipal('ec2.amazonaws.com') });
    loop.dataset.grantUpload(role);
    templateOf(stack).hasResourceProperties('AWS::IAM::Policy', {
      Roles: [stack.resolve(role.roleName)],
      PolicyDocument: { Statement: [Match.objectLike({ Action: ['s3:PutObject', 's3:AbortMultipartUpload'] })] },
    });
  });
});

describe('a monitor that somebody else wrote', () => {
  class Own implements IMonitor {
    bind(scope: Construct, { controller, dataset, ledger, ...target }: MonitorTarget): void {
      const code = lambda.Code.fromInline('exports.handler = async () => {}');
      const runtime = lambda.Runtime.NODEJS_24_X;
      const environment = { TARGET: JSON.stringify(target) };
      const watching = new lambda.Function(scope, 'Watch', { runtime, handler: 'index.handler', code, environment });
      dataset.grantRead(watching);
      ledger.grantRead(watching, target.pipelineName);
      controller.grantReportDrift(watching);
      watching.metricErrors().createAlarm(scope, 'Errors', { threshold: 1, evaluationPeriods: 1 });
    }
  }

  test('takes the place of ours in the loop, and its alarms are told to people', () => {
    const { stack, loop } = wholeLoop({ monitor: new Own(), pipelineName: 'flights' });
    expect(loop.monitor).toBeUndefined();
    const template = templateOf(stack);
    expect(Object.keys(template.findResources('AWS::Scheduler::Schedule'))).not.toContainEqual(
      expect.stringMatching(/Monitor/),
    );
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: {
          TARGET: '{"pipelineName":"flights","endpointName":"flights"}',
          DATA_BUCKET: Match.anyValue(),
          LEDGER_TABLE: Match.anyValue(),
          PIPELINE: 'flights',
        },
      },
    });
    template.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: 'AWS/Lambda',
      AlarmActions: [Match.anyValue()],
      Dimensions: [{ Name: 'FunctionName', Value: { Ref: Match.stringLikeRegexp('^LoopMonitorWatch') } }],
    });
  });

  test('is not told what ours would be', () => {
    expect(() => wholeLoop({ monitor: new Own(), scoreDropThreshold: 0.1 })).toThrow(
      'scoreDropThreshold must not be set beside monitor, which does not see them; tell it itself',
    );
  });
});

test('metrics are those that SageMaker, Step Functions and the functions write', () => {
  const { stack, loop } = wholeLoop({ pipelineName: 'flights' });
  const { training, deployment, monitor } = loop;
  const named = (metrics: Array<cloudwatch.Metric | undefined>) =>
    metrics.map((metric) => {
      const { namespace, metricName, statistic, dimensions = {} } = metric as cloudwatch.Metric;
      return [namespace, metricName, statistic, ...Object.values(stack.resolve(dimensions))];
    });
  const machine = expect.anything();
  expect(named([training.metricRunsFailed(), training.metricRunsSucceeded()])).toEqual([
    ['AWS/States', 'ExecutionsFailed', 'Sum', machine],
    ['AWS/States', 'ExecutionsSucceeded', 'Sum', machine],
  ]);
  const ours = [training.metricRowsAccepted(), training.metricRowsQuarantined(), training.metricCandidateMetric()];
  expect(named([...ours, monitor?.metricWindowsJudged(), monitor?.metricDriftEffect()])).toEqual([
    ['Perennial', 'RowsAccepted', 'Average', 'flights'],
    ['Perennial', 'RowsQuarantined', 'Average', 'flights'],
    ['Perennial', 'CandidateMetric', 'Average', 'flights'],
    ['Perennial', 'WindowsJudged', 'Sum', 'flights'],
    ['Perennial', 'DriftEffect', 'Average', 'flights'],
  ]);
  const asked = [deployment.metricInvocations(), deployment.metricInvocation5XXErrors()];
  expect(named([...asked, deployment.metricInvocation4XXErrors(), deployment.metricModelLatency()])).toEqual([
    ['AWS/SageMaker', 'Invocations', 'Sum', 'flights', 'main'],
    ['AWS/SageMaker', 'Invocation5XXErrors', 'Sum', 'flights', 'main'],
    ['AWS/SageMaker', 'Invocation4XXErrors', 'Sum', 'flights', 'main'],
    ['AWS/SageMaker', 'ModelLatency', 'Average', 'flights', 'main'],
  ]);
});
