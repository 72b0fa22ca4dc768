import { Containers } from './sagemaker/container';
import type { Host, SageMakerOptions } from './sagemaker/host';
import { Models } from './sagemaker/models';
import { Registry } from './sagemaker/registry';
import { tagOperations } from './sagemaker/tags';
import { TrainingJobs } from './sagemaker/training';
import type { Context, Objects, Operation, Resource, Service } from './service';

export type { SageMakerOptions } from './sagemaker/host';

/** SageMaker: jobs and endpoints as child processes of this machine, models, and their registry. */
export class SageMaker implements Service {
  readonly name = 'sagemaker';
  readonly operations: Readonly<Record<string, Operation>>;
  private readonly containers: Containers;
  private readonly registry: Registry;

  constructor(context: Context, objects: Objects, options: SageMakerOptions = {}) {
    const host: Host = { context, objects, options, tags: new Map() };
    this.containers = new Containers(host);
    this.registry = new Registry(host);
    const models = new Models(host, this.registry);
    this.operations = {
      ...new TrainingJobs(host, this.containers).operations,
      ...models.operations,
      ...this.registry.operations,
      ...tagOperations(host),
    };
  }

  load(resources: readonly Resource[]): void {
    for (const resource of resources) {
      if (resource.type === 'AWS::SageMaker::ModelPackageGroup') this.registry.load(resource);
    }
  }

  async stop(): Promise<void> {
    await this.containers.stop();
  }
}
