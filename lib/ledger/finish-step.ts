import { Duration, Stack } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { FinishRequest, TrainingOutput } from '../core/ledger/documents';
import { EnvName } from '../core/names';
import { candidateModel } from '../judge/candidate-model';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { jsonata, object, present, type Templated } from '../machine/jsonata';
import { invoke } from '../machine/state-parts';
import { allowEvents } from '../private/grants';
import { Handler } from '../private/handler';
import { allowCandidates } from '../private/owner-tags';
import type { TrainingParts } from '../training-step';
import { $ } from '../training-variables';

/**
 * Records the end of the run, whatever it is, lets the next one begin, and takes away what only this one needed.
 *
 * Reads `$outcome`, `$judgement` and `$modelPackageArn`, or `$failure`.
 */
export class FinishStep {
  readonly function: lambda.Function;
  /** Where a failure goes on, with `$failure` set: it is recorded before the execution ends with it. */
  readonly failed: sfn.IChainable;
  /** Where a run goes on that has done all it can, with `$outcome` set. */
  readonly finished: sfn.IChainable;

  constructor(private readonly parts: TrainingParts) {
    const { pipeline, owner, ledger, encryptionKey } = parts;
    const finish = new Handler(pipeline, 'Finish', {
      bundle: 'finish',
      description: 'Records the end of a run and lets the next one begin (lambdas/ledger/finish.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: { [EnvName.MODEL_PACKAGE_GROUP]: owner.registry },
    });
    this.function = finish.function;
    ledger.grantLease(finish.function, owner.pipeline);
    allowEvents(finish.role);
    allowCandidates(finish.role, Stack.of(pipeline), owner);
    this.failed = this.recordFailure();
    this.finished = this.recordEnd();
  }

  private recordFailure(): sfn.IChainable {
    const { states, owner } = this.parts;
    return invoke<FinishRequest, void>(states, 'Record failure', this.function, {
      runId: jsonata(RUN_ID),
      startedAt: jsonata(STARTED_AT),
      outcome: 'FAILED',
      error: jsonata(present($.failure)),
      candidateModel: jsonata(candidateModel(owner)),
    }).next(
      sfn.Fail.jsonata(states, 'Run failed', { error: jsonata($.failure.name), cause: jsonata($.failure.cause) }),
    );
  }

  private recordEnd(): sfn.IChainable {
    const { states, owner } = this.parts;
    const request = object<FinishRequest>(
      { runId: RUN_ID, startedAt: STARTED_AT, outcome: $.outcome, candidateModel: candidateModel(owner) },
      { modelPackageArn: $.modelPackageArn },
    );
    const outputs = {
      runId: jsonata(RUN_ID),
      outcome: jsonata($.outcome),
      verdict: jsonata($.judgement.verdict),
      because: jsonata($.judgement.because),
    } satisfies Templated<TrainingOutput>;
    return invoke<FinishRequest, void>(states, 'Finish', this.function, jsonata(request)).next(
      sfn.Succeed.jsonata(states, 'Done', { outputs }),
    );
  }
}
