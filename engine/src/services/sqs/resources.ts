import { physicalName, type ResourceTypes, regional } from '../../assembly/resource-type';

/** What SQS reads of a template: queues. */
export const RESOURCES: ResourceTypes = {
  'AWS::SQS::Queue': {
    nameProperty: 'QueueName',
    longest: 80,
    arn: regional('sqs', '{name}'),
    ref: ({ endpoint, aws, name }) => `${endpoint}/${aws.account}/${name}`,
    attributes: {
      QueueName: physicalName,
      QueueUrl: ({ endpoint, aws, name }) => `${endpoint}/${aws.account}/${name}`,
    },
  },
};
