import type { Template } from 'aws-cdk-lib/assertions';

// biome-ignore lint/suspicious/noExplicitAny: states are as free as the language of states is
export type State = any;

export interface Definition {
  readonly StartAt: string;
  readonly QueryLanguage: string;
  readonly States: Record<string, State>;
}

/** The state machines of a template by logical id, references printed as something that looks like what they stand for. */
export function definitionsOf(template: Template): Record<string, Definition> {
  const machines = template.findResources('AWS::StepFunctions::StateMachine');
  return Object.fromEntries(
    Object.entries(machines).map(([id, machine]) => [id, JSON.parse(print(machine.Properties.DefinitionString))]),
  );
}

/** The two machines of the whole loop. */
export function machinesOf(template: Template): { training: Definition; deployment: Definition } {
  const machines = Object.entries(definitionsOf(template));
  const machine = (name: string) => machines.find(([id]) => id.includes(name))?.[1] as Definition;
  return { training: machine('Training'), deployment: machine('Deployment') };
}

/** All states of a definition, those inside of Parallel and Map too. */
export function statesOf(definition: Pick<Definition, 'States'>): Array<[string, State]> {
  return Object.entries(definition.States).flatMap(([name, state]) => [
    [name, state] as [string, State],
    ...(state.Branches ?? []).flatMap(statesOf),
    ...(state.ItemProcessor ? statesOf(state.ItemProcessor) : []),
  ]);
}

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's intrinsics
function print(value: any): string {
  if (typeof value === 'string') return value;
  if (value['Fn::Join']) return value['Fn::Join'][1].map(print).join(value['Fn::Join'][0]);
  if (value.Ref === 'AWS::Partition') return 'aws';
  if (value.Ref?.startsWith('AWS::')) return value.Ref.slice(5).toLowerCase();
  if (value.Ref) return value.Ref;
  if (value['Fn::FindInMap']) return '123456789012';
  if (value['Fn::GetAtt']) return `arn:aws:lambda:us-east-1:123456789012:function:${value['Fn::GetAtt'][0]}`;
  return value['Fn::Sub'] ?? JSON.stringify(value);
}
