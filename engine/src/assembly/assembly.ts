import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AwsEnvironment, Resource, Shape } from '../service';
import { hasNameOfItsOwn } from './resource-types';
import { StackTemplate } from './template';

/** What an assembly cannot know by itself. */
export interface AssemblyOptions {
  /** Where the engine answers, for queue URLs. @default http://127.0.0.1:4566 */
  readonly endpoint?: string;
  /** How often the app has been deleted. @default 0 */
  readonly deletions?: number;
  /** Values of template parameters without a usable default, by `<stack>.<parameter>` or `<parameter>`. */
  readonly parameters?: Readonly<Record<string, string>>;
}

interface Asset {
  readonly bucket: string;
  readonly path: string;
}

/** A file of the cloud assembly's manifest; only what we read of it. */
interface Manifest {
  readonly artifacts?: Readonly<
    Record<
      string,
      {
        readonly type: string;
        readonly environment?: string;
        readonly displayName?: string;
        readonly properties?: Shape;
      }
    >
  >;
}

/** Where the engine pretends to be when an app does not say. */
export const DEFAULT_PLACE: AwsEnvironment = {
  account: '000000000000',
  region: 'us-east-1',
  partition: 'aws',
  urlSuffix: 'amazonaws.com',
};

/**
 * A synthesized CDK app: the stacks' resources with every intrinsic resolved, as a deployment would.
 *
 * Names are those of the template, or made from the stack and the logical id: a second load gives the same.
 */
export class Assembly {
  /** All stacks' resources, in the order of the manifest and the templates. */
  readonly resources: readonly Resource[];
  /** `outputs[stack][key]`. */
  readonly outputs: Readonly<Record<string, Readonly<Record<string, string>>>>;

  private constructor(
    readonly folder: string,
    readonly aws: AwsEnvironment,
    stacks: readonly StackTemplate[],
    private readonly assets: ReadonlyMap<string, Asset>,
  ) {
    this.resources = nativeNotifications(stacks.flatMap((stack) => stack.resources()));
    refuseTwice(this.resources);
    this.outputs = Object.fromEntries(stacks.map((stack) => [stack.name, stack.outputs()]));
  }

  /** Reads what `cdk synth` wrote. */
  static load(folder: string, aws: AwsEnvironment = environmentOf(folder), options: AssemblyOptions = {}): Assembly {
    const stacks: StackTemplate[] = [];
    const assets = new Map<string, Asset>();
    const exported = (name: string): Shape => {
      for (const stack of stacks) {
        const found = stack.exported(name);
        if (found !== undefined) return found;
      }
      throw new Error(`no stack of ${folder} exports ${name}: synthesize the stack that exports it as well`);
    };
    const asset = (key: string) => assets.get(key)?.path;
    const parameters = options.parameters ?? {};
    const { endpoint = 'http://127.0.0.1:4566', deletions = 0 } = options;
    for (const { base, artifacts } of manifests(folder)) {
      for (const [id, artifact] of inOrder(artifacts)) {
        const { properties = {} } = artifact;
        if (artifact.type === 'cdk:asset-manifest') {
          readAssets(base, join(base, properties.file), aws, assets);
        } else if (artifact.type === 'aws:cloudformation:stack') {
          const name = properties.stackName ?? id;
          const file = join(base, properties.templateFile);
          stacks.push(
            new StackTemplate({
              name,
              template: readJson(file),
              asset,
              aws,
              endpoint,
              deletions,
              parameters,
              exported,
            }),
          );
        }
      }
    }
    if (stacks.length === 0) throw new Error(`${folder} has no stack: run \`cdk synth\` on an app with one`);
    return new Assembly(folder, aws, stacks, assets);
  }

  /** The resources of a type, e.g. `AWS::S3::Bucket`. */
  ofType(type: string): Resource[] {
    return this.resources.filter((resource) => resource.type === type);
  }

  /**
   * The one resource at a construct's path, or below it.
   *
   * @param path as in the construct tree, e.g. `Stack/Data`; `/Resource` at the end may be left out. Where the
   * template was synthesized without the CDK's CLI and so has no paths: the logical id.
   * @param type narrows it, e.g. to `AWS::S3::Bucket`
   */
  find(path: string, type?: string): Resource {
    const candidates = this.resources.filter((one) => type === undefined || one.type === type);
    const exact = candidates.filter((one) => one.path === path || one.path === `${path}/Resource`);
    const found = exact.length > 0 ? exact : candidates.filter((one) => one.path.startsWith(`${path}/`));
    if (found.length !== 1) {
      const paths = (found.length > 0 ? found : candidates).map((one) => one.path);
      throw new Error(`${found.length} resources at ${path}, expected 1; there are: ${paths.join(', ')}`);
    }
    return found[0] as Resource;
  }

  /** The folder or file of an asset by the bucket and key that the template names; undefined if it is none. */
  asset(bucket: string, key: string): string | undefined {
    const asset = this.assets.get(key);
    return asset?.bucket === bucket ? asset.path : undefined;
  }

  /** The assets that are single files, which `cdk deploy` uploads as they are. */
  files(): Array<{ readonly bucket: string; readonly key: string; readonly path: string }> {
    return [...this.assets]
      .map(([key, { bucket, path }]) => ({ bucket, key, path }))
      .filter(({ path }) => statSync(path, { throwIfNoEntry: false })?.isFile());
  }
}

/** The account and region that an app's stacks are bound to; the engine's own where the app leaves them open. */
export function environmentOf(folder: string): AwsEnvironment {
  for (const { artifacts } of manifests(folder)) {
    for (const artifact of Object.values(artifacts)) {
      const [, account, region] = /^aws:\/\/([^/]+)\/(.+)$/.exec(artifact.environment ?? '') ?? [];
      if (artifact.type !== 'aws:cloudformation:stack' || account === undefined || region === undefined) continue;
      return {
        ...DEFAULT_PLACE,
        ...(account !== 'unknown-account' && { account }),
        ...(region !== 'unknown-region' && { region }),
      };
    }
  }
  return DEFAULT_PLACE;
}

type Artifacts = NonNullable<Manifest['artifacts']>;

/** The manifest of the folder and those of the stages in it. */
function manifests(folder: string): { base: string; artifacts: Artifacts }[] {
  const file = join(folder, 'manifest.json');
  if (!existsSync(file)) {
    throw new Error(`no synthesized app in ${resolve(folder)} (no manifest.json): run \`cdk synth\` first`);
  }
  const { artifacts = {} } = readJson(file) as Manifest;
  const nested = Object.values(artifacts).filter(({ type }) => type === 'cdk:cloud-assembly');
  return [
    { base: folder, artifacts },
    ...nested.flatMap(({ properties }) => manifests(join(folder, properties.directoryName))),
  ];
}

/** Assets before stacks; else as written. */
function inOrder(artifacts: Artifacts) {
  return Object.entries(artifacts).sort(([, a], [, b]) => Number(rank(a.type)) - Number(rank(b.type)));
}

function rank(type: string): number {
  return type === 'cdk:asset-manifest' ? 0 : 1;
}

function readAssets(base: string, file: string, aws: AwsEnvironment, assets: Map<string, Asset>): void {
  for (const { source, destinations } of Object.values<Shape>(readJson(file).files ?? {})) {
    if (source.path === undefined) continue; // made by a command of the CLI's; nothing of ours reads those
    for (const { bucketName, objectKey } of Object.values<Shape>(destinations)) {
      assets.set(objectKey, { bucket: withPlace(bucketName, aws), path: resolve(base, source.path) });
    }
  }
}

function withPlace(text: string, aws: AwsEnvironment): string {
  return text
    .replaceAll('${AWS::AccountId}', aws.account)
    .replaceAll('${AWS::Region}', aws.region)
    .replaceAll('${AWS::Partition}', aws.partition);
}

function readJson(file: string): Shape {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`cannot read ${file}: ${(error as Error).message}; run \`cdk synth\` again`, { cause: error });
  }
}

/** As CloudFormation refuses to make a second resource under a name. */
function refuseTwice(resources: readonly Resource[]): void {
  const first = new Map<string, Resource>();
  for (const resource of resources) {
    const { type, physicalId, arn, path } = resource;
    if (!hasNameOfItsOwn(type)) continue;
    const other = first.get(`${type} ${arn}`);
    if (other !== undefined) {
      throw new Error(
        `${path}: ${physicalId} of type ${type} already exists, made by ${other.path}: give one of them another name`,
      );
    }
    first.set(`${type} ${arn}`, resource);
  }
}

/** Does what CDK's custom resource for bucket notifications would do: puts them on the bucket. */
function nativeNotifications(resources: readonly Resource[]): Resource[] {
  const notifications = resources.filter(({ type }) => type === 'Custom::S3BucketNotifications');
  return resources.map((bucket) => {
    const one = notifications.find(({ properties }) => properties.BucketName === bucket.physicalId);
    if (one === undefined || bucket.type !== 'AWS::S3::Bucket') return bucket;
    const configuration = inTemplateTerms(one.properties.NotificationConfiguration);
    return { ...bucket, properties: { ...bucket.properties, NotificationConfiguration: configuration } };
  });
}

/** The custom resource speaks the S3 API's language, the template's bucket CloudFormation's. */
function inTemplateTerms(configuration: Shape): Shape {
  const of = (list: Shape[] | undefined, arn: string, name: string) =>
    list?.flatMap((one) =>
      one.Events.map((Event: string) => ({
        Event,
        [name]: one[arn],
        ...(one.Filter && { Filter: { S3Key: { Rules: one.Filter.Key.FilterRules } } }),
      })),
    );
  const { EventBridgeConfiguration, QueueConfigurations, TopicConfigurations, LambdaFunctionConfigurations } =
    configuration;
  return {
    ...(EventBridgeConfiguration && { EventBridgeConfiguration: { EventBridgeEnabled: true } }),
    ...(QueueConfigurations && { QueueConfigurations: of(QueueConfigurations, 'QueueArn', 'Queue') }),
    ...(TopicConfigurations && { TopicConfigurations: of(TopicConfigurations, 'TopicArn', 'Topic') }),
    ...(LambdaFunctionConfigurations && {
      LambdaConfigurations: of(LambdaFunctionConfigurations, 'LambdaFunctionArn', 'Function'),
    }),
  };
}
