import type { CreateModelOutput } from '@aws-sdk/client-sagemaker';
import type { Operation } from '../../service';
import { KeptMap } from '../../state/state-store';
import { actAs, arnOf, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import type { Registry } from './registry';
import type { KeptModel, ModelRequest } from './requests';
import * as shape from './shape';
import { required } from './shape';

/** What a serving container is made of. */
export interface ServingContainer {
  readonly Image: string;
  readonly ModelDataUrl: string;
  readonly Environment: Readonly<Record<string, string>>;
}

/** Models: what a container serves, and under which role. */
export class Models {
  private readonly models: KeptMap<KeptModel>;

  constructor(
    private readonly host: Host,
    private readonly registry: Registry,
  ) {
    this.models = new KeptMap(host.context.store, 'sagemaker/models', {
      ModelName: 'string',
      ModelArn: 'string',
      ExecutionRoleArn: 'string',
    });
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateModel: {
      needs: (input) =>
        creationNeeds(this.host, 'CreateModel', 'model', input.ModelName, input, input.ExecutionRoleArn),
      run: (input) => this.create(input),
    },
    DescribeModel: {
      needs: (input) => [this.need('DescribeModel', input)],
      run: (input) => {
        const { Tags: _, ...model } = this.get(input.ModelName);
        return model;
      },
    },
    DeleteModel: {
      needs: (input) => [this.need('DeleteModel', input)],
      run: (input) => {
        const { ModelName, ModelArn } = this.get(input.ModelName);
        this.models.delete(ModelName);
        this.host.tags.delete(ModelArn);
        return {};
      },
    },
    ListModels: {
      needs: () => [{ action: 'sagemaker:ListModels', resource: '*' }],
      run: (input) => {
        const models = [...this.models.values()].filter((model) => model.ModelName.includes(input.NameContains ?? ''));
        const { items, NextToken } = page(
          sorted(models, input, (model) => model.ModelName),
          input,
        );
        const shown = items.map(({ ModelName, ModelArn, CreationTime }) => ({ ModelName, ModelArn, CreationTime }));
        return { Models: shown, NextToken };
      },
    },
  };

  /** A model, or the API's complaint that there is none. */
  get(name: string): KeptModel {
    const model = this.models.get(name);
    if (model === undefined) throw invalid(`Could not find model "${arnOf(this.host, 'model', String(name))}".`);
    return model;
  }

  /** The container of a model with its registered artifacts looked up. */
  container(name: string): ServingContainer {
    const model = this.get(name);
    const definition = containerOf(model);
    const registered =
      definition.ModelPackageName === undefined ? {} : this.registry.container(definition.ModelPackageName);
    const merged = { ...registered, ...definition };
    return {
      Image: merged.Image,
      ModelDataUrl: merged.ModelDataUrl ?? merged.ModelDataSource?.S3DataSource?.S3Uri,
      Environment: { ...registered.Environment, ...definition.Environment },
    };
  }

  private create(input: ModelRequest): CreateModelOutput {
    shape.validate(input, REQUEST);
    const arn = arnOf(this.host, 'model', input.ModelName);
    if (this.models.has(input.ModelName)) throw invalid(`Cannot create already existing model "${arn}".`);
    if ((input.PrimaryContainer === undefined) === (input.Containers === undefined)) {
      throw invalid('Exactly one of PrimaryContainer and Containers must be specified.');
    }
    if ((input.Containers?.length ?? 0) > 1) throw invalid('this engine serves models of one container only');
    actAs(this.host, input.ExecutionRoleArn, arn);
    const container = containerOf(input);
    if (container.ModelPackageName !== undefined) {
      if (container.Image ?? container.ModelDataUrl) {
        throw invalid('A container with ModelPackageName cannot have Image or ModelDataUrl.');
      }
      this.registry.container(container.ModelPackageName); // must exist and be approved
    } else if (container.Image === undefined) {
      throw invalid('A container must have Image or ModelPackageName.');
    }
    this.models.set(input.ModelName, { ...input, ModelArn: arn, CreationTime: now(this.host) });
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    return { ModelArn: arn };
  }

  private need(action: string, input: { readonly ModelName?: string | undefined }) {
    return { action: `sagemaker:${action}`, resource: arnOf(this.host, 'model', String(input.ModelName ?? '')) };
  }
}

const { text, flag, list, structure, anything, environment, tags, vpc, name, roleArn, uri } = shape;
const CONTAINER = structure({
  ContainerHostname: text({ max: 63 }),
  Image: text({ max: 255 }),
  ImageConfig: anything,
  Mode: text({ oneOf: ['SingleModel'] }),
  ModelDataUrl: uri,
  ModelDataSource: anything,
  AdditionalModelDataSources: anything,
  Environment: environment(1024),
  ModelPackageName: text({ min: 1, max: 176 }),
  InferenceSpecificationName: text({ max: 63 }),
  MultiModelConfig: anything,
});
const REQUEST: shape.Members = {
  ModelName: required(name),
  PrimaryContainer: CONTAINER,
  Containers: list(CONTAINER, 0, 15),
  InferenceExecutionConfig: anything,
  ExecutionRoleArn: required(roleArn),
  Tags: tags,
  VpcConfig: vpc,
  EnableNetworkIsolation: flag,
};

/** The container of a model, which has one. */
function containerOf({ Containers, PrimaryContainer }: ModelRequest) {
  return Containers?.[0] ?? PrimaryContainer ?? {};
}
