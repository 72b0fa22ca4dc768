// Bundles the benchmarks and runs them one after the other: `npm run bench [-- prepare|engine|tabular|memory]`.
import { spawnSync } from 'node:child_process';
import { build } from 'esbuild';

const wanted = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : ['prepare', 'engine', 'tabular', 'memory'];
await build({
  entryPoints: names.map((name) => `bench/${name}.ts`),
  outdir: 'dist/bench',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node22',
  logLevel: 'warning',
  external: ['aws-cdk-lib', 'constructs', '@duckdb/*'],
});
for (const name of names) {
  const { status } = spawnSync(process.execPath, [`dist/bench/${name}.cjs`], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
