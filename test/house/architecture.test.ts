import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { posix as path } from 'node:path';
import { expect, test } from 'vitest';

/** What the code of each folder may import, besides its own folder and node itself. */
const ALLOWED: Record<string, RegExp> = {
  'lib/core': /^$/,
  'engine/src': /^(@aws-sdk\/client-|jsonata$|fast-xml-parser$|@smithy\/signature-v4$|tar-stream$)/,
  lambdas: /^(lib\/core|@aws-sdk\/|@duckdb\/node-api$)/,
  lib: /^(lib\/|aws-cdk-lib|constructs|nanotar$)/,
  examples: /^(lib|cdk-perennial|aws-cdk-lib|constructs)/,
};

/** The TypeScript files of a folder. */
function filesOf(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`);
}

/** What a file imports, types too: paths from here for what is ours, else names. */
function importsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^(?:import|export) .*?from '([^']+)'/gms)]
    .map(([, target]) => String(target))
    .map((target) => (target.startsWith('.') ? path.join(path.dirname(file), target) : target));
}

test.each(Object.entries(ALLOWED))('%s imports only what it may', (folder, allowed) => {
  const inner = Object.keys(ALLOWED).filter((other) => other.startsWith(`${folder}/`));
  const files = filesOf(folder).filter((file) => !inner.some((other) => file.startsWith(`${other}/`)));
  const strays = files.flatMap((file) =>
    importsOf(file)
      .filter((target) => !target.startsWith('node:') && !target.startsWith(`${folder}/`) && !allowed.test(target))
      .map((target) => `${file} -> ${target}`),
  );
  expect(files.length).toBeGreaterThan(0);
  expect(strays).toEqual([]);
});

test('the engine takes of the SDK its types alone', () => {
  const lines = filesOf('engine/src').flatMap(
    (file) => readFileSync(file, 'utf8').match(/^import [^;]*? from '@aws-sdk\/[^']+'/gm) ?? [],
  );
  expect(lines.length).toBeGreaterThan(10);
  expect(lines.filter((line) => !line.startsWith('import type '))).toEqual([]);
});

test('lib, its core, the handlers and the tests are divided by the same stages', () => {
  const stages = ['dataset', 'deploy', 'judge', 'ledger', 'prepare', 'registry', 'train', 'watch'];
  for (const place of ['lib', 'lib/core', 'lambdas', 'test']) {
    expect(stages.filter((stage) => !existsSync(`${place}/${stage}`)).map((stage) => `${place}/${stage}`)).toEqual([]);
  }
});

test('no handler imports another', () => {
  const handlers = filesOf('lambdas').filter((file) => file.endsWith('.handler.ts'));
  expect(handlers.length).toBeGreaterThan(10);
  expect(filesOf('lambdas').filter((file) => importsOf(file).some((target) => target.endsWith('.handler')))).toEqual(
    [],
  );
});

test('a handler has at most 200 lines: what it decides is in lib/core', () => {
  const handlers = filesOf('lambdas').filter((file) => file.endsWith('.handler.ts'));
  const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n').length;
  expect(handlers.length).toBeGreaterThan(10);
  expect(handlers.map((file) => [file, lines(file)] as const).filter(([, count]) => count > 200)).toEqual([]);
});

test('of what runs on AWS, the data engine alone knows DuckDB', () => {
  const users = ['lib', 'lambdas', 'engine/src', 'examples']
    .flatMap(filesOf)
    .filter((file) => importsOf(file).some((target) => target.startsWith('@duckdb/')));
  expect(users).toEqual(['lambdas/data-engine/duckdb.ts']);
});

test('no file imports itself by way of others, not even for types', () => {
  const files = ['lib', 'lambdas', 'bin', 'engine/src', 'examples'].flatMap(filesOf);
  const imports = new Map(files.map((file) => [file, importsOf(file).flatMap(fileOf)]));
  const [done, circles] = [new Set<string>(), new Set<string>()];
  const follow = (file: string, way: readonly string[]) => {
    if (way.includes(file)) circles.add([...way.slice(way.indexOf(file)), file].join(' -> '));
    else if (!done.has(file)) for (const next of imports.get(file) ?? []) follow(next, [...way, file]);
    done.add(file);
  };
  for (const file of files) follow(file, []);
  expect([...imports.values()].flat().length).toBeGreaterThan(1000);
  expect([...circles]).toEqual([]);
});

/** The file that a path of ours without its ending means; none for what is not TypeScript. */
function fileOf(target: string): string[] {
  return [`${target}.ts`, `${target}/index.ts`].filter((file) => existsSync(file)).slice(0, 1);
}
