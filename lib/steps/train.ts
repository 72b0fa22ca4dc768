import { Duration, Stack } from 'aws-cdk-lib';
import type * as iam from 'aws-cdk-lib/aws-iam';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { Construct } from 'constructs';
import type { Contract } from '../core/contract';
import { ErrorName } from '../core/errors';
import type { RunLedger } from '../run-ledger';
import type { TrainerConfig } from '../trainer';
import { jsonata, RUN_ID, runUri, STARTED_AT, TRY } from './expressions';
import { SAGEMAKER_RETRY, SERVICE_RETRY } from './retries';
import { SageMakerJob } from './sagemaker-job';

export interface TrainProps {
  readonly pipelineName: string;
  readonly contract: Contract;
  readonly trainer: TrainerConfig;
  /** The role that the job runs as. */
  readonly role: iam.IRole;
  readonly ledger: RunLedger;
  /** Where a trained model goes on. */
  readonly trained: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Trains, and records the attempt whether it succeeds or not.
 *
 * Sets `$attempt` (job, status, seconds, failure), `$model` (address of the model's archive) and `$trainingJobArn`.
 */
export function train(scope: Construct, props: TrainProps): sfn.IChainable {
  const notTrained = sfn.Pass.jsonata(scope, 'Not trained', {
    assign: {
      failure: {
        name: ErrorName.TRAINING_FAILED,
        cause: jsonata(
          "'the training job ' & $attempt.job & ' ended as ' & $attempt.status & ': ' & $attempt.failure & " +
            "'. Its log is in /aws/sagemaker/TrainingJobs, stream ' & $attempt.job",
        ),
      },
    },
  });
  const recorded = recordAttempt(scope, props).next(
    // a job that was stopped, by hand or by its time limit, is not one that has trained
    sfn.Choice.jsonata(scope, 'Trained?')
      .when(sfn.Condition.jsonata(jsonata("$attempt.status = 'Completed'")), props.trained)
      .otherwise(notTrained.next(props.failed)),
  );
  const job = trainingJob(scope, props);
  job.addCatch(recorded, {
    errors: ['States.ALL'],
    assign: {
      attempt: jsonata(
        '($cause := $states.errorOutput.Cause; $job := $substring($cause, 0, 1) = "{" ? $parse($cause); ' +
          `{'job': $exists($job.TrainingJobName) ? $job.TrainingJobName : ${jobName(props)}, ` +
          "'status': $exists($job.TrainingJobStatus) ? $job.TrainingJobStatus : 'Refused', " +
          "'seconds': $exists($job.BillableTimeInSeconds) ? $job.BillableTimeInSeconds : 0, " +
          "'failure': $exists($job.FailureReason) ? $job.FailureReason : $exists($job.SecondaryStatus) ? " +
          '$job.SecondaryStatus : $exists($cause) ? $cause : $states.errorOutput.Error})',
      ),
    },
  });
  return job.next(recorded);
}

function trainingJob(scope: Construct, props: TrainProps): SageMakerJob {
  const { trainer, contract, role } = props;
  const channel = (ChannelName: string, S3Uri: string) => ({
    ChannelName,
    ContentType: 'application/x-parquet',
    DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri, S3DataDistributionType: 'FullyReplicated' } },
  });
  const [trainUri, validationUri] = [runUri((keys) => keys.train), runUri((keys) => keys.validation)];
  const job = new SageMakerJob(scope, 'Train', {
    kind: 'TrainingJob',
    namePrefix: `${props.pipelineName}-`,
    role,
    arguments: {
      TrainingJobName: jsonata(jobName(props)),
      RoleArn: role.roleArn,
      AlgorithmSpecification: {
        TrainingImage: trainer.image,
        TrainingInputMode: 'File',
        MetricDefinitions: Object.entries(trainer.metrics).map(([Name, Regex]) => ({ Name, Regex })),
      },
      HyperParameters: {
        ...trainer.hyperparameters,
        problem: contract.target.problem,
        ...(contract.key !== undefined && { key: contract.key }),
        sagemaker_program: trainer.program,
        sagemaker_submit_directory: trainer.source.s3ObjectUrl,
        sagemaker_region: Stack.of(scope).region,
        sagemaker_job_name: jsonata(jobName(props)),
      },
      InputDataConfig: [channel('train', trainUri), channel('validation', validationUri)],
      OutputDataConfig: { S3OutputPath: runUri((keys) => keys.models) },
      CheckpointConfig: { S3Uri: runUri((keys) => keys.checkpoints) },
      ResourceConfig: { InstanceType: trainer.instanceType, InstanceCount: 1, VolumeSizeInGB: trainer.volumeSize },
      StoppingCondition: { MaxRuntimeInSeconds: trainer.maxDuration.toSeconds() },
    },
    // longer than the job may run, by the time that it may wait for its machine
    taskTimeout: sfn.Timeout.duration(trainer.maxDuration.plus(Duration.days(1))),
    assign: {
      attempt: {
        job: jsonata('$states.result.TrainingJobName'),
        status: jsonata('$states.result.TrainingJobStatus'),
        seconds: jsonata('$exists($states.result.BillableTimeInSeconds) ? $states.result.BillableTimeInSeconds : 0'),
        failure: jsonata("$exists($states.result.SecondaryStatus) ? $states.result.SecondaryStatus : ''"),
      },
      model: jsonata('$states.result.ModelArtifacts.S3ModelArtifacts'),
      trainingJobArn: jsonata('$states.result.TrainingJobArn'),
    },
  });
  job.addRetry(SAGEMAKER_RETRY);
  return job;
}

/** One job a try: SageMaker never forgets a name. */
function jobName({ pipelineName }: TrainProps): string {
  return `'${pipelineName}-' & ${RUN_ID} & '-' & ${TRY}`;
}

/** Puts the attempt into the ledger; one that is there already was put there by an earlier try. */
function recordAttempt(scope: Construct, { pipelineName, trainer, ledger }: TrainProps): sfn.Chain {
  const done = sfn.Pass.jsonata(scope, 'Attempt recorded');
  const put = tasks.CallAwsService.jsonata(scope, 'Record attempt', {
    service: 'dynamodb',
    action: 'putItem',
    iamAction: 'dynamodb:PutItem',
    iamResources: [ledger.table.tableArn],
    parameters: {
      TableName: ledger.table.tableName,
      ConditionExpression: 'attribute_not_exists(pk)',
      Item: {
        pk: { S: pipelineName },
        sk: { S: jsonata(`'RUN#' & ${STARTED_AT} & '#' & ${RUN_ID} & '#ATTEMPT#' & $attempt.job`) },
        at: { S: jsonata('$states.context.State.EnteredTime') },
        runId: { S: jsonata(RUN_ID) },
        job: { S: jsonata('$attempt.job') },
        instanceType: { S: trainer.instanceType },
        instanceCount: { N: '1' },
        status: { S: jsonata('$attempt.status') },
        billableSeconds: { N: jsonata('$string($attempt.seconds)') },
        failure: { S: jsonata("$attempt.status = 'Completed' ? '' : $attempt.failure") },
      },
    },
  });
  put.addRetry(SERVICE_RETRY);
  put.addCatch(done, { errors: ['DynamoDB.ConditionalCheckFailedException'] });
  return sfn.Chain.start(put).next(done);
}
