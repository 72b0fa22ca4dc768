import { join } from 'node:path';
import type { RoleCaller, Shape } from '../service';
import { Capture } from './capture';
import type { Containers } from './container';
import { actAs, type Host } from './host';
import { ModelServer } from './model-server';
import type { Models } from './models';

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
  async start(endpoint: Owner, config: Shape, retained?: Fleet): Promise<Fleet> {
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

  private async startVariant(endpoint: Owner, config: Shape, variant: Shape, retained?: Fleet): Promise<Variant> {
    const { ExecutionRoleArn } = this.models.get(variant.ModelName);
    const model = this.models.container(variant.ModelName);
    const role = actAs(this.host, ExecutionRoleArn, endpoint.arn);
    const { VariantName } = variant;
    const start = () =>
      this.startServer(endpoint, VariantName, { model, role }).catch((error: Error) => {
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
    endpoint: Owner,
    variant: string,
    model: { model: ReturnType<Models['container']>; role: RoleCaller },
  ): Promise<ModelServer> {
    const { context, options } = this.host;
    const folder = join(context.stateDir, 'sagemaker', 'endpoints', endpoint.name, `${variant}-${this.starts++}`);
    const startMs = (options.containerStartSeconds ?? START_SECONDS) * 1000;
    const line = (text: string) => context.log('sagemaker', text, { endpoint: endpoint.name, variant });
    return ModelServer.start(this.host, this.containers, { folder, startMs, line, ...model });
  }

  /** Starts a container again that has ended by itself. */
  private keepRunning(endpoint: Owner, variant: Variant, start: () => Promise<ModelServer>): void {
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

  /** From now on ended containers are not started again. */
  stop(): void {
    this.stopped = true;
  }
}

/** Ends a fleet's containers; what was captured is stored. */
export async function endFleet(fleet: Fleet): Promise<void> {
  for (const { capture } of fleet.values()) capture?.flush();
  await Promise.all([...fleet.values()].map(({ server }) => server.end()));
}
