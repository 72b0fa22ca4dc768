import { expect, test } from 'vitest';
import { csv, flights } from './flights';
import { Loop, type Template } from './loop';

/** Takes the statements that allow an action away from a role, and fails if there is none. */
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
  ['FlightsTrainingSnapshotRole', 's3:GetObject'],
  ['FlightsTrainingPrepareRole', 's3:GetObjectVersion'],
  ['FlightsTrainingMachineRole', 'sagemaker:AddTags'],
  ['FlightsTrainingTrainingRole', 's3:GetObject'],
  ['FlightsTrainingScoringRole', 's3:PutObject'],
  ['FlightsTrainingJudgeRole', 's3:GetObject'],
  ['FlightsTrainingMachineRole', 'sagemaker:CreateModelPackage'],
])(
  'without the statement of %s on %s the loop fails at that call',
  async (role, action) => {
    const loop = await Loop.start({ edit: without(role, action) });
    try {
      const { runs, deployments } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
      expect(deployments).toEqual([]);
      expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'FAILED' });
      expect(runs.at(-1)?.ended?.error?.cause).toContain(`not authorized to perform: ${action}`);
    } finally {
      await loop.stop();
    }
  },
  120_000,
);

test('under a key, without the statement of a role on it the loop fails at that call', async () => {
  const loop = await Loop.start({
    underKey: true,
    edit: without('FlightsTrainingSnapshotRole', 'kms:GenerateDataKey'),
  });
  try {
    const { runs } = await loop.upload('incoming/january.csv', csv(await flights(1, 2000)));
    expect(runs.at(-1)?.ended).toMatchObject({ outcome: 'FAILED' });
    expect(runs.at(-1)?.ended?.error?.cause).toMatch(
      /is not authorized to perform: kms:\w+ on resource: arn:aws:kms:\S+ because no identity-based policy allows the kms:/,
    );
  } finally {
    await loop.stop();
  }
}, 240_000);

test('under a key whose policy does not let EventBridge in, no upload is heard of, and the log tells why', async () => {
  const loop = await Loop.start({
    underKey: true,
    edit: ({ Resources }) => {
      const [{ KeyPolicy }] = Object.values<Template>(Resources)
        .filter(({ Type }) => Type === 'AWS::KMS::Key')
        .map(({ Properties }) => Properties);
      const isOfRules = ({ Principal }: Template) => Principal.Service === 'events.amazonaws.com';
      expect(KeyPolicy.Statement.filter(isOfRules)).not.toEqual([]);
      KeyPolicy.Statement = KeyPolicy.Statement.filter((one: Template) => !isOfRules(one));
    },
  });
  try {
    const { runs } = await loop.upload('incoming/january.csv', csv(await flights(1, 2000)));
    expect(runs).toEqual([]);
    expect(loop.engine.log.map(({ message }) => message).join('\n')).toMatch(
      /events\.amazonaws\.com \S+ \S+ is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:\S+ because no resource-based policy allows/,
    );
  } finally {
    await loop.stop();
  }
}, 240_000);

test('a trigger that the controller may not act on is not lost: it waits in the dead-letter queue', async () => {
  const loop = await Loop.start({ edit: without('FlightsControllerHandlerRole', 's3:ListBucketVersions') });
  try {
    const { runs } = await loop.upload('incoming/january.csv', csv(await flights(1, 8000)));
    expect(runs).toEqual([]);
    const [letters] = loop.engine.assembly
      .ofType('AWS::SQS::Queue')
      .filter(({ logicalId }) => logicalId.includes('ControllerTriggersDeadLetters'));
    expect(loop.engine.services.sqs.pending(letters?.arn as string)).toBe(1);
  } finally {
    await loop.stop();
  }
}, 240_000);
