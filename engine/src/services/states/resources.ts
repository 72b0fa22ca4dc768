import { physicalName, type ResourceTypes, regional, uuid } from '../../assembly/resource-type';

/** What Step Functions reads of a template: state machines. */
export const RESOURCES: ResourceTypes = {
  'AWS::StepFunctions::StateMachine': {
    nameProperty: 'StateMachineName',
    longest: 80,
    arn: regional('states', 'stateMachine:{name}'),
    ref: 'arn',
    attributes: { Name: physicalName, StateMachineRevisionId: ({ hash }) => uuid(hash) },
  },
};
