import { Aws, type Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { scoringModelName } from '../core/names';
import { type Owner, OwnerTag, ownerTags, tagList } from '../core/ownership';
import { RUN_ID } from '../machine/expressions';
import { jsonata } from '../machine/jsonata';
import { listOf, sageMakerArn } from './grants';

/** The tags of what a stack's state machines and functions make for an owner. */
export function tagsOf(owner: Owner): Array<{ Key: string; Value: string }> {
  return tagList(ownerTags(owner, Aws.STACK_NAME));
}

/** The same of a run's jobs. */
export function jobTags(owner: Owner): Array<{ Key: string; Value: string }> {
  return [...tagsOf(owner), { Key: OwnerTag.RUN, Value: jsonata(RUN_ID) }];
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
