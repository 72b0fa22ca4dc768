import { readFileSync } from 'node:fs';
import { Alarm } from 'aws-cdk-lib/aws-cloudwatch';
import { expect, test } from 'vitest';
import { templateOf, wholeLoop } from '../support/stacks';

test('every alarm and every notification has its section in the runbook and names it, and no section is without one', () => {
  const { stack, loop } = wholeLoop();
  const alarms = stack.node.findAll().filter((node) => node instanceof Alarm);
  const ids = new Set([...alarms.map(({ node }) => node.id), ...Object.keys(loop.notifications.rules)]);
  const sections = [...readFileSync('lib/RUNBOOK.md', 'utf8').matchAll(/^## (.+)$/gm)].map(([, name]) => name);
  expect([...sections].sort()).toEqual([...ids].sort());

  const template = templateOf(stack);
  const texts = [
    ...Object.values(template.findResources('AWS::CloudWatch::Alarm')).map(
      ({ Properties }) => Properties.AlarmDescription,
    ),
    ...Object.values(template.findResources('AWS::Events::Rule')).flatMap(({ Properties }) =>
      Properties.Targets.map(({ InputTransformer }: { InputTransformer?: unknown }) => InputTransformer),
    ),
  ]
    .filter((text) => text !== undefined)
    .map((text) => JSON.stringify(text));
  expect(texts).toHaveLength(alarms.length + Object.keys(loop.notifications.rules).length);
  for (const text of texts) {
    const [, named] = /lib\/RUNBOOK\.md, (\w+)/.exec(text) ?? [];
    expect(sections, text).toContain(named);
  }
});
