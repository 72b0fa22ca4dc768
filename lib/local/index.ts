export * from './assembly';
export * from './clock';
export * from './engine';
export type { UnusedPermission } from './iam';
export type {
  CapacityFault,
  Faults,
  InternalFault,
  InterruptionFault,
  MaxWaitFault,
  NodeLossFault,
  QuotaFault,
  SlowStartFault,
  ThrottleFault,
  TrainingFault,
} from './sagemaker/faults';
export { checkFaults } from './sagemaker/faults';
export * from './service';
