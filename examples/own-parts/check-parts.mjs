import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DynamoDBClient, ScanCommand } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { Engine } from 'cdk-perennial/local';
import { Parameters } from './parts.mjs';

const assembly = join(import.meta.dirname, 'cdk.out.parts');
const services = [(context) => new Parameters(context)];
const engine = await Engine.start({ assembly, timeScale: 0.001, schedules: false, services });
const { Bucket, EdgeBucket, Table } = engine.outputs.OwnParts;
const s3 = new S3Client(engine.clientConfig);
const upload = (Key, first) => s3.send(new PutObjectCommand({ Bucket, Key, Body: hours(first) }));

/** What the ledger holds of a kind, e.g. `DECISION#`, oldest first. */
async function facts(prefix) {
  await engine.idle(120_000);
  const { Items } = await new DynamoDBClient(engine.clientConfig).send(new ScanCommand({ TableName: Table }));
  return Items.filter(({ sk }) => sk.S.startsWith(prefix)).sort((a, b) => (a.sk.S < b.sk.S ? -1 : 1));
}

/** 600 hours, of which those from 15 o'clock on are late. */
function hours(first) {
  const rows = Array.from({ length: 600 }, (_, i) => {
    const at = new Date(Date.UTC(2026, 0, 1, first + i));
    return `${first + i},${at.toISOString().slice(0, 19).replace('T', ' ')},${at.getUTCHours() >= 15}`;
  });
  return `id,moment,late\n${rows.join('\n')}\n`;
}

await upload('incoming/january.csv', 0);
const deployed = await facts('DEPLOYMENT#');
assert.deepEqual(
  deployed.map(({ outcome }) => outcome.S),
  ['DEPLOYED', 'DEPLOYED'],
);
console.log('own trainer: its model is in service');
const { Metadata } = await s3.send(new HeadObjectCommand({ Bucket: EdgeBucket, Key: 'hours-edge/model.tar.gz' }));
assert.equal(Metadata.version, '1');
console.log('own serving target: the version is served there too');

await upload('incoming/february.csv', 600);
await facts('DECISION#');
const entry = { Source: 'labelling', DetailType: 'Labels Ready', Detail: '{"batch":"seven"}' };
await new EventBridgeClient(engine.clientConfig).send(new PutEventsCommand({ Entries: [entry] }));
const asked = (await facts('DECISION#')).at(-1);
assert.equal(asked.reason.S, 'manual');
const started = (await facts('RUN#')).filter(({ kind }) => kind.S === 'RunStarted').at(-1);
assert.equal(started.runId.S, asked.runId.S);
for (const said of ['labelling', 'seven']) assert.ok(JSON.stringify(started.evidence).includes(said));
console.log('own trigger: asked for a run');

engine.advance(2 * 3600_000); // drift starts no run within an hour of the last
await upload('ground-truth/march.csv', 1200);
const drift = (await facts('DECISION#')).at(-1);
assert.equal(drift.reason.S, 'drift');
assert.equal(drift.decided.S, 'STARTED');
console.log('own monitor, on own service: its drift started a run');
await engine.stop();

const twice = [(context) => new Parameters(context), (context) => new Parameters(context)];
await assert.rejects(Engine.start({ assembly, services: twice }), /one service of the name 'ssm', got two/);
console.log('own service: a second of its name is refused');
