import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'a folder with spaces '));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('in a folder whose name has spaces too, DuckDB for Lambda is fetched, and without a network one message says what to do', () => {
  for (const path of ['bin/native.mjs', 'lambdas/native']) cpSync(path, join(folder, path), { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, ['bin/native.mjs'], {
    cwd: folder,
    encoding: 'utf8',
    env: {
      ...process.env,
      npm_config_registry: 'http://127.0.0.1:9',
      npm_config_cache: join(folder, 'cache'),
      npm_config_fetch_retries: '0',
    },
  });
  expect(status).toBe(1);
  expect(stderr).toMatch(
    /^DuckDB for Lambda \(linux-arm64\) must be fetched once from the npm registry, got: npm error/,
  );
  expect(stderr.trim().split('\n')).toHaveLength(1);
});
