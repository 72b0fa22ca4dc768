import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, test } from 'vitest';
import { exampleStacks } from './support/examples';

/** Every finding that is meant to be, and why. */
const EXPLAINED: ReadonlyArray<[finding: RegExp, because: string]> = [
  [/SQS3$/, 'a dead-letter queue of rules, which the check does not know for one'],
  [/S1$/, 'access logs go to a bucket that the user names (DatasetBucketProps.accessLogs); none is made unasked'],
  [
    /IAM5\[Resource::(<.*Dataset\w+\.Arn>|.*:Exports\w+Dataset\w+)\/[a-z*/-]+\*\]$/,
    'objects below one prefix of the one data bucket',
  ],
  [
    /IAM5\[Resource::arn:.*:sagemaker:.*:[a-z-]+\/[a-z0-9-]+[-/]v?\*\]$/,
    'names that begin with the pipeline: one a run',
  ],
  [
    /IAM5\[Resource::arn:.*:sagemaker:.*:(endpoint|endpoint-config|model|[a-z-]+-job)\/\*\]$/,
    "what takes away with the stack goes by the stack's tag: what has an old name is to go too",
  ],
  [/IAM5\[Resource::arn:.*:log-group:\/aws\/sagemaker\/\*\]$/, 'SageMaker names its log groups itself'],
  [
    /IAM5\[Resource::arn:.*:log-group:\/aws\/sagemaker\/TrainingJobs:(log-stream:[a-z0-9-]+-)?\*\]$/,
    "the log streams of the pipeline's jobs, whose names SageMaker makes",
  ],
  [/IAM5\[Resource::arn:.*:states:.*:execution:.*:\*\]$/, 'the executions of one machine: one a run'],
  [/IAM5\[Resource::\*\]$/, 'listing, log delivery, tracing, metrics and registry log-in know no resource'],
  [/IAM5\[Resource::<.*Function\w+\.Arn>:\*\]$/, "the scheduler's target grants the versions of the function as well"],
];

test('the examples have no finding that is not explained, and no explanation without a finding', () => {
  const app = new App();
  exampleStacks(app);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  expect(() => app.synth()).toThrow();

  const report = readFileSync(join(app.outdir, 'validation-report.json'), 'utf8');
  const findings = [
    ...new Set([...report.matchAll(/AwsSolutions-[A-Z]+\d+(?:\[(?:[^"\\]|\\.)*\])?/g)].map(([id]) => id)),
  ];
  expect(findings.length).toBeGreaterThan(10);
  expect(findings.filter((id) => !EXPLAINED.some(([pattern]) => pattern.test(id)))).toEqual([]);
  expect(EXPLAINED.filter(([pattern]) => !findings.some((id) => pattern.test(id)))).toEqual([]);
});
