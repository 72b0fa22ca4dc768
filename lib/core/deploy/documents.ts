import type { Owner } from '../ownership';
import type { SealedModel } from '../registry/sealed';

/** The input of the deployment machine. */
export interface DeploymentInput {
  readonly modelPackageArn: string;
  /** ISO time of the approval. */
  readonly approvedAt: string;
}

/** An endpoint configuration as SageMaker's request has it, but for its name, its tags and the model. */
export interface EndpointConfiguration {
  readonly ProductionVariants: ReadonlyArray<Readonly<Record<string, unknown>>>;
  readonly DataCaptureConfig: Readonly<Record<string, unknown>>;
  /** Encrypts the disks of the instances. */
  readonly KmsKeyId?: string;
}

/** How an endpoint serves. */
export interface ServingSettings {
  readonly instanceType: string;
  readonly instanceCount: number;
  /** Per cent of requests captured, 0 to 100. */
  readonly capturePercent: number;
}

/** `lambdas/deploy/plan-deployment.handler.ts`: looks whether a version may be deployed, wherever it is to serve. */
export interface PlanVersionRequest {
  readonly modelPackageArn: string;
  /** The pipeline whose versions are deployed. */
  readonly versionsOf: string;
}

/** The same, where a SageMaker endpoint is to serve it: decides names, and what to do with the endpoint. */
export interface PlanEndpointRequest extends PlanVersionRequest {
  readonly endpointName: string;
  readonly owner: Owner;
  readonly configuration: EndpointConfiguration;
  /** ARN of the role that the model serves under. */
  readonly servingRole: string;
}

export type PlanDeploymentRequest = PlanVersionRequest | PlanEndpointRequest;

/** A version that may be deployed. */
export interface VersionPlan {
  readonly version: number;
  readonly runId: string;
  /** The archive that was judged, which is still the same. */
  readonly archive: SealedModel;
}

/** What is to be done with an endpoint. */
export interface EndpointPlan extends VersionPlan {
  readonly modelName: string;
  readonly endpointConfigName: string;
  /** The configuration in service before; absent if there is none. */
  readonly previousConfigName?: string;
  /** What is there already, and is ours and equal: it is not made again. */
  readonly exists: { readonly model: boolean; readonly config: boolean };
  /** `wait`: the endpoint is changing, look again later. `recreate`: it has failed and must be deleted first. */
  readonly action: 'create' | 'update' | 'recreate' | 'wait' | 'none';
}

export type DeploymentPlan = VersionPlan | EndpointPlan;

/** `lambdas/deploy/smoke-test.handler.ts`: asks the endpoint about rows of the holdout. */
export interface SmokeTestRequest {
  readonly endpointName: string;
  readonly runId: string;
}

export interface SmokeTestReport {
  readonly rows: number;
  readonly latencyMs: number;
}

export const DEPLOYMENT_OUTCOMES = ['DEPLOYED', 'ROLLED_BACK', 'FAILED', 'SKIPPED'] as const;

export type DeploymentOutcome = (typeof DEPLOYMENT_OUTCOMES)[number];

/** `lambdas/deploy/finish-deployment.handler.ts`. */
export interface FinishDeploymentRequest {
  readonly deploymentId: string;
  readonly startedAt: string;
  readonly modelPackageArn: string;
  readonly outcome: DeploymentOutcome;
  readonly plan?: Pick<VersionPlan, 'runId'> &
    Partial<Pick<EndpointPlan, 'modelName' | 'endpointConfigName' | 'previousConfigName'>>;
  readonly error?: { readonly name: string; readonly cause: string };
}

/** Detail of {@link Events.DEPLOYMENT_ENDED}. */
export interface DeploymentEndedDetail {
  readonly pipeline: string;
  readonly deploymentId: string;
  readonly outcome: DeploymentOutcome;
  readonly modelPackageArn: string;
  /** One sentence, which is told to people. */
  readonly summary: string;
}
