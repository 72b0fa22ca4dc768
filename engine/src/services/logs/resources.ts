import { type ResourceTypes, regional } from '../../assembly/resource-type';

/** What CloudWatch Logs reads of a template: log groups. */
export const RESOURCES: ResourceTypes = {
  'AWS::Logs::LogGroup': { nameProperty: 'LogGroupName', longest: 512, arn: regional('logs', 'log-group:{name}:*') },
};
