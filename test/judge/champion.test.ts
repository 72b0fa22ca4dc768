import { describe, expect, test } from 'vitest';
import { type ChampionPorts, findChampion } from '../../lambdas/judge/champion.handler';
import type { DeploymentOutcome } from '../../lib/core/deploy/documents';
import { ErrorName } from '../../lib/core/errors';
import type { ModelContainer } from '../../lib/core/judge/documents';
import { ownPrefix } from '../../lib/core/names';
import { ownerTags, type Tags, tagList } from '../../lib/core/ownership';
import { deployment } from '../support/facts';
import { MemoryLedger } from '../support/memory';

const owner = { pipeline: 'm', registry: 'g' };
const OURS = ownerTags(owner, 'Stack');
const candidate = { modelName: 'm-g-c-candidate', container: { Image: 'image', ModelDataUrl: 's3://new' } };
const request = { candidate, tags: tagList({ ...OURS, team: 'a' }) };

interface Made {
  readonly tags: Tags;
  readonly role?: string;
  readonly container: ModelContainer;
}

const SEAL = { versionId: 'v1', sha256: 'sum' };
const containerOf = (arn: string) => ({ Image: arn, ModelDataUrl: `s3://${arn}`, Environment: { A: 'a', B: 'b' } });

/** A ledger with deployments in this order, a registry that has lost some things, and models. */
function world(
  deployments: ReadonlyArray<[version: number, outcome: DeploymentOutcome]>,
  lost: readonly string[] = [],
  role = 'role',
): ChampionPorts & { readonly made: Map<string, Made>; readonly created: string[] } {
  const ledger = new MemoryLedger();
  for (const [i, [version, outcome]] of deployments.entries()) {
    const startedAt = `2026-03-0${i + 1}T00:00:00.000Z`;
    ledger.add(deployment({ startedAt, modelVersion: version, outcome, runId: `run-${version}` }));
  }
  const made = new Map<string, Made>([
    [candidate.modelName, { tags: OURS, role: 'role', container: candidate.container }],
  ]);
  const created: string[] = [];
  return {
    made,
    created,
    ledger,
    owner,
    role,
    find: async (arn: string) => (lost.includes(arn) ? undefined : { container: containerOf(arn), seal: SEAL }),
    sealAt: async () => SEAL,
    models: {
      find: async (name) => made.get(name),
      create: async (name, container, tags) => {
        created.push(`${name} of ${container.Image}`);
        const named = Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
        if (!made.has(name)) made.set(name, { tags: named, role, container });
      },
    },
  };
}

describe('the champion', () => {
  test('is the version that was deployed last, not one that failed afterwards', async () => {
    const ports = world([
      [1, 'DEPLOYED'],
      [2, 'DEPLOYED'],
      [3, 'ROLLED_BACK'],
      [4, 'FAILED'],
      [2, 'SKIPPED'],
    ]);

    const { champion } = await findChampion(ports, request);
    expect(champion).toMatchObject({ version: 2, modelPackageArn: 'arn/2', runId: 'run-2' });
  });

  test('is nobody before the first deployment', async () => {
    expect(await findChampion(world([[1, 'ROLLED_BACK']]), request)).toEqual({
      note: 'no model has been deployed yet',
    });
  });

  test('is scored with a model of its own, made from its package where it is not there yet', async () => {
    const ports = world([[1, 'DEPLOYED']]);

    const { champion } = await findChampion(ports, request);
    expect(champion?.modelName).toMatch(new RegExp(`^${ownPrefix('m', 'g')}c-v1-[0-9a-f]{8}$`));
    expect(ports.created).toEqual([`${champion?.modelName} of arn/1`]);
    expect(await findChampion(ports, request)).toEqual({ champion });
    expect(ports.created).toHaveLength(1);
    expect(ports.made.get(champion?.modelName as string)?.tags).toEqual({ ...OURS, team: 'a' });
  });

  test('is another model where the version is another, or the role: of a stack that was made anew', async () => {
    const before = await findChampion(world([[1, 'DEPLOYED']]), request);
    const anew = world([[1, 'DEPLOYED']], [], 'a role of the new stack');
    anew.made.clear();
    const container = { ...containerOf('arn/1'), ModelDataUrl: 's3://new' };
    const elsewhere = { ...world([[1, 'DEPLOYED']]), find: async () => ({ container, seal: SEAL }) };

    expect((await findChampion(anew, request)).champion?.modelName).not.toBe(before.champion?.modelName);
    expect((await findChampion(elsewhere, request)).champion?.modelName).not.toBe(before.champion?.modelName);
  });

  test('is nobody if its package is gone, and the note says so', async () => {
    const { champion, note } = await findChampion(world([[1, 'DEPLOYED']], ['arn/1']), request);

    expect(champion).toBeUndefined();
    expect(note).toContain('its model package is gone');
  });

  const foreign = ownerTags({ pipeline: 'm', registry: 'other' }, 'Prod');
  test.each<[string, Partial<Made>, string]>([
    [
      'of another registry',
      { tags: foreign },
      'got one of the pipeline m with the registry other, made by the stack Prod',
    ],
    ['of nobody', { tags: {} }, 'got one that no pipeline has made'],
    ['under another role', { role: 'gone' }, 'made of something else'],
    ['with another archive', { container: { Image: 'arn/1', ModelDataUrl: 's3://x' } }, 'made of something else'],
    ['with another environment', { container: { Image: 'arn/1', Environment: { A: 'b' } } }, 'made of something else'],
  ])('is never scored with a model under its name that is %s', async (_, changed, message) => {
    const ports = world([[1, 'DEPLOYED']]);
    const { champion } = await findChampion(ports, request);
    const name = champion?.modelName as string;
    ports.made.set(name, { ...(ports.made.get(name) as Made), ...changed });

    await expect(findChampion(ports, request)).rejects.toMatchObject({
      name: ErrorName.NAME_TAKEN,
      message: expect.stringContaining(message),
    });
  });

  test.each<[string, object, string]>([
    ['was overwritten', { sealAt: async () => ({ ...SEAL, versionId: 'v2' }) }, 'got version v2 with SHA-256 sum'],
    ['has another content', { sealAt: async () => ({ ...SEAL, sha256: 'x' }) }, 'got version v1 with SHA-256 x'],
    ['is gone', { sealAt: async () => undefined }, 'got nothing that may be read'],
    ['is not told any more', { find: async () => ({ container: containerOf('arn/1') }) }, 'must name its archive'],
  ])('is not scored where its archive %s: it would not be the model that was judged', async (_, changed, message) => {
    const ports = { ...world([[1, 'DEPLOYED']]), ...changed };

    await expect(findChampion(ports, request)).rejects.toMatchObject({
      name: ErrorName.MODEL_CHANGED,
      message: expect.stringContaining(message),
    });
    expect(ports.created).toEqual([]);
  });

  test('is not scored with a model that somebody else has made meanwhile', async () => {
    const ports = world([[1, 'DEPLOYED']]);
    const create = async (name: string) => void ports.made.set(name, { tags: {}, container: {} });

    await expect(findChampion({ ...ports, models: { ...ports.models, create } }, request)).rejects.toMatchObject({
      name: ErrorName.NAME_TAKEN,
    });
  });

  test('nor is the candidate', async () => {
    const ports = world([]);
    ports.made.set(candidate.modelName, { tags: {}, role: 'role', container: candidate.container });

    await expect(findChampion(ports, request)).rejects.toMatchObject({
      name: ErrorName.NAME_TAKEN,
      message: expect.stringMatching(/^the model m-g-c-candidate must be .*; delete it, and train again$/),
    });
  });
});
