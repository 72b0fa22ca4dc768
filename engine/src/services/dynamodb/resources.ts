import { type ResourceTypes, regional, uuid } from '../../assembly/resource-type';

/** What DynamoDB reads of a template: tables. */
export const RESOURCES: ResourceTypes = {
  'AWS::DynamoDB::Table': {
    nameProperty: 'TableName',
    longest: 255,
    arn: regional('dynamodb', 'table/{name}'),
    attributes: { StreamArn: ({ arn }) => `${arn}/stream/2026-01-01T00:00:00.000` },
  },
  'AWS::DynamoDB::GlobalTable': {
    nameProperty: 'TableName',
    longest: 255,
    arn: regional('dynamodb', 'table/{name}'),
    attributes: { StreamArn: ({ arn }) => `${arn}/stream/2026-01-01T00:00:00.000`, TableId: ({ hash }) => uuid(hash) },
  },
};
