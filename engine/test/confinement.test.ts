import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine } from '../src/engine/engine';
import { assemblyOf } from './support/assembly';
import { ROLE } from './support/fake-context';
import { BUCKET, contents, DOUBLE, IMAGE, Lab, trainingRequest } from './support/sagemaker';

// A job stays in its folder, whatever keys, archives, names and scripts bring.

const lab = new Lab();
afterAll(() => lab.stop());

/** What is none of a job's: a folder of the user, beside the engine's. */
let users: string;
let secret: string;
beforeEach(() => {
  users = mkdtempSync(join(tmpdir(), 'users-'));
  secret = join(users, 'secret');
  writeFileSync(secret, 'of the user');
});
afterEach(() => {
  expect(readdirSync(users)).toEqual(['secret']);
  expect(readFileSync(secret, 'utf8')).toBe('of the user');
});

const channel = (key: string, name = 'train') => ({
  ChannelName: name,
  DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/${key}` } },
});

let jobs = 0;
async function train(
  script: string,
  changes: object = {},
): Promise<{ status: string; reason: string; lines: string[] }> {
  const name = `job-${jobs++}`;
  const code = await lab.archive(`code/${name}.tar.gz`, { 'train.py': script });
  lab.context.lines.length = 0;
  await lab.call('CreateTrainingJob', trainingRequest(name, code, changes));
  const { TrainingJobStatus: status, FailureReason: reason = '' } = await lab.finished(name);
  return { status, reason, lines: [...lab.context.lines] };
}

/** The name by which a job's folder is left for the user's. */
const climb = () => `${'../'.repeat(30)}${users.slice(1)}`;

describe('the objects of a channel', () => {
  test.each<[string, () => string]>([
    ['leaves the folder', () => `${climb()}/pwned`],
    ['leaves it later', () => `a/b/${climb()}/pwned`],
    ['ends in ..', () => 'a/..'],
    ['has an empty part', () => 'a//b'],
    ['is absolute', () => `/${users}/pwned`],
    ['has a part .', () => './a'],
    ['has a NUL', () => 'a\0b'],
    ['has a part that is too long', () => 'x'.repeat(300)],
  ])('fail the job by its name, if one %s', async (_, rest) => {
    const prefix = `evil/${jobs}/`;
    await lab.put(`${prefix}good.csv`, 'good');
    await lab.put(`${prefix}${rest()}`, 'evil');
    const { status, reason } = await train('', { InputDataConfig: [channel(prefix)] });
    expect(status).toBe('Failed');
    expect(reason).toMatch(
      /^ClientError: Data download failed: NameError: ".*" cannot be a file's name below a folder/,
    );
  });

  test('fail the job by name, if two have one place', async () => {
    await lab.put('twice/a', '1');
    await lab.put('twice/a/b', '2');
    const { reason } = await train('', { InputDataConfig: [channel('twice/')] });
    expect(reason).toMatch(/the object twice\/a(\/b)? cannot be a file here: its place is taken by another/);
  });

  test('are found under odd names that are harmless', async () => {
    const names = ['.hidden', '...', "it's; $(id) `id` #.csv", 'ä/ü ö.csv', '-rf', 'a\\b', 'line\nbreak'];
    for (const name of names) await lab.put(`odd/${name}`, name);
    const script = `import os
for folder, _, files in os.walk(os.environ['SM_CHANNEL_TRAIN']):
    for name in files:
        path = os.path.join(folder, name)
        assert open(path).read() == os.path.relpath(path, os.environ['SM_CHANNEL_TRAIN']), path
        print('found')`;
    const { status, lines } = await train(script, { InputDataConfig: [channel('odd/')] });
    expect(status).toBe('Completed');
    expect(lines.filter((line) => line === 'found')).toHaveLength(names.length);
  });

  test('lie in no channel that is another folder', async () => {
    await lab.put('config/hyperparameters.json', '{}');
    for (const name of ['..', '.']) {
      const started = train('', { InputDataConfig: [channel('config/', name)] });
      await expect(started).rejects.toThrow(`A channel cannot be called ${name}`);
    }
  });
});

describe('checkpoints', () => {
  const CheckpointConfig = (prefix: string, more: object = {}) => ({ S3Uri: `s3://${BUCKET}/${prefix}`, ...more });

  test('that are brought back do not leave the folder', async () => {
    await lab.put(`ckpt/${climb()}/pwned`, 'evil');
    const { reason } = await train('', { CheckpointConfig: CheckpointConfig('ckpt') });
    expect(reason).toMatch(/^ClientError: Checkpoint download failed: NameError/);
  });

  test('do not overwrite an object that lies linked in their folder', async () => {
    await lab.put('linked/train/a.csv', 'the data');
    await lab.put('over/a.csv', 'a checkpoint');
    const { status } = await train('', {
      InputDataConfig: [channel('linked/train/')],
      CheckpointConfig: CheckpointConfig('over', { LocalPath: '/opt/ml/input/data/train' }),
    });
    expect(status).toBe('Failed');
    expect(readFileSync(await lab.file('linked/train/a.csv'), 'utf8')).toBe('the data');
  });

  test('are not what a link leads to', async () => {
    const script = `import os
os.rmdir('/opt/ml/checkpoints'); os.symlink(${JSON.stringify(users)}, '/opt/ml/checkpoints')`;
    const { reason } = await train(script, { CheckpointConfig: CheckpointConfig('links') });
    expect(reason).toContain('checkpoints is a link to another place');
    expect(await lab.keys('links')).toEqual([]);
  });
});

describe('what a script leaves', () => {
  const made = () => lab.keys('models/').then((keys) => keys.filter((key) => key.includes(`job-${jobs - 1}/`)));

  test.each([
    ['the model', 'model', 'model is a link to another place'],
    ['the output', 'output/data', 'output/data is a link to another place'],
    ['the folder of the output', 'output', 'output/data is a link to another place'],
  ])('is not followed if %s is a link', async (_, part, message) => {
    mkdirSync(join(users, 'data'));
    const script = `import os, shutil
shutil.rmtree('/opt/ml/${part}'); os.symlink(${JSON.stringify(users)}, '/opt/ml/${part}')`;
    const { status, reason } = await train(script);
    rmSync(join(users, 'data'), { recursive: true });
    expect(status).toBe('Failed');
    expect(reason).toContain(message);
    expect(await made()).toEqual([]);
  });

  test('holds no links to elsewhere, and what is left out is told', async () => {
    const script = `import os
os.chdir(os.environ['SM_MODEL_DIR'])
open('weights', 'w').write('1')
os.symlink(${JSON.stringify(secret)}, 'file')
os.symlink(${JSON.stringify(users)}, 'folder')
os.symlink('weights', 'own')
os.mkfifo('pipe')`;
    const { status, lines } = await train(script);
    expect(status).toBe('Completed');
    const [archive = ''] = await made();
    expect(contents(await lab.file(archive))).toEqual(['weights']);
    for (const name of ['file', 'folder', 'own', 'pipe']) {
      expect(lines).toContain(`model/${name} is neither a file nor a folder, and is left out`);
    }
  });

  test('is no reason of failure if it is a link to a file of the user', async () => {
    const script = `import os, sys
os.symlink(${JSON.stringify(secret)}, '/opt/ml/output/failure'); print('last words'); sys.exit(1)`;
    const { reason } = await train(script);
    expect(reason).toContain('last words');
    expect(reason).not.toContain('of the user');
  });
});

describe('the name of a program', () => {
  test.each<[string, () => string]>([
    ['ends the quotes of a shell', () => `x"; touch ${users}/pwned; ".sh`],
    ['has a command in it', () => `$(touch ${users}/pwned).sh`],
    ['has another kind of command in it', () => `\`touch ${users}/pwned\`.sh`],
    ['is an option of Python', () => `-copen('${users}/pwned','w').sh`],
    ['is a module of Python', () => '-mantigravity'],
    ['leaves the folder', () => '../input/data/train/evil.sh'],
    ['leaves it for a program of Python', () => '../input/data/train/evil.py'],
    ['is absolute', () => '/opt/ml/input/data/train/evil.sh'],
    ['is empty', () => ''],
  ])('that %s starts nothing', async (_, program) => {
    const evil = `touch ${users}/pwned`;
    await lab.put('programs/evil.sh', evil);
    await lab.put('programs/evil.py', `open('${users}/pwned', 'w')`);
    const { status, reason } = await train('', {
      HyperParameters: { sagemaker_program: program() },
      InputDataConfig: [channel('programs/')],
    });
    expect(status).toBe('Failed');
    expect(reason).toMatch(/^AlgorithmError: /);
  });

  test('may be odd', async () => {
    for (const program of ["it's $(x).sh", './deep/train.sh', 'train.py']) {
      const code = await lab.archive(`code/odd-${jobs}.tar.gz`, {
        "it's $(x).sh": 'echo "ran $0 with $*"',
        'deep/train.sh': 'echo "ran $0 with $*"',
        'train.py': 'print("ran")',
      });
      const name = `odd-${jobs++}`;
      lab.context.lines.length = 0;
      const HyperParameters = { sagemaker_program: program, 'a-b': '1 2' };
      await lab.call('CreateTrainingJob', trainingRequest(name, code, { HyperParameters }));
      expect((await lab.finished(name)).TrainingJobStatus).toBe('Completed');
      expect(lab.context.lines.at(-4)).toMatch(program.endsWith('.sh') ? /^ran .* with --a-b 1 2$/ : /^ran$/);
    }
  });
});

describe('a model', () => {
  /** Why a transform job with this model failed. */
  async function failure(name: string, files: Record<string, string>, Environment = {}): Promise<string> {
    const ModelDataUrl = await lab.archive(`models/${name}.tar.gz`, files);
    const PrimaryContainer = { Image: IMAGE, ModelDataUrl, Environment };
    await lab.call('CreateModel', { ModelName: name, ExecutionRoleArn: ROLE, PrimaryContainer });
    await lab.put('ask/rows.csv', '1\n');
    await lab.call('CreateTransformJob', {
      ...{ TransformJobName: name, ModelName: name },
      TransformInput: {
        DataSource: { S3DataSource: { S3DataType: 'S3Prefix', S3Uri: `s3://${BUCKET}/ask/` } },
        ContentType: 'text/csv',
      },
      TransformOutput: { S3OutputPath: `s3://${BUCKET}/answers/` },
      TransformResources: { InstanceType: 'ml.m5.large', InstanceCount: 1 },
    });
    await lab.context.idle();
    const { TransformJobStatus, FailureReason } = await lab.call('DescribeTransformJob', { TransformJobName: name });
    return `${TransformJobStatus} ${FailureReason ?? ''}`;
  }

  test('serves no code from outside its folder', async () => {
    writeFileSync(join(users, 'inference.py'), `open(${JSON.stringify(join(users, 'pwned'))}, 'w')`);
    const files = { 'code/inference.py': DOUBLE, weights: '2' };
    const wrong = [{ SAGEMAKER_SUBMIT_DIRECTORY: users }, { SAGEMAKER_PROGRAM: join(users, 'inference.py') }];
    for (const [i, environment] of wrong.entries()) {
      expect(await failure(`outside-${i}`, files, environment)).toContain('must lie below');
    }
    rmSync(join(users, 'inference.py'));
    expect(await failure('inside', files)).toBe('Completed ');
  });
});

describe("a model's server", () => {
  test('answers to who has its secret, and to nobody else', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'serve-'));
    mkdirSync(join(folder, 'model/code'), { recursive: true });
    writeFileSync(
      join(folder, 'model/code/inference.py'),
      `import os\nassert 'PERENNIAL_SECRET' not in os.environ\n${DOUBLE}`,
    );
    writeFileSync(join(folder, 'model/weights'), '2');
    const env = { ...process.env, PERENNIAL_SECRET: 'open sesame' };
    const server = spawn('python3', [resolve('engine/src/containers/serve.py'), folder], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const port = await new Promise<number>((done) => {
      createInterface({ input: server.stdout }).on('line', (line) => done(JSON.parse(line).port));
    });
    const ask = async (authorization?: string) => {
      const headers = { 'content-type': 'text/csv', ...(authorization !== undefined && { authorization }) };
      const reply = await fetch(`http://127.0.0.1:${port}/invocations`, { method: 'POST', body: '4', headers });
      return [reply.status, await reply.text()];
    };
    expect(await ask('Bearer open sesame')).toEqual([200, '8.0\n']);
    for (const wrong of [undefined, 'Bearer ', 'Bearer open', 'open sesame', 'Bearer öpen'])
      expect(await ask(wrong)).toEqual([403, '']);
    expect((await fetch(`http://127.0.0.1:${port}/ping`)).status).toBe(403);
    server.kill('SIGKILL');
  });
});

describe('a script', () => {
  test("sees neither the user's environment nor their AWS profiles", async () => {
    const own = {
      AWS_PROFILE: 'production',
      AWS_SECRET_ACCESS_KEY: 'real',
      AWS_CONFIG_FILE: '/home/kim/.aws/config',
      TOKEN: 'x',
    };
    const before = { ...process.env };
    Object.assign(process.env, own);
    const { lines } = await train(`import json, os
print(json.dumps(dict(os.environ))); print('home', os.path.expanduser('~/.aws'))`);
    for (const name of Object.keys(own)) delete process.env[name];
    Object.assign(process.env, before);
    const env = JSON.parse(lines.find((line) => line.startsWith('{')) ?? '{}');
    expect(env).toMatchObject({ AWS_ACCESS_KEY_ID: ROLE });
    for (const name of ['AWS_PROFILE', 'AWS_CONFIG_FILE', 'TOKEN']) expect(env[name]).toBeUndefined();
    expect(env.AWS_SECRET_ACCESS_KEY).not.toBe('real');
    const home = lines.find((line) => line.startsWith('home '));
    expect(home).toContain(lab.context.stateDir);
  });
});

test("the engine's state is the user's alone", async () => {
  const stateDir = join(mkdtempSync(join(tmpdir(), 'state-')), 'made/here');
  for (const mode of [undefined, 0o755]) {
    if (mode !== undefined) mkdirSync(`${stateDir}-${mode}`, { recursive: true, mode });
    const folder = mode === undefined ? stateDir : `${stateDir}-${mode}`;
    const engine = await Engine.start({ assembly: assemblyOf({}), stateDir: folder });
    await engine.stop();
    expect(statSync(folder).mode & 0o777).toBe(0o700);
  }
});

test('an expression for metrics takes no more than its time', async () => {
  const MetricDefinitions = [
    { Name: 'slow', Regex: '(a+)+$' },
    { Name: 'quick', Regex: 'auc=([0-9.]+)' },
  ];
  const AlgorithmSpecification = { TrainingImage: IMAGE, TrainingInputMode: 'File', MetricDefinitions };
  const code = await lab.archive('code/metrics.tar.gz', {
    'train.py': `print('${'a'.repeat(200)}b'); print('auc=0.7')`,
  });
  await lab.call('CreateTrainingJob', trainingRequest('metrics', code, { AlgorithmSpecification }));
  const { FinalMetricDataList } = await lab.finished('metrics');
  expect(FinalMetricDataList).toMatchObject([{ MetricName: 'quick', Value: 0.7 }]);
  const broken = { ...AlgorithmSpecification, MetricDefinitions: [{ Name: 'broken', Regex: '(' }] };
  const refused = lab.call('CreateTrainingJob', trainingRequest('broken', code, { AlgorithmSpecification: broken }));
  await expect(refused).rejects.toThrow('MetricDefinitions, broken: Invalid regular expression');
});
