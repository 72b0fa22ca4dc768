// Runs a fuzzer: `npm run fuzz -- <contract|documents|commands|prepare> [cases] [seed]`; prints what came of the cases.
import { spawnSync } from 'node:child_process';
import { build } from 'esbuild';

await build({
  entryPoints: ['test/fuzz/main.ts'],
  outfile: 'dist/fuzz/main.cjs',
  bundle: true,
  platform: 'node',
  target: 'node22',
  logLevel: 'warning',
  sourcemap: 'inline',
  external: ['aws-cdk-lib', 'constructs', '@duckdb/*'],
});
const args = ['--enable-source-maps', 'dist/fuzz/main.cjs', ...process.argv.slice(2)];
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
