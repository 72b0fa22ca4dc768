import { Duration, Stack } from 'aws-cdk-lib';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { SmokeTestReport, SmokeTestRequest } from '../../core/deploy/documents';
import { EnvName, Prefix } from '../../core/names';
import { jsonata } from '../../machine/jsonata';
import { invoke } from '../../machine/state-parts';
import { grantList, grantObjects, grantSageMaker } from '../../private/grants';
import { Handler } from '../../private/handler';
import { $ } from './endpoint-variables';

export interface SmokeTestProps {
  readonly endpointName: string;
  readonly data: s3.IBucket;
  readonly encryptionKey: kms.IKey | undefined;
}

/** The state that asks the endpoint about rows whose answers are known. */
export function smokeTest(scope: Construct, states: Construct, props: SmokeTestProps): sfn.TaskStateBase {
  const { endpointName, data, encryptionKey } = props;
  const handler = new Handler(scope, 'SmokeTest', {
    bundle: 'smoke-test',
    description: 'Asks the endpoint about rows whose answers are known (lambdas/deploy/smoke-test.handler.ts)',
    timeout: Duration.minutes(2),
    memorySize: 256,
    encryptionKey,
    environment: { [EnvName.DATA_BUCKET]: data.bucketName },
  });
  grantObjects(handler.role, data, ['s3:GetObject'], [Prefix.RUNS]);
  grantList(handler.role, data, [Prefix.RUNS]); // else a missing key answers 403
  grantSageMaker(handler.role, Stack.of(scope), ['sagemaker:InvokeEndpoint'], [`endpoint/${endpointName}`]);
  return invoke<SmokeTestRequest, SmokeTestReport>(states, 'Smoke test', handler.function, {
    endpointName,
    runId: jsonata($.plan.runId),
  });
}
