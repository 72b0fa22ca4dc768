import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { buildSync } from 'esbuild';
import type { Engine } from '../../engine/src';

let code: string | undefined;

/** A function as a user of the constructs writes one: `user-function.ts`, with nothing in its environment. */
export function userFunction(scope: Construct, handler: string): lambda.Function {
  if (code === undefined) {
    code = mkdtempSync(join(tmpdir(), 'user-function-'));
    const entryPoints = [join('test', 'support', 'user-function.ts')];
    buildSync({ entryPoints, bundle: true, platform: 'node', outfile: join(code, 'index.js'), logLevel: 'warning' });
  }
  return new lambda.Function(scope, handler, {
    functionName: handler,
    runtime: lambda.Runtime.NODEJS_24_X,
    code: lambda.Code.fromAsset(code),
    handler: `index.${handler}`,
  });
}

/** What a user's function answers; its error, if it throws. */
export async function invoke(engine: Engine, FunctionName: string, event: object = {}): Promise<unknown> {
  const client = new LambdaClient(engine.clientConfig);
  try {
    const { Payload, FunctionError } = await client.send(
      new InvokeCommand({ FunctionName, Payload: JSON.stringify(event) }),
    );
    const answer = JSON.parse(new TextDecoder().decode(Payload));
    if (FunctionError !== undefined) throw new Error(answer.errorMessage);
    return answer;
  } finally {
    client.destroy();
  }
}
