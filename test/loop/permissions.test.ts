import { expect, test } from 'vitest';
import { csv, flights } from './flights';
import { Loop, type Template } from './loop';

/** Takes the first statement that allows an action away from a role, and fails if there is none. */
function without(role: string, action: string) {
  return ({ Resources }: Template) => {
    let taken = 0;
    for (const { Type, Properties } of Object.values<Template>(Resources)) {
      if (Type !== 'AWS::IAM::Policy' || !Properties.Roles.some(({ Ref }: Template) => Ref.startsWith(role))) continue;
      const document = Properties.PolicyDocument;
      document.Statement = document.Statement.filter((statement: Template) => {
        const hit = [statement.Action].flat().includes(action);
        taken += hit ? 1 : 0;
        return !hit;
      });
    }
    expect(taken).toBeGreaterThan(0);
  };
}

test.each([
  ['FlightsTrainingSnapshotRole', 's3:ListBucketVersions', 'Perennial|AccessDenied'],
  ['FlightsTrainingPrepareRole', 's3:GetObjectVersion', 'AccessDenied'],
  ['FlightsTrainingMachineRole', 'sagemaker:CreateTrainingJob', 'AccessDenied'],
  ['FlightsTrainingTrainingRole', 's3:GetObject', 'AccessDenied|403|not authorized'],
  ['FlightsTrainingJudgeRole', 's3:GetObject', 'AccessDenied'],
])(
  'without one statement of %s (%s) the loop fails at that call',
  async (role, action) => {
    const loop = await Loop.start({ edit: without(role, action) });
    try {
      const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 2000)));
      expect(deployments).toEqual([]);
      expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'FAILED' });
      expect(runs.at(-1)?.ended?.error?.cause).toContain(`not authorized to perform: ${action}`);
    } finally {
      await loop.stop();
    }
  },
  120_000,
);
