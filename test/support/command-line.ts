import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Engine } from '../../engine/src';
import { assemblyOf } from '../../engine/test/support/assembly';
import { toItem } from '../../lambdas/ledger/items';
import { ledgerFindings, ledgerItems, PIPELINE } from './ledger-facts';

/** The outputs of a ContinuousTraining called Flights, as the CDK names them. */
export function outputsOf(id: string, pipeline: string): Record<string, { Value: unknown }> {
  return {
    [`${id}Pipeline0A1B2C3D`]: { Value: pipeline },
    [`${id}DataBucket0A1B2C3D`]: { Value: { Ref: 'Data' } },
    [`${id}LedgerTable0A1B2C3D`]: { Value: { Ref: 'Ledger' } },
    [`${id}TrainingMachine0A1B2C3D`]: { Value: 'arn:aws:states:us-east-1:000000000000:stateMachine:train' },
    [`${id}DeploymentMachine0A1B2C3D`]: { Value: 'arn:aws:states:us-east-1:000000000000:stateMachine:deploy' },
    [`${id}ModelPackageGroup0A1B2C3D`]: { Value: 'flights' },
    [`${id}Endpoint0A1B2C3D`]: { Value: 'flights' },
  };
}

const QUEUE_ARN = { 'Fn::GetAtt': ['Queue', 'Arn'] };

/** What the commands speak to, and nothing that would run. */
export const TEMPLATE = {
  Resources: {
    Data: { Type: 'AWS::S3::Bucket', Properties: { BucketName: 'flights-data' } },
    Ledger: {
      Type: 'AWS::DynamoDB::Table',
      Properties: {
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
      },
    },
    Group: { Type: 'AWS::SageMaker::ModelPackageGroup', Properties: { ModelPackageGroupName: 'flights' } },
    Queue: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'triggers' } },
    QueuePolicy: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [{ Ref: 'Queue' }],
        PolicyDocument: {
          Statement: [
            {
              Effect: 'Allow',
              Principal: { Service: 'events.amazonaws.com' },
              Action: 'sqs:SendMessage',
              Resource: QUEUE_ARN,
            },
          ],
        },
      },
    },
    Rule: {
      Type: 'AWS::Events::Rule',
      Properties: { EventPattern: { source: ['perennial'] }, Targets: [{ Id: 'Q', Arn: QUEUE_ARN }] },
    },
    Deployment: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: 'deploy',
        RoleArn: 'arn:aws:iam::000000000000:role/any',
        DefinitionString: JSON.stringify({ StartAt: 'Done', States: { Done: { Type: 'Succeed' } } }),
      },
    },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: { Statement: [] },
        Policies: [
          {
            PolicyName: 'Reads',
            PolicyDocument: {
              Statement: [{ Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::flights-data/*' }],
            },
          },
        ],
      },
    },
  },
  Outputs: outputsOf('Flights', PIPELINE),
};

/** An engine with a pipeline whose ledger tells a story, for the commands to speak to. */
export async function engineWithLedger(): Promise<Engine> {
  const engine = await Engine.start({ assembly: assemblyOf(TEMPLATE) });
  const dynamo = new DynamoDBClient(engine.clientConfig);
  const table = engine.outputs.Stack?.FlightsLedgerTable0A1B2C3D;
  for (const item of ledgerItems()) await dynamo.send(new PutItemCommand({ TableName: table, Item: toItem(item) }));
  const s3 = new S3Client(engine.clientConfig);
  for (const [windowId, findings] of Object.entries(ledgerFindings()).slice(0, 3)) {
    const Body = JSON.stringify({ windowId, findings });
    await s3.send(new PutObjectCommand({ Bucket: 'flights-data', Key: `monitor/${windowId}.json`, Body }));
  }
  dynamo.destroy();
  s3.destroy();
  return engine;
}
