import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { listed } from '../../lib/core/listed';
import { mapOf, object, optional, readDocument, text } from '../../lib/core/shape';
import { type CliContext, CommandError, UsageError } from './failure';
import { brief, readJson, stackName } from './input';

/** Which app a command is about. */
export interface AppOptions {
  readonly stack?: string;
  readonly pipeline?: string;
}

/** A deployed pipeline, as its stack's outputs name it. */
export interface PipelineApp {
  readonly stack: string;
  readonly pipeline: string;
  readonly dataBucket: string;
  readonly ledgerTable: string;
  readonly trainingMachine: string;
  readonly deploymentMachine: string;
  readonly modelPackageGroup: string;
  readonly endpoint: string;
}

/** The outputs of a `ContinuousTraining`; CDK puts the construct's path before each and a hash behind it. */
const OUTPUTS = {
  pipeline: 'Pipeline',
  dataBucket: 'DataBucket',
  ledgerTable: 'LedgerTable',
  trainingMachine: 'TrainingMachine',
  deploymentMachine: 'DeploymentMachine',
  modelPackageGroup: 'ModelPackageGroup',
  endpoint: 'Endpoint',
} as const;

/** The address of the local engine; undefined for AWS. */
export function engineAddress({ env }: Pick<CliContext, 'env'>): string | undefined {
  const { AWS_ENDPOINT_URL: address } = env;
  if (address === undefined || address === '') return undefined;
  if (URL.canParse(address) && /^https?:\/\/[^/]/.test(address)) return address;
  throw new UsageError(`AWS_ENDPOINT_URL must be an address like http://127.0.0.1:4566, got ${brief(address)}`);
}

/** What the SDK's clients need to speak to AWS, or to the engine that AWS_ENDPOINT_URL names. */
export function clientConfig({ env }: Pick<CliContext, 'env'>) {
  const endpoint = engineAddress({ env });
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN,
    AWS_PROFILE,
  } = env;
  const keys = accessKeyId !== undefined && secretAccessKey !== undefined;
  if (endpoint !== undefined && !keys && AWS_PROFILE === undefined) {
    throw new UsageError(
      `the engine at ${endpoint} (AWS_ENDPOINT_URL) lets in who has the keys of its present start: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY by the lines that it printed`,
    );
  }
  const region = env.AWS_REGION ?? env.AWS_DEFAULT_REGION;
  return {
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true, maxAttempts: 2 }),
    ...(region !== undefined ? { region } : endpoint !== undefined && { region: 'us-east-1' }),
    ...(keys && {
      credentials: { accessKeyId, secretAccessKey, ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }) },
    }),
  };
}

/** Finds the pipeline by its stack's outputs, on AWS and in the engine alike. */
export async function findApp(options: AppOptions, context: CliContext): Promise<PipelineApp> {
  const stack = stackName(options.stack ?? context.env.PERENNIAL_STACK ?? onlyStack(context.cwd));
  const client = new CloudFormationClient(clientConfig(context));
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
    const outputs = Object.fromEntries(
      (Stacks[0]?.Outputs ?? []).map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]),
    );
    return choose(stack, pipelinesOf(stack, outputs), options.pipeline);
  } catch (error) {
    if (/does not exist/.test((error as Error).message)) {
      const where = engineAddress(context) ?? 'this AWS account and region';
      throw new CommandError(`no stack is called ${stack} at ${where}: deploy it, or name another with --stack`);
    }
    throw error;
  } finally {
    client.destroy();
  }
}

/** The pipelines whose outputs a stack has, in the outputs' order. */
export function pipelinesOf(stack: string, outputs: Readonly<Record<string, string>>): PipelineApp[] {
  const names = Object.entries(OUTPUTS);
  const found = new Map<string, Record<string, string>>();
  for (const [key, value] of Object.entries(outputs)) {
    for (const [member, name] of names) {
      const [, prefix] = new RegExp(`^(.*)${name}(?:[0-9A-F]{8})?$`).exec(key) ?? [];
      if (prefix !== undefined) found.set(prefix, { ...found.get(prefix), [member]: value });
    }
  }
  return [...found.values()]
    .filter((members) => names.every(([member]) => members[member] !== undefined))
    .map((members) => ({ stack, ...members }) as unknown as PipelineApp);
}

function choose(stack: string, apps: readonly PipelineApp[], wanted: string | undefined): PipelineApp {
  const names = listed(apps.map(({ pipeline }) => pipeline));
  const [first, ...others] = wanted === undefined ? apps : apps.filter(({ pipeline }) => pipeline === wanted);
  if (first !== undefined && others.length === 0) return first;
  if (apps.length === 0) {
    throw new CommandError(
      `the stack ${stack} has no pipeline: it must have the outputs of a ContinuousTraining (${Object.values(OUTPUTS).join(', ')})`,
    );
  }
  throw wanted === undefined
    ? new UsageError(`the stack ${stack} has several pipelines (${names}): name one with --pipeline`)
    : new UsageError(`the stack ${stack} has no pipeline called ${brief(wanted)}; it has: ${names}`);
}

const SYNTH = "run 'npx cdk synth'";

interface Manifest {
  readonly artifacts?: Readonly<
    Record<string, { readonly type?: string; readonly properties?: { readonly stackName?: string } }>
  >;
}
const MANIFEST = object<Manifest>({
  artifacts: optional(
    mapOf(object({ type: optional(text), properties: optional(object({ stackName: optional(text) })) })),
  ),
});

/** The stack that was synthesized here, if there is just one. */
function onlyStack(cwd: string): string {
  const file = join(cwd, 'cdk.out', 'manifest.json');
  const how = 'name it with --stack or PERENNIAL_STACK';
  if (!existsSync(file)) throw new UsageError(`which stack? There is no cdk.out here: ${how}`);
  const { artifacts = {} } = readDocument(
    MANIFEST,
    readJson(file, SYNTH),
    `${file} must be a manifest of the CDK`,
    SYNTH,
  );
  const stacks = Object.entries(artifacts)
    .filter(([, { type }]) => type === 'aws:cloudformation:stack')
    .map(([id, { properties }]) => properties?.stackName ?? id);
  const [only, ...others] = stacks;
  if (only === undefined || others.length > 0) {
    throw new UsageError(`which stack? cdk.out has ${listed(stacks) || 'none'}: ${how}`);
  }
  return only;
}
