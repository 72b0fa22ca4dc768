import type * as kms from 'aws-cdk-lib/aws-kms';
import type { Owner } from '../core/ownership';
import type { IDataset } from '../dataset/dataset';
import type { IRunLedger } from '../ledger/run-ledger';
import type { IModelRegistry } from '../registry/model-registry';

/** What every step of a deployment is told. */
export interface DeploymentStepProps {
  readonly dataset: IDataset;
  readonly ledger: IRunLedger;
  readonly registry: IModelRegistry;
  /** Whose everything is that is made. */
  readonly owner: Owner;
  readonly encryptionKey: kms.IKey | undefined;
}
