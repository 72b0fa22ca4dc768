import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ScaledClock } from '../../src/engine/clock';
import type { Caller, Shape } from '../../src/service';
import { S3 } from '../../src/services/s3/service';
import { SageMaker, type SageMakerOptions } from '../../src/services/sagemaker/service';
import { pack } from '../../src/services/sagemaker/tar';
import { FakeContext, ROLE } from './fake-context';

export const ROOT: Caller = { kind: 'root' };
export const BUCKET = 'bucket';
export const IMAGE = '683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0';

/** SageMaker and S3 by themselves, with one bucket. */
export class Lab {
  readonly context: FakeContext;
  readonly s3: S3;
  readonly sagemaker: SageMaker;

  constructor(options: SageMakerOptions = {}, scale = 0.01, stateDir = mkdtempSync(join(tmpdir(), 'sagemaker-'))) {
    this.context = new FakeContext(new ScaledClock(scale), stateDir);
    this.context.whenReady = (work) => this.context.background('start', async () => Promise.resolve().then(work));
    this.s3 = new S3(this.context);
    this.sagemaker = new SageMaker(this.context, this.s3, { python: { interpreter: 'python3' }, ...options });
    Object.assign(this.context.services, { sagemaker: this.sagemaker, s3: this.s3 });
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

  /** Packs files as SageMaker wants code and models, and puts them into S3. */
  async archive(key: string, files: Readonly<Record<string, string>>): Promise<string> {
    const folder = mkdtempSync(join(tmpdir(), 'archive-'));
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    await pack(folder, `${folder}.tar.gz`);
    return this.put(key, readFileSync(`${folder}.tar.gz`));
  }

  /** Makes a model whose code is this. */
  async model(name: string, inference: string): Promise<void> {
    const ModelDataUrl = await this.archive(`models/${name}.tar.gz`, { 'code/inference.py': inference, weights: '2' });
    await this.call('CreateModel', {
      ModelName: name,
      ExecutionRoleArn: ROLE,
      PrimaryContainer: { Image: IMAGE, ModelDataUrl },
    });
  }

  /** Waits until a job has got as far. */
  async reached(job: string, secondary: string): Promise<Shape> {
    for (;;) {
      const described = await this.call('DescribeTrainingJob', { TrainingJobName: job });
      if (described.SecondaryStatus === secondary) return described;
      await new Promise((done) => setTimeout(done, 10));
    }
  }

  /** Waits for a job's end. */
  async finished(job: string): Promise<Shape> {
    await this.context.idle();
    return this.call('DescribeTrainingJob', { TrainingJobName: job });
  }

  async stop(): Promise<void> {
    this.context.end();
    await this.sagemaker.stop();
    this.context.store.close();
  }
}

/** The smallest training request, around a script that lies in S3. */
export function trainingRequest(name: string, code: string, changes: Shape = {}): Shape {
  const { HyperParameters, ...others } = changes;
  return {
    TrainingJobName: name,
    RoleArn: ROLE,
    AlgorithmSpecification: {
      TrainingImage: IMAGE,
      TrainingInputMode: 'File',
    },
    HyperParameters: { sagemaker_program: 'train.py', sagemaker_submit_directory: code, ...HyperParameters },
    OutputDataConfig: { S3OutputPath: `s3://${BUCKET}/models` },
    ResourceConfig: { InstanceType: 'ml.m5.large', InstanceCount: 1, VolumeSizeInGB: 10 },
    StoppingCondition: { MaxRuntimeInSeconds: 60 },
    ...others,
  };
}

/** Asks the model `double` about the rows of a small file, line by line. */
export function transformRequest(name: string, changes: Shape = {}): Shape {
  return {
    TransformJobName: name,
    ModelName: 'double',
    TransformInput: {
      DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/rows/small.csv` } },
      ContentType: 'text/csv',
      SplitType: 'Line',
    },
    TransformOutput: { S3OutputPath: `s3://${BUCKET}/out/${name}`, Accept: 'text/csv', AssembleWith: 'Line' },
    TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
    ...changes,
  };
}

/** The names in a tar.gz. */
export function contents(archive: string): string[] {
  return execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n').filter(Boolean);
}

/** The secondary statuses that a job went through. */
export function path(job: Shape): string[] {
  return job.SecondaryStatusTransitions.map(({ Status }: Shape) => Status);
}

/** Code of a model that multiplies each line by its weight, and refuses what is no number. */
export const DOUBLE = `
def model_fn(folder):
    return float(open(folder + '/weights').read())
class Refused(Exception):
    status_code = 400
def input_fn(body, kind):
    try:
        return [float(line) for line in body.split()]
    except ValueError as error:
        raise Refused(f'no number: {error}')
def predict_fn(rows, weight):
    return [row * weight for row in rows]
def output_fn(rows, accept):
    return '\\n'.join(map(str, rows)) + '\\n', accept
`;
