import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

test('an option that the main job does not know is refused with the one that it knows', () => {
  const { status, stderr } = spawnSync(process.execPath, ['dist/bin/main-job.mjs', '--kep'], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toBe("Unknown option '--kep'; the only option is --keep: npm start -- --keep\n");
});
