import { physicalArn, physicalName, type ResourceTypes } from '../../assembly/resource-type';

/** What IAM reads of a template: roles, policies, and the policies of resources. */
export const RESOURCES: ResourceTypes = {
  'AWS::IAM::Role': {
    nameProperty: 'RoleName',
    longest: 64,
    arn: 'arn:{partition}:iam::{account}:role{path}{name}',
    attributes: { RoleId: ({ hash }) => `AROA${hash.slice(0, 17).toUpperCase()}` },
  },
  'AWS::IAM::ManagedPolicy': {
    nameProperty: 'ManagedPolicyName',
    longest: 128,
    arn: 'arn:{partition}:iam::{account}:policy{path}{name}',
    ref: 'arn',
    attributes: { PolicyArn: physicalArn },
  },
  'AWS::IAM::Policy': { nameProperty: 'PolicyName', longest: 128, attributes: { Id: physicalName } },
  'AWS::S3::BucketPolicy': {},
  'AWS::SQS::QueuePolicy': {},
  'AWS::SNS::TopicPolicy': {},
  'AWS::Lambda::Permission': { attributes: { Id: physicalName } },
};
