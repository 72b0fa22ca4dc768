import { App, Duration, RemovalPolicy } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { FlightsStack } from '../examples/flights/stack';
import { Promotion } from '../lib';
import { mistakesIn } from './support/cloudformation';
import { templateOf, wholeLoop } from './support/stacks';

test('CloudFormation knows every resource, property and attribute of the example app', () => {
  expect(mistakesIn(templateOf(new FlightsStack(new App(), 'PerennialFlights')).toJSON())).toEqual([]);
});

test('it knows them with other properties as well', () => {
  const { stack } = wholeLoop({
    pipelineName: 'other',
    newestFiles: 3,
    autoApprove: false,
    promotion: Promotion.BETTER,
    monitorInterval: Duration.days(1),
    removalPolicy: RemovalPolicy.DESTROY,
  });
  expect(mistakesIn(templateOf(stack).toJSON())).toEqual([]);
});

const QUEUE = { Type: 'AWS::SQS::Queue' };
const queue = (properties: object) => ({ Resources: { Queue: { ...QUEUE, Properties: properties } } });

test.each<[what: string, template: object, finding: RegExp]>([
  ['a section', { Resources: {}, Ressources: {} }, /template has no Ressources/],
  ['a type', { Resources: { A: { Type: 'AWS::SQS::Kew' } } }, /A has an unknown type: AWS::SQS::Kew/],
  ['a resource key', { Resources: { A: { ...QUEUE, Depends: 'B' } } }, /A has no Depends/],
  ['a deletion policy', { Resources: { A: { ...QUEUE, DeletionPolicy: 'Keep' } } }, /DeletionPolicy must be one of/],
  ['a dependency', { Resources: { A: { ...QUEUE, DependsOn: ['B'] } } }, /A.DependsOn knows no resource B/],
  ['a logical id', { Resources: { 'my-queue': QUEUE } }, /my-queue is no logical id/],
  ['a property', queue({ QueueNam: 'a' }), /Queue has no property QueueNam/],
  ['a string', queue({ QueueName: 1 }), /Queue.QueueName must be string, got 1/],
  ['an integer', queue({ DelaySeconds: 0.5 }), /Queue.DelaySeconds must be integer, got 0.5/],
  ['a boolean', queue({ FifoQueue: 'yes' }), /Queue.FifoQueue must be boolean, got "yes"/],
  ['a tag', queue({ Tags: [{ Key: 'a' }] }), /Queue.Tags\[0\] lacks Value/],
  ['a list', queue({ Tags: { Key: 'a' } }), /Queue.Tags must be a list/],
  ['a reference', queue({ QueueName: { Ref: 'Nam' } }), /knows no resource or parameter Nam/],
  ['an attribute', queue({ QueueName: { 'Fn::GetAtt': ['Queue', 'Name'] } }), /asks for Name, which AWS::SQS::Queue/],
  ["another's attribute", queue({ QueueName: { 'Fn::GetAtt': ['Kew', 'Arn'] } }), /knows no resource Kew/],
  ['a substitution', queue({ QueueName: { 'Fn::Sub': '${!a}${AWS::Region}${Kew.Arn}' } }), /knows no resource Kew/],
  ['a condition', queue({ QueueName: { 'Fn::If': ['IsLarge', 'a', 'b'] } }), /knows no condition IsLarge/],
  ['a mapping', queue({ QueueName: { 'Fn::FindInMap': ['Names', 'a', 'b'] } }), /knows no mapping Names/],
  [
    'what is required',
    { Resources: { Role: { Type: 'AWS::IAM::Role', Properties: { RoleName: 'a' } } } },
    /Role lacks AssumeRolePolicyDocument/,
  ],
  [
    'one of some words, inside a list',
    {
      Resources: {
        Bucket: {
          Type: 'AWS::S3::Bucket',
          Properties: { LifecycleConfiguration: { Rules: [{ Id: 'old', Status: 'On' }] } },
        },
      },
    },
    /Bucket.LifecycleConfiguration.Rules\[0\].Status must be one of Enabled, Disabled, got "On"/,
  ],
  ['the service of a custom resource', { Resources: { A: { Type: 'Custom::Thing' } } }, /A lacks ServiceToken/],
  ['an output', { Resources: {}, Outputs: { A: { Value: 1 } } }, /Outputs.A must have a string as Value/],
  [
    'an export',
    {
      Resources: {},
      Outputs: { A: { Value: 'a', Export: { Name: 'same' } }, B: { Value: 'b', Export: { Name: 'same' } } },
    },
    /Outputs.B exports "same", as another output does/,
  ],
  [
    'the number of resources',
    { Resources: Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`Queue${index}`, QUEUE])) },
    /template has 501 resources; at most 500 are allowed/,
  ],
  ['the size', { Resources: {}, Metadata: { text: 'a'.repeat(1024 * 1024) } }, /template has \d+ bytes/],
])('the checker finds a mistake in %s', (_, template, finding) => {
  const mistakes = mistakesIn(template);
  expect(mistakes).toHaveLength(1);
  expect(mistakes[0]).toMatch(finding);
});
