import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context, Objects, Operation, Resource, Sent, Service } from '../../service';
import { KeptMap } from '../../state/state-store';
import { Containers } from './container';
import { EndpointConfigs } from './endpoint-configs';
import { Endpoints } from './endpoints';
import type { Host, SageMakerOptions } from './host';
import { INVOCATIONS, invoke } from './invoke';
import { Models } from './models';
import { Registry } from './registry';
import { RESOURCES } from './resources';
import { tagOperations, withConditions } from './tags';
import { TrainingJobs } from './training';
import { TransformJobs } from './transform';
import { TuningJobs } from './tuning';

export type { SageMakerOptions } from './host';

/** How long the end of the engine waits for jobs whose scripts have ended. */
const LAST_WORK_MS = 5_000;

/** SageMaker: jobs and endpoints as child processes of this machine, models, and their registry. */
export class SageMaker implements Service {
  readonly name = 'sagemaker';
  readonly resourceTypes = Object.keys(RESOURCES);
  readonly handles = ['InvokeEndpoint'];
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly host: Host;
  private readonly containers: Containers;
  private readonly registry: Registry;
  private readonly endpoints: Endpoints;
  private readonly training: TrainingJobs;

  constructor(context: Context, objects: Objects, options: SageMakerOptions = {}) {
    this.host = { context, objects, options, tags: new KeptMap(context.store, 'sagemaker/tags') };
    this.containers = new Containers(this.host);
    this.registry = new Registry(this.host);
    const models = new Models(this.host, this.registry);
    const configs = new EndpointConfigs(this.host, models);
    this.endpoints = new Endpoints(this.host, this.containers, models, configs);
    this.training = new TrainingJobs(this.host, this.containers);
    this.operations = asOne(
      context,
      withConditions(this.host, {
        ...this.training.operations,
        ...new TuningJobs(this.host, this.training.operations.DescribeTrainingJob as Operation).operations,
        ...new TransformJobs(this.host, this.containers, models).operations,
        ...models.operations,
        ...this.registry.operations,
        ...configs.operations,
        ...this.endpoints.operations,
        ...tagOperations(this.host),
      }),
    );
  }

  /** Answers `InvokeEndpoint`, which is REST. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL, sent: Sent): Promise<boolean> {
    const [, name] = INVOCATIONS.exec(url.pathname) ?? [];
    if (name === undefined || request.method !== 'POST') return false;
    await invoke(this.host, this.endpoints, request, response, decodeURIComponent(name), sent);
    return true;
  }

  /** The logs of training jobs, one stream an instance. */
  logStreams(): ReturnType<TrainingJobs['logStreams']> {
    return this.training.logStreams();
  }

  load(resources: readonly Resource[]): void {
    for (const resource of resources) {
      if (resource.type === 'AWS::SageMaker::ModelPackageGroup') this.registry.load(resource);
    }
  }

  holds({ type, properties }: Resource): boolean {
    return type === 'AWS::SageMaker::ModelPackageGroup' && this.registry.has(properties.ModelPackageGroupName);
  }

  unload(resource: Resource): void {
    if (this.holds(resource)) this.registry.delete(resource.properties.ModelPackageGroupName);
  }

  async stop(): Promise<void> {
    await this.endpoints.stop();
    await this.containers.stop();
    // checkpoints and captured lines are stored by now; what installs packages is not waited for
    await Promise.race([this.training.settled(), sleep(LAST_WORK_MS, undefined, { ref: false })]);
  }
}

/** Keeps what a call changes, a resource and its tags, as one. */
function asOne({ store }: Context, operations: Readonly<Record<string, Operation>>): Record<string, Operation> {
  const whole = Object.entries(operations).map(([name, { needs, run }]): [string, Operation] => [
    name,
    { needs, run: (input, caller) => store.together(() => run(input, caller)) },
  ]);
  return Object.fromEntries(whole);
}
