#!/usr/bin/env node
// Puts DuckDB for Lambda (linux-arm64) beside the handlers that need it, whatever this machine is.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

const TARGET = 'dist/lambdas/data/node_modules';
const BINARIES = ['duckdb.node', 'libduckdb.so'];

/** Installs what `lambdas/native` pins; does nothing if it is there. */
export function native() {
  if (missing(TARGET).length === 0) return;
  const staging = 'dist/native';
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  for (const file of ['package.json', 'package-lock.json']) cpSync(join('lambdas/native', file), join(staging, file));
  try {
    execFileSync(
      'npm',
      ['ci', '--os=linux', '--cpu=arm64', '--libc=glibc', '--ignore-scripts', '--no-audit', '--no-fund'],
      { cwd: staging, stdio: ['ignore', 'ignore', 'pipe'], shell: process.platform === 'win32' },
    );
  } catch (cause) {
    const said = cause.stderr?.toString().match(/npm error .*/)?.[0] ?? cause.message;
    throw new Error(
      `DuckDB for Lambda (linux-arm64) must be fetched once from the npm registry, got: ${said}. ` +
        "Check the network and npm's settings (registry, proxy), and run the command again",
      { cause },
    );
  }
  const absent = missing(join(staging, 'node_modules'));
  if (absent.length > 0)
    throw new Error(`npm installed DuckDB without its files for linux-arm64: ${absent.join(', ')}`);
  rmSync(TARGET, { recursive: true, force: true });
  mkdirSync(dirname(TARGET), { recursive: true });
  renameSync(join(staging, 'node_modules'), TARGET);
  rmSync(staging, { recursive: true });
}

function missing(folder) {
  return BINARIES.filter((file) => !existsSync(join(folder, '@duckdb/node-bindings-linux-arm64', file)));
}

if (process.argv[1] === import.meta.filename) {
  try {
    native();
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
