import { DynamoDBClient, QueryCommand } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListModelPackagesCommand, SageMakerClient, UpdateModelPackageCommand } from '@aws-sdk/client-sagemaker';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';

/** A function of a user's: each of these finds what it uses by what its grant has put into its environment. */
const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment lacks ${name}`);
  return value;
};

/** Uploads a file, or what the event says. */
export async function upload({ key, body }: { key: string; body: string }) {
  await new S3Client().send(new PutObjectCommand({ Bucket: env('DATA_BUCKET'), Key: key, Body: body }));
}

/** How many objects are below a prefix, and the first one's text. */
export async function read({ prefix }: { prefix: string }) {
  const s3 = new S3Client();
  const Bucket = env('DATA_BUCKET');
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: Contents[0]?.Key }));
  return { count: Contents.length, text: await Body?.transformToString() };
}

/** The sort keys of a pipeline's facts. */
export async function facts() {
  const { Items = [] } = await new DynamoDBClient().send(
    new QueryCommand({
      TableName: env('LEDGER_TABLE'),
      KeyConditionExpression: 'pk = :pk',
      ExpressionAttributeValues: { ':pk': { S: env('PIPELINE') } },
    }),
  );
  return Items.map(({ sk }) => sk?.S);
}

/** Approves the newest version that waits. */
export async function approve() {
  const sagemaker = new SageMakerClient();
  const { ModelPackageSummaryList = [] } = await sagemaker.send(
    new ListModelPackagesCommand({
      ModelPackageGroupName: env('MODEL_PACKAGE_GROUP'),
      ModelApprovalStatus: 'PendingManualApproval',
      SortBy: 'CreationTime',
      SortOrder: 'Descending',
    }),
  );
  const ModelPackageArn = ModelPackageSummaryList[0]?.ModelPackageArn;
  await sagemaker.send(new UpdateModelPackageCommand({ ModelPackageArn, ModelApprovalStatus: 'Approved' }));
  return ModelPackageArn;
}

/** Asks the endpoint about rows. */
export async function ask({ rows }: { rows: string[] }) {
  const { Body } = await new SageMakerRuntimeClient().send(
    new InvokeEndpointCommand({
      EndpointName: env('ENDPOINT_NAME'),
      ContentType: 'text/csv',
      Body: rows.join('\n'),
    }),
  );
  return new TextDecoder().decode(Body).trim().split('\n').map(Number);
}

/** Asks for a run. */
export async function requestRun() {
  return send('Perennial Run Requested', { pipeline: env('PIPELINE'), requestedBy: 'a function' });
}

/** Reports drift that somebody else's monitor has found. */
export async function reportDrift({ windowEnd }: { windowEnd: string }) {
  const window = { windowId: 'theirs', windowEnd, modelVersion: 1, reportKey: 'monitor/theirs.json' };
  return send('Perennial Drift Detected', { pipeline: env('PIPELINE'), ...window, summary: 'it drifts' });
}

/** Sends an event that nobody has allowed it to. */
export async function pretend() {
  return send('Perennial Run Ended', { pipeline: env('PIPELINE'), runId: 'r', outcome: 'PROMOTED' });
}

async function send(DetailType: string, detail: object) {
  const { FailedEntryCount } = await new EventBridgeClient().send(
    new PutEventsCommand({ Entries: [{ Source: 'perennial', DetailType, Detail: JSON.stringify(detail) }] }),
  );
  return FailedEntryCount;
}
