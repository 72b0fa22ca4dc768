import { ArnFormat, type CustomResource, Names, RemovalPolicy, Stack, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as sagemaker from 'aws-cdk-lib/aws-sagemaker';
import { Construct, type IConstruct } from 'constructs';
import { EnvName } from '../core/names';
import { CleanUp } from '../private/clean-up';
import { tellFunction } from '../private/environment';
import { sageMakerArn } from '../private/grants';
import { claim } from '../private/two-of-a-kind';
import { refuse } from '../private/validate';

/** Properties of a {@link ModelRegistry}. */
export interface ModelRegistryProps {
  /**
   * The name of the model package group: 1 to 63 lower-case letters, digits and inner hyphens.
   *
   * @default - made from the construct's path
   */
  readonly groupName?: string;

  /**
   * What happens to the group when the stack is deleted. `DESTROY` is dangerous: its versions, the record of what
   * served, are deleted with it.
   *
   * @default RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE, for a group left by a failed creation would block the next
   */
  readonly removalPolicy?: RemovalPolicy;
}

/** The versions of one model, and whether each is approved: a model package group of the stack's account and region. */
export interface IModelRegistry extends IConstruct {
  /** The name of the model package group. */
  readonly groupName: string;

  /** The ARN of the model package group. */
  readonly groupArn: string;

  /** Allows to list and describe the versions. A function finds the group's name in `MODEL_PACKAGE_GROUP`. */
  grantRead(grantee: iam.IGrantable): iam.Grant;

  /**
   * Allows to list and describe the versions, and to approve or reject them: an approval starts a deployment. A function
   * finds the group's name in `MODEL_PACKAGE_GROUP`.
   */
  grantApprove(grantee: iam.IGrantable): iam.Grant;
}

abstract class ModelRegistryBase extends Construct implements IModelRegistry {
  public abstract readonly groupName: string;

  public get groupArn(): string {
    return sageMakerArn(Stack.of(this), `model-package-group/${this.groupName}`);
  }

  public grantRead(grantee: iam.IGrantable): iam.Grant {
    tellFunction(grantee, { [EnvName.MODEL_PACKAGE_GROUP]: this.groupName });
    // the API knows no resource for what lists
    const list = iam.Grant.addToPrincipal({
      grantee,
      actions: ['sagemaker:ListModelPackages'],
      resourceArns: ['*'],
    });
    return list.combine(this.grant(grantee, ['sagemaker:DescribeModelPackage']));
  }

  public grantApprove(grantee: iam.IGrantable): iam.Grant {
    return this.grantRead(grantee).combine(this.grant(grantee, ['sagemaker:UpdateModelPackage']));
  }

  private grant(grantee: iam.IGrantable, actions: string[]): iam.Grant {
    const versions = sageMakerArn(Stack.of(this), `model-package/${this.groupName}/*`);
    return iam.Grant.addToPrincipal({ grantee, actions, resourceArns: [versions] });
  }
}

/**
 * Holds the versions of one model with their lineage, and whether each is approved.
 *
 * Defines one model package group. Training registers here, and an approval here starts a deployment:
 * that is all the two know of each other.
 */
export class ModelRegistry extends ModelRegistryBase {
  /** A group of the stack's account and region that was made elsewhere: by another stack, or by hand. */
  public static fromModelPackageGroupName(scope: Construct, id: string, groupName: string): IModelRegistry {
    const registry = new ImportedRegistry(scope, id, groupName);
    refuse(registry, [groupNameMistake(groupName)]);
    return registry;
  }

  /** The same, by the group's ARN. */
  public static fromModelPackageGroupArn(scope: Construct, id: string, groupArn: string): IModelRegistry {
    const stack = Stack.of(scope);
    const { region, account, resource, resourceName = '' } = stack.splitArn(groupArn, ArnFormat.SLASH_RESOURCE_NAME);
    const differ = (one = '', other: string) => !Token.isUnresolved(one) && !Token.isUnresolved(other) && one !== other;
    refuse(scope, [
      differ(resource, 'model-package-group') &&
        `groupArn must be of a model-package-group, got ${groupArn}; 'aws sagemaker list-model-package-groups' tells it`,
      (differ(account, stack.account) || differ(region, stack.region)) &&
        `groupArn must be of the stack's own account and region (${stack.account}, ${stack.region}), got ${groupArn}`,
    ]);
    return ModelRegistry.fromModelPackageGroupName(scope, id, resourceName);
  }

  /** The group. */
  public readonly group: sagemaker.CfnModelPackageGroup;

  /** The group's name. */
  public readonly groupName: string;

  /** What deletes the versions before the group is deleted, where it is to be. */
  public readonly cleanUp?: CustomResource;

  constructor(scope: Construct, id: string, props: ModelRegistryProps = {}) {
    super(scope, id);
    this.groupName = props.groupName ?? Names.uniqueResourceName(this, { maxLength: 63, separator: '-' }).toLowerCase();
    refuse(this, [groupNameMistake(this.groupName), claim(this, 'groupName of a ModelRegistry', this.groupName)]);
    this.group = new sagemaker.CfnModelPackageGroup(this, 'Resource', {
      modelPackageGroupName: this.groupName,
      modelPackageGroupDescription: `Versions of ${this.node.path}`,
    });
    const removalPolicy = props.removalPolicy ?? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE;
    this.group.applyRemovalPolicy(removalPolicy);
    if (removalPolicy === RemovalPolicy.DESTROY) {
      const cleanUp = CleanUp.of(this, undefined);
      cleanUp.allow(['sagemaker:ListModelPackages'], ['*']);
      const versions = sageMakerArn(Stack.of(this), `model-package/${this.groupName}/*`);
      cleanUp.allow(['sagemaker:DeleteModelPackage'], [versions]);
      this.cleanUp = cleanUp.take(this, { What: 'registry', Registry: this.groupName }, [this.group]);
    }
  }
}

class ImportedRegistry extends ModelRegistryBase {
  constructor(
    scope: Construct,
    id: string,
    public readonly groupName: string,
  ) {
    super(scope, id);
  }
}

/**
 * ARNs have the name in lower case, and permissions are given on ARNs. Names of jobs, models and permissions on them are
 * made from it at synthesis, and again at run time.
 */
function groupNameMistake(groupName: string): string | false {
  if (Token.isUnresolved(groupName)) {
    return 'groupName must be known at synthesis, for other names are made from it, got a token; write the name itself';
  }
  return (
    !/^[a-z0-9](-*[a-z0-9]){0,62}$/.test(groupName) &&
    `groupName must be 1 to 63 lower-case letters, digits and inner hyphens, got '${groupName}'`
  );
}
