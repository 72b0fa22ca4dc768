export * from './assembly/assembly';
export { type Clock, ManualClock, ScaledClock } from './engine/clock';
export * from './engine/engine';
export * from './service';
export type { UnusedPermission } from './services/iam/service';
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
} from './services/sagemaker/faults';
export { checkFaults, FaultsError } from './services/sagemaker/faults';
