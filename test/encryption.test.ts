import { App, Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, type Template } from 'aws-cdk-lib/assertions';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import { describe, expect, test } from 'vitest';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  DriftMonitor,
  ModelDeployment,
  ModelRegistry,
  RetrainController,
  RunLedger,
  ScheduleTrigger,
  Trainer,
  TrainingPipeline,
} from '../lib';
import { CONTRACT, emptyStack, templateOf, wholeLoop } from './support/stacks';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
type Shape = any;

const KEY_ARN = 'arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000';

/** All parts with a bucket that somebody hands in. */
function parts(stack: Stack, bucket: s3.IBucket): Template {
  const dataset = DatasetBucket.fromBucket(stack, 'Dataset', bucket);
  if (bucket.node.defaultChild instanceof s3.CfnBucket) {
    bucket.node.defaultChild.versioningConfiguration = { status: 'Enabled' };
    bucket.node.defaultChild.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
  }
  const ledger = new RunLedger(stack, 'Ledger');
  const registry = new ModelRegistry(stack, 'Registry');
  const pipelineName = 'loop';
  const { machine } = new TrainingPipeline(stack, 'Training', {
    dataset,
    ledger,
    registry,
    pipelineName,
    contract: DataContract.fromObject(CONTRACT),
    trainer: Trainer.xgboost(),
  });
  new RetrainController(stack, 'Controller', { dataset, ledger, machine, pipelineName });
  new ModelDeployment(stack, 'Deployment', { dataset, ledger, registry, pipelineName });
  new DriftMonitor(stack, 'Monitor', { dataset, ledger, pipelineName, endpointName: pipelineName });
  return templateOf(stack);
}

/** The statements of each role, by its logical id without the hash. */
function statementsOf(template: Template): Record<string, Shape[]> {
  const statements: Record<string, Shape[]> = {};
  for (const { Properties } of Object.values<Shape>(template.findResources('AWS::IAM::Policy'))) {
    for (const { Ref } of Properties.Roles) {
      const role = Ref.replace(/[0-9A-F]{8}$/, '');
      statements[role] = [...(statements[role] ?? []), ...Properties.PolicyDocument.Statement];
    }
  }
  return statements;
}

const actionsOf = (statements: Shape[]): string[] => statements.flatMap(({ Action }) => Action);

/** The actions on keys through S3, sorted. */
function throughS3(statements: Shape[]): string[] {
  const via = statements.filter(({ Condition }) => JSON.stringify(Condition ?? '').includes('"s3.'));
  return [...new Set(actionsOf(via))].sort();
}

describe('a bucket under a key of its own', () => {
  test('lets every role use the key for what it does with objects, and for nothing else', () => {
    const stack = emptyStack();
    const encryptionKey = new kms.Key(stack, 'Key');
    const data = new s3.Bucket(stack, 'Data', { encryption: s3.BucketEncryption.KMS, encryptionKey });
    const roles = Object.entries(statementsOf(parts(stack, data)));
    let concerned = 0;
    for (const [role, statements] of roles) {
      const objects = actionsOf(statements).filter((action) => /^s3:(Get|Put)Object|^s3:AbortMultipart/.test(action));
      const reads = objects.some((action) => action !== 's3:PutObject');
      const writes = objects.includes('s3:PutObject');
      const expected = [...(reads ? ['kms:Decrypt'] : []), ...(writes ? ['kms:GenerateDataKey'] : [])];
      expect([role, throughS3(statements)]).toEqual([role, expected]);
      concerned += expected.length > 0 ? 1 : 0;
      for (const statement of statements.filter(({ Action }) => String(Action).includes('kms:'))) {
        expect(statement.Resource).toEqual(stack.resolve(encryptionKey.keyArn));
      }
    }
    expect(concerned).toBeGreaterThan(7);
  });

  test('is where SageMaker writes, under the same key', () => {
    const stack = emptyStack();
    const encryptionKey = new kms.Key(stack, 'Key');
    const template = parts(stack, new s3.Bucket(stack, 'Data', { encryptionKey }));
    const machines = Object.values<Shape>(template.findResources('AWS::StepFunctions::StateMachine'));
    const definitions = machines.map(({ Properties }) => JSON.stringify(Properties.DefinitionString)).join();
    // three capacity options, three states of transform jobs, the captured requests where they are asked for and where they are compared
    expect(definitions.split('KmsKeyId').length - 1).toBe(8);
    const statements = statementsOf(template);
    for (const role of ['TrainingTrainingRole', 'TrainingScoringRole']) {
      expect(actionsOf(statements[role] as Shape[])).toContain('kms:Encrypt');
    }
  });

  test.each<[string, (stack: Stack) => s3.IBucket, unknown, unknown]>([
    [
      'an imported bucket and key',
      (stack) =>
        s3.Bucket.fromBucketAttributes(stack, 'Data', {
          bucketName: 'data',
          encryptionKey: kms.Key.fromKeyArn(stack, 'Key', KEY_ARN),
        }),
      KEY_ARN,
      { StringEquals: { 'kms:ViaService': Match.anyValue() } },
    ],
    [
      'an alias of a key of the app',
      (stack) => new s3.Bucket(stack, 'Data', { encryptionKey: new kms.Key(stack, 'Key').addAlias('data') }),
      { 'Fn::GetAtt': [Match.stringLikeRegexp('^Key'), 'Arn'] },
      { StringEquals: { 'kms:ViaService': Match.anyValue() } },
    ],
    [
      'an alias imported by its name',
      (stack) => new s3.Bucket(stack, 'Data', { encryptionKey: kms.Alias.fromAliasName(stack, 'Alias', 'alias/data') }),
      { 'Fn::Join': ['', Match.arrayWith([':key/*'])] },
      {
        StringEquals: { 'kms:ViaService': Match.anyValue() },
        'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/data' },
      },
    ],
  ])('%s', (_, bucketOf, Resource, Condition) => {
    const stack = emptyStack();
    parts(stack, bucketOf(stack)).hasResourceProperties('AWS::IAM::Policy', {
      PolicyName: Match.stringLikeRegexp('^TrainingJudgeRole'),
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({ Action: ['kms:Decrypt', 'kms:GenerateDataKey'], Resource, Condition }),
        ]),
      },
    });
  });

  test('without a key no role is given one', () => {
    const stack = emptyStack();
    const statements = Object.values(statementsOf(parts(stack, new s3.Bucket(stack, 'Data')))).flat();
    expect(actionsOf(statements).filter((action) => action.startsWith('kms:'))).toEqual([]);
  });
});

describe('everything under one key', () => {
  const stack = new Stack(new App(), 'Stack', { env: { account: '123456789012', region: 'eu-west-1' } });
  const encryptionKey = new kms.Key(stack, 'Key');
  const template = loopUnder(stack, encryptionKey);
  const key = JSON.stringify(stack.resolve(encryptionKey.keyArn));

  test.each([
    ['AWS::S3::Bucket', 'BucketEncryption'],
    ['AWS::DynamoDB::Table', 'SSESpecification'],
    ['AWS::SQS::Queue', 'KmsMasterKeyId'],
    ['AWS::SNS::Topic', 'KmsMasterKeyId'],
    ['AWS::Logs::LogGroup', 'KmsKeyId'],
    ['AWS::Lambda::Function', 'KmsKeyArn'],
  ])('%s', (type, property) => {
    const resources = Object.values<Shape>(template.findResources(type));
    expect(resources.length).toBeGreaterThan(0);
    for (const { Properties } of resources) expect(JSON.stringify(Properties[property] ?? null)).toContain(key);
  });

  test('instances without a local drive: those that score and serve, and a capacity option', () => {
    const machines = Object.values<Shape>(template.findResources('AWS::StepFunctions::StateMachine'));
    const [training, deployment] = machines.map(({ Properties }) => JSON.stringify(Properties.DefinitionString));
    expect(training?.split('VolumeKmsKeyId').length).toBe(1 + 4); // three states of transform jobs, and the capacity option of a p3
    // the disks, and what is captured: where they are asked for and where they are compared
    expect(deployment?.split('KmsKeyId').length).toBe(1 + 2 * 2);
    const statements = statementsOf(template);
    for (const role of ['LoopTrainingTrainingRole', 'LoopTrainingScoringRole', 'LoopDeploymentMachineRole']) {
      expect(statements[role]).toContainEqual({
        Effect: 'Allow',
        Action: 'kms:CreateGrant',
        Resource: stack.resolve(encryptionKey.keyArn),
        Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
      });
    }
  });

  test('services that act in their own name are let in by the key, each for this account alone', () => {
    const [{ Properties }] = Object.values<Shape>(template.findResources('AWS::KMS::Key'));
    const services = Properties.KeyPolicy.Statement.filter(({ Principal }: Shape) => Principal.Service);
    const shown = services.map(({ Principal, Action, Condition }: Shape) => [Principal.Service, Action, Condition]);
    expect(shown).toHaveLength(4);
    expect(shown).toEqual(
      expect.arrayContaining([
        [
          'logs.eu-west-1.amazonaws.com',
          ['kms:Encrypt', 'kms:Decrypt', 'kms:ReEncrypt*', 'kms:GenerateDataKey*', 'kms:DescribeKey'],
          { ArnLike: { 'kms:EncryptionContext:aws:logs:arn': expect.anything() } },
        ],
        [
          'events.amazonaws.com',
          ['kms:GenerateDataKey', 'kms:Decrypt'],
          { StringEquals: { 'aws:SourceAccount': '123456789012' } },
        ],
        [
          'events.amazonaws.com',
          ['kms:GenerateDataKey*', 'kms:Decrypt'],
          { ArnLike: { 'kms:EncryptionContext:aws:sns:topicArn': expect.anything() } },
        ],
        [
          'cloudwatch.amazonaws.com',
          ['kms:GenerateDataKey*', 'kms:Decrypt'],
          {
            StringEquals: { 'aws:SourceAccount': '123456789012' },
            ArnLike: {
              'aws:SourceArn': stack.resolve(stack.formatArn({ service: 'cloudwatch', resource: 'alarm:*' })),
            },
          },
        ],
      ]),
    );
  });

  test('a rule or an alarm alone may send to its queue and publish to its topic, on behalf of this account', () => {
    const policies = ['AWS::SQS::QueuePolicy', 'AWS::SNS::TopicPolicy'].flatMap((type) =>
      Object.values<Shape>(template.findResources(type)),
    );
    const allowed = policies
      .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
      .filter(({ Effect }) => Effect === 'Allow');
    expect(allowed.length).toBeGreaterThan(8);
    for (const { Condition } of allowed) {
      expect(JSON.stringify(Condition)).toMatch(
        /"aws:SourceArn":\{("Fn::GetAtt":\["[^"]+","Arn"\]|"Fn::Join":.*:cloudwatch:eu-west-1:123456789012:alarm:\*)/,
      );
    }
  });

  test('roles that send to a queue may use its key: the scheduler, the monitor', () => {
    const statements = statementsOf(template);
    for (const [role, own] of Object.entries(statements)) {
      const sends = actionsOf(own).includes('sqs:SendMessage');
      const receives = actionsOf(own).includes('sqs:ReceiveMessage');
      const generates = actionsOf(own).some((action) => action.startsWith('kms:GenerateDataKey'));
      expect([role, sends && !generates]).toEqual([role, false]);
      expect([role, receives && !actionsOf(own).includes('kms:Decrypt')]).toEqual([role, false]);
    }
    expect(
      Object.values(statements).filter((own) => actionsOf(own).includes('sqs:SendMessage')).length,
    ).toBeGreaterThan(3);
  });
});

/** The whole loop under a key, with a schedule and machines with and without a local drive. */
function loopUnder(stack: Stack, encryptionKey: kms.IKey): Template {
  wholeLoop({
    stack,
    encryptionKey,
    pipelineName: 'loop',
    trainer: Trainer.xgboost({
      compute: [CapacityOption.spot('ml.p3.2xlarge'), CapacityOption.onDemand('ml.g5.xlarge')],
    }),
    triggers: [new ScheduleTrigger(scheduler.ScheduleExpression.rate(Duration.days(7)))],
  });
  return templateOf(stack);
}

describe('keys that the app does not own', () => {
  test('a key imported by its ARN warns of what its policy must say', () => {
    const stack = emptyStack();
    loopUnder(stack, kms.Key.fromKeyArn(stack, 'Key', KEY_ARN));
    const warnings = Annotations.fromStack(stack).findWarning('*', Match.stringLikeRegexp('the policy of Stack/Key'));
    const texts = [...new Set(warnings.map(({ entry }) => String(entry.data)))].join('\n');
    expect(texts).toContain(
      'see that it lets events.amazonaws.com kms:GenerateDataKey, kms:Decrypt, if {"StringEquals":{"aws:SourceAccount"',
    );
    expect(texts).toContain('kms:EncryptionContext:aws:sns:topicArn');
    expect(texts).toContain('kms:EncryptionContext:aws:logs:arn');
  });

  test('an alias whose key nobody knows is refused, for log groups take none', () => {
    const stack = emptyStack();
    expect(() => loopUnder(stack, kms.Alias.fromAliasName(stack, 'Alias', 'alias/mine'))).toThrow(
      'encryptionKey must be a key, got the alias alias/mine, whose key is not known; import the key itself',
    );
  });

  test('the alias of a key of the app is taken for the key', () => {
    const stack = emptyStack();
    const key = new kms.Key(stack, 'Key');
    const template = loopUnder(stack, key.addAlias('mine'));
    for (const { Properties } of Object.values<Shape>(template.findResources('AWS::Logs::LogGroup'))) {
      expect(Properties.KmsKeyId).toEqual(stack.resolve(key.keyArn));
    }
  });

  test("training jobs may read their script from a bucket of assets under a key of one's own", () => {
    const stack = emptyStack();
    wholeLoop({ stack, assetsKey: kms.Key.fromKeyArn(stack, 'Key', KEY_ARN) });
    const statements = statementsOf(templateOf(stack)).LoopTrainingTrainingRole as Shape[];
    expect(statements.filter(({ Resource }) => Resource === KEY_ARN).map(({ Action }) => Action)).toEqual([
      'kms:Decrypt',
    ]);
  });
});
