#!/usr/bin/env node
// Draws the components of the example app from its synthesized template, into docs/architecture.md:
// `node scripts/diagram.mjs`, or with `--check` only says whether the page is current. `node bin/bundle.mjs` comes first.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PAGE = 'docs/architecture.md';
const [BEGIN, END] = ['<!-- components: node scripts/diagram.mjs -->\n', '<!-- end of components -->\n'];

/** What a component shows of what it is made of, by resource type. */
const SHOWN = {
  'AWS::S3::Bucket': 'bucket',
  'AWS::DynamoDB::Table': 'table',
  'AWS::SageMaker::ModelPackageGroup': 'model package group',
  'AWS::StepFunctions::StateMachine': 'state machine',
  'AWS::Lambda::Function': 'function',
  'AWS::SQS::Queue': 'queue',
  'AWS::SNS::Topic': 'topic',
  'AWS::Events::Rule': 'rule',
  'AWS::Scheduler::Schedule': 'schedule',
  'AWS::CloudWatch::Alarm': 'alarm',
};

const folder = mkdtempSync(join(tmpdir(), 'perennial-diagram-'));
try {
  const context = JSON.stringify({ 'aws:cdk:enable-path-metadata': true });
  execFileSync(process.execPath, ['dist/bin/app.cjs'], {
    env: { ...process.env, CDK_OUTDIR: folder, CDK_CONTEXT_JSON: context },
  });
  const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'));
  const [stack] = Object.values(read('manifest.json').artifacts).filter(
    ({ type }) => type === 'aws:cloudformation:stack',
  );
  const page = readFileSync(PAGE, 'utf8');
  const [before, after] = [page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)];
  const drawn = `\`\`\`mermaid\n${diagram(read(stack.properties.templateFile))}\`\`\`\n`;
  const current = page.slice(before, after) === drawn;
  if (!process.argv.includes('--check')) writeFileSync(PAGE, page.slice(0, before) + drawn + page.slice(after));
  else if (!current) {
    console.error(`the components in ${PAGE} must be those of the constructs: run npm run diagram`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}

/** The components of a template, and who uses what of whom, in Mermaid. */
function diagram({ Resources }) {
  const resources = Object.entries(Resources).map(([id, { Type, Properties = {}, Metadata }]) => ({
    id,
    type: Type,
    properties: Properties,
    component: componentOf(Metadata?.['aws:cdk:path'] ?? ''),
  }));
  const groups = resources.filter(({ type }) => type === 'AWS::SageMaker::ModelPackageGroup').map(({ id }) => id);
  /** Model packages have names, not logical ids. */
  const named = (value) => (/model.package/i.test(JSON.stringify(value) ?? '') ? groups : []);
  const home = new Map(resources.map(({ id, component }) => [id, component]));
  const edges = new Map();
  const connect = (from, ids, label) => {
    for (const to of new Set(ids.map((id) => home.get(id)))) {
      if (from === undefined || to === undefined || from === to) continue;
      const key = `${from} ${to}`;
      edges.set(key, (edges.get(key) ?? new Set()).add(label));
    }
  };
  for (const { id, type, properties, component } of resources) {
    if (type === 'AWS::IAM::Policy') {
      for (const { Action, Resource } of properties.PolicyDocument.Statement) {
        const used = [...referencesOf(Resource), ...named(Resource)];
        for (const action of [Action].flat()) connect(component, used, action.split(':')[0]);
      }
    } else if (type === 'AWS::Events::Rule') {
      connect(component, referencesOf(properties.Targets), 'events');
      for (const source of [...referencesOf(properties.EventPattern), ...named(properties.EventPattern)]) {
        connect(home.get(source), [id], 'events');
      }
    } else if (type === 'AWS::Scheduler::Schedule') connect(component, referencesOf(properties.Target), 'schedule');
    else if (type === 'AWS::Lambda::EventSourceMapping') connect(component, referencesOf(properties), 'sqs');
    else if (type === 'AWS::CloudWatch::Alarm') connect(component, referencesOf(properties.AlarmActions), 'alarms');
  }
  const components = [...new Set(resources.map(({ component }) => component))].filter((one) => one !== undefined);
  const nodes = components.map(
    (name) => `  ${name}["${[`<b>${name}</b>`, ...partsOf(resources, name)].join('<br/>')}"]\n`,
  );
  const lines = [...edges].map(([key, labels]) => {
    const [from, to] = key.split(' ');
    return `  ${from} -->|${[...labels].sort().join(', ')}| ${to}\n`;
  });
  return `flowchart TB\n${nodes.join('')}${lines.sort().join('')}`;
}

/** The construct of the pipeline that a resource belongs to: `Stack/Pipeline/Component/…`; none for what the CDK adds. */
function componentOf(path) {
  const [, pipeline, component, ...rest] = path.split('/');
  if (pipeline === 'PerennialCleanUp') return 'CleanUp';
  return rest.length > 0 && !/^SchedulerRole/.test(pipeline) ? component : undefined;
}

function partsOf(resources, component) {
  return Object.entries(SHOWN).flatMap(([type, word]) => {
    const count = resources.filter((one) => one.component === component && one.type === type).length;
    return count === 0 ? [] : [`${count} ${word}${count === 1 ? '' : 's'}`];
  });
}

/** The logical ids that a value refers to. */
function referencesOf(value) {
  if (Array.isArray(value)) return value.flatMap(referencesOf);
  if (value === null || typeof value !== 'object') return [];
  if (typeof value.Ref === 'string') return [value.Ref];
  if (value['Fn::GetAtt']) return [value['Fn::GetAtt']].flat().slice(0, 1);
  return Object.values(value).flatMap(referencesOf);
}
