import { sdkActions } from '../../../api/models';

/** The ways in which an integration may wait. */
export type Pattern = 'sync' | 'sync:2' | 'waitForTaskToken';

const SYNC: readonly Pattern[] = ['sync'];
const TOKEN: readonly Pattern[] = ['waitForTaskToken'];
const NONE: readonly Pattern[] = [];

/** Step Functions' optimized integrations: what each may wait for. The engine runs some of them. */
const OPTIMIZED: Readonly<Record<string, Readonly<Record<string, readonly Pattern[]>>>> = {
  apigateway: { invoke: TOKEN },
  athena: { startQueryExecution: SYNC, stopQueryExecution: NONE, getQueryExecution: NONE, getQueryResults: NONE },
  batch: { submitJob: SYNC },
  bedrock: { invokeModel: NONE, createModelCustomizationJob: SYNC },
  codebuild: {
    ...{ startBuild: SYNC, stopBuild: NONE, batchDeleteBuilds: NONE, batchGetReports: NONE },
    ...{ startBuildBatch: SYNC, stopBuildBatch: NONE, retryBuildBatch: SYNC, deleteBuildBatch: NONE },
  },
  databrew: { startJobRun: SYNC },
  dynamodb: { getItem: NONE, putItem: NONE, updateItem: NONE, deleteItem: NONE },
  ecs: { runTask: [...SYNC, ...TOKEN] },
  eks: {
    ...{ createCluster: SYNC, createNodegroup: SYNC, deleteCluster: SYNC, deleteNodegroup: SYNC },
    ...{ runJob: SYNC, call: NONE },
  },
  elasticmapreduce: {
    ...{ createCluster: SYNC, terminateCluster: SYNC, addStep: SYNC, cancelStep: NONE },
    ...{ setClusterTerminationProtection: NONE, modifyInstanceFleetByName: NONE, modifyInstanceGroupByName: NONE },
  },
  'emr-containers': { createVirtualCluster: NONE, deleteVirtualCluster: SYNC, startJobRun: SYNC },
  'emr-serverless': {
    ...{ createApplication: SYNC, startApplication: SYNC, stopApplication: SYNC, deleteApplication: SYNC },
    ...{ startJobRun: SYNC, cancelJobRun: SYNC },
  },
  events: { putEvents: TOKEN },
  glue: { startJobRun: SYNC },
  http: { invoke: NONE },
  lambda: { invoke: TOKEN },
  mediaconvert: { createJob: SYNC },
  sagemaker: {
    ...{ createEndpoint: NONE, createEndpointConfig: NONE, createModel: NONE, updateEndpoint: NONE },
    ...{ createHyperParameterTuningJob: SYNC, createLabelingJob: SYNC, createProcessingJob: SYNC },
    ...{ createTrainingJob: SYNC, createTransformJob: SYNC },
  },
  sns: { publish: TOKEN },
  sqs: { sendMessage: TOKEN },
  states: { startExecution: ['sync', 'sync:2', ...TOKEN] },
};

/** What the resource of a Task calls. */
export interface Integration {
  /** As SDKs call it where it is called by the SDK: `sfn`; else as integrations do: `states`. */
  readonly service: string;
  readonly action: string;
  readonly sdk: boolean;
  readonly pattern?: Pattern;
}

/** Reads the resource of a Task that calls a service; gives what is wrong with any other than that. */
export function readIntegration(resource: string): Integration | { readonly allowed: string } {
  const arn = /^arn:aws[\w-]*:states:::(aws-sdk:)?([\w-]+):(\w+)(?:\.(sync|sync:2|waitForTaskToken))?$/.exec(resource);
  if (arn === null)
    return { allowed: "a function's ARN, an activity's, or arn:<partition>:states:::<service>:<action>" };
  const [, sdk, service = '', action = '', pattern] = arn;
  const read = { service, action, sdk: sdk !== undefined, ...(pattern && { pattern: pattern as Pattern }) };
  const allowed = read.sdk ? wrongWithSdk(read) : wrongWithOptimized(read);
  return allowed === undefined ? read : { allowed };
}

function wrongWithSdk({ service, action, pattern }: Integration): string | undefined {
  const actions = sdkActions(service);
  if (actions === undefined) return 'a service by the name that the SDK for Java gives its package, e.g. dynamodb, sfn';
  const known = actions.find((one) => one.toLowerCase() === action.toLowerCase());
  if (known === undefined) return `an action of ${service}, its first letter small, e.g. ${camel(actions[0] ?? '')}`;
  if (action !== camel(action)) return `${camel(known)}: an action's first letter is small`;
  return pattern === undefined || pattern === 'waitForTaskToken'
    ? undefined
    : 'aws-sdk integrations end at once or with .waitForTaskToken; they have no .sync';
}

function wrongWithOptimized({ service, action, pattern }: Integration): string | undefined {
  const actions = OPTIMIZED[service];
  if (actions === undefined)
    return `one of the services ${Object.keys(OPTIMIZED).join(', ')}; others as aws-sdk:<service>`;
  const patterns = actions[action];
  if (patterns === undefined) return `of ${service} one of ${Object.keys(actions).join(', ')}; others as aws-sdk:…`;
  if (pattern === undefined || patterns.includes(pattern)) return undefined;
  return `${service}:${action}${patterns.map((one) => `, ${service}:${action}.${one}`).join('')}`;
}

function camel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
