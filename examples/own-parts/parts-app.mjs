import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import { ContinuousTraining, DataContract, DriftTrigger, ModelDeployment, NewDataTrigger } from 'cdk-perennial';
import { HourTrainer, LabelsReady, SizeMonitor } from './parts.mjs';
import { ArchiveTarget } from './serving-target.mjs';

export const CONTRACT = {
  columns: [
    { name: 'id', type: 'integer', unique: true },
    { name: 'moment', type: 'timestamp' },
    { name: 'late', type: 'boolean' },
  ],
  key: 'id',
  eventTime: 'moment',
  features: [{ name: 'hour', sql: 'hour(moment)', kind: 'number' }],
  target: 'late',
};

/** The whole loop with a trainer, a trigger and a monitor of one's own. */
export function ownLoop(stack, props = {}) {
  return new ContinuousTraining(stack, 'Hours', {
    pipelineName: 'hours',
    contract: DataContract.fromObject(CONTRACT),
    trainer: new HourTrainer(),
    triggers: [new NewDataTrigger(), new DriftTrigger(), new LabelsReady()],
    ...props,
  });
}

const app = new App({ outdir: 'cdk.out.parts' });
const stack = new Stack(app, 'OwnParts');
const parameter = new ssm.StringParameter(stack, 'Limit', { parameterName: '/limit', stringValue: '10' });
const { dataset, ledger, registry } = ownLoop(stack, { monitor: new SizeMonitor(parameter) });
const edge = new s3.Bucket(stack, 'Edge', { versioned: true });
new ModelDeployment(stack, 'EdgeDeployment', {
  ...{ dataset, ledger, registry, pipelineName: 'hours-edge', versionsOf: 'hours' },
  target: new ArchiveTarget({ bucket: edge, name: 'hours-edge' }),
});
new CfnOutput(stack, 'Bucket', { value: dataset.bucket.bucketName });
new CfnOutput(stack, 'Table', { value: ledger.table.tableName });
new CfnOutput(stack, 'EdgeBucket', { value: edge.bucketName });
app.synth();
