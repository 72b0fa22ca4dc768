import {
  DescribeEndpointCommand,
  DescribeEndpointConfigCommand,
  DescribeModelPackageCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { planDeployment } from '../lib/core/deployment';
import type { DeploymentPlan, PlanDeploymentRequest } from '../lib/core/documents';
import { unlessMissing } from './shared/sagemaker';

const sagemaker = new SageMakerClient();

/** Runs {@link planDeployment} on what the registry and the endpoint are like now. */
export async function handler(request: PlanDeploymentRequest): Promise<DeploymentPlan> {
  const [modelPackage, endpoint] = await Promise.all([
    unlessMissing(sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: request.modelPackageArn }))),
    unlessMissing(sagemaker.send(new DescribeEndpointCommand({ EndpointName: request.endpointName }))),
  ]);
  const EndpointConfigName = endpoint?.EndpointConfigName;
  const config =
    EndpointConfigName &&
    (await unlessMissing(sagemaker.send(new DescribeEndpointConfigCommand({ EndpointConfigName }))));
  return planDeployment(
    request,
    modelPackage && {
      approval: modelPackage.ModelApprovalStatus,
      runId: modelPackage.CustomerMetadataProperties?.runId,
      containers: modelPackage.InferenceSpecification?.Containers,
    },
    endpoint && {
      status: endpoint.EndpointStatus ?? '',
      configName: EndpointConfigName,
      pending: endpoint.PendingDeploymentSummary !== undefined,
      configExists: config !== undefined && config !== '',
    },
  );
}
