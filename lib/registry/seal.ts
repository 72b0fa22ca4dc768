import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { SealReport, SealRequest } from '../core/registry/documents';
import { RUN_ID } from '../machine/expressions';
import { jsonata, without } from '../machine/jsonata';
import { invoke, orFail } from '../machine/state-parts';
import { $, type TrainingVariables } from '../training-variables';

export interface SealProps {
  /** The function that copies the model. */
  readonly seal: lambda.IFunction;
  /** Where a sealed model goes on. */
  readonly sealed: sfn.IChainable;
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
}

/**
 * Puts the trained model where no job may write: what scores, is registered and serves from here on is the copy alone.
 *
 * Reads `$model` (address of the model's archive), and sets it to that of the copy; sets `$seal` (its version and
 * checksum).
 */
export function seal(scope: Construct, { seal, sealed, failed }: SealProps): sfn.IChainable {
  const state = invoke<SealRequest, SealReport, TrainingVariables>(
    scope,
    'Seal model',
    seal,
    { runId: jsonata(RUN_ID), model: jsonata($.model) },
    (sealed) => ({ model: jsonata(sealed.uri), seal: jsonata(without(sealed, 'uri')) }),
  );
  return orFail(state, failed).next(sealed);
}
