/** What is taken away with its stack, as the custom resource's properties say it. */
export type CleanUpProperties =
  | {
      readonly What: 'deployment';
      readonly Endpoint: string;
      readonly Pipeline: string;
      /** The name of the model package group. */
      readonly Registry: string;
      /** ARN of the deployment machine. */
      readonly Machine: string;
      /** Name of the ledger's table. */
      readonly Ledger: string;
    }
  | {
      readonly What: 'training';
      readonly Pipeline: string;
      readonly Registry: string;
      /** ARN of the training machine. */
      readonly Machine: string;
      readonly Ledger: string;
    }
  | {
      /** Those of a machine that makes nothing in SageMaker: they are stopped. */
      readonly What: 'executions';
      readonly Pipeline: string;
      readonly Registry: string;
      /** ARN of the deployment machine. */
      readonly Machine: string;
      readonly Ledger: string;
    }
  | { readonly What: 'registry'; readonly Registry: string }
  | { readonly What: 'bucket'; readonly Bucket: string };

/**
 * What the custom resource is to CloudFormation: another id is another thing, and then CloudFormation asks for the old
 * one to be deleted. So it names what is to be taken away.
 *
 * @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes-update.html
 */
export function cleanUpId(properties: CleanUpProperties): string {
  switch (properties.What) {
    case 'deployment':
      return ['deployment', properties.Endpoint, properties.Pipeline, properties.Registry].join('/');
    case 'training':
      return ['training', properties.Pipeline, properties.Registry].join('/');
    case 'executions':
      return ['executions', properties.Pipeline, properties.Registry].join('/');
    case 'registry':
      return `registry/${properties.Registry}`;
    case 'bucket':
      return `bucket/${properties.Bucket}`;
  }
}
