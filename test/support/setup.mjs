import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../../bin/bundle.mjs';

/** Runs once before all tests: constructs need the handlers' bundles, and what tests leave behind goes with their folder. */
export default async function setup() {
  process.env.TMPDIR = mkdtempSync(join(tmpdir(), 'perennial-tests-')); // the workers inherit it
  await bundle();
  // not as a teardown: vitest ends without one if its workers take long to end, and leaves gigabytes behind
  process.once('exit', () => rmSync(process.env.TMPDIR, { recursive: true, force: true }));
}
