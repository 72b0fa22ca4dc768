import { describe, expect, test } from 'vitest';
import { type CleanUpEvent, cleanUp } from '../../lambdas/clean-up/clean-up.handler';
import type { CleanUpPorts, Kind } from '../../lambdas/clean-up/clean-up-ports';
import type { CleanUpProperties } from '../../lib/core/clean-up';
import { endpointConfigName, jobName, modelName, scoringModelName, searchName } from '../../lib/core/names';
import { ownerTags, type Tags } from '../../lib/core/ownership';

const owner = { pipeline: 'flights', registry: 'g' };
const OURS = ownerTags(owner, 'Stack');
const run = { ...owner, runId: 'data-1', startedAt: '2026-03-01T00:00:00.000Z' };
const DEPLOYMENT: CleanUpProperties = {
  ...{ What: 'deployment', Endpoint: 'flights', Pipeline: 'flights', Registry: 'g' },
  ...{ Machine: 'machine', Ledger: 'table' },
};
const EXECUTIONS: CleanUpProperties = {
  ...{ What: 'executions', Pipeline: 'flights', Registry: 'g', Machine: 'machine', Ledger: 'table' },
};
const TRAINING: CleanUpProperties = {
  ...{ What: 'training', Pipeline: 'flights', Registry: 'g', Machine: 'machine', Ledger: 'table' },
};

function event(ResourceProperties: CleanUpProperties, more: Partial<CleanUpEvent> = {}): CleanUpEvent {
  return {
    RequestType: 'Delete',
    ResponseURL: 'https://answer',
    StackId: 'arn:aws:cloudformation:us-east-1:1:stack/Stack/0000',
    RequestId: 'r',
    LogicalResourceId: 'l',
    PhysicalResourceId: 'what it is',
    ResourceProperties,
    ...more,
  };
}

/** SageMaker, Step Functions and a ledger, in memory; time passes when it is waited. */
class World {
  readonly done: string[] = [];
  readonly asked: string[] = [];
  readonly answers: Array<{ Status: string; Reason?: string; PhysicalResourceId: string }> = [];
  /** What the endpoint is, from look to look; the last for good. */
  statuses: Array<string | undefined> = ['InService', 'Deleting', undefined];
  endpointTags: Tags = OURS;
  readonly tags = new Map<string, Tags>();
  things: Partial<Record<Kind, string[]>> = {};
  facts = ['LEASE#deployment', 'RUN#'];
  executions: string[] = [];
  /** Fails at every call of this name. */
  failing = new Set<string>();
  readonly continued: CleanUpEvent[] = [];
  /** Until when a job that is stopped still writes. */
  private readonly stopping = new Map<string, number>();
  time = 0;

  readonly ports: CleanUpPorts = {
    endpoint: async (name) => {
      this.called(`endpoint ${name}`);
      const status = this.statuses.length > 1 ? this.statuses.shift() : this.statuses[0];
      return status === undefined ? undefined : { status, tags: this.endpointTags };
    },
    named: async (kind, part) => {
      this.called(`list ${kind}`);
      const names = (this.things[kind] ?? []).filter(
        (name) => name.includes(part) && this.time < (this.stopping.get(name) ?? Number.POSITIVE_INFINITY),
      );
      return names.map((name) => ({ name, arn: name }));
    },
    tagsOf: async (arn) => this.tags.get(arn) ?? OURS,
    remove: async (kind, name) => {
      this.called(`remove ${kind}`);
      if (this.stopping.has(name)) return;
      if (kind.endsWith('job')) this.stopping.set(name, this.time + 130_000);
      this.done.push(`${kind} ${name}`);
    },
    runningExecutions: async () => {
      this.called('executions');
      return this.executions;
    },
    stopExecution: async (arn) => void this.done.push(`execution ${arn}`),
    hasFacts: async (_table, _pipeline, prefix) => {
      this.called('facts');
      return this.facts.includes(prefix);
    },
    removePackages: async (group, hasTime) => {
      this.done.push(`packages of ${group}`);
      return hasTime();
    },
    emptyBucket: async (bucket, hasTime) => {
      this.done.push(`objects of ${bucket}`);
      return hasTime();
    },
    answer: async (_, body) => void this.answers.push(JSON.parse(body)),
    again: async (next) => void this.continued.push(next as CleanUpEvent),
    wait: async (milliseconds) => {
      this.time += milliseconds;
    },
    now: () => this.time,
  };

  private called(what: string): void {
    this.asked.push(what);
    for (const failing of this.failing) {
      if (what.startsWith(failing)) throw new Error(`${what}: AccessDenied`);
    }
  }

  /** One call of the function, which may take 15 minutes. */
  async call(next: CleanUpEvent): Promise<void> {
    const began = this.time;
    await cleanUp(this.ports, next, () => 900_000 - (this.time - began));
  }

  /** All of them, as Lambda makes them one after another. */
  async run(first: CleanUpEvent): Promise<void> {
    await this.call(first);
    for (let next = this.continued.shift(); next !== undefined; next = this.continued.shift()) await this.call(next);
  }
}

const model = modelName('flights', 'g', 1, 'content');
const config = endpointConfigName('flights', 'g', 1, 'settings');

describe('what is cleaned up', () => {
  test.each<[CleanUpProperties, string]>([
    [DEPLOYMENT, 'deployment/flights/flights/g'],
    [TRAINING, 'training/flights/g'],
    [EXECUTIONS, 'executions/flights/g'],
    [{ What: 'registry', Registry: 'g' }, 'registry/g'],
    [{ What: 'bucket', Bucket: 'b' }, 'bucket/b'],
  ])('is what the resource is to CloudFormation, so that a new name takes the old one away: %o', async (of, id) => {
    for (const RequestType of ['Create', 'Update'] as const) {
      const world = new World();
      await world.run(event(of, { RequestType }));
      expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS', PhysicalResourceId: id })]);
      expect(world.done).toEqual([]);
      expect(world.asked).toEqual([]);
    }
    const renamed = JSON.parse(
      JSON.stringify(of).replaceAll('"flights"', '"new"').replaceAll('"g"', '"new"').replaceAll('"b"', '"new"'),
    );
    const world = new World();
    await world.run(event(renamed, { RequestType: 'Update', PhysicalResourceId: id }));
    expect(world.answers[0]?.PhysicalResourceId).not.toBe(id);
  });

  test('is answered under its own id when it is deleted', async () => {
    const world = new World();
    await world.run(event(DEPLOYMENT));
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS', PhysicalResourceId: 'what it is' })]);
  });
});

describe('cleaning up a deployment', () => {
  test('stops what deploys, waits for the endpoint to be gone, then deletes what it served', async () => {
    const world = new World();
    world.statuses = ['Updating', 'InService', 'Deleting', undefined];
    world.executions = ['deploy-v1'];
    world.things = { config: [config], model: [model] };
    await world.run(event(DEPLOYMENT));

    expect(world.done).toEqual(['execution deploy-v1', 'endpoint flights', `config ${config}`, `model ${model}`]);
    expect(world.answers).toHaveLength(1);
  });

  test('goes on in further calls while an endpoint is created for 24 minutes, and then deletes it', async () => {
    const world = new World();
    const endpoint = world.ports.endpoint;
    const ports = world.ports as { endpoint: typeof endpoint };
    ports.endpoint = async (name) => (world.time < 24 * 60_000 ? { status: 'Creating', tags: OURS } : endpoint(name));
    world.statuses = ['Failed', 'Deleting', undefined];
    await world.call(event(DEPLOYMENT));
    expect(world.answers).toEqual([]);
    expect(world.continued).toEqual([expect.objectContaining({ RequestType: 'Delete', Began: expect.any(Number) })]);

    await world.run(world.continued.shift() as CleanUpEvent);
    expect(world.done).toEqual(['endpoint flights']);
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
    expect(world.time).toBeLessThan(26 * 60_000);
  });

  test('answers within CloudFormation’s hour that the endpoint does not go, and what to do', async () => {
    const world = new World();
    world.statuses = ['Deleting'];
    await world.run(event(DEPLOYMENT));

    expect(world.answers).toEqual([
      expect.objectContaining({ Status: 'FAILED', Reason: expect.stringContaining('delete the stack again') }),
    ]);
    expect(world.time).toBeGreaterThan(40 * 60_000);
    expect(world.time).toBeLessThan(60 * 60_000);
  });

  test.each<[string, Tags]>([
    ['nobody', {}],
    ['another registry', ownerTags({ ...owner, registry: 'other' }, 'Stack')],
    ['another pipeline', ownerTags({ ...owner, pipeline: 'other' }, 'Stack')],
    ['another stack', ownerTags(owner, 'Other')],
  ])('leaves what is of %s alone, and does not fail because of it', async (_, tags) => {
    const world = new World();
    world.endpointTags = tags;
    world.things = { config: [config], model: [model] };
    for (const name of [config, model]) world.tags.set(name, tags);
    await world.run(event(DEPLOYMENT));

    expect(world.done).toEqual([]);
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  test('leaves names alone that only contain ours', async () => {
    const world = new World();
    world.things = {
      config: [endpointConfigName('my-flights', 'g', 1, 'x')],
      model: [`x${model}`, modelName('flights', 'other', 1, 'x'), scoringModelName('flights', 'g', 'v1')],
    };
    await world.run(event(DEPLOYMENT));
    expect(world.done).toEqual(['endpoint flights']);
  });

  test('asks SageMaker nothing where nothing was ever deployed: the rollback of a first deployment goes through', async () => {
    const world = new World();
    world.facts = [];
    world.failing = new Set(['endpoint', 'list', 'executions', 'remove']);
    await world.run(event(DEPLOYMENT));

    expect(world.asked).toEqual(['facts']);
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  test.each(['facts', 'executions', 'list', 'remove config', 'remove model'])(
    'is not kept from its end by an error at %s, which leaves nothing that costs',
    async (failing) => {
      const world = new World();
      world.failing = new Set([failing]);
      world.things = { config: [config], model: [model] };
      await world.run(event(DEPLOYMENT));

      expect(world.done).toContain('endpoint flights');
      expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
    },
  );

  test('fails where the endpoint, which costs, cannot be looked at', async () => {
    const world = new World();
    world.failing = new Set(['endpoint']);
    await world.run(event(DEPLOYMENT));
    expect(world.answers).toEqual([
      expect.objectContaining({ Status: 'FAILED', Reason: expect.stringContaining('AccessDenied') }),
    ]);
  });
});

describe('cleaning up executions', () => {
  test('stops what deploys, and asks SageMaker nothing', async () => {
    const world = new World();
    world.executions = ['one', 'two'];
    await world.run(event(EXECUTIONS));
    expect(world.done).toEqual(['execution one', 'execution two']);
    expect(world.asked).toEqual(['executions']);
    expect(world.answers).toMatchObject([{ Status: 'SUCCESS' }]);
  });
});

describe('cleaning up training', () => {
  const [job, search] = [jobName(run, 1), searchName(run, 1)];
  const scoring = scoringModelName('flights', 'g', 'v1-01234567');

  test('stops executions and jobs, which cost, and deletes the models that score', async () => {
    const world = new World();
    world.executions = ['data-1'];
    world.things = {
      'training job': [job, jobName({ ...run, registry: 'other' }, 1), jobName({ ...run, pipeline: 'my-flights' }, 1)],
      'transform job': [`${job}-a0-0`],
      'tuning job': [search],
      model: [scoring, model],
    };
    await world.run(event(TRAINING));

    expect(world.done).toEqual([
      'execution data-1',
      `tuning job ${search}`,
      `training job ${job}`,
      `transform job ${job}-a0-0`,
      `model ${scoring}`,
    ]);
    expect(world.time).toBeGreaterThan(130_000); // the last of them has stopped writing
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  test('also the searches of a pipeline whose name is too long for theirs', async () => {
    const long = { ...run, pipeline: 'p'.repeat(20) };
    const world = new World();
    const name = searchName(long, 1);
    world.things = { 'tuning job': [name] };
    world.tags.set(name, ownerTags(long, 'Stack'));
    await world.run(event({ ...TRAINING, Pipeline: long.pipeline } as CleanUpProperties));
    expect(world.done).toEqual([`tuning job ${name}`]);
  });

  test('fails where jobs cannot be stopped, but not where models cannot be deleted', async () => {
    const world = new World();
    world.failing = new Set(['list training job']);
    await world.run(event(TRAINING));
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'FAILED' })]);

    const other = new World();
    other.failing = new Set(['list model']);
    await other.run(event(TRAINING));
    expect(other.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });

  test('asks SageMaker nothing where nothing was ever trained', async () => {
    const world = new World();
    world.facts = ['LEASE#deployment'];
    await world.run(event(TRAINING));
    expect(world.asked).toEqual(['facts']);
  });
});

describe('cleaning up what is to be deleted for good', () => {
  test.each<[CleanUpProperties, string]>([
    [{ What: 'registry', Registry: 'g' }, 'packages of g'],
    [{ What: 'bucket', Bucket: 'b' }, 'objects of b'],
  ])('goes on in further calls where there is much of it: %o', async (of, what) => {
    const world = new World();
    await cleanUp(world.ports, event(of), () => 10_000);
    expect(world.answers).toEqual([]);

    await world.run(world.continued.shift() as CleanUpEvent);
    expect(world.done).toEqual([what, what]);
    expect(world.answers).toEqual([expect.objectContaining({ Status: 'SUCCESS' })]);
  });
});
