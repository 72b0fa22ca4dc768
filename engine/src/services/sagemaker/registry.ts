import type {
  CreateModelPackageGroupOutput,
  CreateModelPackageOutput,
  ListModelPackageGroupsInput,
  ListModelPackageGroupsOutput,
  ListModelPackagesInput,
  ListModelPackagesOutput,
  UpdateModelPackageOutput,
} from '@aws-sdk/client-sagemaker';
import { ApiError, type Operation, type Resource, type Shape } from '../../service';
import type { Kept } from '../../state/state-store';
import { arnOf, asEventDetail, creationNeeds, type Host, invalid, now, page, sorted } from './host';
import type { GroupRequest, ModelPackage, PackageRequest, PackageUpdate } from './requests';
import * as shape from './shape';
import { required } from './shape';

interface Group {
  readonly ModelPackageGroupName: string;
  readonly ModelPackageGroupArn: string;
  readonly ModelPackageGroupDescription?: string;
  readonly CreationTime: Date;
  /** The last version number given; a deleted version's number is never given again. */
  last: number;
}

/** Model package groups and their versions; kept in the state folder. */
export class Registry {
  private readonly groups = new Map<string, Group>();
  private readonly packages = new Map<string, ModelPackage>();
  private readonly kept: { readonly groups: Kept<Group>; readonly packages: Kept<ModelPackage> };

  constructor(private readonly host: Host) {
    const { store } = host.context;
    this.kept = {
      groups: store.collection('sagemaker/model-package-groups', { ModelPackageGroupName: 'string', last: 'number' }),
      packages: store.collection('sagemaker/model-packages', {
        ModelPackageArn: 'string',
        ModelPackageGroupName: 'string',
        ModelPackageVersion: 'number',
      }),
    };
    this.kept.groups.restore((group, name) => this.groups.set(name, group));
    const packages: ModelPackage[] = [];
    this.kept.packages.restore((made) => packages.push(made));
    packages.sort((one, other) => one.ModelPackageVersion - other.ModelPackageVersion);
    for (const made of packages) this.packages.set(made.ModelPackageArn, made);
  }

  readonly operations: Readonly<Record<string, Operation>> = {
    CreateModelPackageGroup: {
      needs: (input) =>
        creationNeeds(this.host, 'CreateModelPackageGroup', 'model-package-group', input.ModelPackageGroupName, input),
      run: (input) => this.createGroup(input),
    },
    DescribeModelPackageGroup: this.onGroup('DescribeModelPackageGroup', (group) => {
      const { last: _, ...shown } = group;
      return { ...shown, ModelPackageGroupStatus: 'Completed', CreatedBy: {} };
    }),
    DeleteModelPackageGroup: this.onGroup('DeleteModelPackageGroup', (group) => this.deleteGroup(group)),
    ListModelPackageGroups: {
      needs: () => [{ action: 'sagemaker:ListModelPackageGroups', resource: '*' }],
      run: (input) => this.listGroups(input),
    },
    CreateModelPackage: {
      needs: (input) => this.createNeeds(input),
      run: (input) => this.createPackage(input),
    },
    DescribeModelPackage: this.onPackage('DescribeModelPackage', (found) => {
      const { Tags: _, ClientToken: __, ...shown } = found;
      return shown;
    }),
    UpdateModelPackage: {
      needs: (input) => [{ action: 'sagemaker:UpdateModelPackage', resource: String(input.ModelPackageArn) }],
      run: (input) => this.updatePackage(input),
    },
    DeleteModelPackage: this.onPackage('DeleteModelPackage', (found) => {
      this.kept.packages.delete(found.ModelPackageArn);
      this.packages.delete(found.ModelPackageArn);
      return {};
    }),
    ListModelPackages: {
      needs: () => [{ action: 'sagemaker:ListModelPackages', resource: '*' }],
      run: (input) => this.listPackages(input),
    },
  };

  /** Makes a group of the template. */
  load(resource: Resource): void {
    const name = resource.properties.ModelPackageGroupName;
    if (!this.groups.has(name)) {
      this.createGroup({
        ModelPackageGroupName: name,
        ModelPackageGroupDescription: resource.properties.ModelPackageGroupDescription,
      });
    }
  }

  has(name: string): boolean {
    return this.groups.has(name);
  }

  /** Deletes a group of the template. */
  delete(name: string): void {
    this.deleteGroup(this.group(name));
  }

  /** The container of an approved version. */
  container(nameOrArn: string): Shape {
    const found = this.packages.get(nameOrArn);
    if (found === undefined) throw invalid(`ModelPackage ${nameOrArn} does not exist.`);
    if (found.ModelApprovalStatus !== 'Approved') {
      throw invalid(
        `ModelPackage ${nameOrArn} is not approved: its ModelApprovalStatus is ${found.ModelApprovalStatus}.`,
      );
    }
    const [container] = found.InferenceSpecification?.Containers ?? [];
    if (container === undefined) throw invalid(`ModelPackage ${nameOrArn} has no InferenceSpecification.`);
    return container;
  }

  private createGroup(input: GroupRequest): CreateModelPackageGroupOutput {
    shape.validate(input, GROUP);
    const { ModelPackageGroupName, ModelPackageGroupDescription } = input;
    const arn = arnOf(this.host, 'model-package-group', ModelPackageGroupName);
    if (this.groups.has(ModelPackageGroupName)) throw invalid(`Model Package Group already exists: ${arn}`);
    const group = {
      ...{ ModelPackageGroupName, ModelPackageGroupArn: arn, CreationTime: now(this.host), last: 0 },
      ...(ModelPackageGroupDescription !== undefined && { ModelPackageGroupDescription }),
    };
    this.kept.groups.put(ModelPackageGroupName, group);
    this.groups.set(ModelPackageGroupName, group);
    if (input.Tags) this.host.tags.set(arn, input.Tags);
    return { ModelPackageGroupArn: arn };
  }

  private deleteGroup(group: Group): object {
    if (this.versions(group).length > 0) {
      throw new ApiError(
        'ConflictException',
        `Model Package Group ${group.ModelPackageGroupArn} cannot be deleted because it still contains Model Packages.`,
      );
    }
    this.kept.groups.delete(group.ModelPackageGroupName);
    this.groups.delete(group.ModelPackageGroupName);
    return {};
  }

  private listGroups(input: ListModelPackageGroupsInput): ListModelPackageGroupsOutput {
    const groups = [...this.groups.values()].filter((group) =>
      group.ModelPackageGroupName.includes(input.NameContains ?? ''),
    );
    const { items, NextToken } = page(
      sorted(groups, input, (group) => group.ModelPackageGroupName),
      input,
    );
    const shown = items.map(({ last: _, ...group }) => ({ ...group, ModelPackageGroupStatus: 'Completed' as const }));
    return { ModelPackageGroupSummaryList: shown, NextToken };
  }

  private createNeeds(input: PackageRequest) {
    const name = lastPart(String(input.ModelPackageGroupName ?? ''));
    const version = (this.groups.get(name)?.last ?? 0) + 1;
    return creationNeeds(this.host, 'CreateModelPackage', 'model-package', `${name}/${version}`, input);
  }

  private createPackage(input: PackageRequest): CreateModelPackageOutput {
    shape.validate(input, PACKAGE);
    if (input.ModelPackageGroupName === undefined) {
      throw invalid('this engine registers versions of a group only: ModelPackageGroupName must be given');
    }
    if (input.ModelPackageName !== undefined) {
      throw invalid('ModelPackageName and ModelPackageGroupName cannot both be specified.');
    }
    if (input.Tags !== undefined && input.Tags.length > 0) {
      throw invalid('You cannot supply a tag argument when creating a versioned model package; tag its group instead.');
    }
    const group = this.group(input.ModelPackageGroupName);
    const same = this.versions(group).find((made) => made.ClientToken && made.ClientToken === input.ClientToken);
    if (same !== undefined) return { ModelPackageArn: same.ModelPackageArn };
    for (const container of input.InferenceSpecification?.Containers ?? []) {
      if (container.ModelDataUrl !== undefined && container.ModelDataSource !== undefined) {
        throw invalid('A container cannot have both ModelDataUrl and ModelDataSource.');
      }
    }
    group.last += 1;
    const arn = arnOf(this.host, 'model-package', `${group.ModelPackageGroupName}/${group.last}`);
    const at = now(this.host);
    const { CertifyForMarketplace = false, ...given } = input;
    const made: ModelPackage = {
      ...given,
      ModelPackageGroupName: group.ModelPackageGroupName,
      ModelPackageVersion: group.last,
      ModelPackageArn: arn,
      CreationTime: at,
      LastModifiedTime: at,
      ModelPackageStatus: 'Completed',
      ModelPackageStatusDetails: { ValidationStatuses: [] },
      ModelApprovalStatus: input.ModelApprovalStatus ?? 'PendingManualApproval',
      CertifyForMarketplace,
      CreatedBy: {},
    };
    this.packages.set(arn, made);
    this.host.context.store.together(() => {
      this.kept.groups.put(group.ModelPackageGroupName, group);
      this.kept.packages.put(arn, made);
      this.announce(made);
    });
    return { ModelPackageArn: arn };
  }

  private updatePackage(input: PackageUpdate): UpdateModelPackageOutput {
    shape.validate(input, UPDATE);
    const found = this.find(input.ModelPackageArn);
    const { ModelPackageArn, ClientToken: _, CustomerMetadataPropertiesToRemove: removed = [], ...changes } = input;
    const { CustomerMetadataProperties: added, ...plain } = changes;
    Object.assign(found, plain, { LastModifiedTime: now(this.host), LastModifiedBy: {} });
    if (added !== undefined || removed.length > 0) {
      const properties = { ...found.CustomerMetadataProperties, ...added };
      for (const key of removed) delete properties[key];
      if (Object.keys(properties).length > 50)
        throw invalid('CustomerMetadataProperties must have at most 50 entries.');
      found.CustomerMetadataProperties = properties;
    }
    const fields = Object.keys(changes).filter((field) => field !== 'ApprovalDescription');
    if (removed.length > 0 && added === undefined) fields.push('CustomerMetadataProperties');
    this.host.context.store.together(() => {
      this.kept.packages.put(ModelPackageArn, found);
      this.announce(found, fields.length > 0 ? fields : ['ApprovalDescription']);
    });
    return { ModelPackageArn };
  }

  private listPackages(input: ListModelPackagesInput): ListModelPackagesOutput {
    const group = input.ModelPackageGroupName === undefined ? undefined : this.group(input.ModelPackageGroupName);
    const packages = (group === undefined ? [...this.packages.values()] : this.versions(group)).filter(
      (made) =>
        (input.ModelApprovalStatus === undefined || made.ModelApprovalStatus === input.ModelApprovalStatus) &&
        (input.NameContains === undefined || made.ModelPackageGroupName.includes(input.NameContains)) &&
        (input.CreationTimeAfter === undefined || +made.CreationTime > +new Date(input.CreationTimeAfter)) &&
        (input.CreationTimeBefore === undefined || +made.CreationTime < +new Date(input.CreationTimeBefore)),
    );
    const { items, NextToken } = page(
      sorted(packages, input, (made) => made.ModelPackageArn),
      input,
    );
    const shown = items.map((made) => ({
      ModelPackageGroupName: made.ModelPackageGroupName,
      ModelPackageVersion: made.ModelPackageVersion,
      ModelPackageArn: made.ModelPackageArn,
      ModelPackageDescription: made.ModelPackageDescription,
      CreationTime: made.CreationTime,
      ModelPackageStatus: made.ModelPackageStatus,
      ModelApprovalStatus: made.ModelApprovalStatus,
      ModelLifeCycle: made.ModelLifeCycle,
    }));
    return { ModelPackageSummaryList: shown, NextToken };
  }

  private announce(made: ModelPackage, updated?: readonly string[]): void {
    const { Tags: _, ClientToken: __, CreatedBy: ___, LastModifiedBy: ____, ...detail } = made;
    this.host.context.log(
      'sagemaker',
      `model package ${made.ModelPackageGroupName}/${made.ModelPackageVersion}: ${made.ModelApprovalStatus}`,
    );
    this.host.context.emit({
      source: 'aws.sagemaker',
      'detail-type': 'SageMaker Model Package State Change',
      resources: [made.ModelPackageArn],
      detail: asEventDetail({ ...detail, ...(updated && { UpdatedModelPackageFields: updated }) }),
    });
  }

  private versions(group: Group): ModelPackage[] {
    return [...this.packages.values()].filter((made) => made.ModelPackageGroupName === group.ModelPackageGroupName);
  }

  private group(nameOrArn: string): Group {
    const group = this.groups.get(lastPart(nameOrArn)) ?? this.byLowerCase(lastPart(nameOrArn));
    if (group === undefined) throw invalid(`ModelPackageGroup ${nameOrArn} does not exist.`);
    return group;
  }

  private byLowerCase(name: string): Group | undefined {
    return [...this.groups.values()].find((group) => group.ModelPackageGroupName.toLowerCase() === name);
  }

  private find(arn: string): ModelPackage {
    const found = this.packages.get(arn);
    if (found === undefined) throw invalid(`ModelPackage ${arn} does not exist.`);
    return found;
  }

  private onGroup(action: string, run: (group: Group) => object): Operation {
    return {
      needs: (input) => [
        {
          action: `sagemaker:${action}`,
          resource: arnOf(this.host, 'model-package-group', lastPart(String(input.ModelPackageGroupName ?? ''))),
        },
      ],
      run: (input) => run(this.group(String(input.ModelPackageGroupName ?? ''))),
    };
  }

  private onPackage(action: string, run: (found: ModelPackage) => object): Operation {
    return {
      needs: (input) => [{ action: `sagemaker:${action}`, resource: String(input.ModelPackageName) }],
      run: (input) => run(this.find(String(input.ModelPackageName))),
    };
  }
}

function lastPart(nameOrArn: string): string {
  return nameOrArn.slice(nameOrArn.lastIndexOf('/') + 1);
}

const { text, flag, list, map, structure, anything, environment, tags, name, uri } = shape;
const GROUP: shape.Members = {
  ModelPackageGroupName: required(name),
  ModelPackageGroupDescription: text({ max: 1024 }),
  Tags: tags,
  ManagedConfiguration: anything,
};
const APPROVAL = text({ oneOf: ['Approved', 'Rejected', 'PendingManualApproval'] });
const METADATA_TEXT = /^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$/u;
const METADATA = map(
  text({ min: 1, max: 128, pattern: METADATA_TEXT }),
  text({ min: 1, max: 256, pattern: METADATA_TEXT }),
  50,
);
const INFERENCE = structure({
  Containers: list(
    structure({
      ContainerHostname: text({ max: 63 }),
      Image: text({ min: 1, max: 255 }),
      ImageDigest: text({ max: 72, pattern: /^[Ss][Hh][Aa]256:[0-9a-fA-F]{64}$/ }),
      ModelDataUrl: uri,
      ModelDataSource: anything,
      ProductId: text({ max: 256 }),
      Environment: environment(1024),
      ModelInput: anything,
      Framework: text(),
      FrameworkVersion: text({ min: 3, max: 10, pattern: /^[0-9]\.[A-Za-z0-9.-]+$/ }),
      NearestModelName: text(),
      AdditionalS3DataSource: anything,
      AdditionalModelDataSources: anything,
      ModelDataETag: text(),
      IsCheckpoint: flag,
      BaseModel: anything,
    }),
    1,
    15,
  ),
  SupportedTransformInstanceTypes: anything,
  SupportedRealtimeInferenceInstanceTypes: anything,
  SupportedContentTypes: list(text({ max: 256 }), 0, 100),
  SupportedResponseMIMETypes: list(text({ max: 1024 }), 0, 100),
});
const CARD = structure({
  ModelCardContent: text({ max: 100_000 }),
  ModelCardStatus: text({ oneOf: ['Draft', 'PendingReview', 'Approved', 'Archived'] }),
});
const LIFE_CYCLE = structure({
  Stage: required(text({ max: 63 })),
  StageStatus: required(text({ max: 63 })),
  StageDescription: text({ max: 1024 }),
});
const TOKEN = text({ min: 1, max: 36, pattern: /^[a-zA-Z0-9-]+$/ });
const METRICS_SOURCE = structure({
  ContentType: required(text({ max: 256 })),
  S3Uri: required(uri),
  ContentDigest: text({ max: 72 }),
});
const MODEL_METRICS = structure({
  ModelQuality: structure({ Statistics: METRICS_SOURCE, Constraints: METRICS_SOURCE }),
  ModelDataQuality: structure({ Statistics: METRICS_SOURCE, Constraints: METRICS_SOURCE }),
  Bias: structure({ Report: METRICS_SOURCE, PreTrainingReport: METRICS_SOURCE, PostTrainingReport: METRICS_SOURCE }),
  Explainability: structure({ Report: METRICS_SOURCE }),
});
const PACKAGE: shape.Members = {
  ModelPackageName: name,
  ModelPackageGroupName: text({ min: 1, max: 170 }),
  ModelPackageDescription: text({ max: 1024 }),
  ModelPackageRegistrationType: text({ oneOf: ['Logged', 'Registered'] }),
  InferenceSpecification: INFERENCE,
  ValidationSpecification: anything,
  SourceAlgorithmSpecification: anything,
  CertifyForMarketplace: flag,
  Tags: tags,
  ModelApprovalStatus: APPROVAL,
  MetadataProperties: structure({
    CommitId: text({ max: 1024 }),
    Repository: text({ max: 1024 }),
    GeneratedBy: text({ max: 1024 }),
    ProjectId: text({ max: 1024 }),
  }),
  ModelMetrics: MODEL_METRICS,
  ClientToken: TOKEN,
  Domain: text(),
  Task: text(),
  SamplePayloadUrl: uri,
  CustomerMetadataProperties: METADATA,
  DriftCheckBaselines: anything,
  AdditionalInferenceSpecifications: anything,
  SkipModelValidation: text({ oneOf: ['All', 'None'] }),
  SourceUri: text({ max: 1024 }),
  SecurityConfig: anything,
  ModelCard: CARD,
  ModelLifeCycle: LIFE_CYCLE,
  ManagedStorageType: text({ oneOf: ['Restricted'] }),
};
const UPDATE: shape.Members = {
  ModelPackageArn: required(text({ min: 1, max: 2048 })),
  ModelApprovalStatus: APPROVAL,
  ModelPackageRegistrationType: text({ oneOf: ['Logged', 'Registered'] }),
  ApprovalDescription: text({ max: 1024 }),
  CustomerMetadataProperties: METADATA,
  CustomerMetadataPropertiesToRemove: list(text({ min: 1, max: 128 }), 0, 50),
  AdditionalInferenceSpecificationsToAdd: anything,
  InferenceSpecification: INFERENCE,
  SourceUri: text({ max: 1024 }),
  ModelCard: CARD,
  ModelLifeCycle: LIFE_CYCLE,
  ClientToken: TOKEN,
};
