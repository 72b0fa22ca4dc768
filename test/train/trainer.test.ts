import { mkdirSync, mkdtempSync, readdirSync, readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { App, Duration, Lazy, Size, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as ecr from 'aws-cdk-lib/aws-ecr';
import { RegionInfo } from 'aws-cdk-lib/region-info';
import type { Construct } from 'constructs';
import { describe, expect, test } from 'vitest';
import { filesBelow } from '../../engine/src/services/sagemaker/tar';
import { unpack } from '../../engine/src/services/sagemaker/untar';
import {
  CapacityOption,
  DataContract,
  DatasetBucket,
  type ITrainer,
  ModelRegistry,
  type PyTorchTrainerProps,
  RunLedger,
  ServingImage,
  Trainer,
  type TrainerConfig,
  TrainingImage,
  TrainingPipeline,
} from '../../lib';
import { checkedTrainer } from '../../lib/train/trainer-checks';
import { definitionsOf, type State, statesOf } from '../support/definition';
import { CONTRACT, emptyStack } from '../support/stacks';

const TRAINER = 'Stack/Trainer';
const COMPUTE = [CapacityOption.onDemand('ml.g5.xlarge')];
const MINE = '123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/mine';
const METRIC = { 'validation:auc': 'auc=([0-9.]+)' };
const PATCHED = ServingImage.xgboost();

const regional = (region: string) => new Stack(new App(), 'Stack', { env: { region, account: '123456789012' } });

/** What the jobs of a trainer are like. */
function bound(trainer: ITrainer, stack = regional('eu-west-1')) {
  const scope = new DatasetBucket(stack, 'Trainer');
  return checkedTrainer(scope, trainer.bind(scope));
}

/** The machines that a trainer asks for, in their order. */
const machines = (trainer: ITrainer) => bound(trainer).compute.map((option) => option._spec(Duration.hours(1)).label);

/** The training states of a pipeline. */
function statesWith(trainer: ITrainer): Record<string, State> {
  const stack = regional('eu-west-1');
  new TrainingPipeline(stack, 'Training', {
    dataset: new DatasetBucket(stack, 'Dataset'),
    ledger: new RunLedger(stack, 'Ledger'),
    registry: new ModelRegistry(stack, 'Registry', { groupName: 'models' }),
    contract: DataContract.fromObject(CONTRACT),
    trainer,
    pipelineName: 'own',
  });
  const [definition] = Object.values(definitionsOf(Template.fromStack(stack)));
  return Object.fromEntries(statesOf(definition as never));
}

/** A folder with these files. */
function folder(files: Record<string, string> = { 'train.py': 'print(1)\n' }): string {
  const root = mkdtempSync(join(tmpdir(), 'source-'));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

const script = (props: Partial<PyTorchTrainerProps> = {}) =>
  Trainer.pytorch({ sourceDirectory: folder(), entryPoint: 'train.py', servingImage: PATCHED, ...props });

/** The files of the archive that a trainer's source becomes, by name. */
async function packed(props: Partial<PyTorchTrainerProps>): Promise<Record<string, string>> {
  const stack = regional('eu-west-1');
  bound(script(props), stack);
  const { directory } = (stack.node.root as App).synth();
  const archive = readdirSync(directory).find((name) => name.endsWith('.tar.gz')) as string;
  const target = mkdtempSync(join(tmpdir(), 'unpacked-'));
  await unpack(join(directory, archive), target);
  const names = await filesBelow(target);
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(target, name), 'utf8')]));
}

describe('Trainer.xgboost', () => {
  test('trains and serves in the XGBoost image of its region, on ml.g4dn.xlarge first as a spot machine', () => {
    const config = bound(Trainer.xgboost());
    expect(config).toMatchObject({ codeVersion: expect.stringMatching(/^[0-9a-f]{64}$/), torchrun: false });
    expect(config.image).toMatch(/^141502667606\.dkr\.ecr\.eu-west-1\..*\/sagemaker-xgboost:3\.2-0$/);
    expect(config.servingImage).toBe(config.image);
    expect(config).toMatchObject({ framework: 'XGBOOST', frameworkVersion: '3.2-0' });
    expect(machines(Trainer.xgboost())).toEqual(['ml.g4dn.xlarge, spot', 'ml.g4dn.xlarge', 'ml.g5.xlarge']);
  });

  test('has a seed of 42, unless it is told another', () => {
    expect(bound(Trainer.xgboost({ hyperparameters: { eta: '0.3' } })).hyperparameters).toEqual({
      eta: '0.3',
      seed: '42',
    });
    expect(bound(Trainer.xgboost({ seed: 0 })).hyperparameters).toEqual({ seed: '0' });
  });
});

describe('Trainer.tabular', () => {
  test("trains in AWS's PyTorch image, and is served without PyTorch", () => {
    const config = bound(Trainer.tabular());
    expect(config.image).toMatch(/^763104351884\.dkr\.ecr\.eu-west-1\..*\/pytorch:2\.13-cu133-amzn2023-sagemaker$/);
    expect(config.cpuImage).toMatch(/\/pytorch:2\.13-cpu-amzn2023-sagemaker$/);
    expect(config.repositoryArns).toEqual([expect.stringMatching(/:ecr:eu-west-1:763104351884:repository\/pytorch$/)]);
    expect(config.servingImage).toBe(bound(Trainer.xgboost()).image);
    expect(config.servingRepositoryArn).toMatch(/repository\/sagemaker-xgboost$/);
    expect(config).not.toHaveProperty('framework');
    expect(config.torchrun).toBe(true);
    expect(config.source?.program).toBe('train.py');
    expect(Object.keys(config.metrics)).toContain('validation:auc');
  });

  test('takes ml.g5.xlarge as a spot machine, then at the full price, then ml.g5.2xlarge', () => {
    expect(machines(Trainer.tabular())).toEqual(['ml.g5.xlarge, spot', 'ml.g5.xlarge', 'ml.g5.2xlarge']);
    expect(machines(Trainer.tabular({ compute: COMPUTE }))).toEqual(['ml.g5.xlarge']);
  });

  test('passes what it is told', () => {
    const config = bound(Trainer.tabular({ hyperparameters: { epochs: '5' }, seed: 7 }));
    expect(config.hyperparameters).toEqual({ epochs: '5', seed: '7' });
  });

  test('is started by torchrun where there are several GPUs or machines, and has the image that suits the machine', () => {
    const states = statesWith(
      Trainer.tabular({
        compute: [
          CapacityOption.onDemand('ml.g5.xlarge'),
          CapacityOption.spot('ml.g5.12xlarge'),
          CapacityOption.onDemand('ml.m5.xlarge', { instanceCount: 2 }),
        ],
      }),
    );
    const facts = [1, 2, 3].map((n) => {
      const { AlgorithmSpecification, HyperParameters } = states[`Train on option ${n}`].Arguments;
      return [
        AlgorithmSpecification.TrainingImage.split(':')[1],
        HyperParameters.sagemaker_torch_distributed_enabled,
        HyperParameters.sagemaker_instance_type,
      ];
    });
    expect(facts).toEqual([
      ['2.13-cu133-amzn2023-sagemaker', undefined, undefined],
      ['2.13-cu133-amzn2023-sagemaker', 'true', 'ml.g5.12xlarge'],
      ['2.13-cpu-amzn2023-sagemaker', 'true', 'ml.m5.xlarge'],
    ]);
  });
});

describe('Trainer.pytorch', () => {
  test('packs the folder, but nothing hidden and nothing that Python compiled', async () => {
    const sourceDirectory = folder({
      'train.py': 'import parts.net\n',
      'parts/net.py': 'x = 1\n',
      'parts/data/words.txt': '',
      '.git/config': 'secret',
      '.env': 'secret',
      'parts/.hidden': 'secret',
      '__pycache__/train.cpython-312.pyc': '0',
      'parts/__pycache__/net.pyc': '0',
      'old.pyc': '0',
    });
    expect(await packed({ sourceDirectory })).toEqual({
      'train.py': 'import parts.net\n',
      'parts/net.py': 'x = 1\n',
      'parts/data/words.txt': '',
    });
  });

  test('starts a script below the folder', () => {
    const sourceDirectory = folder({ 'src/fit.py': '' });
    const { source } = bound(script({ sourceDirectory, entryPoint: './src/fit.py' }));
    expect(source?.program).toBe('src/fit.py');
  });

  test('has the same version for the same files, wherever and whenever they lie, and another for others', () => {
    const files = { 'b.py': '1', 'a/c.py': '2', 'train.py': '3' };
    const [one, other] = [folder(files), folder(Object.fromEntries(Object.entries(files).reverse()))];
    utimesSync(join(other, 'b.py'), 1e9, 1e9);
    const version = (sourceDirectory: string, requirements?: string[]) =>
      bound(script({ sourceDirectory, ...(requirements && { requirements }) })).codeVersion;
    expect(version(one)).toBe(version(other));
    expect(version(one, ['einops==0.8.1'])).not.toBe(version(one));
    writeFileSync(join(other, 'b.py'), '4');
    expect(version(other)).not.toBe(version(one));
  });

  test('leaves nothing in the temporary folder', () => {
    const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith('perennial-source-'));
    const before = left();
    bound(script());
    expect(left()).toEqual(before);
  });

  test('keeps the archive where assets are not copied', () => {
    const stack = new Stack(new App({ context: { 'aws:cdk:disable-asset-staging': true } }), 'Stack');
    bound(script({ servingImage: ServingImage.fromUri(`${MINE}:1`) }), stack);
    expect(() => Template.fromStack(stack)).not.toThrow();
  });

  test('writes what pip shall install', async () => {
    expect(await packed({ requirements: ['einops==0.8.1', 'polars'] })).toMatchObject({
      'requirements.txt': 'einops==0.8.1\npolars\n',
    });
    const sourceDirectory = folder({ 'train.py': '', 'requirements.txt': 'einops\n' });
    expect(await packed({ sourceDirectory })).toMatchObject({ 'requirements.txt': 'einops\n' });
  });

  test('is told what the user says, the problem and the key, and prints what the user says', () => {
    const states = statesWith(script({ hyperparameters: { epochs: '3' }, metrics: METRIC, compute: COMPUTE }));
    const { HyperParameters, AlgorithmSpecification } = states['Train on option 1'].Arguments;
    expect(HyperParameters).toMatchObject({
      epochs: '3',
      problem: 'binary',
      key: 'id',
      sagemaker_program: 'train.py',
      sagemaker_submit_directory: expect.stringMatching(/^s3:\/\/.*\.gz$/),
      sagemaker_region: 'eu-west-1',
    });
    expect(AlgorithmSpecification.MetricDefinitions).toEqual([{ Name: 'validation:auc', Regex: 'auc=([0-9.]+)' }]);
  });

  test('runs once a machine, unless torchrun is to start it', () => {
    const started = (torchrun?: boolean) =>
      statesWith(
        script({ compute: [CapacityOption.onDemand('ml.g5.12xlarge')], ...(torchrun !== undefined && { torchrun }) }),
      )['Train on option 1'].Arguments.HyperParameters.sagemaker_torch_distributed_enabled;
    expect(started()).toBeUndefined();
    expect(started(true)).toBe('true');
    expect(() => bound(script({ compute: [CapacityOption.onDemand('ml.g5.xlarge', { instanceCount: 2 })] }))).toThrow(
      'compute: this trainer uses one instance, got a capacity option of 2; take a larger one',
    );
  });

  test('has the capacity options of the other trainers for PyTorch, and no metrics, unless it is told', () => {
    expect(machines(script())).toEqual(machines(Trainer.tabular()));
    expect(bound(script())).toMatchObject({ metrics: {}, hyperparameters: {}, torchrun: false });
  });

  test("is served by AWS's last image for it, and warns", () => {
    const stack = regional('us-east-2');
    const config = bound(Trainer.pytorch({ sourceDirectory: folder(), entryPoint: 'train.py' }), stack);
    expect(config.servingImage).toMatch(
      /^763104351884\..*\/pytorch-inference:2\.6\.0-cpu-py312-ubuntu22\.04-sagemaker$/,
    );
    expect(config.servingRepositoryArn).toMatch(/repository\/pytorch-inference$/);
    expect(config.servingEnvironment).toMatchObject({
      SAGEMAKER_PROGRAM: 'inference.py',
      SAGEMAKER_SUBMIT_DIRECTORY: '/opt/ml/model/code',
    });
    expect(config).toMatchObject({ framework: 'PYTORCH', frameworkVersion: '2.6.0' });
    Annotations.fromStack(stack).hasWarning(
      `/${TRAINER}`,
      Match.stringLikeRegexp('no security patches since 2026-06-30; give an image of your own.*unpatched-image'),
    );
  });

  test.each([
    [{ sourceDirectory: '/nowhere' }, "sourceDirectory must be a folder, got '/nowhere', which is not there"],
    [{ sourceDirectory: 'package.json' }, "sourceDirectory must be a folder, got 'package.json', which is a file"],
    [{ entryPoint: 'fit.py' }, /entryPoint must be a \.py or \.sh file in '.*', got 'fit\.py', found train\.py$/],
    [{ entryPoint: 'train' }, "got 'train', found train.py"],
    [{ entryPoint: '../train.py' }, "entryPoint must lie in sourceDirectory, got '../train.py'"],
    [{ entryPoint: 'a/../../train.py' }, "entryPoint must lie in sourceDirectory, got 'a/../../train.py'"],
    [{ entryPoint: '/train.py' }, "entryPoint must lie in sourceDirectory, got '/train.py'"],
    [{ requirements: ['a\nb'] }, 'requirements must be one line each, got "a\\nb"'],
    [{ requirements: [' '] }, 'requirements must be one line each, got " "'],
  ])('refuses %o', (props, message) => {
    expect(() => bound(script(props))).toThrow(message);
    expect(() => bound(script(props))).toThrow(TRAINER);
  });

  test('refuses what a folder cannot hold', () => {
    expect(() => bound(script({ sourceDirectory: folder({}) }))).toThrow("got 'train.py', found none");
    const many = folder(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`part${10 + i}.py`, ''])));
    expect(() => bound(script({ sourceDirectory: many }))).toThrow('part19.py and 2 more');
    expect(() =>
      bound(script({ sourceDirectory: folder({ 'train.sh': '' }), entryPoint: 'train.sh', torchrun: true })),
    ).toThrow("entryPoint must be a .py file for torchrun, got 'train.sh'");
    const own = folder({ 'train.py': '', 'requirements.txt': '' });
    expect(() => bound(script({ sourceDirectory: own, requirements: ['a'] }))).toThrow(
      /requirements must not be given, because '.*' has a requirements\.txt/,
    );
    const deep = `${'d'.repeat(50)}/${'e'.repeat(50)}.py`;
    expect(() => bound(script({ sourceDirectory: folder({ 'train.py': '', [deep]: '' }) }))).toThrow(
      `a file's path must be at most 100 bytes, got ${deep}; shorten it`,
    );
    const large = folder({ 'train.py': '', 'data.bin': '' });
    truncateSync(join(large, 'data.bin'), 501 * 1024 * 1024);
    expect(() => bound(script({ sourceDirectory: large }))).toThrow(
      /sourceDirectory must be at most 500 MB, got 501 MB in '.*'; leave data out of it/,
    );
  });
});

describe('ServingImage', () => {
  const served = (servingImage: ServingImage, stack = regional('eu-west-1')) => bound(script({ servingImage }), stack);

  test('of XGBoost serves a script that needs no PyTorch, and does not warn', () => {
    const stack = regional('eu-west-1');
    expect(served(ServingImage.xgboost(), stack).servingImage).toBe(bound(Trainer.xgboost()).image);
    Annotations.fromStack(stack).hasNoWarning('*', Match.anyValue());
  });

  test('of a repository is pulled from there', () => {
    const stack = regional('eu-west-1');
    const repository = ecr.Repository.fromRepositoryName(stack, 'Repository', 'serving');
    const config = served(ServingImage.fromEcr(repository, '1.4'), stack);
    expect(stack.resolve(config.servingImage)['Fn::Join'][1]).toContain('/serving:1.4');
    expect(config.servingRepositoryArn).toBe(repository.repositoryArn);
    expect(config.servingEnvironment).toHaveProperty('SAGEMAKER_PROGRAM', 'inference.py');
  });

  test('of an address has the permission to pull from its repository', () => {
    const config = served(ServingImage.fromUri(`${MINE}:1.4`));
    expect(config.servingImage).toBe(`${MINE}:1.4`);
    expect(config.servingRepositoryArn).toMatch(/:ecr:eu-west-1:123456789012:repository\/team\/mine$/);
    const arn = 'arn:aws:ecr:eu-west-1:123456789012:repository/other';
    expect(served(ServingImage.fromUri(`${MINE}:1.4`, arn)).servingRepositoryArn).toBe(arn);
  });
});

describe('Trainer.container', () => {
  const own = (image: TrainingImage, servingImage?: ServingImage) =>
    Trainer.container({ image, compute: COMPUTE, ...(servingImage && { servingImage }) });

  test('trains and serves in the image that it is given, without a script', () => {
    const config = bound(
      Trainer.container({
        image: TrainingImage.fromUri(`${MINE}:1.4`),
        compute: COMPUTE,
        hyperparameters: { depth: '3' },
        metrics: METRIC,
      }),
    );
    expect(config).toMatchObject({
      image: `${MINE}:1.4`,
      servingImage: `${MINE}:1.4`,
      servingEnvironment: {},
      codeVersion: '1.4',
      hyperparameters: { depth: '3' },
      metrics: METRIC,
      torchrun: false,
      compute: COMPUTE,
    });
    expect(config).not.toHaveProperty('source');
    expect(config).not.toHaveProperty('cpuImage');
  });

  test('is told no more than the problem and the key', () => {
    const states = statesWith(own(TrainingImage.fromUri(`${MINE}:1.4`)));
    expect(states['Train on option 1'].Arguments.HyperParameters).toEqual({ problem: 'binary', key: 'id' });
  });

  test('may use several machines, for what it does with them is its own', () => {
    const compute = [CapacityOption.onDemand('ml.g5.xlarge', { instanceCount: 4 })];
    const image = TrainingImage.fromUri(`${MINE}:1.4`);
    expect(() => bound(Trainer.container({ image, compute }))).not.toThrow();
  });

  test('serves in another image if it is told', () => {
    const config = bound(own(TrainingImage.fromUri(`${MINE}:1.4`), ServingImage.fromUri(`${MINE}-serving:2`)));
    expect(config).toMatchObject({ servingImage: `${MINE}-serving:2`, codeVersion: '1.4' });
    expect(config.servingRepositoryArn).toMatch(/team\/mine-serving$/);
  });

  test('takes an image by its digest', () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    expect(bound(own(TrainingImage.fromUri(`${MINE}@${digest}`))).codeVersion).toBe(digest);
    const stack = regional('eu-west-1');
    const repository = new ecr.Repository(stack, 'Repository');
    const config = bound(own(TrainingImage.fromEcr(repository, digest)), stack);
    expect(config).toMatchObject({ codeVersion: digest, repositoryArns: [repository.repositoryArn] });
    expect(JSON.stringify(stack.resolve(config.image))).toContain(`@${digest}`);
  });

  test('takes an address that is known only at deployment with its repository', () => {
    const uri = Lazy.string({ produce: () => `${MINE}:1.4` });
    expect(() => bound(own(TrainingImage.fromUri(uri)))).toThrow('must come with its repositoryArn; or take fromEcr');
    const arn = 'arn:aws:ecr:eu-west-1:123456789012:repository/team/mine';
    expect(bound(own(TrainingImage.fromUri(uri, arn)))).toMatchObject({ repositoryArns: [arn], servingImage: uri });
  });

  test.each([
    [
      `${MINE}:latest`,
      'an image must have a tag of its own or a digest, so that a model can be made again, got latest',
    ],
    [MINE, 'got none'],
    [
      'docker.io/library/python:3.12',
      "an image must lie in ECR, like 123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1.4, got 'docker.io/library/python:3.12'",
    ],
    ['', 'an image must lie in ECR'],
    [`${MINE}${'/long'.repeat(50)}:1`, "an image's address must be at most 255 characters, got 306"],
  ])('refuses the image %s', (uri, message) => {
    expect(() => bound(own(TrainingImage.fromUri(uri)))).toThrow(message);
    expect(() => bound(own(TrainingImage.fromUri(`${MINE}:1`), ServingImage.fromUri(uri)))).toThrow(message);
  });

  test('refuses the newest image of a repository', () => {
    const stack = regional('eu-west-1');
    const repository = new ecr.Repository(stack, 'Repository');
    expect(() => bound(own(TrainingImage.fromEcr(repository, 'latest')), stack)).toThrow('got latest');
    expect(() => bound(own(TrainingImage.fromEcr(repository, '')), regional('eu-west-1'))).toThrow('got none');
  });
});

describe("AWS's images", () => {
  test('come from the account that the CDK knows for the region, where it knows one', () => {
    // of these nobody says that the PyTorch images are there
    const unsure = ['eusc-de-east-1', 'me-west-1', 'us-isof-east-1', 'us-isof-south-1'];
    const known = RegionInfo.regions.filter((info) => info.dlcRepositoryAccount && !unsure.includes(info.name));
    expect(known).toHaveLength(29);
    const trainer = script({ servingImage: ServingImage.pytorch() });
    for (const { name, dlcRepositoryAccount } of known) {
      const { image, servingImage } = bound(trainer, regional(name));
      expect([image, servingImage].map((uri) => uri.split('.')[0])).toEqual([
        dlcRepositoryAccount,
        dlcRepositoryAccount,
      ]);
    }
  });

  test('have the address of their partition', () => {
    const stack = regional('cn-north-1');
    const { image, repositoryArns } = bound(Trainer.tabular(), stack);
    expect(JSON.stringify(stack.resolve(image))).toContain('{"Ref":"AWS::URLSuffix"}');
    expect(image).toMatch(/^727897471807\./);
    expect(JSON.stringify(stack.resolve(repositoryArns))).toContain('{"Ref":"AWS::Partition"}');
  });

  test('are looked up at deployment where the region is known only then', () => {
    const stack = emptyStack();
    const config = bound(Trainer.tabular(), stack);
    expect(JSON.stringify(stack.resolve(config.image))).toContain('{"Fn::FindInMap":["PyTorchRegistries",');
    expect(JSON.stringify(stack.resolve(config.servingImage))).toContain('{"Fn::FindInMap":["XGBoostRegistries",');
    const { Mappings } = Template.fromStack(stack).toJSON();
    expect(Mappings.PyTorchRegistries).toMatchObject({
      'us-east-1': { account: '763104351884' },
      'af-south-1': { account: '626614931356' },
      'us-gov-west-1': { account: '442386744353' },
    });
    expect(Mappings.XGBoostRegistries).toMatchObject({ 'us-east-1': { account: '683313688378' } });
  });

  test('are refused where AWS does not publish them', () => {
    expect(() => bound(script(), regional('us-iso-east-1'))).toThrow(
      /Stack\/Trainer: the PyTorch image must be published in the stack's region, got us-iso-east-1, allowed af-south-1, .*us-west-2$/,
    );
    // PyTorch is there, what serves is not
    expect(() => bound(Trainer.tabular(), regional('mx-central-1'))).toThrow(
      "the XGBoost image must be published in the stack's region, got mx-central-1",
    );
  });
});

describe('every trainer', () => {
  const trainers: Array<[string, (props: object) => ITrainer]> = [
    ['xgboost', (props) => Trainer.xgboost(props)],
    ['tabular', (props) => Trainer.tabular(props)],
    ['pytorch', (props) => script(props)],
    [
      'container',
      (props) => Trainer.container({ image: TrainingImage.fromUri(`${MINE}:1`), compute: COMPUTE, ...props }),
    ],
  ];
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, '1']));

  test.each(trainers)('%s runs for 4 hours at most, with no environment, unless it is told', (_, make) => {
    const config = bound(make({}));
    expect(config.maxDuration.toHours()).toBe(4);
    expect(config).toMatchObject({ environment: {} });
    expect(config).not.toHaveProperty('gpuMemory');
    const told = { maxDuration: Duration.days(2), environment: { NCCL_DEBUG: 'INFO' }, gpuMemory: Size.gibibytes(10) };
    expect(bound(make(told))).toMatchObject(told);
  });

  test.each(
    trainers.flatMap(([name, make]) =>
      (
        [
          [{ compute: [] }, 'compute must be 1 to 20 capacity options, got 0'],
          [
            { compute: Array.from({ length: 21 }, () => COMPUTE[0]) },
            'compute must be 1 to 20 capacity options, got 21',
          ],
          [{ gpuMemory: Size.gibibytes(100) }, 'gpuMemory needed is 100 GiB, and a GPU of ml.g5.xlarge has 24'],
          [{ maxDuration: Duration.seconds(59) }, 'maxDuration must be 1 minute to 28 days, got 59 seconds'],
          [{ maxDuration: Duration.days(29) }, 'maxDuration must be 1 minute to 28 days, got 29 days'],
          [{ hyperparameters: many(71) }, 'hyperparameters must be at most 70, got 7'],
          [{ hyperparameters: { key: 'x', sagemaker_program: 'y' } }, 'must not name key, sagemaker_program, which'],
          [{ hyperparameters: { problem: 'x' } }, 'must not name problem, which the pipeline sets; take another name'],
          [{ hyperparameters: { epochs: 3 } }, 'hyperparameters must be strings, got 3 for epochs'],
          [{ hyperparameters: { a: 'x'.repeat(2501) } }, 'at most 2500 characters each, got a with 2501'],
          [{ hyperparameters: { '': 'x' } }, "hyperparameters: a name must be 1 to 256 characters, got ''"],
          [{ hyperparameters: { a: '{% $states %}' } }, 'hyperparameters must not be JSONata, got {% $states %} for a'],
          [{ environment: many(101) }, 'environment must have at most 100 variables, got 101'],
          [{ environment: { A: 'x'.repeat(513) } }, 'environment must be at most 512 characters each, got A with 513'],
          [{ environment: { 'A-B': 'x' } }, "a variable's name must be letters, digits and underscores, got 'A-B'"],
          [{ environment: { A: 1 } }, 'environment must be strings, got 1 for A'],
        ] as Array<[object, string]>
      ).map(([props, message]) => [name, props, message, make] as const),
    ),
  )('%s refuses %o', (_, props, message, make) => {
    expect(() => bound(make(props))).toThrow(message);
  });

  test.each(trainers.slice(0, 2))('%s refuses a seed among its hyperparameters, and one that is none', (_, make) => {
    expect(() => bound(make({ hyperparameters: { seed: '1' } }))).toThrow("give the trainer's seed instead");
    for (const seed of [-1, 1.5, 2 ** 31, Number.NaN]) {
      expect(() => bound(make({ seed }))).toThrow(`seed must be a whole number from 0 to 2147483647, got ${seed}`);
    }
  });

  test.each(
    trainers.slice(2).flatMap(([name, make]) =>
      (
        [
          [many(41), 'metrics must be at most 40, got 41'],
          [
            { a: 'a=(' },
            'metrics: a must be a regular expression with one group, which is the value, got a=(, which is none',
          ],
          [{ a: 'a=[0-9]+' }, 'got a=[0-9]+, which has 0'],
          [{ a: '(a)=([0-9]+)' }, 'got (a)=([0-9]+), which has 2'],
          [{ a: '' }, 'metrics: a must be a regular expression of 1 to 500 characters, got 0'],
          [{ a: `(${'x'.repeat(500)})` }, 'metrics: a must be a regular expression of 1 to 500 characters, got 502'],
          [{ '': '(a)' }, "metrics: a name must be 1 to 255 characters, got ''"],
        ] as Array<[Record<string, string>, string]>
      ).map(([metrics, message]) => [name, metrics, message, make] as const),
    ),
  )('%s refuses the metrics %o', (_, metrics, message, make) => {
    expect(() => bound(make({ metrics }))).toThrow(message);
  });

  test('says all that is wrong at once', () => {
    expect(() => bound(script({ compute: [], environment: { 'A-B': '' }, metrics: { a: 'b' } }))).toThrow(
      /compute must.*; environment: .*; metrics: /,
    );
  });
});

describe('a trainer that somebody else wrote', () => {
  /** What SageMaker's XGBoost is trained with, but for some of it. */
  class Own implements ITrainer {
    constructor(private readonly change: Partial<TrainerConfig>) {}

    bind(scope: Construct): TrainerConfig {
      return { ...Trainer.xgboost().bind(scope), ...this.change };
    }
  }

  test('trains as it says', () => {
    const states = statesWith(new Own({ compute: COMPUTE, hyperparameters: { max_depth: '3' } }));
    const { HyperParameters, ResourceConfig } = states['Train on option 1'].Arguments;
    expect(HyperParameters).toMatchObject({ max_depth: '3', problem: 'binary' });
    expect(ResourceConfig).toMatchObject({ InstanceType: 'ml.g5.xlarge' });
  });

  test.each<[what: string, change: Partial<TrainerConfig>, message: string]>([
    ['no machines', { compute: [] }, 'compute must be 1 to 20 capacity options, got 0'],
    ['an unknown machine', { compute: [CapacityOption.spot('ml.nope.xlarge')] }, 'ml.nope.xlarge'],
    ['300 days', { maxDuration: Duration.days(300) }, 'maxDuration must be 1 minute to 28 days, got 300 days'],
    ['a metric that is no expression', { metrics: { loss: 'loss=(' } }, 'which is none'],
    ['what the pipeline sets', { hyperparameters: { problem: 'binary' } }, 'must not name problem'],
  ])('is refused like ours at synthesis with %s', (_, change, message) => {
    expect(() => statesWith(new Own(change))).toThrow(message);
  });
});
