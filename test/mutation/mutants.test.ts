import { describe, expect, test } from 'vitest';
import { parsed } from './definition-text';
import five from './five.json';
import { mutantsOf, mutate } from './mutants';
import { VARIANTS } from './variants';

const arn = { 'Fn::GetAtt': ['Function', 'Arn'] };
const machine = (state: object) => ({
  Type: 'AWS::StepFunctions::StateMachine',
  Properties: {
    DefinitionString: {
      'Fn::Join': ['', ['{"StartAt":"A","States":{"A":', JSON.stringify(state).replace('ARN"', ''), arn, '"}}}']],
    },
  },
});
const idsOf = (template: object) => mutantsOf(template).map(({ id }) => id);

describe('the mutants of a state', () => {
  const task = () =>
    machine({
      Type: 'Task',
      Arguments: { Name: 'a', Lists: [{ Deep: 1 }], Tags: [{ Key: 'k' }] },
      Assign: { x: 1 },
      Retry: [{}],
      Catch: [{ Assign: { y: 2 }, Next: 'B' }, { Next: 'C' }],
      Resource: 'ARN',
    });

  test('are each entry, each variable and each member of a request, at any depth', () => {
    expect(idsOf({ Resources: { M: task() } })).toEqual([
      'A…/A: Catch 1 removed',
      'A…/A: Catch 2 removed',
      'A…/A: Retry 1 removed',
      'A…/A: $x not assigned',
      'A…/A: $y not assigned by Catch 1',
      'A…/A: Name not sent',
      'A…/A: Lists not sent',
      'A…/A: Lists.1.Deep not sent',
      'A…/A: Tags not sent',
    ]);
  });

  test('break one place, and leave everything else, references too', () => {
    const template = { Resources: { M: task() } };
    expect(mutate(template, 'A…/A: Catch 1 removed')).toBe(true);
    const { definition, text } = parsed(template.Resources.M.Properties.DefinitionString);
    expect(definition.States.A).toMatchObject({ Assign: { x: 1 }, Retry: [{}], Catch: [{ Next: 'C' }] });
    expect(definition.States.A.Catch).toHaveLength(1);
    expect(text()['Fn::Join'][1]).toContainEqual(arn);
    expect(mutate(template, 'A…/B: Catch 1 removed')).toBe(false);
  });

  test('of a Choice are each rule, always and never', () => {
    const choice = machine({ Type: 'Choice', Choices: [{ Condition: '{% $a %}', Next: 'B' }], Comment: 'ARN' });
    const template = { Resources: { M: choice } };
    expect(idsOf(template)).toEqual(['A…/A: rule 1 always', 'A…/A: rule 1 never']);
    mutate(template, 'A…/A: rule 1 never');
    const { definition } = parsed(template.Resources.M.Properties.DefinitionString);
    expect(definition.States.A.Choices).toEqual([{ Condition: '{% false %}', Next: 'B' }]);
  });
});

test('rules, alarms and schedules lose whom they tell, and what', () => {
  const resources = () => ({
    Rule: { Type: 'AWS::Events::Rule', Properties: { Description: 'tells', Targets: [{ Arn: 'a' }] } },
    Alarm: { Type: 'AWS::CloudWatch::Alarm', Properties: { MetricName: 'Errors', AlarmActions: ['a'] } },
    Other: { Type: 'AWS::CloudWatch::Alarm', Properties: { MetricName: 'Errors', AlarmActions: ['a'] } },
    Schedule: { Type: 'AWS::Scheduler::Schedule', Properties: { Description: 'looks', Target: { Input: '{"a":1}' } } },
  });
  const after = (id: string) => {
    const Resources = resources();
    mutate({ Resources }, id);
    return Resources;
  };
  expect(after('rule "tells": target 1 removed').Rule.Properties.Targets).toEqual([]);
  expect(after('alarm "Errors": actions removed').Alarm.Properties).not.toHaveProperty('AlarmActions');
  expect(after('alarm "Errors": actions removed').Other.Properties).toHaveProperty('AlarmActions');
  expect(after('alarm "Errors": actions removed (2)').Other.Properties).not.toHaveProperty('AlarmActions');
  expect(after('schedule "looks": input emptied').Schedule.Properties.Target.Input).toBe('{}');
});

test('every mutant of the loop has an id of its own, and each twentieth is seen to break something; the five are among them', () => {
  const text = JSON.stringify(VARIANTS['the smallest loop']?.());
  const ids = idsOf(JSON.parse(text));
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(expect.arrayContaining(Object.keys(five)));
  const some = ids.filter((id, i) => i % 20 === 0 || id in five);
  const unchanged = some.filter((id) => {
    const template = JSON.parse(text);
    mutate(template, id);
    return JSON.stringify(template) === text;
  });
  expect(unchanged).toEqual([]);
});
