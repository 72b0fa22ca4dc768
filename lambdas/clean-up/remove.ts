import type { CleanUpProperties } from '../../lib/core/clean-up';
import { LedgerKey, LedgerPrefix } from '../../lib/core/ledger/keys';
import { ownPrefix, scoringModelName, searchPrefix } from '../../lib/core/names';
import { isOwn, type Owner, OwnerTag, type Tags } from '../../lib/core/ownership';
import type { CleanUpPorts, Kind } from './clean-up-ports';

/** Between two looks at what takes a while to go: 1, 2, 4, 8, 15, 15 … s. */
const LOOK_MS = { first: 1000, longest: 15_000 };

/** One call's part of taking away what was made at run time. */
export interface Work {
  readonly ports: CleanUpPorts;
  readonly stack: string;
  /** Whether this call may begin something else. */
  hasTime(): boolean;
}

/** Takes away what a construct's functions and machine have made. @returns whether all is done; if not, another call must go on */
export async function remove(work: Work, properties: CleanUpProperties): Promise<boolean> {
  switch (properties.What) {
    case 'deployment':
      return removeDeployment(work, properties);
    case 'training':
      return removeTraining(work, properties);
    case 'executions':
      await stopExecutions(work, properties.Machine);
      return true;
    case 'registry':
      return work.ports.removePackages(properties.Registry, work.hasTime);
    case 'bucket':
      return work.ports.emptyBucket(properties.Bucket, work.hasTime);
  }
}

type Of<What> = Extract<CleanUpProperties, { What: What }>;

async function removeDeployment(work: Work, properties: Of<'deployment'>): Promise<boolean> {
  const { Endpoint, Pipeline, Registry, Machine, Ledger } = properties;
  const owner = { pipeline: Pipeline, registry: Registry };
  if (!(await mayHaveBegun(work, Ledger, Pipeline, LedgerKey.lease('deployment')))) return true;
  await stopExecutions(work, Machine);
  if (!(await removeEndpoint(work, Endpoint, owner))) return false;
  const prefix = `${ownPrefix(Endpoint, Registry)}v`;
  await removeFree(work, 'config', prefix, owner);
  await removeFree(work, 'model', prefix, owner);
  return true;
}

async function removeTraining(work: Work, properties: Of<'training'>): Promise<boolean> {
  const { Pipeline, Registry, Machine, Ledger } = properties;
  const owner = { pipeline: Pipeline, registry: Registry };
  if (!(await mayHaveBegun(work, Ledger, Pipeline, LedgerPrefix.RUNS))) return true;
  await stopExecutions(work, Machine); // which stops their jobs, as far as Step Functions can
  if (!(await endJobs(work, owner))) return false;
  await removeFree(work, 'model', scoringModelName(Pipeline, Registry, ''), owner);
  return true;
}

/**
 * Whether anything was ever made. Where nothing was, SageMaker is not asked: a first deployment that fails must roll
 * back also where SageMaker refuses everything.
 */
async function mayHaveBegun({ ports }: Work, table: string, pipeline: string, facts: string): Promise<boolean> {
  try {
    return await ports.hasFacts(table, pipeline, facts);
  } catch (error) {
    told(`whether there was a ${facts}`, error);
    return true;
  }
}

/**
 * So that nothing is made anew meanwhile. That they run on is no reason to leave an endpoint behind: after a change of
 * name it is the machine's deletion that ends them, and the role may make nothing under the old name any more.
 *
 * @see https://docs.aws.amazon.com/step-functions/latest/apireference/API_DeleteStateMachine.html
 */
async function stopExecutions({ ports }: Work, machine: string): Promise<void> {
  try {
    for (const execution of await ports.runningExecutions(machine)) await ports.stopExecution(execution);
  } catch (error) {
    told(machine, error);
  }
}

/** A job that is stopped may still write for minutes: what holds the data is emptied and deleted after it. */
async function endJobs(work: Work, owner: Owner): Promise<boolean> {
  const prefixes = new Set([ownPrefix(owner.pipeline, owner.registry), searchPrefix(owner.pipeline, owner.registry)]);
  return untilGone(work, async () => {
    let left = 0;
    for (const kind of ['tuning job', 'training job', 'transform job'] as const) {
      for (const prefix of prefixes) {
        const names = await own(work, kind, prefix, owner);
        for (const name of names) await work.ports.remove(kind, name);
        left += names.length;
      }
    }
    return left === 0;
  });
}

/** An endpoint can be deleted only while it does not change, and its role must outlive it: hence the waiting. */
async function removeEndpoint(work: Work, name: string, owner: Owner): Promise<boolean> {
  const { ports, stack } = work;
  return untilGone(work, async () => {
    const endpoint = await ports.endpoint(name);
    if (endpoint === undefined) return true;
    if (!isOurs(endpoint.tags, owner, stack)) {
      told(`the endpoint ${name}`, 'it is not ours, and stays');
      return true;
    }
    if (['InService', 'OutOfService', 'Failed', 'UpdateRollbackFailed'].includes(endpoint.status)) {
      await ports.remove('endpoint', name);
    }
    return false;
  });
}

/** Looks again and again. @returns false if time was up before it was gone */
async function untilGone({ ports, hasTime }: Work, isGone: () => Promise<boolean>): Promise<boolean> {
  for (let pause = LOOK_MS.first; hasTime(); pause = Math.min(2 * pause, LOOK_MS.longest)) {
    if (await isGone()) return true;
    await ports.wait(pause);
  }
  return false;
}

/** Deletes what costs nothing: it must not keep the stack from being deleted, and its names tell its content. */
async function removeFree(work: Work, kind: Kind, prefix: string, owner: Owner): Promise<void> {
  try {
    for (const name of await own(work, kind, prefix, owner)) await work.ports.remove(kind, name);
  } catch (error) {
    told(`${kind}s ${prefix}…`, error);
  }
}

/** The things of a kind that have our names and our tags. */
async function own({ ports, stack }: Work, kind: Kind, prefix: string, owner: Owner): Promise<string[]> {
  const names: string[] = [];
  for (const { name, arn } of await ports.named(kind, prefix)) {
    if (name.startsWith(prefix) && isOurs(await ports.tagsOf(arn), owner, stack)) names.push(name);
  }
  return names;
}

function isOurs(tags: Tags, owner: Owner, stack: string): boolean {
  return isOwn(tags, owner) && tags[OwnerTag.STACK] === stack;
}

function told(what: string, why: unknown): void {
  console.error(JSON.stringify({ left: what, because: String(why) }));
}
