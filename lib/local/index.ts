export * from './assembly';
export * from './clock';
export * from './engine';
export type { UnusedPermission } from './iam';
export * from './service';
