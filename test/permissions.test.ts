import { expect, test } from 'vitest';
import { templateOf, wholeLoop } from './support/stacks';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's shapes
type Shape = any;

test('every role may do exactly what the golden file says', async () => {
  const { Resources } = templateOf(wholeLoop({ pipelineName: 'loop' }).stack).toJSON();
  const roles = Object.entries<Shape>(Resources).filter(([, { Type }]) => Type === 'AWS::IAM::Role');
  const policies = Object.values<Shape>(Resources).filter(({ Type }) => Type === 'AWS::IAM::Policy');
  const text = roles
    .map(([id, role]) => {
      const own = policies.filter(({ Properties }) => Properties.Roles.some(({ Ref }: Shape) => Ref === id));
      const statements = own
        .flatMap(({ Properties }) => Properties.PolicyDocument.Statement)
        .flatMap(describe)
        .sort();
      const trust = role.Properties.AssumeRolePolicyDocument.Statement;
      expect(role.Properties.ManagedPolicyArns ?? []).toEqual([]);
      return [
        nameOf(id),
        `  for ${trust.map((statement: Shape) => print(statement.Principal.Service) + conditions(statement)).join(', ')}`,
        ...statements,
      ].join('\n');
    })
    .sort()
    .join('\n\n');

  await expect(`${text}\n`).toMatchFileSnapshot('golden/permissions.txt');
});

/** One line a statement and resource: what, on what, if what. */
function describe(statement: Shape): string[] {
  const actions = [statement.Action].flat().join(' ');
  return [statement.Resource]
    .flat()
    .map(
      (resource) =>
        `  ${statement.Effect === 'Allow' ? '' : 'DENY '}${actions} on ${print(resource)}${conditions(statement)}`,
    );
}

function conditions({ Condition }: Shape): string {
  return Condition
    ? ` if ${Object.entries<Shape>(Condition)
        .flatMap(([operator, keys]) => Object.entries(keys).map(([key, value]) => `${key} ${operator} ${print(value)}`))
        .join(' and ')}`
    : '';
}

function print(value: Shape): string {
  if (Array.isArray(value)) return value.map(print).join(' | ');
  if (typeof value !== 'object') return String(value).replace(/\b[0-9a-f]{64}\b/, '<asset>'); // changes with every line of code
  if (value['Fn::Join']) return value['Fn::Join'][1].map(print).join(value['Fn::Join'][0]);
  if (value['Fn::GetAtt']) return `<${nameOf(value['Fn::GetAtt'][0])}>`;
  if (value['Fn::FindInMap']) return '<registry account>';
  if (value['Fn::Sub']) return value['Fn::Sub'];
  if (value.Ref?.startsWith('AWS::')) return `<${value.Ref.slice(5)}>`;
  return value.Ref ? `<${nameOf(value.Ref)}>` : JSON.stringify(value);
}

/** A logical id without its hash. */
function nameOf(id: string): string {
  return id.replace(/[0-9A-F]{8}$/, '');
}
