import { join } from 'node:path';
import { ApiError, type Caller, type Need, type Operation, type Shape } from '../service';
import { Capture } from './capture';
import type { Containers } from './container';
import { awaitBake, refuseDeployment } from './deployment';
import type { EndpointConfigs } from './endpoint-configs';
import { actAs, arnOf, asEventDetail, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import { ModelServer } from './model-server';
import type { Models } from './models';
import * as shape from './shape';
import { required } from './shape';

/** How long a container may take to answer `/ping`, unless the options say otherwise. */
const START_SECONDS = 20;
/** A container that ends by itself is started again so often in a row. */
const MOST_RESTARTS = 3;

/** One variant with its running container. */
export interface Variant {
  readonly config: Shape;
  server: ModelServer;
  readonly image: string;
  readonly capture?: Capture;
  weight: number;
  instances: number;
  restarts: number;
}

export type Fleet = ReadonlyMap<string, Variant>;

export interface Endpoint {
  readonly name: string;
  readonly arn: string;
  readonly CreationTime: Date;
  status: 'Creating' | 'Updating' | 'InService' | 'Failed' | 'Deleting';
  configName: string;
  modified: Date;
  fleet: Fleet;
  /** While an update shifts traffic: the new fleet, and its share of the requests. */
  shift?: { readonly fleet: Fleet; share: number };
  pending?: Shape;
  failure?: string;
  deployment?: Shape;
}

/** Endpoints: their life, and who serves which request. */
export class Endpoints {
  private readonly endpoints = new Map<string, Endpoint>();
  private starts = 0;
  private stopped = false;

  constructor(
    private readonly host: Host,
    private readonly containers: Containers,
    private readonly models: Models,
    private readonly configs: EndpointConfigs,
  ) {}

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateEndpoint: {
      needs: (input) => [
        ...creationNeeds(this.host, 'CreateEndpoint', 'endpoint', input.EndpointName, input),
        ...this.configNeeds('CreateEndpoint', input),
      ],
      run: (input) => this.create(input),
    },
    UpdateEndpoint: {
      needs: (input) => [this.need('UpdateEndpoint', input), ...this.configNeeds('UpdateEndpoint', input)],
      run: (input, caller) => this.update(input, caller),
    },
    UpdateEndpointWeightsAndCapacities: {
      needs: (input) => [this.need('UpdateEndpointWeightsAndCapacities', input)],
      run: (input) => this.reweigh(input),
    },
    DescribeEndpoint: {
      needs: (input) => [this.need('DescribeEndpoint', input)],
      run: (input) => this.describe(this.get(input.EndpointName)),
    },
    DeleteEndpoint: {
      needs: (input) => [this.need('DeleteEndpoint', input)],
      run: (input) => this.delete(input),
    },
    ListEndpoints: {
      needs: () => [{ action: 'sagemaker:ListEndpoints', resource: '*' }],
      run: (input) => this.list(input),
    },
  };

  /** The endpoint of a request that is to be served, or the complaint that there is none. */
  serving(name: string): Endpoint {
    const endpoint = this.endpoints.get(name);
    if (endpoint === undefined || endpoint.fleet.size === 0 || endpoint.status === 'Deleting') {
      throw new ApiError(
        'ValidationError',
        `Endpoint ${name} of account ${this.host.context.place.account} not found.`,
      );
    }
    return endpoint;
  }

  /** The variant that answers a request: the one it asks for, else one drawn by weight. */
  choose(endpoint: Endpoint, target?: string): Variant {
    const { random } = this.host.context;
    const { shift } = endpoint;
    const fleet = shift !== undefined && random() < shift.share ? shift.fleet : endpoint.fleet;
    if (target !== undefined) {
      const variant = fleet.get(target);
      if (variant === undefined) {
        throw new ApiError('ValidationError', `Variant ${target} of endpoint ${endpoint.name} not found.`);
      }
      return variant;
    }
    const variants = [...fleet.values()];
    const total = variants.reduce((sum, { weight }) => sum + weight, 0);
    if (total === 0) throw new ApiError('ValidationError', `Endpoint ${endpoint.name} has no variant with weight.`);
    let left = random() * total;
    for (const variant of variants) {
      left -= variant.weight;
      if (left < 0) return variant;
    }
    return variants.at(-1) as Variant;
  }

  /** What is captured is stored at once, and ended containers are not started again. */
  stop(): void {
    this.stopped = true;
    for (const { fleet } of this.endpoints.values()) for (const { capture } of fleet.values()) capture?.flush();
  }

  private create(input: Shape): Shape {
    shape.validate(input, CREATE);
    const { EndpointName: name, EndpointConfigName: configName, DeploymentConfig } = input;
    const arn = arnOf(this.host, 'endpoint', name);
    if (this.endpoints.has(name)) throw invalid(`Cannot create already existing endpoint "${arn}".`);
    const config = this.configs.get(configName);
    refuseDeployment(DeploymentConfig, config);
    const at = now(this.host);
    const endpoint: Endpoint = {
      ...{ name, arn, CreationTime: at, status: 'Creating', configName, modified: at, fleet: new Map() },
      ...(DeploymentConfig && { deployment: DeploymentConfig }),
    };
    this.endpoints.set(name, endpoint);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.announce(endpoint);
    this.host.context.background(`endpoint ${name}`, async () => {
      try {
        endpoint.fleet = await this.startFleet(endpoint, config);
        this.enter(endpoint, 'InService');
      } catch (error) {
        endpoint.failure = (error as Error).message;
        this.enter(endpoint, 'Failed');
      }
    });
    return { EndpointArn: arn };
  }

  private update(input: Shape, caller: Caller): Shape {
    shape.validate(input, UPDATE);
    const endpoint = this.get(input.EndpointName);
    const config = this.configs.get(input.EndpointConfigName);
    this.refuseInProgress(endpoint);
    if (endpoint.status === 'Failed') {
      throw invalid(`Cannot update endpoint "${endpoint.arn}" in status Failed; delete it and create it again.`);
    }
    const deployment =
      input.DeploymentConfig ?? (input.RetainDeploymentConfig === true ? endpoint.deployment : undefined);
    refuseDeployment(deployment, config);
    const at = now(this.host);
    endpoint.pending = { EndpointConfigName: config.EndpointConfigName, StartTime: at };
    this.enter(endpoint, 'Updating');
    this.host.context.background(`endpoint ${endpoint.name}`, async () => {
      try {
        await this.replace(endpoint, config, deployment, input.RetainAllVariantProperties === true, caller);
      } catch (error) {
        // as on AWS: the old fleet goes on, and the status does not tell
        this.host.context.log('sagemaker', `endpoint ${endpoint.name}: rolled back: ${(error as Error).message}`);
      }
      delete endpoint.pending;
      delete endpoint.shift;
      this.enter(endpoint, 'InService');
    });
    return { EndpointArn: endpoint.arn };
  }

  /** Starts the new fleet beside the old one, shifts the traffic, and ends the old one. */
  private async replace(endpoint: Endpoint, config: Shape, deployment: Shape, retain: boolean, caller: Caller) {
    const old = endpoint.fleet;
    const fleet = await this.startFleet(endpoint, config, retain ? old : undefined);
    endpoint.shift = { fleet, share: 0 };
    try {
      await awaitBake(this.host, deployment, caller, (share) => {
        if (endpoint.shift !== undefined) endpoint.shift.share = share;
      });
    } catch (error) {
      delete endpoint.shift;
      await endFleet(fleet);
      throw error;
    }
    endpoint.fleet = fleet;
    endpoint.configName = config.EndpointConfigName;
    if (deployment) endpoint.deployment = deployment;
    delete endpoint.shift;
    await endFleet(old);
  }

  private async startFleet(endpoint: Endpoint, config: Shape, retained?: Fleet): Promise<Fleet> {
    const fleet = new Map<string, Variant>();
    try {
      for (const variant of config.ProductionVariants) {
        fleet.set(variant.VariantName, await this.startVariant(endpoint, config, variant, retained));
      }
    } catch (error) {
      await endFleet(fleet);
      throw error;
    }
    return fleet;
  }

  private async startVariant(endpoint: Endpoint, config: Shape, variant: Shape, retained?: Fleet): Promise<Variant> {
    const { ExecutionRoleArn } = this.models.get(variant.ModelName);
    const model = this.models.container(variant.ModelName);
    const role = actAs(this.host, ExecutionRoleArn, endpoint.arn);
    const { VariantName } = variant;
    const start = () =>
      this.startServer(endpoint, VariantName, { model, role, roleArn: ExecutionRoleArn }).catch((error: Error) => {
        throw new Error(
          `The primary container for production variant ${VariantName} ${error.message}. Please check the log of the endpoint.`,
        );
      });
    const kept = retained?.get(VariantName);
    const { DataCaptureConfig } = config;
    const started: Variant = {
      config: variant,
      server: await start(),
      image: model.Image,
      weight: kept?.weight ?? variant.InitialVariantWeight ?? 1,
      instances: kept?.instances ?? variant.InitialInstanceCount ?? 1,
      restarts: 0,
      ...(DataCaptureConfig?.EnableCapture && {
        capture: new Capture(this.host, endpoint.name, VariantName, DataCaptureConfig, role),
      }),
    };
    this.keepRunning(endpoint, started, start);
    return started;
  }

  private startServer(
    endpoint: Endpoint,
    variant: string,
    model: { model: ReturnType<Models['container']>; role: Caller; roleArn: string },
  ): Promise<ModelServer> {
    const { context, options } = this.host;
    const folder = join(context.stateDir, 'sagemaker', 'endpoints', endpoint.name, `${variant}-${this.starts++}`);
    const startMs = (options.containerStartSeconds ?? START_SECONDS) * 1000;
    const line = (text: string) => context.log('sagemaker', text, { endpoint: endpoint.name, variant });
    return ModelServer.start(this.host, this.containers, { folder, startMs, line, ...model });
  }

  /** Starts a container again that has ended by itself. */
  private keepRunning(endpoint: Endpoint, variant: Variant, start: () => Promise<ModelServer>): void {
    const { server } = variant;
    void server.ended.then(async (code) => {
      if (this.stopped || server.ending || variant.restarts >= MOST_RESTARTS) return;
      variant.restarts++;
      this.host.context.log(
        'sagemaker',
        `endpoint ${endpoint.name}: its container ended with ${code}, starting it again`,
      );
      try {
        variant.server = await start();
        this.keepRunning(endpoint, variant, start);
      } catch (error) {
        this.host.context.log('sagemaker', `endpoint ${endpoint.name}: ${(error as Error).message}`);
      }
    });
  }

  private reweigh(input: Shape): Shape {
    shape.validate(input, REWEIGH);
    const endpoint = this.get(input.EndpointName);
    this.refuseInProgress(endpoint);
    const wanted = input.DesiredWeightsAndCapacities as Shape[];
    const missing = wanted.find(({ VariantName }) => !endpoint.fleet.has(VariantName));
    if (missing !== undefined) {
      throw invalid(
        `Endpoint "${endpoint.arn}" has no variant ${missing.VariantName}, only ${[...endpoint.fleet.keys()].join(', ')}.`,
      );
    }
    this.enter(endpoint, 'Updating');
    for (const { VariantName, DesiredWeight, DesiredInstanceCount } of wanted) {
      const variant = endpoint.fleet.get(VariantName) as Variant;
      variant.weight = DesiredWeight ?? variant.weight;
      variant.instances = DesiredInstanceCount ?? variant.instances;
    }
    this.host.context.background(`endpoint ${endpoint.name}`, async () => this.enter(endpoint, 'InService'));
    return { EndpointArn: endpoint.arn };
  }

  private delete(input: Shape): Shape {
    const endpoint = this.get(input.EndpointName);
    this.refuseInProgress(endpoint);
    this.enter(endpoint, 'Deleting');
    this.host.context.background(`endpoint ${endpoint.name}`, async () => {
      await endFleet(endpoint.fleet);
      this.endpoints.delete(endpoint.name);
    });
    return {};
  }

  private refuseInProgress({ status, arn }: Endpoint): void {
    if (['Creating', 'Updating', 'Deleting'].includes(status))
      throw invalid(`Cannot update in-progress endpoint "${arn}".`);
  }

  private get(name: string): Endpoint {
    const endpoint = this.endpoints.get(name);
    if (endpoint === undefined)
      throw invalid(`Could not find endpoint "${arnOf(this.host, 'endpoint', String(name))}".`);
    return endpoint;
  }

  private enter(endpoint: Endpoint, status: Endpoint['status']): void {
    endpoint.status = status;
    endpoint.modified = now(this.host);
    this.announce(endpoint);
  }

  private announce(endpoint: Endpoint): void {
    const { context } = this.host;
    const { name, arn, status, configName, failure } = endpoint;
    context.log(
      'sagemaker',
      `endpoint ${name}: ${status} (${configName})${failure === undefined ? '' : `: ${failure}`}`,
    );
    const { EndpointStatus, ...detail } = this.describe(endpoint);
    context.emit({
      source: 'aws.sagemaker',
      'detail-type': 'SageMaker Endpoint State Change',
      resources: [arn],
      detail: {
        ...asEventDetail(detail),
        EndpointStatus: String(EndpointStatus)
          .replace(/(?<=[a-z])(?=[A-Z])/g, '_')
          .toUpperCase(),
        Tags: this.host.tags.get(arn) ?? [],
      },
    });
  }

  private describe(endpoint: Endpoint): Shape {
    const { name, arn, configName, status, failure, deployment, pending } = endpoint;
    const [first] = endpoint.fleet.values();
    const capture = first?.capture && this.configs.find(configName)?.DataCaptureConfig;
    return {
      EndpointName: name,
      EndpointArn: arn,
      EndpointConfigName: configName,
      ProductionVariants: [...endpoint.fleet].map(([VariantName, { weight, instances, image }]) => ({
        VariantName,
        DeployedImages: [{ SpecifiedImage: image, ResolvedImage: image, ResolutionTime: endpoint.CreationTime }],
        CurrentWeight: weight,
        DesiredWeight: weight,
        CurrentInstanceCount: instances,
        DesiredInstanceCount: instances,
      })),
      ...(capture && {
        DataCaptureConfig: {
          EnableCapture: true,
          CaptureStatus: 'Started',
          CurrentSamplingPercentage: capture.InitialSamplingPercentage,
          DestinationS3Uri: capture.DestinationS3Uri,
          KmsKeyId: capture.KmsKeyId ?? '',
        },
      }),
      EndpointStatus: status,
      ...(failure !== undefined && { FailureReason: failure }),
      CreationTime: endpoint.CreationTime,
      LastModifiedTime: endpoint.modified,
      ...(deployment && { LastDeploymentConfig: deployment }),
      ...(pending && { PendingDeploymentSummary: pending }),
    };
  }

  private list(input: Shape): Shape {
    const endpoints = [...this.endpoints.values()].filter(
      ({ name, status }) =>
        name.includes(input.NameContains ?? '') && (input.StatusEquals === undefined || status === input.StatusEquals),
    );
    const { items, NextToken } = page(
      sorted(endpoints, input, ({ name }) => name),
      input,
    );
    const Endpoints = items.map(({ name, arn, CreationTime, modified, status }) => ({
      ...{ EndpointName: name, EndpointArn: arn, CreationTime, LastModifiedTime: modified, EndpointStatus: status },
    }));
    return { Endpoints, NextToken };
  }

  private need(action: string, input: Shape): Need {
    return { action: `sagemaker:${action}`, resource: arnOf(this.host, 'endpoint', String(input.EndpointName ?? '')) };
  }

  /** Both take the configuration as a resource too, and read the alarms that they are to roll back on. */
  private configNeeds(action: string, input: Shape): Need[] {
    const { account, partition, region } = this.host.context.place;
    const alarms: Shape[] = input.DeploymentConfig?.AutoRollbackConfiguration?.Alarms ?? [];
    return [
      {
        action: `sagemaker:${action}`,
        resource: arnOf(this.host, 'endpoint-config', String(input.EndpointConfigName ?? '')),
      },
      ...alarms.map(({ AlarmName }) => ({
        action: 'cloudwatch:DescribeAlarms',
        resource: `arn:${partition}:cloudwatch:${region}:${account}:alarm:${AlarmName}`,
      })),
    ];
  }
}

async function endFleet(fleet: Fleet): Promise<void> {
  for (const { capture } of fleet.values()) capture?.flush();
  await Promise.all([...fleet.values()].map(({ server }) => server.end()));
}

const { text, whole, number, flag, list, structure, anything, tags, name } = shape;
const SIZE = structure({
  Type: required(text({ oneOf: ['INSTANCE_COUNT', 'CAPACITY_PERCENT'] })),
  Value: required(whole(1, 2 ** 31 - 1)),
});
const DEPLOYMENT = structure({
  BlueGreenUpdatePolicy: structure({
    TrafficRoutingConfiguration: required(
      structure({
        Type: required(text({ oneOf: ['ALL_AT_ONCE', 'CANARY', 'LINEAR'] })),
        WaitIntervalInSeconds: required(whole(0, 3600)),
        CanarySize: SIZE,
        LinearStepSize: SIZE,
      }),
    ),
    TerminationWaitInSeconds: whole(0, 3600),
    MaximumExecutionTimeoutInSeconds: whole(600, 28_800),
  }),
  RollingUpdatePolicy: structure({
    MaximumBatchSize: required(SIZE),
    WaitIntervalInSeconds: required(whole(0, 3600)),
    MaximumExecutionTimeoutInSeconds: whole(600, 28_800),
    RollbackMaximumBatchSize: SIZE,
  }),
  AutoRollbackConfiguration: structure({
    Alarms: list(structure({ AlarmName: text({ min: 1, max: 255 }) }), 1, 10),
  }),
});
const CREATE: shape.Members = {
  EndpointName: required(name),
  EndpointConfigName: required(name),
  DeploymentConfig: DEPLOYMENT,
  Tags: tags,
};
const UPDATE: shape.Members = {
  EndpointName: required(name),
  EndpointConfigName: required(name),
  RetainAllVariantProperties: flag,
  ExcludeRetainedVariantProperties: anything,
  DeploymentConfig: DEPLOYMENT,
  RetainDeploymentConfig: flag,
};
const REWEIGH: shape.Members = {
  EndpointName: required(name),
  DesiredWeightsAndCapacities: required(
    list(
      structure({
        VariantName: required(name),
        DesiredWeight: number(0, Number.MAX_VALUE),
        DesiredInstanceCount: whole(0, 2 ** 31 - 1),
        ServerlessUpdateConfig: anything,
      }),
      1,
      10,
    ),
  ),
};
