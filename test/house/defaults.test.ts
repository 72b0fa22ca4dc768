import { readFileSync } from 'node:fs';
import { Duration, Size } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { Promotion } from '../../lib';
import { TRAINING_DEFAULTS } from '../../lib/training-defaults';

/** What the comments of some properties say that they are by default, where that is a value and no sentence. */
function quoted(file: string, owner: string): Array<[name: string, text: string]> {
  const [, body = ''] = new RegExp(`^export interface ${owner} {(.*?)^}`, 'ms').exec(readFileSync(file, 'utf8')) ?? [];
  return [...body.matchAll(/@default (?!- )(.+)\n\s+\*\/\s+readonly (\w+)/g)].map(([, text = '', name = '']) => [
    name,
    text,
  ]);
}

/** The value that such a text stands for. */
const evaluated = (text: string) =>
  new Function('Duration', 'Size', 'Promotion', `return ${text}`)(Duration, Size, Promotion);

/** A value as it can be compared: two durations of the same length are one. */
const plain = (value: unknown) =>
  value instanceof Duration ? value.toIsoString() : value instanceof Size ? value.toKibibytes() : value;

const { retryPolicy, ...others } = TRAINING_DEFAULTS;
const PROPS = 'lib/training-pipeline-props.ts';
const settings: ReadonlyArray<readonly [file: string, owner: string, defaults: Readonly<Record<string, unknown>>]> = [
  [PROPS, 'TrainingPipelineProps', others],
  [PROPS, 'RetryPolicy', retryPolicy],
];

test.each(settings)('%s: what %s quotes is what holds', (file, owner, defaults) => {
  const told = Object.fromEntries(quoted(file, owner).map(([name, text]) => [name, plain(evaluated(text))]));
  const held = Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, plain(value)]));
  expect(Object.keys(held).length).toBeGreaterThan(2);
  expect(told).toEqual(held);
});

test('the whole loop quotes the same of what it hands on', () => {
  const told = quoted('lib/continuous-training.ts', 'ContinuousTrainingProps').filter(([name]) => name in others);
  expect(told.length).toBeGreaterThan(2);
  for (const [name, text] of told) {
    expect(plain(evaluated(text)), name).toEqual(plain(others[name as keyof typeof others]));
  }
});
