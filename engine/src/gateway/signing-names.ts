/** Services that SDKs, and so `aws-sdk:` integrations and universal targets, call by another name than requests are signed with. */
const SIGNING_NAMES: Readonly<Record<string, string>> = {
  applicationautoscaling: 'application-autoscaling',
  cloudwatch: 'monitoring',
  cloudwatchlogs: 'logs',
  eventbridge: 'events',
  sagemakerruntime: 'sagemaker',
  sfn: 'states',
};

/** The name by which the engine knows a service, e.g. `states` for `sfn`. */
export function signingName(name: string): string {
  return SIGNING_NAMES[name] ?? name;
}
