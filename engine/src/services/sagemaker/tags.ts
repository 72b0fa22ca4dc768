import type { Operation, RequiredPermission, Shape } from '../../service';
import { conditionKeys } from './condition-keys';
import type { Host, Tag } from './host';
import * as shape from './shape';
import { required } from './shape';

/**
 * Lets policies speak of what a request asks for, of the tags that it brings along, and of those that its resource has.
 *
 * @see https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
 */
export function withConditions(
  { tags }: Host,
  operations: Readonly<Record<string, Operation>>,
): Readonly<Record<string, Operation>> {
  const conditions = (input: Shape, { action, resource }: RequiredPermission): RequiredPermission['conditions'] => {
    const sent: Tag[] = /:(Create|AddTags)/.test(action) && Array.isArray(input.Tags) ? input.Tags : [];
    return {
      ...conditionKeys(action, input),
      ...valuesOf('aws:ResourceTag', tags.get(resource) ?? []),
      ...valuesOf('aws:RequestTag', sent),
      ...(sent.length > 0 && { 'aws:TagKeys': sent.map(({ Key }) => String(Key)) }),
    };
  };
  const wrapped = Object.entries(operations).map(([name, operation]): [string, Operation] => [
    name,
    {
      ...operation,
      needs: (input, caller) =>
        operation
          .needs(input, caller)
          .map((need) => ({ ...need, conditions: { ...need.conditions, ...conditions(input, need) } })),
    },
  ]);
  return Object.fromEntries(wrapped);
}

function valuesOf(key: string, tags: readonly Tag[]): Record<string, string> {
  return Object.fromEntries(tags.map(({ Key, Value = '' }) => [`${key}/${Key}`, String(Value)]));
}

/** Tags, by ARN; a resource need not exist for them. */
export function tagOperations(host: Host): Readonly<Record<string, Operation>> {
  const need = (action: string) => (input: Shape) => [
    { action: `sagemaker:${action}`, resource: String(input.ResourceArn ?? '') },
  ];
  const replace = (arn: string, without: readonly string[], added: Tag[]) => {
    const kept = (host.tags.get(arn) ?? []).filter(({ Key }) => !without.includes(Key));
    host.tags.set(arn, [...kept, ...added]);
    return [...kept, ...added];
  };
  return {
    AddTags: {
      needs: need('AddTags'),
      run: (input) => {
        shape.validate(input, { ResourceArn: required(shape.text()), Tags: required(shape.tags) });
        const names = input.Tags.map(({ Key }: Tag) => Key);
        return { Tags: replace(input.ResourceArn, names, input.Tags) };
      },
    },
    DeleteTags: {
      needs: need('DeleteTags'),
      run: (input) => {
        shape.validate(input, { ResourceArn: required(shape.text()), TagKeys: required(shape.anything) });
        replace(input.ResourceArn, input.TagKeys, []);
        return {};
      },
    },
    ListTags: { needs: need('ListTags'), run: (input) => ({ Tags: host.tags.get(input.ResourceArn) ?? [] }) },
  };
}
