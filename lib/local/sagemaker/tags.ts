import type { Operation, Shape } from '../service';
import type { Host } from './host';
import * as shape from './shape';
import { required } from './shape';

/** Tags, by ARN; a resource need not exist for them. */
export function tagOperations(host: Host): Readonly<Record<string, Operation>> {
  const need = (action: string) => (input: Shape) => [
    { action: `sagemaker:${action}`, resource: String(input.ResourceArn ?? '') },
  ];
  const replace = (arn: string, without: readonly string[], added: Shape[]) => {
    const kept = (host.tags.get(arn) ?? []).filter(({ Key }) => !without.includes(Key));
    host.tags.set(arn, [...kept, ...added]);
    return [...kept, ...added];
  };
  return {
    AddTags: {
      needs: need('AddTags'),
      run: (input) => {
        shape.validate(input, { ResourceArn: required(shape.text()), Tags: required(shape.tags) });
        const names = input.Tags.map(({ Key }: Shape) => Key);
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
