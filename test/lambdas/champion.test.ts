import { describe, expect, test } from 'vitest';
import { type Container, findChampion } from '../../lambdas/champion';
import type { DeploymentOutcome } from '../../lib/core/documents';
import { scoringModelName, shortHash } from '../../lib/core/names';
import { MemoryLedger } from '../support/memory';

/** The model that a version is scored with: its name tells what it is made of. */
function championName(version: number) {
  const modelPackageArn = `arn/${version}`;
  const content = { modelPackageArn, containers: [{ Image: modelPackageArn }], role: 'role' };
  return scoringModelName('m', 'g', `v${version}-${shortHash(JSON.stringify(content), 8)}`);
}

/** A ledger with deployments in this order, and a registry that has lost some things. */
function world(
  deployments: ReadonlyArray<[version: number, outcome: DeploymentOutcome]>,
  lost: readonly string[] = [],
  made: readonly string[] = [],
) {
  const ledger = new MemoryLedger();
  for (const [i, [version, outcome]] of deployments.entries()) {
    const facts = {
      version,
      outcome,
      modelPackageArn: `arn/${version}`,
      runId: `run-${version}`,
      modelName: `m-v${version}`,
    };
    ledger.put(`DEPLOYMENT#2026-03-0${i + 1}#d${version}`, facts);
  }
  const created: string[] = [];
  return {
    ledger,
    created,
    pipeline: 'm',
    registry: 'g',
    role: 'role',
    containersOf: async (arn: string) => (lost.includes(arn) ? undefined : [{ Image: arn }]),
    modelExists: async (name: string) => made.includes(name),
    createModel: async (name: string, [container]: Container[]) => void created.push(`${name} of ${container.Image}`),
  };
}

describe('the champion', () => {
  test('is the version that was deployed last, not one that failed afterwards', async () => {
    const ports = world(
      [
        [1, 'DEPLOYED'],
        [2, 'DEPLOYED'],
        [3, 'ROLLED_BACK'],
        [4, 'FAILED'],
        [2, 'SKIPPED'],
      ],
      [],
      [championName(2)],
    );

    expect(await findChampion(ports)).toEqual({
      champion: { version: 2, modelPackageArn: 'arn/2', runId: 'run-2', modelName: championName(2) },
    });
    expect(ports.created).toEqual([]);
  });

  test('is nobody before the first deployment', async () => {
    expect(await findChampion(world([[1, 'ROLLED_BACK']]))).toEqual({ note: 'no model has been deployed yet' });
  });

  test('is scored with a model of its own, made from its package where it is not there yet', async () => {
    const ports = world([[1, 'DEPLOYED']]);

    expect((await findChampion(ports)).champion?.version).toBe(1);
    expect(ports.created).toEqual([`${championName(1)} of arn/1`]);
  });

  test('is nobody if its package is gone, and the note says so', async () => {
    const { champion, note } = await findChampion(world([[1, 'DEPLOYED']], ['arn/1']));

    expect(champion).toBeUndefined();
    expect(note).toContain('its model package is gone');
  });
});
