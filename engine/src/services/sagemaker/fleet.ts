import { join } from 'node:path';
import type { RoleCaller } from '../../service';
import { Capture } from './capture';
import type { Containers } from './container';
import { actAs, type Host } from './host';
import { ModelServer } from './model-server';
import type { Models, ServingContainer } from './models';
import type { CapturesConfig, KeptConfig, VariantConfig } from './requests';

/** How long a container may take to answer `/ping`, unless the options say otherwise. */
const START_SECONDS = 20;
/** A container that ends by itself is started again so often in a row. */
const MOST_RESTARTS = 3;

/** One variant as it is kept: what its container is started from, whatever became of configuration and model since. */
export interface KeptVariant {
  readonly config: VariantConfig;
  readonly model: ServingContainer;
  readonly roleArn: string;
  /** The configuration's `DataCaptureConfig`, if it captures. */
  readonly captures?: CapturesConfig;
  readonly weight: number;
  readonly instances: number;
}

/** One variant with its container. */
export interface Variant {
  readonly config: VariantConfig;
  readonly kept: KeptVariant;
  /** Once it answers; who asks before waits. */
  server: Promise<ModelServer>;
  readonly image: string;
  readonly capture?: Capture;
  weight: number;
  instances: number;
  restarts: number;
}

export type Fleet = ReadonlyMap<string, Variant>;

/** The endpoint that a fleet serves. */
interface Owner {
  readonly name: string;
  readonly arn: string;
}

/** Starts the containers behind endpoints, and starts them again when they fall. */
export class Fleets {
  private starts = 0;
  private stopped = false;

  constructor(
    private readonly host: Host,
    private readonly containers: Containers,
    private readonly models: Models,
  ) {}

  /**
   * Starts every variant of a configuration, or none.
   *
   * @param retained the fleet whose weights and sizes are kept
   */
  async start(endpoint: Owner, config: KeptConfig, retained?: Fleet): Promise<Fleet> {
    const fleet = new Map<string, Variant>();
    try {
      for (const variant of config.ProductionVariants) {
        const started = this.startVariant(endpoint, this.resolve(config, variant, retained));
        fleet.set(variant.VariantName, started);
        await started.server;
      }
    } catch (error) {
      await endFleet(fleet);
      throw error;
    }
    return fleet;
  }

  /** Starts what an earlier start of the engine served with; the fleet is there at once, its containers are later. */
  restore(endpoint: Owner, kept: readonly KeptVariant[]): Fleet {
    return new Map(kept.map((one) => [one.config.VariantName, this.startVariant(endpoint, one)]));
  }

  /** A fleet as it is kept. */
  static kept(fleet: Fleet): KeptVariant[] {
    return [...fleet.values()].map(({ kept, weight, instances }) => ({ ...kept, weight, instances }));
  }

  private resolve(config: KeptConfig, variant: VariantConfig, retained: Fleet | undefined): KeptVariant {
    const before = retained?.get(variant.VariantName);
    const { DataCaptureConfig } = config;
    return {
      config: variant,
      model: this.models.container(variant.ModelName),
      roleArn: this.models.get(variant.ModelName).ExecutionRoleArn,
      ...(DataCaptureConfig?.EnableCapture && { captures: DataCaptureConfig }),
      weight: before?.weight ?? variant.InitialVariantWeight ?? 1,
      instances: before?.instances ?? variant.InitialInstanceCount ?? 1,
    };
  }

  private startVariant(endpoint: Owner, kept: KeptVariant): Variant {
    const { config, model, roleArn, captures, weight, instances } = kept;
    const { VariantName } = config;
    const role = actAs(this.host, roleArn, endpoint.arn);
    const start = () =>
      this.startServer(endpoint, VariantName, { model, role, roleArn }).catch((error: Error) => {
        throw new Error(
          `The primary container for production variant ${VariantName} ${error.message}. Please check the log of the endpoint.`,
        );
      });
    const started: Variant = {
      ...{ config, kept, server: start(), image: model.Image, weight, instances, restarts: 0 },
      ...(captures && { capture: new Capture(this.host, endpoint.name, VariantName, captures, role) }),
    };
    this.keepRunning(endpoint, started, start);
    return started;
  }

  private startServer(
    endpoint: Owner,
    variant: string,
    model: { model: ServingContainer; role: RoleCaller; roleArn: string },
  ): Promise<ModelServer> {
    const { context, options } = this.host;
    const folder = join(context.stateDir, 'sagemaker', 'endpoints', endpoint.name, `${variant}-${this.starts++}`);
    const startMs = (options.containerStartSeconds ?? START_SECONDS) * 1000;
    const line = (text: string) => context.log('sagemaker', text, { endpoint: endpoint.name, variant });
    return ModelServer.start(this.host, this.containers, { folder, startMs, line, ...model });
  }

  /** Starts a container again that has ended by itself. */
  private keepRunning(endpoint: Owner, variant: Variant, start: () => Promise<ModelServer>): void {
    const { context } = this.host;
    const watch = async () => {
      const server = await variant.server;
      const code = await server.ended;
      if (this.stopped || server.ending || variant.restarts >= MOST_RESTARTS) return;
      variant.restarts++;
      context.log('sagemaker', `endpoint ${endpoint.name}: its container ended with ${code}, starting it again`);
      variant.server = start();
      variant.server.catch((error: Error) => context.log('sagemaker', `endpoint ${endpoint.name}: ${error.message}`));
      await watch();
    };
    watch().catch(() => {}); // whoever waits for the container hears it
  }

  /** From now on ended containers are not started again. */
  stop(): void {
    this.stopped = true;
  }
}

/** Ends a fleet's containers; what was captured is stored. */
export async function endFleet(fleet: Fleet): Promise<void> {
  await Promise.all([...fleet.values()].map(endVariant));
}

async function endVariant({ capture, server }: Variant): Promise<void> {
  await capture?.flush();
  const running = await server.catch(() => undefined); // it has not come up
  await running?.end();
}
