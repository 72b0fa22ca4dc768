import type { PlanEndpointRequest } from './documents';

/** A model, with the names of what SageMaker describes of it that counts here. */
export interface ModelDescription {
  readonly ExecutionRoleArn?: string;
  readonly PrimaryContainer?: { readonly ModelPackageName?: string };
  /** Instead of a primary container, of models that are a chain of several. */
  readonly Containers?: ReadonlyArray<{ readonly ModelPackageName?: string }>;
}

/** Whether a model is made of the version, and runs under the role, that a deployment asks for. */
export function isModelAsRequested(
  { ExecutionRoleArn, PrimaryContainer, Containers }: ModelDescription,
  { modelPackageArn, servingRole }: Pick<PlanEndpointRequest, 'modelPackageArn' | 'servingRole'>,
): boolean {
  const containers = PrimaryContainer === undefined ? (Containers ?? []) : [PrimaryContainer];
  return (
    ExecutionRoleArn === servingRole && containers.every(({ ModelPackageName }) => ModelPackageName === modelPackageArn)
  );
}

/**
 * Whether an endpoint configuration is the one that a deployment asks for. SageMaker describes a configuration with
 * everything that was requested, and more.
 *
 * @param modelName the model that its variants serve
 */
export function isConfigAsRequested(
  described: unknown,
  modelName: string,
  { configuration }: Pick<PlanEndpointRequest, 'configuration'>,
): boolean {
  const { ProductionVariants, ...others } = configuration;
  const variants = ProductionVariants.map((variant) => ({ ...variant, ModelName: modelName }));
  return contains(described, { ...others, ProductionVariants: variants });
}

/** Whether a value has all members of another one, at every depth; lists must be of the same length. */
function contains(value: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return value === wanted;
  if (Array.isArray(wanted) && wanted.length !== (value as unknown[] | undefined)?.length) return false;
  return Object.entries(wanted).every(([key, member]) =>
    contains((value as Record<string, unknown> | undefined)?.[key], member),
  );
}
