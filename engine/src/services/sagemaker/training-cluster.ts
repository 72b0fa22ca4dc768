import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { groupsOf, hostNames } from './instance-groups';
import { processesOn } from './instances';
import type { Job, Node } from './training-job';

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
export function resourceConfig(node: Node, nodes: readonly Node[]): object {
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
