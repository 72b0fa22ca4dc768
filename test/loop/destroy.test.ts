import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import {
  CreateEndpointCommand,
  CreateEndpointConfigCommand,
  CreateModelCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { RemovalPolicy } from 'aws-cdk-lib';
import { afterAll, expect, test } from 'vitest';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { endpointConfigName, modelName } from '../../lib/core/names';
import { ownerTags, tagList } from '../../lib/core/ownership';
import { csv, flights, requests } from './flights';
import { Loop, type LoopOptions } from './loop';

let loop: Loop;
afterAll(() => loop.stop());

const DESTROY: LoopOptions = { removalPolicy: RemovalPolicy.DESTROY };

/** Names of what SageMaker keeps, also when the engine has stopped. */
async function kept({ engine }: Loop): Promise<string[]> {
  const { operations } = engine.services.sagemaker;
  const list = async (kind: string, name: string, member = kind) => {
    const found = await operations[`List${kind}`]?.run({}, { kind: 'root' });
    return found[member].map((one: Record<string, string>) => `${name} ${one[`${kind.slice(0, -1)}Name`]}`);
  };
  return [
    ...(await list('Endpoints', 'endpoint')),
    ...(await list('EndpointConfigs', 'config')),
    ...(await list('Models', 'model')),
    ...(await list('ModelPackageGroups', 'group', 'ModelPackageGroupSummaryList')),
  ].sort();
}

/** Of machines under the old name the new stack knows nothing; CloudFormation ends their executions by deleting them. */
const OLD_MACHINE = /states:ListExecutions on resource: .*:stateMachine:flights-(training|deployment)/;

const denied = ({ engine }: Loop) =>
  engine.log
    .map(({ message }) => message)
    .filter((message) => /AccessDenied|not authorized/.test(message) && !OLD_MACHINE.test(message));

/** What a deployment leaves, without the training before it. */
async function deployByHand(other: Loop): Promise<void> {
  const { pipelineName: pipeline, engine } = other;
  const registry = other.output('ModelPackageGroup');
  const sagemaker = new SageMakerClient(engine.clientConfig);
  const Tags = tagList(ownerTags({ pipeline, registry }, 'Loop-1'));
  const ModelName = modelName(pipeline, registry, 1, 'content');
  const EndpointConfigName = endpointConfigName(pipeline, registry, 1, 'settings');
  const [serving] = engine.assembly.ofType('AWS::IAM::Role').filter(({ logicalId }) => /ServingRole/.test(logicalId));
  const ExecutionRoleArn = serving?.arn;
  const Image = '683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0';
  const PrimaryContainer = { Image, ModelDataUrl: 's3://no/no' };
  const variant = { VariantName: 'main', ModelName, InitialInstanceCount: 1, InstanceType: 'ml.m5.large' } as const;
  await sagemaker.send(new CreateModelCommand({ ModelName, ExecutionRoleArn, PrimaryContainer, Tags }));
  await sagemaker.send(new CreateEndpointConfigCommand({ EndpointConfigName, ProductionVariants: [variant], Tags }));
  await sagemaker.send(new CreateEndpointCommand({ EndpointName: pipeline, EndpointConfigName, Tags }));
  const lease = { pk: { S: pipeline }, sk: { S: LedgerKey.lease('deployment') }, revision: { N: '1' } };
  await new DynamoDBClient(engine.clientConfig).send(
    new PutItemCommand({ TableName: other.output('LedgerTable'), Item: lease }),
  );
}

test('two pipelines side by side, one name the beginning of the other, do not meet', async () => {
  loop = await Loop.start({ ...DESTROY, beside: ['flights-b'] });
  const other = loop.beside('flights-b');
  await deployByHand(other);
  const before = await kept(loop);

  const { deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
  expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  expect(await loop.ask(await requests(2, 5))).toHaveLength(5);
  expect(await other.facts()).toMatchObject({ runs: [], deployments: [], decisions: [] });
  expect(await kept(loop)).toEqual(expect.arrayContaining(before));
  expect(denied(loop)).toEqual([]);
}, 300_000);

test('under another name, one leaves nothing that it had under the old, and the other is as it was', async () => {
  const made = async () => (await kept(loop)).filter((name) => /^(endpoint|config|model)/.test(name));
  const before = await made();
  expect(before.map((name) => name.replace(/-[0-9a-f]{6}-v1-[0-9a-f]{8}$/, ' …'))).toEqual([
    ...['config flights …', 'config flights-b …', 'endpoint flights', 'endpoint flights-b'],
    ...['model flights …', 'model flights-b …'],
  ]);
  await loop.stop({ keep: true });
  const renamed = { ...DESTROY, pipelineName: 'delays', beside: ['flights-b'] };
  loop = await Loop.start({ ...renamed, folder: loop.folder });
  await loop.engine.idle(120_000);

  expect(await made()).toEqual(before.filter((name) => name.includes('flights-b')));
  expect(denied(loop)).toEqual([]);
}, 300_000);

test('destroyed, they leave nothing, and deployed again they serve from the first run on', async () => {
  await loop.engine.destroy();
  expect(await kept(loop)).toEqual([]);
  expect(denied(loop)).toEqual([]);

  loop = await Loop.start({ ...DESTROY, folder: loop.folder });
  expect(await kept(loop)).toEqual([expect.stringMatching('^group loop-flights-registry-')]);
  expect(await loop.keys('')).toEqual([]);
  const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
  expect(runs).toMatchObject([{ ended: { outcome: 'PROMOTED' } }]);
  expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  expect(await loop.ask(await requests(2, 5))).toHaveLength(5);
}, 300_000);
