#!/usr/bin/env node
// Bundles what runs outside the library: lambdas/*.ts for Lambda, bin/*.ts and lib/local for this machine.
import { existsSync, readdirSync } from 'node:fs';
import { build } from 'esbuild';

const common = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  logLevel: 'warning',
  // CommonJS packages inside an ES module still ask for `require`.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
};

export async function bundle() {
  const { metafile } = await build({
    ...common,
    target: 'node24',
    entryPoints: sources('lambdas').map((name) => ({ in: `lambdas/${name}.ts`, out: `${name}/index` })),
    outdir: 'dist/lambdas',
    external: ['@duckdb/node-bindings*'],
    metafile: true,
  });
  const strays = Object.keys(metafile.inputs).filter((file) => /node_modules\/(aws-cdk-lib|constructs)\//.test(file));
  if (strays.length > 0) throw new Error(`a handler imports the CDK: ${strays[0]}`);

  await build({
    ...common,
    target: 'node22',
    entryPoints: sources('bin').map((name) => `bin/${name}.ts`),
    outdir: 'dist/bin',
    external: ['aws-cdk-lib', 'constructs', '@duckdb/*'],
  });
  if (existsSync('lib/local/index.ts')) {
    await build({ ...common, target: 'node22', entryPoints: ['lib/local/index.ts'], outdir: 'dist/local' });
  }
}

function sources(folder) {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length));
}

if (import.meta.url === `file://${process.argv[1]}`) await bundle();
