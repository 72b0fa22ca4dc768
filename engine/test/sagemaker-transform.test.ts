import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Shape } from '../src/service';
import { BUCKET, DOUBLE, Lab, transformRequest } from './support/sagemaker';

const lab = new Lab();
afterAll(() => lab.stop());

async function transformed(name: string, changes: Shape = {}): Promise<Shape> {
  await lab.call('CreateTransformJob', transformRequest(name, changes));
  await lab.context.idle();
  return lab.call('DescribeTransformJob', { TransformJobName: name });
}

describe('a transform job', () => {
  beforeAll(async () => {
    await lab.model('double', DOUBLE);
    await lab.put('rows/small.csv', '1\n2\n3\n');
    await lab.put('rows/wrong.csv', '1\nx\n');
  });

  it('asks the model about every row, in order', async () => {
    const job = await transformed('small');

    expect(job).toMatchObject({ TransformJobStatus: 'Completed', TransformEndTime: expect.any(Date) });
    expect(readFileSync(await lab.file('out/small/small.csv.out'), 'utf8')).toBe('2.0\n4.0\n6.0\n');
    const statuses = lab.context.events
      .filter((event) => event['detail-type'] === 'SageMaker Transform Job State Change')
      .map(({ detail }) => detail.TransformJobStatus);
    expect(statuses).toEqual(['InProgress', 'Completed']);
  });

  it('cuts a file that is larger than a payload between lines, and loses none', async () => {
    const rows = Array.from({ length: 300_000 }, (_, index) => index);
    await lab.put('large/rows.csv', rows.join('\n')); // no line break at the end

    const S3DataSource = { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/large/` };
    const job = await transformed('large', {
      MaxPayloadInMB: 1,
      BatchStrategy: 'MultiRecord',
      TransformInput: { DataSource: { S3DataSource }, ContentType: 'text/csv', SplitType: 'Line' },
    });

    expect(job.FailureReason).toBeUndefined();
    const answers = readFileSync(await lab.file('out/large/rows.csv.out'), 'utf8')
      .trimEnd()
      .split('\n');
    expect(answers.map(Number)).toEqual(rows.map((row) => row * 2));
  });

  it('asks line by line where that is wanted', async () => {
    await transformed('single', { BatchStrategy: 'SingleRecord' });

    expect(readFileSync(await lab.file('out/single/small.csv.out'), 'utf8')).toBe('2.0\n4.0\n6.0\n');
  });

  it('fails with what the model says about a bad row, and writes nothing', async () => {
    const S3DataSource = { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/rows/wrong.csv` };

    const job = await transformed('wrong', {
      TransformInput: { DataSource: { S3DataSource }, ContentType: 'text/csv', SplitType: 'Line' },
    });

    expect(job.TransformJobStatus).toBe('Failed');
    expect(job.FailureReason).toMatch(/^ClientError: the model answered 400 to wrong.csv: no number: .*'x'/);
    expect(await lab.keys('out/wrong')).toEqual([]);
  });

  it.each([
    [
      'throws while loading',
      'def model_fn(folder): raise ValueError("half a model")',
      /ping.*ValueError: half a model/s,
    ],
    ['ends its process', 'import os\ndef model_fn(folder): os._exit(7)', /did not pass the ping health check/],
    ['has no code', undefined, /no inference.py in .*weights/],
  ])('fails where the model %s', async (what, code, reason) => {
    const name = what.replaceAll(' ', '-');
    if (code !== undefined) await lab.model(name, code);
    else {
      const ModelDataUrl = await lab.archive(`models/${name}.tar.gz`, { weights: '1' });
      const { ExecutionRoleArn, PrimaryContainer } = await lab.call('DescribeModel', { ModelName: 'double' });
      const container = { ...PrimaryContainer, ModelDataUrl };
      await lab.call('CreateModel', { ModelName: name, ExecutionRoleArn, PrimaryContainer: container });
    }

    const job = await transformed(name, { ModelName: name });

    expect(job.TransformJobStatus).toBe('Failed');
    expect(job.FailureReason).toMatch(reason);
  });

  it('fails where the model role may not read the rows', async () => {
    lab.context.denied.add('s3:GetObject');
    const job = await transformed('denied');
    lab.context.denied.clear();

    expect(job.FailureReason).toMatch(/AccessDenied/);
  });

  it('stops when asked to', async () => {
    await lab.model('slow', `${DOUBLE}\nimport time\npredict_fn = lambda rows, weight: time.sleep(60)`);
    await lab.call('CreateTransformJob', transformRequest('stopped', { ModelName: 'slow' }));

    await lab.call('StopTransformJob', { TransformJobName: 'stopped' });
    await lab.context.idle();

    expect(await lab.call('DescribeTransformJob', { TransformJobName: 'stopped' })).toMatchObject({
      TransformJobStatus: 'Stopped',
    });
  });
});
