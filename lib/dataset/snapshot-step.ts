import { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { SnapshotReport, SnapshotRequest, SplitRule, TrainingInput } from '../core/dataset/documents';
import { EnvName, Prefix } from '../core/names';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { exists, expression, jsonata, literal, orElse, stateInput } from '../machine/jsonata';
import { invoke, orFail } from '../machine/state-parts';
import { grantList, grantObjects } from '../private/grants';
import { Handler } from '../private/handler';
import type { StepProps, TrainingStep } from '../training-step';
import type { TrainingVariables } from '../training-variables';

export interface SnapshotStepProps extends StepProps {
  readonly split: SplitRule;
  /** Train on the newest so many files; all of them, if absent. */
  readonly newestFiles: number | undefined;
}

/** What a run is started with by whoever says nothing. */
const BY_HAND = { reason: 'manual', evidence: [] } satisfies TrainingInput;

/**
 * Freezes the data of the run, or opens the snapshot that it was started with.
 *
 * Reads the machine's input; sets `$data`, `$reason`, `$replay` and `$dataVersion`, and to null what later steps read
 * before they set it.
 */
export class SnapshotStep implements TrainingStep {
  readonly function: lambda.Function;

  constructor(private readonly props: SnapshotStepProps) {
    const { pipeline, owner, data, ledger, encryptionKey } = props;
    const snapshot = new Handler(pipeline, 'Snapshot', {
      bundle: 'snapshot',
      description: 'Freezes the data of a run (lambdas/dataset/snapshot.handler.ts)',
      timeout: Duration.minutes(5),
      memorySize: 512,
      encryptionKey,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName },
    });
    this.function = snapshot.function;
    grantList(snapshot.role, data, [Prefix.INCOMING, Prefix.GROUND_TRUTH], ['s3:ListBucketVersions']);
    grantObjects(snapshot.role, data, ['s3:GetObject'], [Prefix.SNAPSHOTS]);
    grantObjects(snapshot.role, data, ['s3:PutObject'], [Prefix.SNAPSHOTS, Prefix.RUNS]);
    ledger.grantAppend(snapshot.function, owner.pipeline);
    ledger.grantRead(snapshot.function, owner.pipeline);
  }

  states(next: sfn.IChainable): sfn.IChainable {
    const { states, failed, data, contract, split, newestFiles } = this.props;
    const input = stateInput<Partial<TrainingInput>>();
    const snapshot = invoke<SnapshotRequest, SnapshotReport, TrainingVariables>(
      states,
      'Snapshot',
      this.function,
      {
        runId: jsonata(RUN_ID),
        startedAt: jsonata(STARTED_AT),
        input: jsonata(expression<TrainingInput>(`$merge([${literal(BY_HAND)}, ${input}])`)),
        contract,
        split,
        ...(newestFiles !== undefined && { newestFiles }),
      },
      ({ dataVersion }) => ({
        data: `s3://${data.bucketName}/`,
        reason: jsonata(orElse(input.reason, BY_HAND.reason)),
        replay: jsonata(expression<boolean>(`${exists(input.replay)} and ${input.replay}`)),
        dataVersion: jsonata(dataVersion),
        modelPackageArn: null,
        attempt: null,
        caught: null,
      }),
    );
    return orFail(snapshot, failed).next(next);
  }
}
