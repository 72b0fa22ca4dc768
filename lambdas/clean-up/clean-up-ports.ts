import { setTimeout } from 'node:timers/promises';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { S3Client } from '@aws-sdk/client-s3';
import {
  DeleteEndpointCommand,
  DeleteEndpointConfigCommand,
  DeleteModelCommand,
  DeleteModelPackageCommand,
  DescribeEndpointCommand,
  ListModelPackagesCommand,
  paginateListHyperParameterTuningJobs,
  paginateListTrainingJobs,
  paginateListTransformJobs,
  SageMakerClient,
  StopHyperParameterTuningJobCommand,
  StopTrainingJobCommand,
  StopTransformJobCommand,
} from '@aws-sdk/client-sagemaker';
import { ExecutionDoesNotExist, SFNClient, StateMachineDoesNotExist, StopExecutionCommand } from '@aws-sdk/client-sfn';
import type { Tags } from '../../lib/core/ownership';
import { dynamoLedger } from '../ledger/dynamo-ledger';
import { env } from '../shared/env';
import { awsExecutions, executionArn } from '../shared/executions';
import { configsNamed, modelsNamed, type Named, tagsOf, unlessMissing } from '../shared/sagemaker';
import { emptyBucket } from './empty-bucket';

/** What is found by the beginning of its name: things that lie there, and jobs that have not ended. */
export type Kind = 'config' | 'model' | 'training job' | 'transform job' | 'tuning job';

export interface CleanUpPorts {
  /** An endpoint; undefined once it is gone. */
  endpoint(name: string): Promise<{ readonly status: string; readonly tags: Tags } | undefined>;
  /** What has such a part in its name. */
  named(kind: Kind, part: string): Promise<Named[]>;
  tagsOf(arn: string): Promise<Tags>;
  /** Deletes it, or stops it if it is a job; that it is gone, has ended or changes just now is no error. */
  remove(kind: Kind | 'endpoint', name: string): Promise<void>;
  /** ARNs; none if there is no such machine any more. */
  runningExecutions(machine: string): Promise<string[]>;
  stopExecution(arn: string): Promise<void>;
  /** Whether the ledger has facts of a pipeline whose keys begin so. */
  hasFacts(table: string, pipeline: string, prefix: string): Promise<boolean>;
  /** Deletes the versions of a group. @returns false if time was up before all were */
  removePackages(group: string, hasTime: () => boolean): Promise<boolean>;
  /** Deletes all versions of all objects. @returns false if time was up before all were */
  emptyBucket(bucket: string, hasTime: () => boolean): Promise<boolean>;
  answer(url: string, body: string): Promise<void>;
  /** Lets another call of this function go on. */
  again(event: object): Promise<void>;
  wait(milliseconds: number): Promise<void>;
  now(): number;
}

export function cleanUpPorts(): CleanUpPorts {
  const sagemaker = new SageMakerClient();
  const sfn = new SFNClient();
  const dynamodb = new DynamoDBClient();
  return {
    async endpoint(EndpointName) {
      const found = await unlessMissing(sagemaker.send(new DescribeEndpointCommand({ EndpointName })));
      return found && { status: found.EndpointStatus ?? '', tags: await tagsOf(sagemaker, found.EndpointArn) };
    },
    named: (kind, part) => named(sagemaker, kind, part),
    tagsOf: (arn) => tagsOf(sagemaker, arn),
    async remove(kind, name) {
      try {
        await unlessMissing(removal(sagemaker, kind, name));
      } catch (error) {
        if (!/in-progress endpoint|is in status/.test((error as Error).message)) throw error;
      }
    },
    async runningExecutions(stateMachineArn) {
      try {
        const running = await awsExecutions(stateMachineArn, sfn).running();
        return running.map((name) => executionArn(stateMachineArn, name));
      } catch (error) {
        if (error instanceof StateMachineDoesNotExist) return [];
        throw error;
      }
    },
    async stopExecution(executionArn) {
      try {
        await sfn.send(new StopExecutionCommand({ executionArn, cause: 'The stack is deleted, or its names change' }));
      } catch (error) {
        if (!(error instanceof ExecutionDoesNotExist)) throw error;
      }
    },
    hasFacts: async (tableName, pipeline, prefix) =>
      (await dynamoLedger({ client: dynamodb, tableName, pipeline }).query(prefix, { limit: 1 })).length > 0,
    async removePackages(ModelPackageGroupName, hasTime) {
      while (hasTime()) {
        const request = new ListModelPackagesCommand({ ModelPackageGroupName, MaxResults: 100 });
        const { ModelPackageSummaryList: found = [] } = (await unlessMissing(sagemaker.send(request))) ?? {};
        if (found.length === 0) return true;
        for (const { ModelPackageArn: ModelPackageName } of found) {
          await unlessMissing(sagemaker.send(new DeleteModelPackageCommand({ ModelPackageName })));
        }
      }
      return false;
    },
    emptyBucket: (bucket, hasTime) => emptyBucket(new S3Client(), bucket, hasTime),
    async answer(url, body) {
      const reply = await fetch(url, { method: 'PUT', body, headers: { 'content-type': '' } });
      if (!reply.ok) throw new Error(`CloudFormation did not take the answer: ${reply.status} ${await reply.text()}`);
    },
    async again(event) {
      const FunctionName = env('AWS_LAMBDA_FUNCTION_NAME');
      const Payload = JSON.stringify(event);
      await new LambdaClient().send(new InvokeCommand({ FunctionName, InvocationType: 'Event', Payload }));
    },
    wait: (milliseconds) => setTimeout(milliseconds),
    now: () => Date.now(),
  };
}

function removal(client: SageMakerClient, kind: Kind | 'endpoint', name: string): Promise<unknown> {
  switch (kind) {
    case 'endpoint':
      return client.send(new DeleteEndpointCommand({ EndpointName: name }));
    case 'config':
      return client.send(new DeleteEndpointConfigCommand({ EndpointConfigName: name }));
    case 'model':
      return client.send(new DeleteModelCommand({ ModelName: name }));
    case 'training job':
      return client.send(new StopTrainingJobCommand({ TrainingJobName: name }));
    case 'transform job':
      return client.send(new StopTransformJobCommand({ TransformJobName: name }));
    case 'tuning job':
      return client.send(new StopHyperParameterTuningJobCommand({ HyperParameterTuningJobName: name }));
  }
}

async function named(client: SageMakerClient, kind: Kind, part: string): Promise<Named[]> {
  if (kind === 'model') return modelsNamed(client, part);
  if (kind === 'config') return configsNamed(client, part);
  const found: Named[] = [];
  for (const StatusEquals of ['InProgress', 'Stopping'] as const) {
    for await (const jobs of jobsNamed(client, kind, { NameContains: part, StatusEquals })) found.push(...jobs);
  }
  return found;
}

async function* jobsNamed(
  client: SageMakerClient,
  kind: Exclude<Kind, 'config' | 'model'>,
  request: { readonly NameContains: string; readonly StatusEquals: 'InProgress' | 'Stopping' },
): AsyncGenerator<Named[]> {
  switch (kind) {
    case 'training job':
      for await (const { TrainingJobSummaries: jobs = [] } of paginateListTrainingJobs({ client }, request)) {
        yield jobs.map(({ TrainingJobName: name = '', TrainingJobArn: arn = '' }) => ({ name, arn }));
      }
      break;
    case 'transform job':
      for await (const { TransformJobSummaries: jobs = [] } of paginateListTransformJobs({ client }, request)) {
        yield jobs.map(({ TransformJobName: name = '', TransformJobArn: arn = '' }) => ({ name, arn }));
      }
      break;
    case 'tuning job':
      for await (const page of paginateListHyperParameterTuningJobs({ client }, request)) {
        const { HyperParameterTuningJobSummaries: jobs = [] } = page;
        yield jobs.map(({ HyperParameterTuningJobName: name = '', HyperParameterTuningJobArn: arn = '' }) => ({
          name,
          arn,
        }));
      }
      break;
  }
}
