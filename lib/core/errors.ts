import { shortened } from './listed';

/**
 * The names by which state machines, the ledger and the CLI tell failures apart.
 *
 * A name is part of the contract: a `Catch` in `lib/steps` matches what a handler in
 * `lambdas` throws. Names may be added, never changed.
 */
export const ErrorName = {
  /** There is nothing to train on, or a file cannot be read at all; another try would fail alike. */
  DATA_UNREADABLE: 'Perennial.DataUnreadable',
  /** The data breaks its contract beyond what the contract tolerates; another try would fail alike. */
  DATA_REJECTED: 'Perennial.DataRejected',
  /** The data is too much for the function that prepares it; no single file is. */
  DATA_TOO_LARGE: 'Perennial.DataTooLarge',
  /** Data could not be prepared, and no file explains it: a person is needed; another try would fail alike. */
  PREPARATION_FAILED: 'Perennial.PreparationFailed',
  /** The search for the file because of which data cannot be prepared goes on in a function with time of its own. */
  PREPARE_AGAIN: 'Perennial.PrepareAgain',
  /** The training job ended without a usable model. */
  TRAINING_FAILED: 'Perennial.TrainingFailed',
  /** What the run's jobs may cost, or the month's, does not allow (another) one. */
  BUDGET_EXCEEDED: 'Perennial.BudgetExceeded',
  /** A model did not answer the holdout with one finite score a row. */
  SCORING_FAILED: 'Perennial.ScoringFailed',
  /** The model package is not approved (any more), or is gone. */
  NOT_DEPLOYABLE: 'Perennial.NotDeployable',
  /** Something in SageMaker has the name that ours would have, and is somebody else's. */
  NAME_TAKEN: 'Perennial.NameTaken',
  /** A model's archive is not the one that was judged (any more). */
  MODEL_CHANGED: 'Perennial.ModelChanged',
  /** The endpoint did not come to serve the requested model. */
  DEPLOYMENT_FAILED: 'Perennial.DeploymentFailed',
  /** A quota was full, or no instance was free, for as long as that is waited for. */
  NO_MACHINES: 'Perennial.NoMachines',
  /** The endpoint answered the smoke test wrongly. */
  SMOKE_TEST_FAILED: 'Perennial.SmokeTestFailed',
  /** A document of ours (contract, snapshot, baseline) is not what it must be. */
  INVALID_DOCUMENT: 'Perennial.InvalidDocument',
  /** So many requests for snapshots of their own wait already that the ledger holds no more; another try may find room. */
  TOO_MANY_WAIT: 'Perennial.TooManyWait',
  /** Others changed an item of the ledger again and again while it was to be changed; another try may succeed. */
  LEDGER_BUSY: 'Perennial.LedgerBusy',
} as const;
export type ErrorName = (typeof ErrorName)[keyof typeof ErrorName];

/** Lambda sends a message twice (its stack begins with it), and Step Functions keeps 32,768 characters of both. */
export const LONGEST_MESSAGE = 8000;

/** A failure that a state machine can name, and so catch or retry. */
export class PerennialError extends Error {
  constructor(name: ErrorName, message: string, options?: ErrorOptions) {
    super(shortened(message, LONGEST_MESSAGE), options);
    this.name = name; // Lambda reports `name` as the error type; a minified class name would not match
  }
}
