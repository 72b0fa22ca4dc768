import { type State, statesOf } from '../support/definition';
import { parsed } from './definition-text';
import type { Json, Mutant } from './mutants';

/** Breaks of what the product is there for; `five.json` names the tests that must notice each. */
const BREAKS: Record<string, (template: Json) => Array<() => void>> = {
  'every candidate is promoted': (template) =>
    inStates(template, (state, states) => {
      const registers = ({ Next }: Json) => /:createModelPackage$/.test(states[Next]?.Resource ?? '');
      if (!state.Choices?.some(registers)) return undefined;
      return () => {
        const rule = state.Choices.find(registers);
        state.Choices = [{ ...rule, Condition: '{% true %}' }];
      };
    }),
  'lineage and baselines are left out of the registration': (template) =>
    inStates(template, ({ Resource, Arguments }) => {
      if (!/:createModelPackage$/.test(Resource ?? '')) return undefined;
      return () => {
        for (const name of ['ModelMetrics', 'DriftCheckBaselines', 'MetadataProperties', 'CustomerMetadataProperties'])
          delete Arguments[name];
      };
    }),
  'drift is told to nobody': (template) =>
    Object.values<Json>(template.Resources)
      .filter(({ Type, Properties }) => {
        const isDrift = Properties?.EventPattern?.['detail-type']?.includes('Perennial Drift Detected');
        return (
          Type === 'AWS::Events::Rule' &&
          isDrift &&
          Properties.Targets.some((target: Json) => isTopic(template, target))
        );
      })
      .map(({ Properties }) => () => {
        Properties.Targets = [];
      }),
  'a failed smoke test keeps the new model': (template) =>
    inStates(template, (state, states) => {
      const isSmokeTest = /:describeModelPackage$/.test(states[state.Next]?.Resource ?? '') && state.Arguments?.Payload;
      if (!isSmokeTest) return undefined;
      return () => {
        for (const caught of state.Catch) caught.Next = state.Next;
      };
    }),
  'schedules send rubbish': (template) =>
    Object.values<Json>(template.Resources)
      .filter(({ Type }) => Type === 'AWS::Scheduler::Schedule')
      .map(({ Properties }) => () => {
        Properties.Target.Input = '{"rub":"bish"}';
      }),
};

/** Those of the five that a template has a place for. */
export function fiveOf(template: Json): Mutant[] {
  return Object.entries(BREAKS).flatMap(([id, breaks]) => {
    const changes = breaks(template);
    if (changes.length === 0) return [];
    return [
      {
        id,
        group: 'five' as const,
        before: id,
        apply: () => {
          for (const change of changes) change();
        },
      },
    ];
  });
}

/** The changes that are to be made to states. */
function inStates(
  template: Json,
  changeOf: (state: State, states: Record<string, State>) => (() => void) | undefined,
): Array<() => void> {
  return Object.values<Json>(template.Resources)
    .filter(({ Type }) => Type === 'AWS::StepFunctions::StateMachine')
    .flatMap(({ Properties }) => {
      const { definition, text } = parsed(Properties.DefinitionString);
      return statesOf(definition).flatMap(([, state]) => {
        const change = changeOf(state, definition.States);
        if (change === undefined) return [];
        return () => {
          change();
          Properties.DefinitionString = text();
        };
      });
    });
}

function isTopic(template: Json, { Arn }: Json): boolean {
  return template.Resources[Arn?.Ref]?.Type === 'AWS::SNS::Topic';
}
