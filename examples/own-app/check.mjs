import assert from 'node:assert/strict';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { ListExecutionsCommand, SFNClient } from '@aws-sdk/client-sfn';
import { Engine } from 'cdk-perennial/local';

// #region check
const engine = await Engine.start({ assembly: 'cdk.out', timeScale: 0.01 });
const { Bucket, MachineArn } = engine.outputs.Own;
const s3 = new S3Client(engine.clientConfig);
await s3.send(new PutObjectCommand({ Bucket, Key: 'incoming/january.csv', Body: 'id,bad\n1,true\n' }));
await engine.idle();

const sfn = new SFNClient(engine.clientConfig);
const { executions } = await sfn.send(new ListExecutionsCommand({ stateMachineArn: MachineArn }));
assert.equal(executions.length, 1);
assert.equal(executions[0].status, 'SUCCEEDED');
await engine.stop();
// #endregion
console.log(`own-app: ${executions[0].name} succeeded`);
