import type { ResourceTypes } from '../../assembly/resource-type';

/** What S3 reads of a template: buckets, and what the CDK makes of their notifications. */
export const RESOURCES: ResourceTypes = {
  'AWS::S3::Bucket': {
    nameProperty: 'BucketName',
    longest: 63,
    legal: (text) => text.toLowerCase().replace(/[^a-z0-9.-]/g, '-'),
    arn: 'arn:{partition}:s3:::{name}',
    attributes: {
      DomainName: ({ name, aws }) => `${name}.s3.${aws.urlSuffix}`,
      RegionalDomainName: ({ name, aws }) => `${name}.s3.${aws.region}.${aws.urlSuffix}`,
      DualStackDomainName: ({ name, aws }) => `${name}.s3.dualstack.${aws.region}.${aws.urlSuffix}`,
      WebsiteURL: ({ name, aws }) => `http://${name}.s3-website-${aws.region}.${aws.urlSuffix}`,
    },
  },
  'Custom::S3BucketNotifications': {},
};
