import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { Contract } from './core/dataset/contract';
import type { Owner } from './core/ownership';
import type { IRunLedger } from './ledger/run-ledger';
import type { TrainerConfig } from './train/trainer-props';

/** What the steps of a training machine are made with. */
export interface TrainingParts {
  /** The pipeline, in which functions and roles stand. */
  readonly pipeline: Construct;
  /** The scope of the states: their names are what the console shows. */
  readonly states: Construct;
  readonly owner: Owner;
  readonly data: s3.IBucket;
  readonly ledger: IRunLedger;
  readonly contract: Contract;
  readonly trainer: TrainerConfig;
  /** What encrypts logs, environments and disks, if a key of the user's does. */
  readonly encryptionKey: kms.IKey | undefined;
}

/** The same, with where the steps lead beside the next one. */
export interface StepProps extends TrainingParts {
  /** Where a failure goes on, with `$failure` set. */
  readonly failed: sfn.IChainable;
  /** Where a run goes on that ends well before the last step, with `$outcome` set. */
  readonly finished: sfn.IChainable;
}

/** A step of the training machine. It owns its functions, its roles, what they may do, and its states. */
export interface TrainingStep {
  /**
   * Makes the states.
   *
   * @param next what comes after this step
   * @returns the first of them
   */
  states(next: sfn.IChainable): sfn.IChainable;
}

/** One step after the other, to an end. */
export function inOrder(steps: readonly TrainingStep[], end: sfn.IChainable): sfn.IChainable {
  return steps.reduceRight((next, step) => step.states(next), end);
}
