import { Aws, type ITaggable, Lazy, Stack, TagManager, TagType } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { scoringModelName } from '../core/names';
import { type Owner, OwnerTag, ownerTags, type Tag, tagList } from '../core/ownership';
import { RUN_ID } from '../machine/expressions';
import { jsonata } from '../machine/jsonata';
import { listOf, sageMakerArn } from './grants';

/** Takes in what the app tags its place with: `Tags.of(…).add(…)` reaches every construct that is taggable. */
class AppTags extends Construct implements ITaggable {
  readonly tags = new TagManager(TagType.MAP, 'Perennial::MadeAtRunTime');

  static of(scope: Construct): AppTags {
    return (scope.node.tryFindChild('AppTags') as AppTags | undefined) ?? new AppTags(scope, 'AppTags');
  }
}

/**
 * The tags of what the state machines of a scope make for an owner: the owner's, and those that the app gives to the
 * scope and its stack, as CloudFormation's resources have them. They are known once the app is synthesized.
 */
export function tagsOf(scope: Construct, owner: Owner): Tag[] {
  return withAppTags(scope, tagList(ownerTags(owner, Aws.STACK_NAME)));
}

/** The same of a run's jobs. */
export function jobTags(scope: Construct, owner: Owner): Tag[] {
  const own = tagList(ownerTags(owner, Aws.STACK_NAME));
  return withAppTags(scope, [...own, { Key: OwnerTag.RUN, Value: jsonata(RUN_ID) }]);
}

function withAppTags(scope: Construct, own: readonly Tag[]): Tag[] {
  const { tags } = AppTags.of(scope);
  const all = () => ({ ...Stack.of(scope).tags.tagValues(), ...tags.tagValues() });
  const isOwn = ({ Key }: Tag) => own.some((one) => one.Key === Key);
  const produce = () => [...own, ...tagList(all()).filter((tag) => !isOwn(tag))];
  return Lazy.any({ produce }) as unknown as Tag[]; // a list by the time that it is read
}

/**
 * Allows actions on what has an owner's tags, whatever its name: for what changes or takes away.
 *
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
 */
export function onOwn({ pipeline, registry }: Owner, actions: string[], resources: string[]): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions,
    resources,
    conditions: {
      StringEquals: {
        [`aws:ResourceTag/${OwnerTag.PIPELINE}`]: pipeline,
        [`aws:ResourceTag/${OwnerTag.REGISTRY}`]: registry,
      },
    },
  });
}

/** Allows to take away the models with which an owner's runs score their candidates. */
export function allowCandidates({ grantPrincipal }: iam.IGrantable, stack: Stack, owner: Owner): void {
  const models = sageMakerArn(stack, `model/${scoringModelName(owner.pipeline, owner.registry, '*')}`);
  grantPrincipal.addToPrincipalPolicy(onOwn(owner, ['sagemaker:DeleteModel'], [models]));
  grantPrincipal.addToPrincipalPolicy(listOf('sagemaker:ListModels'));
}
