import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'perennial-own-app-'));
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  cpSync('examples/own-app', folder, { recursive: true });
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  run('npm', 'install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`);
}, 300_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('another app uses two constructs from the packed tarball, without esbuild or Docker, and runs in the engine', () => {
  expect(existsSync(join(folder, 'node_modules', 'esbuild'))).toBe(false);
  run(process.execPath, 'app.mjs');
  expect(existsSync(join(folder, 'cdk.out', 'Own.template.json'))).toBe(true);
  expect(run(process.execPath, 'check.mjs')).toMatch(/own-app: data-[0-9a-f]{12} succeeded/);
}, 120_000);

test('the tarball brings what Lambda and SageMaker need', () => {
  const root = join(folder, 'node_modules', 'cdk-perennial');
  for (const file of [
    'dist/lambdas/data/prepare.mjs',
    'dist/lambdas/data/monitor.mjs',
    'dist/lambdas/data/node_modules/@duckdb/node-bindings-linux-arm64/duckdb.node',
    'dist/training/xgboost.tar.gz',
    'dist/lib/local/index.d.ts',
    '.jsii',
  ]) {
    expect(existsSync(join(root, file)), file).toBe(true);
  }
});
