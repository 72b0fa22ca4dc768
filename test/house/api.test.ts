import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { compare } from '../../scripts/api-diff.mjs';

test('the API reference and its report are as the sources say', () => {
  execFileSync(process.execPath, ['scripts/api.mjs', '--check'], { stdio: ['ignore', 'inherit', 'inherit'] });
});

const PROPS = { is: 'interface', members: { name: 'readonly name: string', size: 'readonly size?: number' } };
const CLASS = { is: 'abstract class extends Construct', members: { bind: 'abstract bind(scope: Construct): Config' } };
const API = { Props: PROPS, Part: CLASS };
const withProps = (members: Record<string, string>) => ({ ...API, Props: { ...PROPS, members } });

test.each([
  ['nothing', API, [], []],
  ['a type that is gone', { Part: CLASS }, ['Props is gone'], []],
  ['a new type', { ...API, More: PROPS }, [], ['More, interface']],
  ['another base', { ...API, Part: { ...CLASS, is: 'class' } }, [`Part was ${CLASS.is}, and is class`], []],
  [
    'a property that is gone',
    withProps({ name: 'readonly name: string' }),
    [`Props: ${PROPS.members.size} is gone`],
    [],
  ],
  [
    'another type of a property',
    withProps({ ...PROPS.members, size: 'readonly size?: string' }),
    ['Props: readonly size?: number has become readonly size?: string'],
    [],
  ],
  [
    'a property that has become optional',
    withProps({ ...PROPS.members, name: 'readonly name?: string' }),
    [],
    ['Props: readonly name: string has become readonly name?: string'],
  ],
  [
    'a property that has become required',
    withProps({ ...PROPS.members, size: 'readonly size: number' }),
    ['Props: readonly size?: number has become readonly size: number'],
    [],
  ],
  [
    'a new optional property',
    withProps({ ...PROPS.members, more: 'readonly more?: Size' }),
    [],
    ['Props: readonly more?: Size'],
  ],
  [
    'a new required property',
    withProps({ ...PROPS.members, more: 'readonly more: Size' }),
    ['Props: readonly more: Size'],
    [],
  ],
  [
    'a new abstract method',
    { ...API, Part: { ...CLASS, members: { ...CLASS.members, end: 'abstract end(): void' } } },
    ['Part: abstract end(): void'],
    [],
  ],
  [
    'a new method of a class',
    { ...API, Part: { ...CLASS, members: { ...CLASS.members, grant: 'grant(grantee: IGrantable): Grant' } } },
    [],
    ['Part: grant(grantee: IGrantable): Grant'],
  ],
] as const)('of the API’s changes, %s breaks users or does not', (_, after, breaking, added) => {
  expect(compare(API, after)).toEqual({ breaking, added });
});
