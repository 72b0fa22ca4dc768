import {
  DescribeModelPackageCommand,
  type DescribeModelPackageOutput,
  paginateListModelPackages,
  type SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import type { ApprovedVersion } from '../../lib/core/deploy/approvals';
import { unlessMissing } from '../shared/sagemaker';

/** What the registry knows of the approved versions of one pipeline. */
export interface ApprovedVersions {
  /** Whether a version is approved now, and is of the pipeline. */
  isApproved(modelPackageArn: string): Promise<boolean>;
  /** The newest version of the pipeline that is approved. */
  newestApproved(): Promise<ApprovedVersion | undefined>;
}

/** The approved versions in a model package group, which may have the versions of several pipelines. */
export function approvedVersions(
  client: SageMakerClient,
  ModelPackageGroupName: string,
  pipeline: string,
): ApprovedVersions {
  const isOurs = (found?: DescribeModelPackageOutput) => found?.CustomerMetadataProperties?.pipeline === pipeline;
  const describe = (ModelPackageName: string) =>
    unlessMissing(client.send(new DescribeModelPackageCommand({ ModelPackageName })));
  return {
    async isApproved(modelPackageArn) {
      const found = await describe(modelPackageArn);
      return found?.ModelApprovalStatus === 'Approved' && isOurs(found);
    },
    async newestApproved() {
      const approved = paginateListModelPackages(
        { client },
        { ModelPackageGroupName, ModelApprovalStatus: 'Approved', SortBy: 'CreationTime', SortOrder: 'Descending' },
      );
      for await (const { ModelPackageSummaryList = [] } of approved) {
        for (const { ModelPackageArn: modelPackageArn } of ModelPackageSummaryList) {
          const found = modelPackageArn === undefined ? undefined : await describe(modelPackageArn);
          const createdAt = found?.CreationTime;
          const approvedAt = found?.LastModifiedTime ?? createdAt;
          if (modelPackageArn && createdAt && approvedAt && isOurs(found)) {
            return { modelPackageArn, approvedAt: approvedAt.toISOString(), createdAt: createdAt.toISOString() };
          }
        }
      }
      return undefined;
    },
  };
}
