import { readFileSync } from 'node:fs';
import { CfnAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import { expect, test } from 'vitest';
import { wholeLoop } from '../support/stacks';

test('every alarm has its section in the runbook, and no section is without an alarm', () => {
  const alarms = wholeLoop()
    .stack.node.findAll()
    .filter((node) => node instanceof CfnAlarm)
    .map((alarm) => alarm.node.scope?.node.id as string);
  const sections = [...readFileSync('lib/RUNBOOK.md', 'utf8').matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  expect(alarms.length).toBeGreaterThan(0);
  expect([...sections].sort()).toEqual([...alarms].sort());
});
