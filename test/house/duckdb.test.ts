import { expect, test } from 'vitest';
import { INSTALL_DUCKDB } from '../../engine/src/services/lambda/duckdb';
import native from '../../lambdas/native/package.json';
import manifest from '../../package.json';

test('one version of DuckDB is bundled, sent to Lambda, installed with the package, and named where it is missing', () => {
  const version = manifest.optionalDependencies['@duckdb/node-api'];
  expect(native.dependencies['@duckdb/node-bindings']).toBe(version);
  expect(INSTALL_DUCKDB).toContain(`@duckdb/node-api@${version}`);
});
