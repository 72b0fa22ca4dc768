import { App, RemovalPolicy, Stack, type StackProps, Stage } from 'aws-cdk-lib';
import { DefinitionBody, Pass, StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { Assembly } from '../engine/src/assembly/assembly';
import { assemblyOfStacks } from '../engine/test/support/assembly';
import {
  ContinuousTraining,
  DataContract,
  DatasetBucket,
  DriftMonitor,
  ModelDeployment,
  ModelRegistry,
  RetrainController,
  RunLedger,
  ServingTarget,
  Trainer,
  TrainingPipeline,
} from '../lib';
import { CONTRACT, templateOf, wholeLoop } from './support/stacks';

const contract = DataContract.fromObject(CONTRACT);

function loop(scope: Construct, id: string, pipelineName = 'flights') {
  return new ContinuousTraining(scope, id, { contract, trainer: Trainer.xgboost(), pipelineName });
}

/** One of each part, under these names. */
const PARTS: Record<string, (scope: Construct, id: string, name: string) => Construct> = {
  TrainingPipeline: (scope, id, pipelineName) =>
    new TrainingPipeline(scope, id, {
      dataset: new DatasetBucket(scope, `${id}Data`),
      ledger: new RunLedger(scope, `${id}Ledger`),
      registry: new ModelRegistry(scope, `${id}Registry`),
      contract,
      trainer: Trainer.xgboost(),
      pipelineName,
    }),
  RetrainController: (scope, id, pipelineName) =>
    new RetrainController(scope, id, {
      dataset: new DatasetBucket(scope, `${id}Data`),
      ledger: new RunLedger(scope, `${id}Ledger`),
      machine: new StateMachine(scope, `${id}Machine`, {
        definitionBody: DefinitionBody.fromChainable(new Pass(scope, `${id}Pass`)),
      }),
      pipelineName,
    }),
  ModelDeployment: (scope, id, pipelineName) =>
    new ModelDeployment(scope, id, {
      dataset: new DatasetBucket(scope, `${id}Data`),
      ledger: new RunLedger(scope, `${id}Ledger`),
      registry: new ModelRegistry(scope, `${id}Registry`),
      pipelineName,
    }),
  DriftMonitor: (scope, id, pipelineName) =>
    new DriftMonitor(scope, id, {
      dataset: new DatasetBucket(scope, `${id}Data`),
      ledger: new RunLedger(scope, `${id}Ledger`),
      pipelineName,
      endpointName: 'endpoint',
    }),
  ModelRegistry: (scope, id, groupName) => new ModelRegistry(scope, id, { groupName }),
};

describe('two of a kind under one name', () => {
  test.each(Object.entries(PARTS))('%s: are refused, with who has the name and what to do', (kind, make) => {
    const app = new App();
    make(new Stack(app, 'One'), 'First', 'flights');
    expect(() => make(new Stack(app, 'Two'), 'Second', 'flights')).toThrow(
      new RegExp(
        `^Two/Second: the \\w+ of a ${kind} must be the only one of its name in an account and region, ` +
          "got 'flights', which One/First has as well; give one of them another name, or bind",
      ),
    );
  });

  test.each(Object.entries(PARTS))('%s: of other names are allowed, also where one begins as the other', (_, make) => {
    const stack = new Stack(new App(), 'Stack');
    for (const [i, name] of ['a', 'a-b'].entries()) make(stack, `Part${i}`, name);
    expect(templateOf(stack).toJSON().Resources).toBeDefined();
  });

  const place = (account?: string, region?: string): StackProps => ({ env: { account, region } });
  const HERE = place('111111111111', 'us-east-1');
  test.each<[string, StackProps, StackProps, boolean]>([
    ['in one account and region', HERE, HERE, true],
    ['in two regions', HERE, place('111111111111', 'eu-west-1'), false],
    ['in two accounts', HERE, place('222222222222', 'us-east-1'), false],
    ['where one account is unknown', HERE, place(undefined, 'us-east-1'), true],
    ['where one region is unknown', HERE, place('111111111111'), true],
    ['where both are unknown', {}, {}, true],
    ['where one account is unknown and the regions are two', HERE, place(undefined, 'eu-west-1'), false],
  ])('%s', (_, one, other, refused) => {
    const app = new App();
    loop(new Stack(app, 'One', one), 'Loop');
    const second = () => loop(new Stack(app, 'Two', other), 'Loop');
    if (refused) expect(second).toThrow('must be the only one of its name');
    else expect(second).not.toThrow();
  });

  test('are refused in one stack, and in stages that may be of one account', () => {
    const app = new App();
    const stack = new Stack(new Stage(app, 'Dev'), 'Stack');
    loop(stack, 'Loop');
    expect(() => loop(stack, 'Again')).toThrow("got 'flights', which Dev/Stack/Loop/Training has as well");
    expect(() => loop(new Stack(new Stage(app, 'Prod'), 'Stack'), 'Loop')).toThrow('must be the only one of its name');
    const env = { account: '111111111111', region: 'us-east-1' };
    const [dev, prod] = [
      new Stage(app, 'A', { env }),
      new Stage(app, 'B', { env: { ...env, account: '222222222222' } }),
    ];
    loop(new Stack(dev, 'Stack'), 'Loop', 'staged');
    expect(() => loop(new Stack(prod, 'Stack'), 'Loop', 'staged')).not.toThrow();
  });

  test('in two apps know nothing of each other at synthesis: a physical name makes CloudFormation refuse the second', () => {
    const template = templateOf(wholeLoop({ pipelineName: 'flights' }).stack);
    const named = (type: string, property: string) =>
      Object.values(template.findResources(type))
        .map(({ Properties }) => Properties[property])
        .filter((name) => name !== undefined)
        .sort();
    expect(named('AWS::StepFunctions::StateMachine', 'StateMachineName')).toEqual([
      'flights-deployment',
      'flights-training',
    ]);
    expect(named('AWS::Scheduler::Schedule', 'Name')).toContain('flights-monitor');
  });

  test('the parts of one pipeline share its name', () => {
    expect(() => loop(new Stack(new App(), 'Stack'), 'Loop')).not.toThrow();
  });

  test('two deployments of one pipeline would take each other for the one that deploys', () => {
    const stack = new Stack(new App(), 'Stack');
    const common = {
      dataset: new DatasetBucket(stack, 'Data'),
      ledger: new RunLedger(stack, 'Ledger'),
      registry: new ModelRegistry(stack, 'Registry'),
      pipelineName: 'flights',
    };
    new ModelDeployment(stack, 'One', common);
    expect(
      () =>
        new ModelDeployment(stack, 'Two', {
          ...common,
          target: ServingTarget.realTimeEndpoint({ endpointName: 'other' }),
        }),
    ).toThrow(
      "the pipelineName of a ModelDeployment must be the only one of its name in an account and region, got 'flights'",
    );
  });
});

/** Whether a policy's pattern takes a text. */
function like(pattern: string, text: string): boolean {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\/]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${escaped}$`).test(text);
}

test('no role of a pipeline may touch what SageMaker keeps for another, also where one name begins as the other', () => {
  const app = new App();
  const names = ['a', 'a-b', 'a-c', 'a-v1'];
  const stacks = names.map((name) => new Stack(app, `Stack-${name}`));
  for (const [i, name] of names.entries()) loop(stacks[i] as Stack, 'Loop', name);
  const statements = stacks.map((stack) => {
    const template = templateOf(stack);
    return Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
      // what takes away with the stack goes by tags, see below
      ({ Properties }) =>
        Properties.PolicyName.startsWith('PerennialCleanUp') ? [] : Properties.PolicyDocument.Statement,
    );
  });
  // biome-ignore lint/suspicious/noExplicitAny: CloudFormation's intrinsics
  const print = (value: any): string =>
    typeof value === 'string' ? value : value['Fn::Join'] ? value['Fn::Join'][1].map(print).join('') : '-';
  const patterns = (i: number) => [
    ...new Set(
      statements[i]
        ?.flatMap(({ Resource }) => [Resource].flat().map(print))
        .flatMap((arn) => /:sagemaker:.*:([a-z-]+\/.+)$/.exec(arn)?.[1] ?? /(log-stream:.+)$/.exec(arn)?.[1] ?? []),
    ),
  ];
  for (const [i] of names.entries()) {
    expect(patterns(i).length).toBeGreaterThan(6);
    for (const [j] of names.entries()) {
      if (i === j) continue;
      // what the other's patterns stand for, with something in place of each star
      const others = patterns(j).map((pattern) => pattern.replaceAll('*', '1-x'));
      expect(others.filter((other) => patterns(i).some((pattern) => like(pattern, other)))).toEqual([]);
    }
  }
});

test('what takes away with the stack may change nothing in SageMaker that has not its tag', () => {
  const stack = new Stack(new App(), 'Stack');
  new ContinuousTraining(stack, 'Loop', {
    contract,
    trainer: Trainer.xgboost(),
    pipelineName: 'a',
    removalPolicy: RemovalPolicy.DESTROY,
  });
  const statements = Object.values(templateOf(stack).findResources('AWS::IAM::Policy'))
    .filter(({ Properties }) => Properties.PolicyName.startsWith('PerennialCleanUp'))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
  const changing = statements.filter(({ Action }) =>
    [Action].flat().some((action) => /^sagemaker:(?!List|Describe)/.test(action)),
  );
  const [packages, others] = [true, false].map((isOfPackages) =>
    changing.filter(({ Action }) => (Action === 'sagemaker:DeleteModelPackage') === isOfPackages),
  );
  expect(others?.map(({ Action }) => Action).sort()).toEqual([
    'sagemaker:DeleteEndpoint',
    'sagemaker:DeleteEndpointConfig',
    'sagemaker:DeleteModel',
    'sagemaker:StopHyperParameterTuningJob',
    'sagemaker:StopTrainingJob',
    'sagemaker:StopTransformJob',
  ]);
  for (const { Condition } of others ?? []) {
    expect(Condition).toEqual({ StringEquals: { 'aws:ResourceTag/perennial:stack': { Ref: 'AWS::StackName' } } });
  }
  expect(JSON.stringify(packages?.map(({ Resource }) => Resource))).toContain('model-package/stack-loop-registry-');
});

test('the stack of another app with a pipeline of the name cannot be deployed beside the first', () => {
  const stacks = ['One', 'Two'].map((id) => {
    const stack = new Stack(new App(), id);
    loop(stack, 'Loop', 'flights');
    return [id, templateOf(stack).toJSON()];
  });
  const assembly = assemblyOfStacks(Object.fromEntries(stacks));
  expect(() => Assembly.load(assembly)).toThrow(
    /: \S*flights-training of type AWS::StepFunctions::StateMachine already exists, made by \S+: give one of them another name$/,
  );
});
