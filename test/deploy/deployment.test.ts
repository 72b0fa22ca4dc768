import { describe, expect, test } from 'vitest';
import { type FinishDeploymentPorts, finishDeployment } from '../../lambdas/deploy/finish-deployment.handler';
import { smokeTest } from '../../lambdas/deploy/smoke-test.handler';
import { type StartDeploymentPorts, startDeployments } from '../../lambdas/deploy/start-deployment.handler';
import type { RunDocument } from '../../lib/core/dataset/documents';
import type { DeploymentInput, FinishDeploymentRequest } from '../../lib/core/deploy/documents';
import { ErrorName } from '../../lib/core/errors';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { Events, endpointConfigName, modelName, runKeys } from '../../lib/core/names';
import { ownerTags, type Tags } from '../../lib/core/ownership';
import { Crash, crashing, MemoryExecutions, MemoryLedger } from '../support/memory';

const arn = (version: number) => `arn:aws:sagemaker:eu-west-1:1:model-package/flights/${version}`;

/** A registry, an endpoint and a deployment machine, in memory. */
class World {
  readonly ledger = new MemoryLedger();
  readonly executions = new MemoryExecutions(() => this.clock);
  readonly approved = new Set<string>();
  readonly rejected: string[] = [];
  readonly sent: string[] = [];
  readonly deleted: string[] = [];
  models: string[] = [];
  configs: string[] = [];
  /** Of what is not ours. */
  readonly tags = new Map<string, Tags>();
  live?: string;
  clock = new Date('2026-03-01T13:00:00Z');
  /** When the newest approved version was changed last. */
  modifiedAt = '2026-03-01T12:30:00.000Z';
  /** When it was registered. */
  createdAt = '2026-03-01T11:00:00.000Z';

  get ports(): StartDeploymentPorts & FinishDeploymentPorts {
    return {
      pipeline: 'flights',
      owner: { pipeline: 'flights', registry: 'g' },
      endpointName: 'flights',
      modelPackageGroup: 'g',
      ledger: this.ledger,
      now: () => this.clock,
      pause: async () => {},
      executions: this.executions,
      isApproved: async (modelPackageArn) => this.approved.has(modelPackageArn),
      newestApproved: async () => {
        const newest = [...this.approved].sort().at(-1);
        const { modifiedAt: approvedAt, createdAt } = this;
        return newest === undefined ? undefined : { modelPackageArn: newest, approvedAt, createdAt };
      },
      send: async (type) => void this.sent.push(type),
      reject: async (modelPackageArn, because) => {
        this.approved.delete(modelPackageArn);
        this.rejected.push(`${modelPackageArn}: ${because}`);
      },
      liveConfig: async () => this.live,
      models: async () => this.models.map((name) => ({ name, arn: `arn/${name}` })),
      configs: async () => this.configs.map((name) => ({ name, arn: `arn/${name}` })),
      tagsOf: async (arn) => this.tags.get(arn.slice(4)) ?? ownerTags({ pipeline: 'flights', registry: 'g' }, 'Stack'),
      deleteModel: async (name) => void this.deleted.push(name),
      deleteConfig: async (name) => void this.deleted.push(name),
    };
  }

  running(): string[] {
    return this.executions.names();
  }

  /** An approval event at some minute past twelve. */
  approve(version: number, minute: number, more: object = {}): object {
    this.approved.add(arn(version));
    return {
      source: 'aws.sagemaker',
      'detail-type': 'SageMaker Model Package State Change',
      time: `2026-03-01T12:${String(minute).padStart(2, '0')}:00Z`,
      detail: { ModelPackageGroupName: 'g', ModelPackageArn: arn(version), ModelApprovalStatus: 'Approved', ...more },
    };
  }

  deliver(messages: readonly object[], ports: StartDeploymentPorts = this.ports) {
    const Records = messages.map((message, i) => ({ messageId: String(i), body: JSON.stringify(message) }));
    return startDeployments(ports, { Records });
  }

  request(deploymentId: string, more: Partial<FinishDeploymentRequest> = {}): FinishDeploymentRequest {
    const { modelPackageArn } = JSON.parse(this.executions.input(deploymentId)) as DeploymentInput;
    return { deploymentId, startedAt: '2026-03-01T12:59:00.000Z', modelPackageArn, outcome: 'DEPLOYED', ...more };
  }

  async end(deploymentId: string, more: Partial<FinishDeploymentRequest> = {}): Promise<object> {
    await finishDeployment(this.ports, this.request(deploymentId, more));
    return this.stop(deploymentId, 'SUCCEEDED');
  }

  stop(name: string, status: string): object {
    return {
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      time: this.clock.toISOString(),
      detail: this.executions.end(name, status),
    };
  }
}

const RECONCILE = {
  source: 'perennial',
  'detail-type': Events.RECONCILE,
  time: '2026-03-01T12:45:00Z',
  detail: { pipeline: 'flights' },
};

describe('starting deployments', () => {
  test('starts one deployment an approval, however often its event comes', async () => {
    const world = new World();
    const event = world.approve(1, 0);
    await world.deliver([event, event]);
    await world.deliver([event]);
    const [name] = world.running();
    const ended = await world.end(name);
    await world.deliver([event, ended, ended]);

    expect([...world.executions.all.keys()]).toEqual([name]);
    expect(name).toMatch(/^deploy-v1-[0-9a-f]{8}$/);
    expect(JSON.parse(world.executions.input(name))).toEqual({
      modelPackageArn: arn(1),
      approvedAt: '2026-03-01T12:00:00.000Z',
    });
    expect(world.ledger.all('DEPLOYMENT#')).toHaveLength(1);
  });

  test('deploys the newest of the approvals that came during a deployment, when it has ended', async () => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    await world.deliver([world.approve(2, 1), world.approve(3, 2)]);
    expect(world.running()).toHaveLength(1);

    await world.deliver([await world.end(world.running()[0])]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v3-/)]);
    expect(world.executions.mostAtOnce).toBe(1);
  });

  test('does not deploy what is not approved any more', async () => {
    const world = new World();
    const event = world.approve(1, 0);
    world.approved.clear();
    await world.deliver([event]);

    expect(world.executions.all.size).toBe(0);
  });

  test('does not deploy again because somebody changed the metadata', async () => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    await world.deliver([await world.end(world.running()[0])]);
    await world.deliver([world.approve(1, 5, { UpdatedModelPackageFields: ['CustomerMetadataProperties'] })]);

    expect(world.executions.all.size).toBe(1);
  });

  test('finds an approval whose event was lost, and does not deploy twice when the event comes after all', async () => {
    const world = new World();
    const late = world.approve(2, 30);
    await world.deliver([RECONCILE]);
    await world.deliver([await world.end(world.running()[0])]);
    await world.deliver([RECONCILE, late]);

    expect([...world.executions.all.keys()]).toEqual([expect.stringMatching(/^deploy-v2-/)]);
  });

  test.each(['an hour later', 'with the next approval'])(
    'finds %s that a deployment has ended whose end nobody told',
    async (when) => {
      const world = new World();
      await world.deliver([world.approve(1, 0)]);
      await world.deliver([world.approve(2, 1)]);
      world.stop(world.running()[0], 'TIMED_OUT');
      await world.deliver([when === 'an hour later' ? RECONCILE : world.approve(3, 2)]);

      expect(world.running()).toEqual([
        expect.stringMatching(when === 'an hour later' ? /^deploy-v2-/ : /^deploy-v3-/),
      ]);
      expect(world.ledger.all('DEPLOYMENT#')).toEqual([
        expect.objectContaining({ modelVersion: 1, error: expect.objectContaining({ name: 'Execution.TIMED_OUT' }) }),
      ]);
    },
  );

  test('deploys what is approved after the clock went back', async () => {
    const world = new World();
    world.clock = new Date('2026-03-03T13:00:00Z');
    await world.deliver([{ ...world.approve(1, 0), time: '2026-03-03T12:00:00Z' }]);
    await world.end(world.running()[0]);
    world.clock = new Date('2026-03-01T13:00:00Z');
    await world.deliver([RECONCILE]);
    await world.deliver([world.approve(1, 10)]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v1-/)]);

    await world.deliver([await world.end(world.running()[0]), world.approve(2, 20)]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v2-/)]);
  });

  test('does not undo a way back to an earlier version, whatever the clock does', async () => {
    const world = new World();
    for (const [version, minute] of [
      [1, 0],
      [2, 1],
      [1, 2],
    ] as const) {
      await world.deliver([world.approve(version, minute)]);
      await world.end(world.running()[0]);
    }
    world.clock = new Date('2026-02-01T13:00:00Z');
    await world.deliver([RECONCILE]);

    expect(world.running()).toEqual([]);
  });

  test('finds approvals whose events were lost in a registry that was made anew, and counts from one again', async () => {
    const world = new World();
    for (const [version, minute] of [
      [1, 0],
      [2, 1],
      [7, 2],
    ] as const) {
      await world.deliver([world.approve(version, minute)]);
      await world.end(world.running()[0]);
    }
    world.approved.clear();
    world.clock = new Date('2026-03-02T13:00:00Z');
    for (const version of [1, 2]) {
      world.approve(version, 0);
      world.createdAt = `2026-03-02T12:0${version}:00.000Z`;
      world.modifiedAt = `2026-03-02T12:0${version}:30.000Z`;
      await world.deliver([RECONCILE]);
      expect(world.running()).toEqual([expect.stringMatching(`^deploy-v${version}-`)]);
      await world.end(world.running()[0], { startedAt: world.clock.toISOString() });
    }
    await world.deliver([RECONCILE]);
    expect(world.running()).toEqual([]);
  });

  test.each<[string, (world: World) => Promise<void>]>([
    ['has ended', async (world) => void (await world.deliver([await world.end(world.running()[0] as string)]))],
    ['was cut off', async () => {}],
  ])(
    'brings the newest approved version to an endpoint of another name, where the last deployment %s',
    async (_, end) => {
      const world = new World();
      await world.deliver([world.approve(1, 0)]);
      await end(world);

      // another name is another machine, which knows nothing of what ran on the other
      const executions = new MemoryExecutions(() => world.clock);
      const renamed = { ...world.ports, endpointName: 'flights-live', executions };
      await world.deliver([RECONCILE], renamed);
      const [started = '', ...more] = executions.names();
      expect(more).toEqual([]);
      expect(JSON.parse(executions.input(started))).toMatchObject({ modelPackageArn: arn(1) });

      await world.deliver([{ ...world.stop.call({ ...world, executions }, started, 'SUCCEEDED') }], renamed);
      await world.deliver([RECONCILE], renamed);
      expect([...executions.all.keys()]).toEqual([started]);
    },
  );

  test('does not take a version for a lost approval that was approved in the second in which it was made', async () => {
    const world = new World();
    world.createdAt = '2026-03-01T12:00:00.400Z';
    await world.deliver([world.approve(1, 0)]);
    world.modifiedAt = '2026-03-01T12:00:00.400Z';
    await world.deliver([RECONCILE]);
    expect(world.ledger.items.get('LEASE#deployment')).toMatchObject({
      last: { approvedAt: '2026-03-01T12:00:00.000Z' },
    });
    await world.stop(world.running()[0], 'ABORTED');
    await world.deliver([RECONCILE]);
    expect(world.executions.all.size).toBe(1);
  });

  test('starts none beside a deployment that somebody started by hand, and the approved one afterwards', async () => {
    const world = new World();
    await world.executions.start('by-hand', '{}');
    await world.deliver([world.approve(1, 0)]);
    expect(world.running()).toEqual(['by-hand']);

    await world.deliver([world.stop('by-hand', 'SUCCEEDED')]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v1-/)]);
    expect(world.executions.mostAtOnce).toBe(1);
  });

  test('lets a deployment whose start failed wait for one that somebody has started since', async () => {
    const world = new World();
    const start = async () => Promise.reject(new Error('denied'));
    const executions = { find: async () => undefined, running: async () => [], start };
    await expect(world.deliver([world.approve(1, 0)], { ...world.ports, executions })).rejects.toThrow('denied');
    await world.executions.start('by-hand', '{}');
    for (let hour = 0; hour < 2; hour++) {
      await world.deliver([RECONCILE]);
      expect(world.running()).toEqual(['by-hand']);
    }
    await world.deliver([world.stop('by-hand', 'SUCCEEDED')]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v1-/)]);
  });

  test.each<[string, object]>([
    ['an unknown holder', { holder: 'nobody' }],
    ['a holder that is no name', { holder: ['x'] }],
    ['a last approval that is none', { last: 'x', wanted: { modelPackageArn: 7 } }],
    ['a revision that is none', { revision: 'x' }],
    ['members of other types', { unstarted: 'yes', lookedAt: 5, unordered: 'x' }],
  ])('goes on from a row with %s, and keeps it beside', async (_, change) => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    await world.end(world.running()[0]);
    const row = { ...world.ledger.items.get('LEASE#deployment'), ...change };
    world.ledger.items.set('LEASE#deployment', row);
    await world.deliver([world.approve(2, 40)]);

    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v2-/)]);
    expect(world.ledger.all('TORN#')).toHaveLength('holder' in change && change.holder === 'nobody' ? 0 : 1);
  });

  test('finds an approval that waited, though the row has lost it', async () => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    await world.deliver([world.approve(2, 30)]);
    world.ledger.items.set('LEASE#deployment', { ...world.ledger.items.get('LEASE#deployment'), wanted: 'x' });
    await world.end(world.running()[0]);
    await world.deliver([RECONCILE]);

    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v2-/)]);
  });

  test('begins no second deployment when the row is deleted in the middle of one', async () => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    const [first] = world.running();
    world.ledger.items.delete('LEASE#deployment');
    await world.deliver([world.approve(2, 1)]);
    expect(world.running()).toEqual([first]);

    await world.deliver([await world.end(first)]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v2-/)]);
    expect(world.executions.mostAtOnce).toBe(1);
  });

  test('records a deployment that was aborted, and lets the next begin', async () => {
    const world = new World();
    await world.deliver([world.approve(1, 0)]);
    await world.deliver([world.stop(world.running()[0], 'ABORTED'), world.approve(2, 1)]);

    expect(world.ledger.all('DEPLOYMENT#')).toEqual([
      expect.objectContaining({
        modelVersion: 1,
        outcome: 'FAILED',
        error: expect.objectContaining({ name: 'Execution.ABORTED' }),
      }),
    ]);
    expect(world.running()).toEqual([expect.stringMatching(/^deploy-v2-/)]);
  });

  test.each(['before', 'after'] as const)('comes to the same end if it crashes %s any of its calls', async (when) => {
    for (let at = 0; ; at++) {
      const world = new World();
      const event = world.approve(1, 0);
      let crashed = false;
      await world.deliver([event], crashing(world.ports, at, when)).catch((error) => {
        if (!(error instanceof Crash)) throw error;
        crashed = true;
      });
      await world.deliver([event]);

      expect(world.executions.all.size).toBe(1);
      const [lease] = world.ledger.all('LEASE#deployment');
      expect(lease.holder).toBe(world.running()[0]);
      expect(lease.unstarted).toBeUndefined();
      if (!crashed) {
        expect(at).toBeGreaterThan(4);
        return;
      }
    }
  });
});

describe('finishing a deployment', () => {
  const model = (version: number) => modelName('flights', 'g', version, 'content');
  const config = (version: number) => endpointConfigName('flights', 'g', version, 'settings');
  const plan = {
    version: 4,
    runId: 'r',
    modelName: model(4),
    endpointConfigName: config(4),
    exists: { model: false, config: false },
    action: 'update',
  } as const;

  test('records it and what serves, frees the lease, says so, and deletes what is out of use', async () => {
    const world = new World();
    await world.deliver([world.approve(4, 0)]);
    world.models = [1, 2, 3, 4].map(model);
    world.configs = [1, 2, 3, 4].map(config);
    world.live = config(4);
    await world.end(world.running()[0], { plan: { ...plan, previousConfigName: config(2) } });

    expect(world.ledger.all('DEPLOYMENT#')).toEqual([
      expect.objectContaining({ modelVersion: 4, runId: 'r', modelName: model(4), outcome: 'DEPLOYED' }),
    ]);
    expect(world.ledger.all(LedgerKey.serving)).toEqual([
      expect.objectContaining({ kind: 'Serving', modelVersion: 4, runId: 'r', baselineKey: runKeys('r').baseline }),
    ]);
    expect(world.ledger.all('LEASE#deployment')[0].holder).toBeUndefined();
    expect(world.sent).toEqual([Events.DEPLOYMENT_ENDED]);
    expect(world.deleted).toEqual([config(1), model(1)]);
    expect(world.rejected).toEqual([]);
  });

  test('deletes nothing that somebody else has made under a name like ours', async () => {
    const world = new World();
    await world.deliver([world.approve(4, 0)]);
    world.models = [1, 2, 3, 4].map(model);
    world.tags.set(model(1), {});
    world.tags.set(model(2), ownerTags({ pipeline: 'flights', registry: 'other' }, 'Stack'));
    world.live = config(4);
    await world.end(world.running()[0], { plan });

    expect(world.deleted).toEqual([]);
  });

  test.each(['FAILED', 'ROLLED_BACK'] as const)('rejects a version that ended as %s, and says why', async (outcome) => {
    const world = new World();
    await world.deliver([world.approve(4, 0)]);
    world.models = [1, 2, 3].map(model);
    const error = { name: ErrorName.SMOKE_TEST_FAILED, cause: 'it answered\r\n  nonsense' };
    await world.end(world.running()[0], { outcome, plan, error });

    expect(world.rejected).toEqual([
      expect.stringMatching(new RegExp(`${outcome}: it answered nonsense - approve again`)),
    ]);
    expect(world.deleted).toEqual([]);
    expect(LedgerKey.deployment('2026-03-01T12:59:00.000Z', [...world.executions.all.keys()][0])).toBe(
      world.ledger.all('DEPLOYMENT#')[0].sk,
    );
  });

  test('does not reject a version that was not deployable in the first place', async () => {
    const world = new World();
    await world.deliver([world.approve(4, 0)]);
    const error = { name: ErrorName.NOT_DEPLOYABLE, cause: 'it is gone' };
    await world.end(world.running()[0], { outcome: 'FAILED', error });

    expect(world.rejected).toEqual([]);
  });

  test('does not reject a version because somebody else has its endpoint', async () => {
    const world = new World();
    await world.deliver([world.approve(4, 0)]);
    const error = { name: ErrorName.NAME_TAKEN, cause: 'the endpoint flights must be …' };
    await world.end(world.running()[0], { outcome: 'FAILED', error });

    expect(world.rejected).toEqual([]);
  });
});

describe('the smoke test', () => {
  const keys = runKeys('r');
  const rows = ['1,10,OAK', '2,20,SFO'];

  function ask(answer: string | Error, scored = ['0.25', '0.5'], problem = 'binary', holdout = rows) {
    return smokeTest(
      {
        readRun: async () => ({ contract: { kind: 'table', target: { problem } } }) as unknown as RunDocument,
        lines: async (key) => (key === keys.holdoutRows ? holdout : scored),
        async ask() {
          if (answer instanceof Error) throw answer;
          return answer;
        },
        now: () => 0,
      },
      { endpointName: 'flights', runId: 'r' },
    );
  }

  test('is passed by the answers of the batch transform', async () => {
    expect(await ask('0.25\n0.5000004\n')).toEqual({ rows: 2, latencyMs: 0 });
    expect(await ask('0.3\n0.6\n', [])).toMatchObject({ rows: 2 }); // there is nothing to compare with
    expect(await ask('-3\n1e9\n', ['-3', '1000000000.4'], 'regression')).toMatchObject({ rows: 2 });
  });

  test.each([
    ['an answer too few', '0.25\n', 'must answer one score a row, 2, got 1'],
    ['no number', '0.25\nnan\n', 'must be finite numbers, got NaN for row 2'],
    ['a margin instead of a probability', '0.25\n1.5\n', 'must be probabilities from 0 to 1, got 1.5 for row 2'],
    ['another answer than in the batch', '0.25\n0.51\n', '0.5 ± 0.000001 for row 2'],
  ])('is not passed by %s', async (_, answer, message) => {
    await expect(ask(answer)).rejects.toMatchObject({
      name: ErrorName.SMOKE_TEST_FAILED,
      message: expect.stringContaining(message),
    });
  });

  test('is not passed by a model that fails, but an error of the service is let through to be tried again', async () => {
    const modelError = Object.assign(new Error('500 from the container'), { name: 'ModelError' });
    const throttled = Object.assign(new Error('slow down'), { name: 'ThrottlingException' });

    await expect(ask(modelError)).rejects.toMatchObject({ name: ErrorName.SMOKE_TEST_FAILED });
    await expect(ask(throttled)).rejects.toBe(throttled);
  });

  test('needs rows of the holdout', async () => {
    await expect(ask('', [], 'binary', [])).rejects.toMatchObject({ name: ErrorName.SMOKE_TEST_FAILED });
  });
});
