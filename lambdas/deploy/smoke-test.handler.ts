import { S3Client } from '@aws-sdk/client-s3';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import type { RunDocument } from '../../lib/core/dataset/documents';
import { type DatasetKind, kindOf } from '../../lib/core/dataset/kind';
import type { SmokeTestReport, SmokeTestRequest } from '../../lib/core/deploy/documents';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { checkAnswers, parseScores } from '../../lib/core/judge/scores';
import { readRun } from '../../lib/core/ledger/stored';
import { EnvName, runKeys, SMOKE_TEST_ID } from '../../lib/core/names';
import { problemOf } from '../../lib/core/problem';
import { env } from '../shared/env';
import { firstLines } from '../shared/first-lines';
import { lazy } from '../shared/lazy';
import { S3Store } from '../shared/s3-store';

export interface SmokeTestPorts {
  readRun(runId: string): Promise<RunDocument>;
  /** The first lines of an object; none if there is no object. */
  lines(key: string, most: number): Promise<string[]>;
  /** What the endpoint answers. */
  ask(endpointName: string, rows: string, types: DatasetKind['requests']): Promise<string>;
  /** Milliseconds. */
  now(): number;
}

/** How many rows of the holdout the endpoint is asked about. */
const ROWS = 20;

/** Runs {@link smokeTest} on the endpoint and the run's holdout. */
export async function handler(request: SmokeTestRequest): Promise<SmokeTestReport> {
  return smokeTest(onAws(), request);
}

const onAws = lazy((): SmokeTestPorts => {
  const store = new S3Store(new S3Client(), env(EnvName.DATA_BUCKET));
  const runtime = new SageMakerRuntimeClient();
  return {
    readRun: async (runId) => {
      const key = runKeys(runId).run;
      return readRun(await store.getJson(key), key);
    },
    lines: (key, most) => firstLines(store, key, most),
    async ask(EndpointName, Body, { contentType, answerType }) {
      const { Body: answer } = await runtime.send(
        new InvokeEndpointCommand({
          EndpointName,
          Body,
          ContentType: contentType,
          Accept: answerType,
          InferenceId: SMOKE_TEST_ID, // so that the monitor does not take it for a customer
        }),
      );
      return new TextDecoder().decode(answer);
    },
    now: () => performance.now(),
  };
});

/** Asks the endpoint about rows of the holdout: it must answer what the model answered when it was judged. */
export async function smokeTest(
  ports: SmokeTestPorts,
  { endpointName, runId }: SmokeTestRequest,
): Promise<SmokeTestReport> {
  const keys = runKeys(runId);
  const [{ contract }, rows, scored] = await Promise.all([
    ports.readRun(runId),
    ports.lines(keys.holdoutRows, ROWS),
    ports.lines(keys.answers('candidate'), ROWS),
  ]);
  if (rows.length === 0) {
    throw new PerennialError(
      ErrorName.SMOKE_TEST_FAILED,
      `the run ${runId} must have rows at ${keys.holdoutRows} to ask the endpoint about, got none; train again`,
    );
  }
  const began = ports.now();
  const answer = await ask(ports, endpointName, `${rows.join('\n')}\n`, kindOf(contract.kind).requests);
  const latencyMs = Math.round(ports.now() - began);
  const problem = problemOf(contract.target.problem);
  const read = (text: string) => parseScores(problem.scores, text);
  checkAnswers(problem, read(answer), rows.length, read(scored.join('\n')));
  return { rows: rows.length, latencyMs };
}

async function ask(
  ports: SmokeTestPorts,
  endpointName: string,
  body: string,
  types: DatasetKind['requests'],
): Promise<string> {
  try {
    return await ports.ask(endpointName, body, types);
  } catch (cause) {
    const { name, message } = cause as Error;
    if (name !== 'ModelError' && name !== 'ModelNotReadyException') throw cause;
    throw new PerennialError(
      ErrorName.SMOKE_TEST_FAILED,
      `the endpoint must answer rows of the holdout, got an error of the model: ${message.slice(0, 500)}`,
      { cause },
    );
  }
}
