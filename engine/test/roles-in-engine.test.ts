import { ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateTrainingJobCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, test } from 'vitest';
import { type ClientConfig, Engine } from '../src/engine/engine';
import { assemblyOf } from './support/assembly';
import { allow, policy } from './support/iam';
import { signed } from './support/signed';

let engine: Engine;
afterEach(() => engine.stop());

const ACCOUNT = 'arn:aws:iam::000000000000:root';
const arnOf = (name: string) => `arn:aws:iam::000000000000:role/${name}`;

function role(name: string, trusted: unknown, statements: unknown[], more = {}) {
  const trust = { Effect: 'Allow', Action: ['sts:AssumeRole', 'sts:TagSession'], Principal: trusted, ...more };
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      RoleName: name,
      AssumeRolePolicyDocument: policy(trust),
      ...(statements.length > 0 && { Policies: [{ PolicyName: 'p', PolicyDocument: policy(...statements) }] }),
    },
  };
}

async function start(resources: Record<string, unknown>): Promise<void> {
  const Data = { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'data' } };
  engine = await Engine.start({ assembly: assemblyOf({ Data, ...resources }) });
}

describe('a task with Credentials', () => {
  const machine = (trusted: unknown, mayAssume = true) => ({
    MachineRole: role(
      'machine',
      { Service: 'states.amazonaws.com' },
      mayAssume ? [allow('sts:AssumeRole', arnOf('writer'))] : [],
    ),
    Writer: role('writer', trusted, [allow('s3:PutObject', 'arn:aws:s3:::data/*')]),
    Machine: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'write',
        RoleArn: { 'Fn::GetAtt': ['MachineRole', 'Arn'] },
        DefinitionString: JSON.stringify({
          QueryLanguage: 'JSONata',
          StartAt: 'Put',
          States: {
            Put: {
              Type: 'Task',
              Resource: 'arn:aws:states:::aws-sdk:s3:putObject',
              Credentials: { RoleArn: arnOf('writer') },
              Arguments: { Bucket: 'data', Key: 'k', Body: 'x' },
              End: true,
            },
          },
        }),
      },
    },
  });

  async function run() {
    const sfn = new SFNClient(engine.clientConfig);
    const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:write';
    const { executionArn } = await sfn.send(new StartExecutionCommand({ stateMachineArn }));
    await engine.idle();
    return sfn.send(new DescribeExecutionCommand({ executionArn }));
  }

  test('runs as a role that trusts the machine’s', async () => {
    await start(machine({ AWS: ACCOUNT }));
    expect(await run()).toMatchObject({ status: 'SUCCEEDED' });
    const { Contents } = await new S3Client(engine.clientConfig).send(new ListObjectsV2Command({ Bucket: 'data' }));
    expect(Contents?.map(({ Key }) => Key)).toEqual(['k']);
  });

  test.each<[string, unknown, boolean]>([
    ['that trusts a service alone', { Service: 'ec2.amazonaws.com' }, true],
    ['that the machine’s own may not assume', { AWS: ACCOUNT }, false],
  ])('fails as a role %s', async (_, trusted, mayAssume) => {
    await start(machine(trusted, mayAssume));
    const { status, cause } = await run();
    expect(status).toBe('FAILED');
    expect(cause).toContain(`is not authorized to perform: sts:AssumeRole on resource: "${arnOf('writer')}"`);
  });
});

describe('sts:AssumeRole', () => {
  const query = { Action: 'AssumeRole', RoleArn: arnOf('reader'), RoleSessionName: 'me' };

  async function ask(
    client: ClientConfig,
    parameters: Record<string, string>,
  ): Promise<{ text: string; client: ClientConfig }> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams({ Version: '2011-06-15', ...parameters }).toString();
    const text = await (await fetch(...(await signed(client, 'sts', { headers, body })))).text();
    const part = (name: string) => text.match(new RegExp(`<${name}>([^<]*)<`))?.[1] ?? '';
    const credentials = {
      accessKeyId: part('AccessKeyId'),
      secretAccessKey: part('SecretAccessKey'),
      sessionToken: part('SessionToken'),
    };
    return { text, client: { ...client, credentials } };
  }

  const list = (client: ClientConfig) => new S3Client(client).send(new ListObjectsV2Command({ Bucket: 'data' }));
  const put = (client: ClientConfig) =>
    new S3Client(client).send(new PutObjectCommand({ Bucket: 'data', Key: 'k', Body: 'x' }));

  test('is refused to a role that the other does not trust', async () => {
    await start({
      Caller: role('caller', { Service: 'lambda.amazonaws.com' }, [allow('sts:AssumeRole')]),
      Reader: role('reader', { Service: 'ec2.amazonaws.com' }, []),
    });
    const { text } = await ask(engine.clientConfigAs(arnOf('caller')), query);
    expect(text).toContain('<Code>AccessDenied</Code>');
    expect(text).toContain('no role trust policy allows the sts:AssumeRole action (Reader)');
  });

  test('heeds the external id, tags and policies that are sent', async () => {
    await start({
      Caller: role('caller', { Service: 'lambda.amazonaws.com' }, [allow(['sts:AssumeRole', 'sts:TagSession'])]),
      Reader: role(
        'reader',
        { AWS: ACCOUNT },
        [allow('s3:*', ['arn:aws:s3:::${aws:PrincipalTag/bucket}', 'arn:aws:s3:::${aws:PrincipalTag/bucket}/*'])],
        { Condition: { StringEquals: { 'sts:ExternalId': 'x-1' } } },
      ),
    });
    const caller = engine.clientConfigAs(arnOf('caller'));
    const tags = { 'Tags.member.1.Key': 'bucket', 'Tags.member.1.Value': 'data' };
    expect((await ask(caller, { ...query, ...tags })).text).toContain('<Code>AccessDenied</Code>');
    const full = await ask(caller, { ...query, ...tags, ExternalId: 'x-1' });
    await expect(put(full.client)).resolves.toBeDefined();
    await expect(put((await ask(caller, { ...query, ExternalId: 'x-1' })).client)).rejects.toThrow('s3:PutObject');
    const Policy = JSON.stringify(policy(allow('s3:ListBucket')));
    const narrow = await ask(caller, { ...query, ...tags, ExternalId: 'x-1', Policy });
    await expect(list(narrow.client)).resolves.toMatchObject({ KeyCount: 1 });
    await expect(put(narrow.client)).rejects.toThrow('no session policy allows the s3:PutObject action');
  });
});

test('policies may speak of what SageMaker is asked for', async () => {
  const Condition = {
    'ForAllValues:StringLike': { 'sagemaker:InstanceTypes': ['ml.m5.*'] },
    ArnEquals: { 'sagemaker:VolumeKmsKey': 'arn:aws:kms:us-east-1:000000000000:key/k' },
    StringEquals: { 'aws:RequestTag/team': 'data' },
    'ForAnyValue:StringEquals': { 'sagemaker:VpcSubnets': 'subnet-1' },
    Bool: { 'sagemaker:NetworkIsolation': 'true' },
    NumericLessThanEquals: { 'sagemaker:MaxRuntimeInSeconds': '3600' },
  };
  await start({
    Caller: role('caller', { Service: 'lambda.amazonaws.com' }, [
      allow('sagemaker:CreateTrainingJob', '*', { Condition }),
      allow(['iam:PassRole', 'sagemaker:AddTags']),
    ]),
  });
  const request = {
    TrainingJobName: 'job',
    AlgorithmSpecification: { TrainingImage: 'x', TrainingInputMode: 'File' as const },
    RoleArn: arnOf('nobody'),
    OutputDataConfig: { S3OutputPath: 's3://data/out' },
    ResourceConfig: {
      InstanceType: 'ml.m5.large' as const,
      InstanceCount: 1,
      VolumeSizeInGB: 1,
      VolumeKmsKeyId: 'arn:aws:kms:us-east-1:000000000000:key/k',
    },
    StoppingCondition: { MaxRuntimeInSeconds: 3600 },
    EnableNetworkIsolation: true,
    VpcConfig: { Subnets: ['subnet-1', 'subnet-2'], SecurityGroupIds: ['sg-1'] },
    Tags: [{ Key: 'team', Value: 'data' }],
  };
  const sagemaker = new SageMakerClient(engine.clientConfigAs(arnOf('caller')));
  const answer = (change: object) =>
    sagemaker.send(new CreateTrainingJobCommand({ ...request, ...change })).catch((error: Error) => error.message);
  expect(await answer({})).toContain('Could not assume role'); // allowed, so that the next refusal comes
  for (const change of [
    { ResourceConfig: { ...request.ResourceConfig, InstanceType: 'ml.p3.2xlarge' } },
    { ResourceConfig: { ...request.ResourceConfig, VolumeKmsKeyId: undefined } },
    { StoppingCondition: { MaxRuntimeInSeconds: 3601 } },
    { EnableNetworkIsolation: false },
    { VpcConfig: undefined },
    { Tags: [{ Key: 'team', Value: 'x' }] },
  ]) {
    expect(await answer(change)).toContain('not authorized to perform: sagemaker:CreateTrainingJob');
  }
});
