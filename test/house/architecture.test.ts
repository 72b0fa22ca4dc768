import { readdirSync, readFileSync } from 'node:fs';
import { posix as path } from 'node:path';
import { expect, test } from 'vitest';

/** What the code of each folder may import, besides its own folder and node itself. */
const ALLOWED: Record<string, RegExp> = {
  'lib/core': /^$/,
  'engine/src': /^(jsonata$|fast-xml-parser$|@smithy\/signature-v4$|tar-stream$)/,
  lambdas: /^(lib\/core|@aws-sdk\/|@duckdb\/node-api$)/,
  lib: /^(lib\/|aws-cdk-lib|constructs|nanotar$)/,
  examples: /^(lib|aws-cdk-lib|constructs)/,
};

test.each(Object.entries(ALLOWED))('%s imports only what it may', (folder, allowed) => {
  const inner = Object.keys(ALLOWED).filter((other) => other.startsWith(`${folder}/`));
  const files = (readdirSync(folder, { recursive: true }) as string[])
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${folder}/${file}`)
    .filter((file) => !inner.some((other) => file.startsWith(`${other}/`)));
  const strays = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^(?:import|export) .*?from '([^']+)'/gms)]
      .map(([, target]) => target as string)
      .map((target) => (target.startsWith('.') ? path.join(path.dirname(file), target) : target))
      .filter((target) => !target.startsWith('node:') && !target.startsWith(`${folder}/`) && !allowed.test(target))
      .map((target) => `${file} -> ${target}`),
  );
  expect(files.length).toBeGreaterThan(0);
  expect(strays).toEqual([]);
});
