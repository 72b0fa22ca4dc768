#!/usr/bin/env node
// Bundles the engine for this machine, and puts beside it what it reads at run time: `node build.mjs <folder>`.
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const SOURCES = join(import.meta.dirname, 'src');

// CommonJS packages inside an ES module still ask for `require`, and the engine for the folder it lies in.
export const REQUIRE = [
  "import { createRequire } from 'node:module';",
  'const require = createRequire(import.meta.url), __dirname = import.meta.dirname;',
].join(' ');

export async function buildEngine(folder) {
  await build({
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    outExtension: { '.js': '.mjs' },
    banner: { js: REQUIRE },
    logLevel: 'warning',
    entryPoints: [join(SOURCES, 'index.ts')],
    outdir: folder,
  });
  cpSync(SOURCES, folder, { recursive: true, filter: (path) => !path.endsWith('.ts') });
}

if (process.argv[1] === import.meta.filename) await buildEngine(process.argv[2] ?? join(import.meta.dirname, 'dist'));
