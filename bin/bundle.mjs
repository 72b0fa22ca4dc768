#!/usr/bin/env node
// Bundles what runs outside the library: lambdas/**/*.handler.ts for Lambda, training/* for SageMaker's containers,
// bin/*.ts and the engine for this machine.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { createTar } from 'nanotar';
import { buildEngine, REQUIRE } from '../engine/build.mjs';

const common = { bundle: true, platform: 'node', logLevel: 'warning' };
const esm = { ...common, format: 'esm', outExtension: { '.js': '.mjs' }, banner: { js: REQUIRE } };

/** The handlers that read data with DuckDB share one folder, because its binary is 60 MB. */
const DATA_HANDLERS = ['prepare', 'monitor'];

export async function bundle() {
  const { metafile } = await build({
    ...esm,
    target: 'node24',
    entryPoints: readdirSync('lambdas', { recursive: true })
      .filter((file) => file.endsWith('.handler.ts'))
      .map((file) => ({ file, name: basename(file, '.handler.ts') }))
      .map(({ file, name }) => ({
        in: `lambdas/${file}`,
        out: DATA_HANDLERS.includes(name) ? `data/${name}` : `${name}/index`,
      })),
    outdir: 'dist/lambdas',
    external: ['@duckdb/node-bindings*'],
    metafile: true,
  });
  const strays = Object.keys(metafile.inputs).filter((file) => /node_modules\/(aws-cdk-lib|constructs)\//.test(file));
  if (strays.length > 0) throw new Error(`a handler imports the CDK: ${strays[0]}`);

  archiveTrainers();

  const programs = readdirSync('bin').filter((file) => file.endsWith('.ts') && file !== 'app.ts');
  const { metafile: made } = await build({
    ...esm,
    target: 'node22',
    entryPoints: programs.map((file) => `bin/${file}`),
    outdir: 'dist/bin',
    splitting: true, // what only one command needs (DuckDB, plots, the engine) is loaded by it alone
    chunkNames: 'shared/[name]-[hash]',
    external: ['aws-cdk-lib', 'constructs', '@duckdb/*'],
    metafile: true,
  });
  for (const file of readdirSync('dist/bin/shared').map((name) => `dist/bin/shared/${name}`)) {
    if (!(file in made.outputs)) rmSync(file); // named by its content, so of an earlier build
  }
  await build({
    ...common,
    target: 'node22',
    entryPoints: ['bin/app.ts'],
    outfile: 'dist/bin/app.cjs', // the library finds its assets by __dirname
    external: ['aws-cdk-lib', 'constructs'],
  });
  await buildEngine('dist/local');
}

/** Packs all trainers; what they share is none. */
export function archiveTrainers() {
  for (const trainer of readdirSync('training').filter((name) => name !== 'shared')) archive(trainer);
}

/**
 * Packs a trainer's folder, and beside its files those that all trainers share, as SageMaker wants code:
 * the same files always give the same bytes.
 */
function archive(trainer) {
  const files = [join('training', trainer), 'training/shared']
    .flatMap((folder) => readdirSync(folder).map((name) => ({ name, path: join(folder, name) })))
    .filter(({ name }) => /\.(py|txt|sh)$/.test(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, path }) => ({ name, data: readFileSync(path), attrs: { mtime: 0, mode: '644' } }));
  const twice = files.find(({ name }, index) => name === files[index + 1]?.name);
  if (twice) throw new Error(`both training/${trainer} and training/shared have ${twice.name}`);
  mkdirSync('dist/training', { recursive: true });
  writeFileSync(`dist/training/${trainer}.tar.gz`, gzipSync(createTar(files)));
}

if (process.argv[1] === import.meta.filename) await bundle();
