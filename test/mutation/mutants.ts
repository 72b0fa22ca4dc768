import { statesOf } from '../support/definition';
import { parsed } from './definition-text';
import { fiveOf } from './five';
import { stateMutants } from './state-mutants';

// biome-ignore lint/suspicious/noExplicitAny: a template is what it is
export type Json = any;

/** What is broken, by kind. */
export const GROUPS = [
  ...['choices', 'catches', 'retries', 'variables', 'requests', 'rules', 'alarms', 'schedules', 'five'],
] as const;

/** One break of a template. Its id is made of what people read in it, so that it means the same in every template. */
export interface Mutant {
  readonly id: string;
  readonly group: (typeof GROUPS)[number];
  /** What stands in the place that it breaks. */
  readonly before: unknown;
  /** Breaks the template in place. */
  readonly apply: () => void;
}

/** All breaks of a template. */
export function mutantsOf(template: Json): Mutant[] {
  const resources = Object.values<Json>(template.Resources ?? {});
  const found = [
    ...resources.filter(({ Type }) => Type === 'AWS::StepFunctions::StateMachine').flatMap(machineMutants),
    ...resources.filter(({ Type }) => Type === 'AWS::Events::Rule').flatMap(ruleMutants),
    ...resources.filter(({ Type }) => Type === 'AWS::CloudWatch::Alarm').flatMap(alarmMutants),
    ...resources.filter(({ Type }) => Type === 'AWS::Scheduler::Schedule').flatMap(scheduleMutants),
    ...fiveOf(template),
  ];
  return numbered(found);
}

/** Breaks a template in place; whether it had what the mutant breaks. */
export function mutate(template: Json, id: string): boolean {
  const mutant = mutantsOf(template).find((mutant) => mutant.id === id);
  mutant?.apply();
  return mutant !== undefined;
}

function machineMutants({ Properties }: Json): Mutant[] {
  const { definition, text } = parsed(Properties.DefinitionString);
  return statesOf(definition)
    .flatMap(([name, state]) => stateMutants(`${definition.StartAt}…/${name}`, state))
    .map((mutant) => ({
      ...mutant,
      apply: () => {
        mutant.apply();
        Properties.DefinitionString = text();
      },
    }));
}

function ruleMutants({ Properties }: Json): Mutant[] {
  const { Description, EventPattern = {}, Targets = [] } = Properties;
  const what = Description ?? [EventPattern['detail-type']].flat().join();
  return Targets.map((target: Json, i: number) => ({
    id: `rule "${what}": target ${i + 1} removed`,
    group: 'rules',
    before: target,
    apply: () => Targets.splice(i, 1),
  }));
}

function alarmMutants({ Properties }: Json): Mutant[] {
  const { AlarmActions } = Properties;
  if (AlarmActions === undefined) return [];
  return [
    {
      id: `alarm "${alarmName(Properties)}": actions removed`,
      group: 'alarms',
      before: AlarmActions,
      apply: () => delete Properties.AlarmActions,
    },
  ];
}

/** What an alarm looks at: a metric, and the part of the loop whose it is. */
function alarmName({ MetricName, Metrics = [], AlarmDescription }: Json): string {
  const names = MetricName ?? Metrics.flatMap(({ MetricStat }: Json) => MetricStat?.Metric.MetricName ?? []).join('+');
  const text = JSON.stringify(AlarmDescription ?? '');
  const [, section] = /RUNBOOK\.md, (\w+)/.exec(text) ?? [];
  const [, path = ''] = /failed\. ([\w/-]+): /.exec(text) ?? [];
  return [section, names, path.split('/').slice(-3, -1).join('/')].filter(Boolean).join(' ');
}

function scheduleMutants({ Properties }: Json): Mutant[] {
  const { Description, ScheduleExpression, Target } = Properties;
  if (Target.Input === undefined) return [];
  return [
    {
      id: `schedule "${Description ?? ScheduleExpression}": input emptied`,
      group: 'schedules',
      before: Target.Input,
      apply: () => {
        Target.Input = '{}';
      },
    },
  ];
}

/** Two of one id are told apart by a number. */
function numbered(mutants: readonly Mutant[]): Mutant[] {
  const seen = new Map<string, number>();
  return mutants.map((mutant) => {
    const count = (seen.get(mutant.id) ?? 0) + 1;
    seen.set(mutant.id, count);
    return count === 1 ? mutant : { ...mutant, id: `${mutant.id} (${count})` };
  });
}
