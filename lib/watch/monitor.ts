import type { Construct } from 'constructs';
import type { IDataset } from '../dataset/dataset';
import type { RetrainController } from '../dataset/retrain-controller';
import type { IRunLedger } from '../ledger/run-ledger';

/** What a monitor is told about the loop that it serves. */
export interface MonitorTarget {
  /** The pipeline's name in the ledger, in events and in metrics. */
  readonly pipelineName: string;
  /** The endpoint that is watched. */
  readonly endpointName: string;
  /** Captured requests (`capture/`), true outcomes (`ground-truth/`), and what runs wrote (`runs/`). */
  readonly dataset: IDataset;
  /** What happened to the pipeline. */
  readonly ledger: IRunLedger;
  /** What drift is reported to: see `grantReportDrift`. */
  readonly controller: RetrainController;
}

/** Watches what is in service, and reports drift. */
export interface IMonitor {
  /**
   * Makes what watches. The alarms in the scope are told to the loop's notifications.
   *
   * @param scope this monitor's alone
   */
  bind(scope: Construct, target: MonitorTarget): void;
}
