import { App, CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { DefinitionBody, QueryLanguage, StateMachine, Succeed } from 'aws-cdk-lib/aws-stepfunctions';
import { DatasetBucket, RetrainController, RunLedger } from 'cdk-perennial';

const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Own');

// #region own
// A state machine of your own, started once for every batch of uploads, and never twice for the same data.
const machine = new StateMachine(stack, 'Machine', {
  queryLanguage: QueryLanguage.JSONATA,
  definitionBody: DefinitionBody.fromChainable(Succeed.jsonata(stack, 'Train somehow')),
});
const dataset = new DatasetBucket(stack, 'Dataset');
new RetrainController(stack, 'Controller', {
  dataset,
  ledger: new RunLedger(stack, 'Ledger'),
  pipelineName: 'own',
  machine,
  batchingWindow: Duration.seconds(30),
});
// #endregion

new CfnOutput(stack, 'Bucket', { value: dataset.bucket.bucketName });
new CfnOutput(stack, 'MachineArn', { value: machine.stateMachineArn });
app.synth();
