import { Duration, Size } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { EnvName, Prefix } from '../core/names';
import type { PrepareReport, PrepareRequest } from '../core/prepare/documents';
import { RUN_ID } from '../machine/expressions';
import { jsonata } from '../machine/jsonata';
import { PREPARE_RETRIES } from '../machine/retries';
import { invoke, orFail } from '../machine/state-parts';
import { grantObjects } from '../private/grants';
import { Handler } from '../private/handler';
import type { StepProps, TrainingStep } from '../training-step';

export interface PrepareStepProps extends StepProps {
  /** Of the function. */
  readonly memory: Size;
}

/** Checks, quarantines, derives and splits the data of the run; everything is written below the run's prefix. */
export class PrepareStep implements TrainingStep {
  readonly function: lambda.Function;

  constructor(private readonly props: PrepareStepProps) {
    const { pipeline, owner, data, ledger, encryptionKey, memory } = props;
    const prepare = new Handler(pipeline, 'Prepare', {
      bundle: 'data',
      entry: 'prepare.handler',
      description: 'Checks, quarantines, derives and splits the data of a run (lambdas/prepare/prepare.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: memory.toMebibytes(),
      ephemeralStorageSize: Size.gibibytes(10),
      encryptionKey,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName },
    });
    this.function = prepare.function;
    grantObjects(prepare.role, data, ['s3:GetObject', 's3:PutObject'], [Prefix.RUNS]);
    grantObjects(prepare.role, data, ['s3:GetObjectVersion'], [Prefix.INCOMING, Prefix.GROUND_TRUTH]);
    ledger.grantLease(prepare.function, owner.pipeline); // it notes what it is at, for the next attempt
  }

  states(next: sfn.IChainable): sfn.IChainable {
    const { states, failed } = this.props;
    const prepare = invoke<PrepareRequest, PrepareReport>(states, 'Prepare', this.function, { runId: jsonata(RUN_ID) });
    for (const retry of PREPARE_RETRIES) prepare.addRetry(retry);
    return orFail(prepare, failed).next(next);
  }
}
