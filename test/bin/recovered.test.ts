import { appendFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterEach, expect, test } from 'vitest';
import { ASSET_BUCKET, assemblyOf } from '../../engine/test/support/assembly';
import { EngineProcess } from '../support/engine-process';

let engine: EngineProcess | undefined;
afterEach(() => engine?.end('SIGKILL'));

/** A machine that waits for long, and a function that says something. */
function assembly(): string {
  const code = mkdtempSync(join(tmpdir(), 'code-'));
  writeFileSync(join(code, 'index.mjs'), 'export const handler = async () => console.log("hello");');
  const Principal = { Service: ['lambda.amazonaws.com', 'states.amazonaws.com'] };
  const RoleArn = { 'Fn::GetAtt': ['Role', 'Arn'] };
  const States = { Wait: { Type: 'Wait', Seconds: 36_000, End: true } };
  return assemblyOf(
    {
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: {
          AssumeRolePolicyDocument: { Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal }] },
        },
      },
      Machine: {
        Type: 'AWS::StepFunctions::StateMachine',
        Properties: {
          ...{ StateMachineName: 'patient', RoleArn },
          DefinitionString: JSON.stringify({ QueryLanguage: 'JSONata', StartAt: 'Wait', States }),
        },
      },
      Function: {
        Type: 'AWS::Lambda::Function',
        Properties: {
          ...{ FunctionName: 'speaks', Runtime: 'nodejs24.x', Handler: 'index.handler', Role: RoleArn },
          Code: { S3Bucket: ASSET_BUCKET, S3Key: 'code.zip' },
        },
      },
    },
    { assets: { 'code.zip': code } },
  );
}

async function speak({ clientConfig }: EngineProcess): Promise<void> {
  await new LambdaClient(clientConfig).send(new InvokeCommand({ FunctionName: 'speaks' }));
}

test('a start says on the terminal what goes on and what is set aside, also what is found torn later', async () => {
  const [app, state] = [assembly(), join(mkdtempSync(join(tmpdir(), 'recovered-')), 'state')];
  engine = await EngineProcess.start({ assembly: app, state });
  const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:patient';
  await new SFNClient(engine.clientConfig).send(new StartExecutionCommand({ stateMachineArn, name: 'run-1' }));
  await speak(engine);
  await engine.end('SIGKILL');
  appendFileSync(join(state, 'journal.jsonl'), '["s3/versions","torn",{"bucket":"da');
  appendFileSync(join(state, 'logs', 'functions', 'speaks.jsonl'), '[2,"cut o');

  engine = await EngineProcess.start({ assembly: app, state });
  await sleep(50); // the list follows the greeting
  expect(engine.output.slice(engine.output.indexOf('It goes on'))).toBe(`\
It goes on from what an earlier start left in ${state}. Delete the folder to begin anew.
  the execution run-1 of patient goes on at the state 'Wait'
  a line of journal.jsonl is set aside in set-aside/journal.jsonl: it is cut off

`);
  await speak(engine);
  expect(engine.output).toContain(
    ' engine: a line of logs-functions-speaks.jsonl is set aside in set-aside/logs-functions-speaks.jsonl: it is no line of a log\n',
  );
});
