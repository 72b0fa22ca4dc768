import { physicalName, type ResourceTypes, regional } from '../../assembly/resource-type';

/** What EventBridge reads of a template: rules and buses. */
export const RESOURCES: ResourceTypes = {
  'AWS::Events::Rule': { nameProperty: 'Name', longest: 64, arn: regional('events', 'rule/{bus}{name}') },
  'AWS::Events::EventBus': {
    nameProperty: 'Name',
    longest: 256,
    arn: regional('events', 'event-bus/{name}'),
    attributes: { Name: physicalName },
  },
};
