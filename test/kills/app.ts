import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import {
  CapacityOption,
  ContinuousTraining,
  type ContinuousTrainingProps,
  DataContract,
  ServingImage,
  Trainer,
} from '../../lib';

export const PIPELINE = 'flights';
const ROWS = 600;

/** The whole loop with a trainer that costs no time: what `cdk synth` writes. */
export function synthesize(props: Partial<ContinuousTrainingProps> = {}): string {
  const assembly = join(mkdtempSync(join(tmpdir(), 'kills-')), 'cdk.out');
  const app = new App({ outdir: assembly });
  const flights = JSON.parse(readFileSync(join('examples', 'flights', 'contract.json'), 'utf8'));
  const target = { name: 'late', sql: 'hour(date) >= 15', problem: 'binary' }; // what the trainer's model knows
  new ContinuousTraining(new Stack(app, 'Kills'), 'Flights', {
    pipelineName: PIPELINE,
    contract: DataContract.fromObject({ ...flights, target }),
    trainer: Trainer.pytorch({
      sourceDirectory: join('test', 'kills', 'training'),
      entryPoint: 'train.py',
      compute: [CapacityOption.spot('ml.g5.xlarge'), CapacityOption.onDemand('ml.m5.2xlarge')],
      servingImage: ServingImage.xgboost(),
    }),
    ...props,
  });
  app.synth();
  return assembly;
}

/** The flights of some hundred hours, as a CSV file. */
export function flightsOf(period: number): string {
  const rows = Array.from({ length: ROWS }, (_, i) => {
    const at = new Date(Date.UTC(2001, 0, 1, period * ROWS + i)).toISOString().slice(0, 19).replace('T', ' ');
    return `${period * ROWS + i},${at},${i % 50},${300 + i},${i % 2 ? 'ATL,JFK' : 'JFK,ATL'}`;
  });
  return `flight,date,delay,distance,origin,destination\n${rows.join('\n')}\n`;
}
