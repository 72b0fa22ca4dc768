import { type ResourceTypes, sagemakerType } from '../../assembly/resource-type';

/** What SageMaker reads of a template: model package groups. */
export const RESOURCES: ResourceTypes = {
  'AWS::SageMaker::ModelPackageGroup': sagemakerType(
    'ModelPackageGroup',
    'model-package-group',
    'ModelPackageGroupName',
  ),
};
