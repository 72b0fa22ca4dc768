import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type {
  CreateEndpointOutput,
  DescribeEndpointOutput,
  ListEndpointsInput,
  ListEndpointsOutput,
  UpdateEndpointOutput,
  UpdateEndpointWeightsAndCapacitiesOutput,
} from '@aws-sdk/client-sagemaker';
import { ApiError, type Caller, type Operation, type RequiredPermission, type Shape } from '../../service';
import type { Kept } from '../../state/state-store';
import type { Containers } from './container';
import { awaitBake, refuseDeployment } from './deployment';
import type { EndpointConfigs } from './endpoint-configs';
import { CREATE, REWEIGH, UPDATE } from './endpoint-requests';
import { type EndpointFault, refuseCall, takeServingFault, waitOf } from './faults';
import { endFleet, type Fleet, Fleets, type KeptVariant, type Variant } from './fleet';
import { arnOf, asEventDetail, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import { checkDiskKey } from './keys';
import type { Models } from './models';
import type { DeploymentConfig, EndpointRequest, EndpointUpdate, KeptConfig, WeightsUpdate } from './requests';
import * as shape from './shape';

const NO_INSTANCES =
  'Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a different ML instance type or after some time.';
const BROKEN = 'Request to service failed. If failure persists after retry, contact customer support.';

class NoInstances extends Error {}

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
  deployment?: DeploymentConfig;
  /** What is being made of it. */
  change?: Change;
}

/** What names an endpoint. */
type Named = { readonly EndpointName?: string | undefined };

/** A configuration on its way into service. */
interface Change {
  readonly config: KeptConfig;
  readonly deployment?: DeploymentConfig;
  /** Whether weights and sizes are retained. */
  readonly retain: boolean;
  readonly caller: Caller;
}

/** An endpoint as it is kept. */
type KeptEndpoint = Omit<Endpoint, 'fleet' | 'shift'> & { readonly fleet: readonly KeptVariant[] };

/** Endpoints: their life, and who serves which request. */
export class Endpoints {
  private readonly endpoints = new Map<string, Endpoint>();
  private readonly fleets: Fleets;
  private readonly kept: Kept<KeptEndpoint>;

  constructor(
    private readonly host: Host,
    containers: Containers,
    models: Models,
    private readonly configs: EndpointConfigs,
  ) {
    this.fleets = new Fleets(host, containers, models);
    this.kept = host.context.store.collection('sagemaker/endpoints', {
      ...{ name: 'string', arn: 'string', CreationTime: 'object', status: 'string', configName: 'string' },
      ...{ modified: 'object', fleet: 'list', change: 'object?' },
    });
    // what an earlier start has unpacked for its containers
    rmSync(join(host.context.stateDir, 'sagemaker', 'endpoints'), { recursive: true, force: true });
    this.kept.restore(({ fleet, ...kept }, name) => {
      const endpoint: Endpoint = { ...kept, fleet: new Map() };
      this.endpoints.set(name, endpoint);
      host.context.recovered(`the endpoint ${name} ${fateOf(endpoint)}`);
      host.context.whenReady(() => {
        host.context.background(`endpoint ${name}`, () => this.goOn(endpoint, fleet));
      });
    });
  }

  /** Serves again as when the engine ended, and goes on with what was being made of the endpoint then. */
  private async goOn(endpoint: Endpoint, kept: readonly KeptVariant[]): Promise<void> {
    const { status, change } = endpoint;
    if (status === 'Deleting') return this.remove(endpoint);
    if (status === 'Creating' && change !== undefined) return await this.bringUp(endpoint, change);
    try {
      endpoint.fleet = this.fleets.restore(endpoint, kept);
      await Promise.all([...endpoint.fleet.values()].map(({ server }) => server));
    } catch (error) {
      return this.fail(endpoint, error as Error);
    }
    if (status === 'Updating' && change !== undefined) await this.shiftTo(endpoint, change);
    else if (status === 'Updating') this.enter(endpoint, 'InService');
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateEndpoint: {
      needs: (input) => [
        ...creationNeeds(this.host, 'CreateEndpoint', 'endpoint', input.EndpointName, input),
        ...this.configNeeds('CreateEndpoint', input),
      ],
      run: (input, caller) => this.create(input, caller),
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
      throw new ApiError('ValidationError', `Endpoint ${name} of account ${this.host.context.aws.account} not found.`);
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

  /** Stores at once what is captured; ended containers are not started again. */
  async stop(): Promise<void> {
    this.fleets.stop();
    const fleets = [...this.endpoints.values()].flatMap(({ fleet, shift }) => [fleet, shift?.fleet ?? new Map()]);
    await Promise.all(fleets.flatMap((fleet: Fleet) => [...fleet.values()].map(({ capture }) => capture?.flush())));
  }

  private create(input: EndpointRequest, caller: Caller): CreateEndpointOutput {
    shape.validate(input, CREATE);
    const { EndpointName: name, EndpointConfigName: configName, DeploymentConfig } = input;
    const arn = arnOf(this.host, 'endpoint', name);
    if (this.endpoints.has(name)) throw invalid(`Cannot create already existing endpoint "${arn}".`);
    const config = this.configs.get(configName);
    refuseDeployment(DeploymentConfig, config);
    checkDiskKey(this.host, config.KmsKeyId, caller);
    const fault = this.meet(name, config);
    const at = now(this.host);
    const change: Change = { config, retain: false, caller };
    const endpoint: Endpoint = {
      ...{ name, arn, CreationTime: at, status: 'Creating', configName, modified: at, fleet: new Map(), change },
      ...(DeploymentConfig && { deployment: DeploymentConfig }),
    };
    this.endpoints.set(name, endpoint);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    this.announce(endpoint);
    this.host.context.background(`endpoint ${name}`, () => this.bringUp(endpoint, change, fault));
    return { EndpointArn: arn };
  }

  private async bringUp(endpoint: Endpoint, { config }: Change, fault?: EndpointFault): Promise<void> {
    try {
      await this.awaitInstances(fault);
      endpoint.fleet = await this.fleets.start(endpoint, config);
    } catch (error) {
      return this.fail(endpoint, error as Error);
    }
    this.enter(endpoint, 'InService');
  }

  private fail(endpoint: Endpoint, error: Error): void {
    if (this.host.context.signal.aborted) return; // the engine ends, not the endpoint
    endpoint.failure = error.message;
    endpoint.fleet = new Map();
    this.enter(endpoint, 'Failed');
  }

  private update(input: EndpointUpdate, caller: Caller): UpdateEndpointOutput {
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
    checkDiskKey(this.host, config.KmsKeyId, caller);
    const fault = this.meet(endpoint.name, config);
    delete endpoint.failure;
    const at = now(this.host);
    endpoint.pending = { EndpointConfigName: config.EndpointConfigName, StartTime: at };
    const retain = input.RetainAllVariantProperties === true;
    const change: Change = { config, retain, caller, ...(deployment && { deployment }) };
    endpoint.change = change;
    this.enter(endpoint, 'Updating');
    this.host.context.background(`endpoint ${endpoint.name}`, () => this.shiftTo(endpoint, change, fault));
    return { EndpointArn: endpoint.arn };
  }

  private async shiftTo(endpoint: Endpoint, change: Change, fault?: EndpointFault): Promise<void> {
    const { context } = this.host;
    try {
      await this.awaitInstances(fault);
      await this.replace(endpoint, change);
    } catch (error) {
      if (context.signal.aborted) return; // the engine ends: the next start begins the update again
      // as on AWS: the old fleet goes on, and the status does not tell; of a lack of machines alone there is a reason
      if (error instanceof NoInstances) endpoint.failure = error.message;
      context.log('sagemaker', `endpoint ${endpoint.name}: rolled back: ${(error as Error).message}`);
    }
    delete endpoint.pending;
    delete endpoint.shift;
    this.enter(endpoint, 'InService');
  }

  /** The fault of a new fleet; a call that is not to be is refused. */
  private meet(endpoint: string, { ProductionVariants: variants }: KeptConfig): EndpointFault | undefined {
    const faults = this.host.options.faults?.endpoints ?? [];
    const types = variants.map(({ InstanceType = '' }): string => InstanceType);
    const fleets = [...this.endpoints.values()].flatMap(({ fleet, shift }) => [fleet, ...(shift ? [shift.fleet] : [])]);
    const inUse = fleets
      .flatMap((fleet) => [...fleet.values()])
      .filter(({ config }) => types.includes(config.InstanceType ?? ''))
      .reduce((sum, { instances }) => sum + instances, 0);
    const instances = variants.reduce((sum: number, { InitialInstanceCount = 1 }) => sum + InitialInstanceCount, 0);
    const asked = { endpoint, types, instances, inUse };
    return refuseCall(takeServingFault(faults, 'endpoints', asked), `${types[0]} for endpoint usage`, asked);
  }

  private async awaitInstances(fault: EndpointFault | undefined): Promise<void> {
    if (fault === undefined) return;
    await this.host.context.clock.sleep(waitOf(fault) * 1000);
    if (fault.kind === 'capacity') throw new NoInstances(NO_INSTANCES);
    if (fault.kind === 'internal') throw new Error(BROKEN);
  }

  /** Starts the new fleet beside the old one, shifts the traffic, and ends the old one. */
  private async replace(endpoint: Endpoint, { config, deployment, retain, caller }: Change): Promise<void> {
    const old = endpoint.fleet;
    const fleet = await this.fleets.start(endpoint, config, retain ? old : undefined);
    endpoint.shift = { fleet, share: 0 };
    try {
      const instances = [...fleet.values()].reduce((sum, variant) => sum + variant.instances, 0);
      await awaitBake(this.host, deployment, instances, caller, (share) => {
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

  private reweigh(input: WeightsUpdate): UpdateEndpointWeightsAndCapacitiesOutput {
    shape.validate(input, REWEIGH);
    const endpoint = this.get(input.EndpointName);
    this.refuseInProgress(endpoint);
    const wanted = input.DesiredWeightsAndCapacities;
    const missing = wanted.find(({ VariantName }) => !endpoint.fleet.has(VariantName));
    if (missing !== undefined) {
      throw invalid(
        `Endpoint "${endpoint.arn}" has no variant ${missing.VariantName}, only ${[...endpoint.fleet.keys()].join(', ')}.`,
      );
    }
    for (const { VariantName, DesiredWeight, DesiredInstanceCount } of wanted) {
      const variant = endpoint.fleet.get(VariantName) as Variant;
      variant.weight = DesiredWeight ?? variant.weight;
      variant.instances = DesiredInstanceCount ?? variant.instances;
    }
    this.enter(endpoint, 'Updating');
    this.host.context.background(`endpoint ${endpoint.name}`, async () => this.enter(endpoint, 'InService'));
    return { EndpointArn: endpoint.arn };
  }

  private delete({ EndpointName = '' }: Named): object {
    const endpoint = this.get(EndpointName);
    this.refuseInProgress(endpoint);
    this.enter(endpoint, 'Deleting');
    this.host.context.background(`endpoint ${endpoint.name}`, async () => {
      await endFleet(endpoint.fleet);
      this.remove(endpoint);
    });
    return {};
  }

  private remove({ name, arn }: Endpoint): void {
    this.host.context.store.together(() => {
      this.kept.delete(name);
      this.host.tags.delete(arn);
    });
    this.endpoints.delete(name);
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
    if (status === 'InService' || status === 'Failed') delete endpoint.change;
    this.announce(endpoint);
  }

  /** Keeps what an endpoint is now, and tells of it. */
  private announce(endpoint: Endpoint): void {
    this.host.context.store.together(() => this.tell(endpoint));
  }

  private tell(endpoint: Endpoint): void {
    const { context } = this.host;
    const { name, arn, status, configName, failure } = endpoint;
    context.log(
      'sagemaker',
      `endpoint ${name}: ${status} (${configName})${failure === undefined ? '' : `: ${failure}`}`,
    );
    const { EndpointStatus, ...detail } = this.describe(endpoint);
    const { fleet, shift: _, ...kept } = endpoint;
    this.kept.put(name, { ...kept, fleet: Fleets.kept(fleet) });
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

  private describe(endpoint: Endpoint): Partial<DescribeEndpointOutput> {
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

  private list(input: ListEndpointsInput): ListEndpointsOutput {
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

  private need(action: string, input: Named): RequiredPermission {
    return { action: `sagemaker:${action}`, resource: arnOf(this.host, 'endpoint', String(input.EndpointName ?? '')) };
  }

  /** Both take the configuration as a resource too, and read the alarms that they are to roll back on. */
  private configNeeds(action: string, input: EndpointRequest & EndpointUpdate): RequiredPermission[] {
    const { account, partition, region } = this.host.context.aws;
    const alarms = input.DeploymentConfig?.AutoRollbackConfiguration?.Alarms ?? [];
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

/** What becomes of an endpoint that was there when the engine ended, for a person. */
function fateOf({ status, change }: Endpoint): string {
  if (status === 'Creating') return 'is being created again';
  if (status === 'Updating' && change !== undefined) return 'serves again, and its update begins again';
  if (status === 'Deleting') return 'is gone, as was asked';
  return status === 'Failed' ? 'has failed, as before' : 'serves again';
}
