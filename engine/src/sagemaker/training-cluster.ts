import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { LogFile } from '../log-file';
import type { Shape } from '../service';
import type { Container } from './container';
import { processesOn } from './instances';
import type { CheckpointSync } from './training-checkpoints';
import type { Job, StreamName } from './training-job';

/** Instances of one type, as `InstanceGroups` has them. */
export interface InstanceGroup {
  readonly InstanceGroupName: string;
  readonly InstanceType: string;
  readonly InstanceCount: number;
}

/** One of a job's hosts: here a child process with a folder that it sees as /opt/ml. */
export interface Node {
  /** e.g. `algo-1` */
  readonly name: string;
  readonly group: InstanceGroup;
  readonly folder: string;
  readonly stream: StreamName;
  /** The newest lines of its log. */
  readonly last: string[];
  log?: LogFile;
  checkpoints?: CheckpointSync;
  container?: Container;
  /** Whether its script was told to end. */
  isEnding?: boolean;
}

/** The groups of instances that a request asks for: one without a name of its own, unless it names several. */
export function groupsOf(resources: Shape): InstanceGroup[] {
  const { InstanceType, InstanceCount, InstanceGroups } = resources;
  return InstanceGroups ?? [{ InstanceGroupName: 'homogeneousCluster', InstanceType, InstanceCount }];
}

/** The hosts' names, in the order of the groups. */
export function hostNames(groups: readonly InstanceGroup[]): string[] {
  const count = groups.reduce((sum, { InstanceCount }) => sum + InstanceCount, 0);
  return Array.from({ length: count }, (_, i) => `algo-${i + 1}`);
}

/** The hosts of a job that is about to start (again). */
export function nodesOf(job: Job, created: number): Node[] {
  const groups = groupsOf(job.input.ResourceConfig);
  const names = hostNames(groups);
  return groups
    .flatMap((group) => Array.from({ length: group.InstanceCount }, () => group))
    .map((group, i) => {
      const name = names[i] as string;
      return {
        name,
        group,
        folder: join(job.folder, name),
        stream: { name: streamName(job, name, created), created },
        last: [],
      };
    });
}

function streamName(job: Job, host: string, created: number): string {
  const name = (second: number) => `${job.input.TrainingJobName}/${host}-${second}`;
  let second = Math.floor(created / 1000);
  while (job.streams.some((stream) => stream.name === name(second))) second++; // it started again within the second
  return name(second);
}

/** What /opt/ml/input/config/resourceconfig.json says on one of the hosts. */
export function resourceConfig(node: Node, nodes: readonly Node[]): Shape {
  const groups = [...new Set(nodes.map(({ group }) => group))];
  return {
    current_host: node.name,
    current_instance_type: node.group.InstanceType,
    current_group_name: node.group.InstanceGroupName,
    hosts: nodes.map(({ name }) => name),
    instance_groups: groups.map((group) => ({
      instance_group_name: group.InstanceGroupName,
      instance_type: group.InstanceType,
      hosts: nodes.filter((other) => other.group === group).map(({ name }) => name),
    })),
    network_interface_name: process.platform === 'darwin' ? 'lo0' : 'lo',
  };
}

/**
 * How many processes torchrun starts on a host where this machine has no GPU: one for each that the
 * instance has, as far as there are cores.
 */
export function processesOf(node: Node, nodes: readonly Node[]): number {
  const cores = Math.floor(availableParallelism() / nodes.length);
  return Math.max(1, Math.min(processesOn(node.group.InstanceType), cores));
}

/** A port of this machine that nobody listens on: the hosts of all jobs share its address. */
export function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.once('error', failed);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
