import { ErrorName, PerennialError } from './errors';

/**
 * Tags on everything that is made in SageMaker at run time: a name alone does not tell whose a thing is.
 *
 * @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_AddTags.html
 */
export const OwnerTag = {
  PIPELINE: 'perennial:pipeline',
  /** The name of the model package group. */
  REGISTRY: 'perennial:registry',
  /** The stack that takes it away when the stack is deleted. */
  STACK: 'perennial:stack',
  /** On jobs. */
  RUN: 'perennial:run',
} as const;

/** Whose something in SageMaker is. */
export interface Owner {
  readonly pipeline: string;
  /** The name of the model package group. */
  readonly registry: string;
}

/** Tags by name. */
export type Tags = Readonly<Record<string, string>>;

/** The tags of what an owner makes, in a stack. */
export function ownerTags({ pipeline, registry }: Owner, stack: string): Tags {
  return { [OwnerTag.PIPELINE]: pipeline, [OwnerTag.REGISTRY]: registry, [OwnerTag.STACK]: stack };
}

/** A tag as SageMaker's requests have it. */
export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Tags as SageMaker's requests have them. */
export function tagList(tags: Tags): Tag[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Whether something with these tags was made by this pipeline, for this registry. */
export function isOwn(tags: Tags, { pipeline, registry }: Owner): boolean {
  return tags[OwnerTag.PIPELINE] === pipeline && tags[OwnerTag.REGISTRY] === registry;
}

/** Whose something is, in words. */
export function whose(tags: Tags): string {
  const [pipeline, registry, stack] = [tags[OwnerTag.PIPELINE], tags[OwnerTag.REGISTRY], tags[OwnerTag.STACK]];
  if (pipeline === undefined || registry === undefined) return 'one that no pipeline has made (it lacks the tags)';
  return `one of the pipeline ${pipeline} with the registry ${registry}${stack === undefined ? '' : `, made by the stack ${stack}`}`;
}

/**
 * Refuses what has our name and is somebody else's, or is ours and not what it should be.
 *
 * @param what e.g. `the endpoint flights`
 * @param found its tags, and whether it is made of what it should be
 * @param fix what to do about it
 * @throws PerennialError NAME_TAKEN
 */
export function refuseForeign(
  what: string,
  found: { readonly tags: Tags; readonly isEqual?: boolean },
  owner: Owner,
  fix: string,
): void {
  const own = `the pipeline ${owner.pipeline}'s with the registry ${owner.registry}`;
  if (!isOwn(found.tags, owner)) {
    throw new PerennialError(ErrorName.NAME_TAKEN, `${what} must be ${own}, got ${whose(found.tags)}; ${fix}`);
  }
  if (found.isEqual === false) {
    const made = 'got one that is made of something else: somebody made or changed it by hand';
    throw new PerennialError(ErrorName.NAME_TAKEN, `${what} must be as ${own} makes it, ${made}; ${fix}`);
  }
}
