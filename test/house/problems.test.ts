import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { PROBLEMS } from '../../lib/core/problem';

/** Where a problem is defined, and may be named. */
const HOMES = /^(lib\/core\/problem\/|training\/shared\/problems\.py)/;

const NAMES = PROBLEMS.map(({ name }) => name).join('|');
/** A problem's name as a value, or a comparison with one. */
const ASKED = new RegExp(
  `['"\`](${NAMES})['"\`]|\\bproblem(\\.name)? *([=!]==?(?!=| undefined)|in\\b)|\\bif .*\\bproblem\\[`,
);

function filesOf(folder: string): string[] {
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names.filter((name) => /\.(ts|py)$/.test(name)).map((name) => `${folder}/${name}`);
}

/** The lines of a file without what only people read. */
function codeOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
    .replace(/\/\*.*?\*\//gs, (comment) => comment.replace(/[^\n]/g, ''))
    .replace(/""".*?"""/gs, (comment) => comment.replace(/[^\n]/g, ''));
  return text.split('\n').map((line) => line.replace(/(^|\s)(\/\/|# ).*$/, ''));
}

const asked = (files: readonly string[]) =>
  files.flatMap((file) =>
    codeOf(file).flatMap((line, i) => (ASKED.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
  );

test('only a problem itself knows which one it is', () => {
  const files = ['lib', 'lambdas', 'bin', 'training'].flatMap(filesOf);
  expect(files.length).toBeGreaterThan(150);
  expect(asked(files.filter((file) => !HOMES.test(file)))).toEqual([]);
  expect(asked(files.filter((file) => HOMES.test(file)))).not.toEqual([]);
});

test('only a kind of data set knows what its files and requests are', () => {
  const files = ['lib', 'lambdas'].flatMap(filesOf);
  const said = files.filter((file) => codeOf(file).some((line) => /'(text\/csv|application\/x-parquet)'/.test(line)));
  // what SageMaker's own container answers to a request that accepts anything is a setting of that container
  expect(said.sort()).toEqual(['lib/core/dataset/kind.ts', 'lib/train/serving.ts']);
});

test('only a metric itself knows which way it points', () => {
  const files = ['lib', 'lambdas', 'bin'].flatMap(filesOf);
  const said = files.filter((file) => codeOf(file).some((line) => /\b(higher|lower)IsBetter: (true|false)/.test(line)));
  expect(said).toEqual(['lib/core/judge/metric.ts']);
});
