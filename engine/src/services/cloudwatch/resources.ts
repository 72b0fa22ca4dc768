import { type ResourceTypes, regional } from '../../assembly/resource-type';

/** What CloudWatch reads of a template: alarms. */
export const RESOURCES: ResourceTypes = {
  'AWS::CloudWatch::Alarm': { nameProperty: 'AlarmName', longest: 255, arn: regional('cloudwatch', 'alarm:{name}') },
};
