import { type CustomResource, Names, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as sagemaker from 'aws-cdk-lib/aws-sagemaker';
import { Construct } from 'constructs';
import { CleanUp } from '../private/clean-up';
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

/**
 * Holds the versions of one model with their lineage, and whether each is approved.
 *
 * Defines one model package group. Training registers here, and an approval here starts a deployment:
 * that is all the two know of each other.
 */
export class ModelRegistry extends Construct {
  /** The group. */
  public readonly group: sagemaker.CfnModelPackageGroup;

  /** The group's name. */
  public readonly groupName: string;

  /** What deletes the versions before the group is deleted, where it is to be. */
  public readonly cleanUp?: CustomResource;

  constructor(scope: Construct, id: string, props: ModelRegistryProps = {}) {
    super(scope, id);
    this.groupName = props.groupName ?? Names.uniqueResourceName(this, { maxLength: 63, separator: '-' }).toLowerCase();
    refuse(this, [
      // ARNs have the name in lower case, and permissions are given on ARNs
      !/^[a-z0-9](-*[a-z0-9]){0,62}$/.test(this.groupName) &&
        `groupName must be 1 to 63 lower-case letters, digits and inner hyphens, got '${this.groupName}'`,
      claim(this, 'groupName of a ModelRegistry', this.groupName),
    ]);
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
