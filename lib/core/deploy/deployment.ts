import { ErrorName, PerennialError } from '../errors';
import type { ModelContainer } from '../judge/documents';
import type { DeploymentLease } from '../ledger/rows';
import { deploymentId, endpointConfigName, modelName, packageVersion, versionInName } from '../names';
import { refuseForeign, type Tags } from '../ownership';
import type { Seal } from '../registry/sealed';
import type { DeploymentInput, EndpointPlan, PlanEndpointRequest, PlanVersionRequest, VersionPlan } from './documents';

/** So many versions' models and configurations are kept, for going back. */
export const KEPT_VERSIONS = 2;

/** A version as the registry describes it. */
export interface DescribedPackage {
  /** Approved, Rejected or PendingManualApproval. */
  readonly approval?: string;
  /** The pipeline and the run that made it, from its metadata. */
  readonly pipeline?: string;
  readonly runId?: string;
  /** What a model of it is made from. */
  readonly container?: ModelContainer;
  /** What its archive was when it was judged, from its metadata. */
  readonly seal?: Seal;
}

/** An endpoint as SageMaker describes it. */
export interface DescribedEndpoint {
  readonly tags: Tags;
  readonly status: string;
  readonly configName?: string;
  /** Whether an update is under way that the status does not show yet. */
  readonly pending: boolean;
  /** Whether its configuration still exists. */
  readonly configExists: boolean;
}

/** A model or a configuration that has the name of one that is to be made. */
export interface Namesake {
  readonly tags: Tags;
  /** Whether it is made of what ours would be made of. */
  readonly isEqual: boolean;
}

/** What there is already under the names of a deployment. */
export interface Found {
  readonly endpoint?: DescribedEndpoint;
  readonly model?: Namesake;
  readonly config?: Namesake;
}

/** What a deployment makes, by name. */
export interface EndpointNames extends Pick<EndpointPlan, 'modelName' | 'endpointConfigName'> {}

/** A version that may be deployed, and what of. */
export interface Deployable {
  readonly plan: VersionPlan;
  readonly container: ModelContainer;
}

/**
 * Refuses a version that may not be deployed.
 *
 * @param modelPackage undefined if it does not exist
 * @throws PerennialError NOT_DEPLOYABLE
 */
export function deployableOf(request: PlanVersionRequest, modelPackage: DescribedPackage | undefined): Deployable {
  const { modelPackageArn, versionsOf } = request;
  const refuse = (message: string) => new PerennialError(ErrorName.NOT_DEPLOYABLE, message);
  if (modelPackage === undefined) {
    throw refuse(`the model package must exist, got ${modelPackageArn}: it has been deleted; approve another version`);
  }
  const { approval, runId, pipeline, container, seal } = modelPackage;
  if (approval !== 'Approved') {
    throw refuse(`${modelPackageArn} must be Approved, got ${approval}; approve it to deploy it`);
  }
  if (runId === undefined || pipeline === undefined || seal === undefined || container?.ModelDataUrl === undefined) {
    const named = [pipeline, runId, seal?.versionId, container?.ModelDataUrl].map((value) => value ?? 'none');
    throw refuse(
      `${modelPackageArn} must name its pipeline, run and archive in its metadata (pipeline, runId, modelVersionId, modelSha256), got ${named.join(', ')}; only what a run registered can be deployed`,
    );
  }
  if (pipeline !== versionsOf) {
    throw refuse(
      `${modelPackageArn} must be of the pipeline ${versionsOf}, got ${pipeline}; its own deployment deploys it, or this one with the prop versionsOf`,
    );
  }
  const archive = { uri: container.ModelDataUrl, ...seal };
  return { plan: { version: packageVersion(modelPackageArn), runId, archive }, container };
}

/** Names that tell what is made of what: equal names mean equal content. */
export function endpointNames(request: PlanEndpointRequest, { plan, container }: Deployable): EndpointNames {
  const { modelPackageArn, endpointName, owner, configuration, servingRole } = request;
  const { uri: _uri, ...seal } = plan.archive;
  const content = { modelPackageArn, container, seal, servingRole };
  const model = modelName(endpointName, owner.registry, plan.version, content);
  const settings = { model, configuration };
  return {
    modelName: model,
    endpointConfigName: endpointConfigName(endpointName, owner.registry, plan.version, settings),
  };
}

/**
 * Decides what a deployment has to do with its endpoint.
 *
 * @throws PerennialError NAME_TAKEN if something is there that is not ours
 */
export function planEndpoint(request: PlanEndpointRequest, deployable: Deployable, found: Found): EndpointPlan {
  const { endpointName, owner } = request;
  const names = endpointNames(request, deployable);
  const { endpoint, model, config } = found;
  const elsewhere = 'give this deployment another endpointName, or delete that endpoint';
  if (endpoint !== undefined) {
    refuseForeign(`the endpoint ${endpointName}`, endpoint, owner, elsewhere);
    refuseByHand(request, endpoint);
  }
  const removed = 'delete it, and approve the version again';
  if (model !== undefined) refuseForeign(`the model ${names.modelName}`, model, owner, removed);
  if (config !== undefined) {
    refuseForeign(`the endpoint configuration ${names.endpointConfigName}`, config, owner, removed);
  }
  const action = actionOn(endpoint, names.endpointConfigName);
  // a configuration that is gone, or that never served, is nothing to go back to
  const goBack = endpoint?.configExists && action !== 'recreate' && endpoint.configName !== names.endpointConfigName;
  return {
    ...deployable.plan,
    ...names,
    ...(goBack && { previousConfigName: endpoint.configName }),
    exists: { model: model !== undefined, config: config !== undefined },
    action,
  };
}

/** A configuration by hand could neither be gone back to nor be told from one that an alarm has brought back. */
function refuseByHand({ endpointName, owner }: PlanEndpointRequest, { configName, status }: DescribedEndpoint): void {
  if (configName === undefined || versionInName(endpointName, owner.registry, configName) !== undefined) return;
  if (status === 'Failed') return; // it is made anew
  throw new PerennialError(
    ErrorName.NAME_TAKEN,
    `the endpoint ${endpointName} must serve a configuration of this deployment's, got ${configName}: somebody changed it by hand; update it to one of ours, or delete it, and approve the version again`,
  );
}

function actionOn(endpoint: DescribedEndpoint | undefined, wanted: string): EndpointPlan['action'] {
  if (endpoint === undefined) return 'create';
  if (endpoint.pending) return 'wait';
  switch (endpoint.status) {
    case 'InService':
      return endpoint.configName === wanted ? 'none' : 'update';
    case 'OutOfService':
    case 'UpdateRollbackFailed':
      return 'update';
    case 'Failed':
      return 'recreate';
    default: // Creating, Updating, SystemUpdating, RollingBack, Deleting
      return 'wait';
  }
}

/**
 * Accepts approvals: the newest is deployed, now or after the deployment under way; older ones are superseded.
 *
 * Their times say which is the newest, as long as the clock goes forward. If it has gone back since the last was taken
 * up, an earlier time says nothing: then whatever comes is newer than what was there. Unless it comes from later than
 * now, which shows that it is this clock alone that has gone back.
 *
 * @param approvals of versions that are still approved, none of which has been deployed
 * @param underWay an execution that runs without the lease
 */
export function acceptApprovals(
  lease: DeploymentLease,
  approvals: readonly DeploymentInput[],
  now: Date,
  underWay?: string,
): DeploymentLease {
  const { wanted, unordered, ...rest } = lease;
  const { last } = lease;
  const lost = unordered === true || (lease.lookedAt !== undefined && now.getTime() < Date.parse(lease.lookedAt));
  const isAtLarge = ({ approvedAt }: DeploymentInput) => lost && Date.parse(approvedAt) <= now.getTime();
  const candidates = approvals.filter(
    (one) => last === undefined || (isAtLarge(one) ? !isSame(one, last) : isNewer(one, last)),
  );
  const news = candidates.filter((one) => isAtLarge(one) && (wanted === undefined || !isSame(one, wanted)));
  const newest = (news.length > 0 ? news : candidates).reduce<DeploymentInput | undefined>(
    (best, one) => (best && !isNewer(one, best) ? best : one),
    undefined,
  );
  if (newest === undefined) return { ...rest, ...(lost && { unordered: true }) };
  if (wanted !== undefined && isSame(newest, wanted) && (lease.holder ?? underWay) !== undefined) return lease;
  const looked = { ...rest, lookedAt: now.toISOString() };
  if ((lease.holder ?? underWay) !== undefined) return { ...looked, wanted: newest };
  return { ...looked, holder: idOf(newest), last: newest, unstarted: true };
}

/** The lease after a deployment has ended: free, if the deployment held it. */
export function releaseDeployment(lease: DeploymentLease, ended: string): DeploymentLease {
  if (lease.holder !== ended) return lease;
  const { holder: _holder, ...free } = lease;
  return free;
}

/** The name of the execution that deploys an approved version. */
export function idOf({ modelPackageArn, approvedAt }: DeploymentInput): string {
  return deploymentId(packageVersion(modelPackageArn), approvedAt);
}

function isSame(a: DeploymentInput, b: DeploymentInput): boolean {
  return a.modelPackageArn === b.modelPackageArn && a.approvedAt === b.approvedAt;
}

/** Later, or of two at the same time the higher version. */
function isNewer(a: DeploymentInput, b: DeploymentInput): boolean {
  const later = Date.parse(a.approvedAt) - Date.parse(b.approvedAt);
  return later > 0 || (later === 0 && packageVersion(a.modelPackageArn) > packageVersion(b.modelPackageArn));
}

/**
 * Which of an endpoint's models or configurations nobody needs any more.
 *
 * @param names as `modelName` and `endpointConfigName` make them; others are left alone
 * @param inUse configurations in service, or to go back to: their versions stay
 */
export function outOfUse(
  { endpointName, registry }: { readonly endpointName: string; readonly registry: string },
  names: readonly string[],
  inUse: readonly string[],
): string[] {
  const versionOf = (name: string) => versionInName(endpointName, registry, name);
  const versions = [...names, ...inUse].map(versionOf).filter((version) => version !== undefined);
  const newest = [...new Set(versions)].sort((a, b) => b - a).slice(0, KEPT_VERSIONS);
  const kept = new Set([...newest, ...inUse.map(versionOf)]);
  return names.filter((name) => versionOf(name) !== undefined && !kept.has(versionOf(name)));
}
