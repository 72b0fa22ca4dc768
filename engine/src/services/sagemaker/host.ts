import type { PythonOptions } from '../../containers/python';
import {
  ApiError,
  type Context,
  type Objects,
  type RequiredPermission,
  type RoleCaller,
  type Shape,
} from '../../service';
import type { Faults } from './faults';

/** How jobs and endpoints run here. */
export interface SageMakerOptions {
  /** The Python of jobs and endpoints: a ready interpreter, or how to make environments. */
  readonly python?: PythonOptions & { readonly interpreter?: string };
  /** Real seconds within which an endpoint's container must answer `/ping`. @default 20 */
  readonly containerStartSeconds?: number;
  /** Faults to inject into jobs and endpoints: lack of capacity, full quotas, interruptions, lost hosts. @default - nothing */
  readonly faults?: Partial<Faults>;
}

/** A tag of a resource. */
export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** What every part of the service works with. */
export interface Host {
  readonly context: Context;
  readonly objects: Objects;
  readonly options: SageMakerOptions;
  /** Tags by ARN. */
  readonly tags: Map<string, Tag[]>;
}

export const PRINCIPAL = 'sagemaker.amazonaws.com';

/** The ARN of a resource; SageMaker writes names in lower case there. */
export function arnOf(host: Host, type: string, name: string): string {
  const { partition, region, account } = host.context.aws;
  return `arn:${partition}:sagemaker:${region}:${account}:${type}/${name.toLowerCase()}`;
}

export function invalid(message: string): ApiError {
  return new ApiError('ValidationException', message);
}

/** What creating a resource needs: itself, its tags, and to pass its role on. */
export function creationNeeds(host: Host, action: string, type: string, name: string, input: Shape, role?: string) {
  const arn = arnOf(host, type, String(name ?? ''));
  const needs: RequiredPermission[] = [{ action: `sagemaker:${action}`, resource: arn }];
  if (input.Tags?.length > 0) needs.push({ action: 'sagemaker:AddTags', resource: arn });
  if (typeof role === 'string') {
    needs.push({ action: 'iam:PassRole', resource: role, conditions: { 'iam:PassedToService': PRINCIPAL } });
  }
  return needs;
}

/** The caller that SageMaker becomes under a resource's role; refuses a role that does not let it in. */
export function actAs(host: Host, roleArn: string, resourceArn: string): RoleCaller {
  try {
    return host.context.assumeRole(roleArn, PRINCIPAL, resourceArn, 'SageMaker');
  } catch (error) {
    throw invalid(
      `Could not assume role ${roleArn}. Please ensure that the role exists and allows principal '${PRINCIPAL}' to assume the role. (${(error as Error).message})`,
    );
  }
}

/** Splits `s3://bucket/key` or `https://s3.<region>.<suffix>/bucket/key`. */
export function s3Uri(uri: string): { bucket: string; key: string } {
  const [, bucket, key] = /^(?:s3:\/\/|https:\/\/s3[.-][^/]+\/)([^/]+)\/?(.*)$/s.exec(uri) ?? [];
  if (bucket === undefined) throw invalid(`The S3 URI ${uri} must look like s3://bucket/key.`);
  return { bucket, key };
}

/** Jobs of a kind that have ended are kept, the newest; SageMaker keeps them all. */
export const KEPT_JOBS = 1_000;

/** Drops the oldest jobs that have ended, beyond those that are kept. */
export function forgetOldest<T>(jobs: ReadonlyMap<string, T>, hasEnded: (job: T) => boolean, drop: (job: T) => void) {
  if (jobs.size <= KEPT_JOBS) return;
  const ended = [...jobs.values()].filter(hasEnded);
  for (const job of ended.slice(0, Math.max(0, ended.length - KEPT_JOBS))) drop(job);
}

/** Why a job that ran when the engine ended has failed. */
export const ENGINE_ENDED = 'InternalServerError: The local engine ended while this job ran. Please try again.';

/** One page of a listing. */
export function page<T>(items: readonly T[], input: Shape, most = 100): { items: T[]; NextToken?: string } {
  const start = Number(input.NextToken ?? 0);
  const end = start + Math.min(input.MaxResults ?? 10, most);
  return { items: items.slice(start, end), ...(end < items.length && { NextToken: String(end) }) };
}

/** Sorts a listing as its request asks; newest first if it does not ask. */
export function sorted<T extends { CreationTime?: Date }>(
  items: readonly T[],
  input: Shape,
  nameOf: (item: T) => string,
): T[] {
  const key = (item: Shape) =>
    input.SortBy === 'Name'
      ? nameOf(item)
      : input.SortBy === 'Status'
        ? String(item.status)
        : Number(item.CreationTime);
  const rows = items.map((item, index) => ({ item, index, key: key(item) }));
  rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index));
  if ((input.SortOrder ?? 'Descending') === 'Descending') rows.reverse();
  return rows.map(({ item }) => item);
}

export function now(host: Host): Date {
  return new Date(host.context.clock.now());
}

/** A copy with times as events carry them: milliseconds. */
export function asEventDetail(shape: Shape): Shape {
  if (shape instanceof Date) return shape.getTime();
  if (Array.isArray(shape)) return shape.map(asEventDetail);
  if (shape !== null && typeof shape === 'object') {
    return Object.fromEntries(Object.entries(shape).map(([key, value]) => [key, asEventDetail(value)]));
  }
  return shape;
}
