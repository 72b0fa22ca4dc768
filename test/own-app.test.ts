import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'perennial-own-app-'));
const installed = join(folder, 'node_modules', 'cdk-perennial');
const tool = (name: string) => resolve('node_modules', '.bin', name);

async function run(command: string, args: string[], cwd = folder): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { cwd, maxBuffer: 2 ** 26 })).stdout;
  } catch (error) {
    const { message, stdout } = error as Error & { readonly stdout: string };
    throw new Error(`${message}\n${stdout}`, { cause: error });
  }
}

beforeAll(async () => {
  // what `npm pack` builds, less the bundles, which are there already and which other tests are using
  await run(tool('jsii'), ['--silence-warnings=reserved-word', '--generate-tsconfig', 'tsconfig.jsii.json'], '.');
  await run(tool('tsc'), ['-p', 'engine'], '.');
  await run(process.execPath, ['bin/native.mjs'], '.');
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder], '.');
  for (const example of ['own-app', 'own-parts']) cpSync(join('examples', example), folder, { recursive: true });
  await run(tool('esbuild'), ['serving-target.ts', '--format=esm', '--outfile=serving-target.mjs']);
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`]);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('another app uses two constructs from the packed tarball, without esbuild or Docker, and runs in the engine', async () => {
  expect(existsSync(join(folder, 'node_modules', 'esbuild'))).toBe(false);
  await run(process.execPath, ['app.mjs']);
  expect(existsSync(join(folder, 'cdk.out', 'Own.template.json'))).toBe(true);
  expect(await run(process.execPath, ['check.mjs'])).toMatch(/own-app: data-[0-9a-f]{12} succeeded/);
}, 240_000);

test('a trainer, trigger, serving target, monitor and engine service that were written outside work in the engine', async () => {
  await run(process.execPath, ['parts-app.mjs']);
  // from here, where the Python environments of other tests are
  expect((await run(process.execPath, [join(folder, 'check-parts.mjs')], '.')).trim().split('\n')).toEqual([
    'own trainer: its model is in service',
    'own serving target: the version is served there too',
    'own trigger: asked for a run',
    'own monitor, on own service: its drift started a run',
    'own service: a second of its name is refused',
  ]);
}, 240_000);

test('a trainer that was written outside passes the same checks as ours', async () => {
  const code = `import { Stack } from 'aws-cdk-lib';
    import { ownLoop } from './parts-app.mjs';
    import { HourTrainer } from './parts.mjs';
    try {
      ownLoop(new Stack(), { trainer: new HourTrainer({ compute: [], hyperparameters: { problem: 'x' } }) });
    } catch ({ message }) { console.log(message); }`;
  const said = await run(process.execPath, ['--input-type=module', '--eval', code]);
  expect(said).toContain('compute must be 1 to 20 capacity options, got 0; hyperparameters must not name problem');
}, 60_000);

test('the tarball brings what Lambda and SageMaker need', () => {
  for (const file of [
    'dist/lambdas/data/prepare.mjs',
    'dist/lambdas/data/monitor.mjs',
    'dist/lambdas/data/node_modules/@duckdb/node-bindings-linux-arm64/duckdb.node',
    'dist/training/xgboost.tar.gz',
    'dist/local/index.d.ts',
    'dist/local/containers/serve.py',
    '.jsii',
  ]) {
    expect(existsSync(join(installed, file)), file).toBe(true);
  }
});

test('the tarball brings no tests, no sources, and no path of the machine that packed it', () => {
  const files = (readdirSync(installed, { recursive: true }) as string[]).filter((file) => !file.includes('@duckdb'));
  const strays = files.filter((file) => /(^|\/)test(\/|$)|\.tsbuildinfo$|(?<!\.d)\.ts$/.test(file));
  expect(strays).toEqual([]);

  const code = files.filter((file) => /\.(m?js|d\.ts|json|jsii|py)$/.test(file));
  expect(code.length).toBeGreaterThan(100);
  const told = code.filter((file) => {
    const text = readFileSync(join(installed, file), 'utf8');
    return text.includes(`${process.cwd()}/`) || text.includes('sourceMappingURL=data:') || /^\/\/ \.\.\//m.test(text);
  });
  expect(told).toEqual([]);
});

const NAMES = `[perennial.ContinuousTraining, core.judge, local.Engine].map((one) => typeof one).join()`;
test.each([
  [
    'import',
    `import * as perennial from 'cdk-perennial'; import * as core from 'cdk-perennial/core';
    import * as local from 'cdk-perennial/local'; console.log(${NAMES});`,
  ],
  [
    'require',
    `const perennial = require('cdk-perennial'), core = require('cdk-perennial/core');
    const local = require('cdk-perennial/local'); console.log(${NAMES});`,
  ],
])('each of the three entries can be had by %s', async (way, code) => {
  const type = way === 'import' ? 'module' : 'commonjs';
  expect(await run(process.execPath, [`--input-type=${type}`, '--eval', code])).toBe('function,function,function\n');
});

test("a TypeScript app finds the entries' types, and they hold without skipLibCheck", async () => {
  const source = `import type { ContinuousTrainingProps } from 'cdk-perennial';
    import { judge, type Judgement } from 'cdk-perennial/core';
    import { Engine, type EngineOptions } from 'cdk-perennial/local';
    export const start = (options: EngineOptions): Promise<Engine> => Engine.start(options);
    export const verdict: (...all: Parameters<typeof judge>) => Judgement = judge;
    // @ts-expect-error: a name is a text, so the types are more than any
    export const props: Pick<ContinuousTrainingProps, 'pipelineName'> = { pipelineName: 1 };`;
  writeFileSync(join(folder, 'app.ts'), source);
  const options = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2023', '--module', 'nodenext'];
  const types = ['--typeRoots', resolve('node_modules', '@types'), '--types', 'node'];
  await run(tool('tsc'), [...options, ...types, 'app.ts', 'serving-target.ts']);
}, 240_000);

test('the command line starts from the tarball, and infers a contract with the DuckDB that npm brought', async () => {
  writeFileSync(join(folder, 'sample.csv'), 'id,size,late\n1,0.5,true\n2,1.5,false\n3,2.5,true\n');
  const perennial = join(folder, 'node_modules', '.bin', 'perennial');
  expect(await run(perennial, ['--help'])).toMatch(/^Usage: perennial/);
  expect(JSON.parse(await run(perennial, ['infer', 'sample.csv', '--target', 'late']))).toHaveProperty('columns');
});
