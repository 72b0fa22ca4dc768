import { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Prefix } from '../core/names';
import type { SealReport, SealRequest } from '../core/registry/documents';
import { RUN_ID } from '../machine/expressions';
import { jsonata, without } from '../machine/jsonata';
import { invoke, orFail } from '../machine/state-parts';
import { grantObjects } from '../private/grants';
import { Handler } from '../private/handler';
import type { StepProps, TrainingStep } from '../training-step';
import { $, type TrainingVariables } from '../training-variables';

/**
 * Puts the trained model where no job may write: what scores, is registered and serves from here on is the copy alone.
 *
 * Reads `$model` (address of the model's archive), and sets it to that of the copy; sets `$seal` (its version and
 * checksum).
 */
export class SealStep implements TrainingStep {
  readonly function: lambda.Function;

  constructor(private readonly props: StepProps) {
    const { pipeline, data, encryptionKey } = props;
    const seal = new Handler(pipeline, 'Seal', {
      bundle: 'seal-model',
      description: 'Puts a trained model where no job may write (lambdas/registry/seal-model.handler.ts)',
      timeout: Duration.minutes(15),
      memorySize: 256,
      encryptionKey,
      environment: {},
    });
    this.function = seal.function;
    grantObjects(seal.role, data, ['s3:GetObject', 's3:GetObjectVersion'], [`${Prefix.RUNS}*/models/`]);
    grantObjects(
      seal.role,
      data,
      ['s3:PutObject', 's3:AbortMultipartUpload', 's3:GetObjectVersion'],
      [`${Prefix.RUNS}*/sealed/`],
    );
  }

  states(next: sfn.IChainable): sfn.IChainable {
    const { states, failed } = this.props;
    const seal = invoke<SealRequest, SealReport, TrainingVariables>(
      states,
      'Seal model',
      this.function,
      { runId: jsonata(RUN_ID), model: jsonata($.model) },
      (sealed) => ({ model: jsonata(sealed.uri), seal: jsonata(without(sealed, 'uri')) }),
    );
    return orFail(seal, failed).next(next);
  }
}
