export * from './assembly';
export * from './clock';
export * from './engine';
export type { UnusedPermission } from './iam';
export type {
  CapacityFault,
  EndpointFault,
  Faults,
  InternalFault,
  InterruptionFault,
  MaxWaitFault,
  NodeLossFault,
  QuotaFault,
  SlowStartFault,
  StandingQuota,
  ThrottleFault,
  TrainingFault,
  TransformFault,
} from './sagemaker/faults';
export { checkFaults, FaultsError } from './sagemaker/faults';
export * from './service';
