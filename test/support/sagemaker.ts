import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ScaledClock } from '../../lib/local/clock';
import { S3 } from '../../lib/local/s3';
import { SageMaker, type SageMakerOptions } from '../../lib/local/sagemaker';
import type { Caller, Shape } from '../../lib/local/service';
import { FakeContext, ROLE } from './fake-context';

export const ROOT: Caller = { kind: 'root' };
export const BUCKET = 'bucket';

/** SageMaker and S3 by themselves, with one bucket. */
export class Lab {
  readonly context: FakeContext;
  readonly s3: S3;
  readonly sagemaker: SageMaker;

  constructor(options: SageMakerOptions = {}, scale = 0.01, stateDir = mkdtempSync(join(tmpdir(), 'sagemaker-'))) {
    this.context = new FakeContext(new ScaledClock(scale), stateDir);
    this.s3 = new S3(this.context);
    this.sagemaker = new SageMaker(this.context, this.s3, { python: { interpreter: 'python3' }, ...options });
    this.context.services.sagemaker = this.sagemaker;
    const bucket = { stack: 'S', logicalId: 'B', path: 'S/B', arn: `arn:aws:s3:::${BUCKET}` };
    this.s3.load([{ ...bucket, type: 'AWS::S3::Bucket', physicalId: BUCKET, properties: {} }]);
  }

  call(operation: string, input: Shape): Promise<Shape> {
    return this.context.call('sagemaker', operation, input, ROOT);
  }

  async put(key: string, body: Buffer | string): Promise<string> {
    await this.s3.put(BUCKET, key, Buffer.from(body), ROOT);
    return `s3://${BUCKET}/${key}`;
  }

  async keys(prefix = ''): Promise<string[]> {
    return (await this.s3.list(BUCKET, prefix, ROOT)).map(({ key }) => key);
  }

  file(key: string): Promise<string> {
    return this.s3.file(BUCKET, key, ROOT);
  }

  /** Waits for a job's end. */
  async finished(job: string): Promise<Shape> {
    await this.context.idle();
    return this.call('DescribeTrainingJob', { TrainingJobName: job });
  }

  async stop(): Promise<void> {
    await this.sagemaker.stop();
    this.s3.stop();
  }
}

/** The smallest training request, around a script that lies in S3. */
export function trainingRequest(name: string, code: string, changes: Shape = {}): Shape {
  const { HyperParameters, ...others } = changes;
  return {
    TrainingJobName: name,
    RoleArn: ROLE,
    AlgorithmSpecification: {
      TrainingImage: '683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0',
      TrainingInputMode: 'File',
    },
    HyperParameters: { sagemaker_program: 'train.py', sagemaker_submit_directory: code, ...HyperParameters },
    OutputDataConfig: { S3OutputPath: `s3://${BUCKET}/models` },
    ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 10 },
    StoppingCondition: { MaxRuntimeInSeconds: 60 },
    ...others,
  };
}
