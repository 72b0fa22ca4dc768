import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const read = (folder: string, deep = true) =>
  (readdirSync(folder, { recursive: deep }) as string[])
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(`${folder}/${file}`, 'utf8'));

/** Every property of every props interface that is exported to users, with the comment above it. */
const props = [...read('lib', false), ...read('lib/triggers')]
  .flatMap((source) => [...source.matchAll(/export interface (\w+Props)[^{]*{(.*?)\n}/gs)])
  .flatMap(([, owner, body]) =>
    [...(body as string).matchAll(/\/\*\*(.*?)\*\/\s+readonly (\w+)(\??):/gs)].map(([, comment, name, optional]) => ({
      name: `${owner}.${name}`,
      property: name as string,
      comment: comment as string,
      optional: optional === '?',
    })),
  );
const tests = read('test').join('\n');

test('props are found', () => {
  expect(props.length).toBeGreaterThan(40);
});

test('every optional prop states its default, and no other does', () => {
  expect(
    props.filter(({ comment, optional }) => comment.includes('@default') !== optional).map(({ name }) => name),
  ).toEqual([]);
});

test('every prop is set by a test', () => {
  const set = (property: string) => new RegExp(`\\b${property}\\b(?=[:, ])`).test(tests);
  expect(props.filter(({ property }) => !set(property)).map(({ name }) => name)).toEqual([]);
});
