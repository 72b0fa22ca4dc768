import { physicalArn, type ResourceTypes, regional, uuid } from '../../assembly/resource-type';

/** What Lambda reads of a template: functions, and what feeds and names them. */
export const RESOURCES: ResourceTypes = {
  'AWS::Lambda::Function': { nameProperty: 'FunctionName', longest: 64, arn: regional('lambda', 'function:{name}') },
  'AWS::Lambda::Version': {
    arn: regional('lambda', 'function:{function}:1'),
    ref: 'arn',
    attributes: { Version: () => '1', FunctionArn: physicalArn },
  },
  'AWS::Lambda::Alias': {
    nameProperty: 'Name',
    arn: regional('lambda', 'function:{function}:{name}'),
    ref: 'arn',
    attributes: { AliasArn: physicalArn },
  },
  'AWS::Lambda::EventSourceMapping': {
    ref: ({ hash }) => uuid(hash),
    arn: regional('lambda', 'event-source-mapping:{name}'),
    attributes: {
      Id: ({ hash }) => uuid(hash),
      EventSourceMappingArn: physicalArn,
    },
  },
  'AWS::Lambda::EventInvokeConfig': {},
};
