import { type ResourceTypes, regional } from '../../assembly/resource-type';

/** What EventBridge Scheduler reads of a template: schedules and their groups. */
export const RESOURCES: ResourceTypes = {
  'AWS::Scheduler::Schedule': {
    nameProperty: 'Name',
    longest: 64,
    arn: regional('scheduler', 'schedule/{group}/{name}'),
  },
  'AWS::Scheduler::ScheduleGroup': {
    nameProperty: 'Name',
    longest: 64,
    arn: regional('scheduler', 'schedule-group/{name}'),
    attributes: { State: () => 'ACTIVE' },
  },
};
