import { physicalArn, physicalName, type ResourceTypes, regional, uuid } from '../../assembly/resource-type';

/** What SNS reads of a template: topics and subscriptions. */
export const RESOURCES: ResourceTypes = {
  'AWS::SNS::Topic': {
    nameProperty: 'TopicName',
    longest: 256,
    arn: regional('sns', '{name}'),
    ref: 'arn',
    attributes: { TopicArn: physicalArn, TopicName: physicalName },
  },
  'AWS::SNS::Subscription': {
    arn: regional('sns', '{name}'),
    ref: ({ properties, hash }) => `${properties.TopicArn}:${uuid(hash)}`,
  },
};
