import { type ResourceTypes, regional, uuid } from '../../assembly/resource-type';

/** What KMS reads of a template: keys and aliases. */
export const RESOURCES: ResourceTypes = {
  'AWS::KMS::Key': {
    arn: regional('kms', 'key/{uuid}'),
    ref: ({ hash }) => uuid(hash),
    attributes: { KeyId: ({ hash }) => uuid(hash) },
  },
  'AWS::KMS::Alias': { nameProperty: 'AliasName', arn: regional('kms', '{name}') },
};
