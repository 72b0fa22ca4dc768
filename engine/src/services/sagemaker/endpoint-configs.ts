import type { CreateEndpointConfigOutput } from '@aws-sdk/client-sagemaker';
import type { Operation } from '../../service';
import { KeptMap } from '../../state/state-store';
import { arnOf, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import type { Models } from './models';
import type { EndpointConfigRequest, KeptConfig, VariantConfig } from './requests';
import * as shape from './shape';
import { required } from './shape';

/** Instance families whose local disks cannot take a key. */
const NVME = /^ml\.(g4dn|g5|g6e?|g7e|p4de?|p5e?n?|p6|m5d|c5d|r5d|m6gd|c6gd|r6gd|trn1|inf2)\b/;

/** Endpoint configurations: which models an endpoint serves, and what it captures. */
export class EndpointConfigs {
  private readonly configs: KeptMap<KeptConfig>;

  constructor(
    private readonly host: Host,
    private readonly models: Models,
  ) {
    const members = { EndpointConfigName: 'string', ProductionVariants: 'list' } as const;
    this.configs = new KeptMap(host.context.store, 'sagemaker/endpoint-configs', members);
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateEndpointConfig: {
      needs: (input) =>
        creationNeeds(
          this.host,
          'CreateEndpointConfig',
          'endpoint-config',
          input.EndpointConfigName,
          input,
          input.ExecutionRoleArn,
        ),
      run: (input) => this.create(input),
    },
    DescribeEndpointConfig: {
      needs: (input) => [this.need('DescribeEndpointConfig', input)],
      run: (input) => {
        const { Tags: _, ...config } = this.get(input.EndpointConfigName);
        return config;
      },
    },
    DeleteEndpointConfig: {
      needs: (input) => [this.need('DeleteEndpointConfig', input)],
      run: (input) => {
        const { EndpointConfigName, EndpointConfigArn } = this.get(input.EndpointConfigName);
        this.configs.delete(EndpointConfigName);
        this.host.tags.delete(EndpointConfigArn);
        return {};
      },
    },
    ListEndpointConfigs: {
      needs: () => [{ action: 'sagemaker:ListEndpointConfigs', resource: '*' }],
      run: (input) => {
        const configs = [...this.configs.values()].filter((config) =>
          config.EndpointConfigName.includes(input.NameContains ?? ''),
        );
        const { items, NextToken } = page(
          sorted(configs, input, (config) => config.EndpointConfigName),
          input,
        );
        const EndpointConfigs = items.map(({ EndpointConfigName, EndpointConfigArn, CreationTime }) => ({
          ...{ EndpointConfigName, EndpointConfigArn, CreationTime },
        }));
        return { EndpointConfigs, NextToken };
      },
    },
  };

  find(name: string): KeptConfig | undefined {
    return this.configs.get(name);
  }

  /** A configuration, or the API's complaint that there is none. */
  get(name: string): KeptConfig {
    const config = this.configs.get(name);
    if (config === undefined) {
      throw invalid(`Could not find endpoint configuration "${arnOf(this.host, 'endpoint-config', String(name))}".`);
    }
    return config;
  }

  private create(input: EndpointConfigRequest): CreateEndpointConfigOutput {
    shape.validate(input, REQUEST);
    const { EndpointConfigName: name, ProductionVariants: variants } = input;
    const arn = arnOf(this.host, 'endpoint-config', name);
    if (this.configs.has(name)) throw invalid(`Cannot create already existing endpoint configuration "${arn}".`);
    const names = variants.map((variant) => variant.VariantName);
    if (new Set(names).size < names.length) throw invalid(`Variant names must be unique, got ${names.join(', ')}.`);
    for (const variant of variants) this.refuseVariant(variant, input);
    this.configs.set(name, { ...input, EndpointConfigArn: arn, CreationTime: now(this.host) });
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    return { EndpointConfigArn: arn };
  }

  private refuseVariant(variant: VariantConfig, input: EndpointConfigRequest): void {
    const { VariantName, ModelName, InstanceType, InitialInstanceCount, ServerlessConfig } = variant;
    if (ModelName === undefined) {
      throw invalid(`Variant ${VariantName}: this engine serves models only, so ModelName must be given.`);
    }
    this.models.get(ModelName);
    if (ServerlessConfig === undefined && (InstanceType === undefined || InitialInstanceCount === undefined)) {
      throw invalid(`Variant ${VariantName} must have InstanceType and InitialInstanceCount, or ServerlessConfig.`);
    }
    if (ServerlessConfig !== undefined && input.DataCaptureConfig?.EnableCapture) {
      throw invalid('DataCaptureConfig is not supported for serverless endpoints.');
    }
    if (NVME.test(InstanceType ?? '') && input.KmsKeyId !== undefined) {
      throw invalid(`KmsKeyId is not supported with instance type ${InstanceType}, which has local NVMe storage.`);
    }
    if (NVME.test(InstanceType ?? '') && variant.VolumeSizeInGB !== undefined) {
      throw invalid(`VolumeSizeInGB is not supported with instance type ${InstanceType}, which has local storage.`);
    }
  }

  private need(action: string, input: { readonly EndpointConfigName?: string | undefined }) {
    return {
      action: `sagemaker:${action}`,
      resource: arnOf(this.host, 'endpoint-config', String(input.EndpointConfigName ?? '')),
    };
  }
}

const { text, whole, number, flag, list, structure, anything, tags, vpc, name, roleArn } = shape;
const CONTENT_TYPES = list(
  text({ min: 1, max: 256, pattern: /^[a-zA-Z0-9](-*[a-zA-Z0-9])*\/[a-zA-Z0-9](-*[a-zA-Z0-9.])*$/ }),
  1,
  10,
);
const REQUEST: shape.Members = {
  EndpointConfigName: required(name),
  ProductionVariants: required(
    list(
      structure({
        VariantName: required(name),
        ModelName: name,
        InitialInstanceCount: whole(1, 2 ** 31 - 1),
        InstanceType: text({ pattern: /^ml\.[a-z0-9-]+\.[a-z0-9-]+$/ }),
        InstancePools: anything,
        VariantInstanceProvisionTimeoutInSeconds: whole(300, 3600),
        InitialVariantWeight: number(0, Number.MAX_VALUE),
        ServerlessConfig: structure({
          MemorySizeInMB: required(whole(1024, 6144)),
          MaxConcurrency: required(whole(1, 200)),
          ProvisionedConcurrency: whole(1, 200),
        }),
        VolumeSizeInGB: whole(1, 512),
        ModelDataDownloadTimeoutInSeconds: whole(60, 3600),
        ContainerStartupHealthCheckTimeoutInSeconds: whole(60, 3600),
        EnableSSMAccess: flag,
        CoreDumpConfig: anything,
        ManagedInstanceScaling: anything,
        RoutingConfig: anything,
        InferenceAmiVersion: text(),
        CapacityReservationConfig: anything,
      }),
      1,
      10,
    ),
  ),
  DataCaptureConfig: structure({
    EnableCapture: flag,
    InitialSamplingPercentage: required(whole(0, 100)),
    DestinationS3Uri: required(text({ max: 512, pattern: /^(https|s3):\/\/([^/]+)\/?(.*)$/ })),
    KmsKeyId: text({ max: 2048 }),
    CaptureOptions: required(
      list(structure({ CaptureMode: required(text({ oneOf: ['Input', 'Output', 'InputAndOutput'] })) }), 1, 32),
    ),
    CaptureContentTypeHeader: structure({ CsvContentTypes: CONTENT_TYPES, JsonContentTypes: CONTENT_TYPES }),
  }),
  Tags: tags,
  KmsKeyId: text({ max: 2048 }),
  AsyncInferenceConfig: anything,
  ExplainerConfig: anything,
  ShadowProductionVariants: anything,
  ExecutionRoleArn: roleArn,
  VpcConfig: vpc,
  EnableNetworkIsolation: flag,
  MetricsConfig: anything,
};
