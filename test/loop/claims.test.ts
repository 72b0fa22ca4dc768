import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  DisableRuleCommand,
  EnableRuleCommand,
  EventBridgeClient,
  ListRulesCommand,
} from '@aws-sdk/client-eventbridge';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import {
  CreateModelPackageCommand,
  DeleteEndpointCommand,
  DescribeEndpointCommand,
  DescribeModelPackageCommand,
  type InferenceSpecification,
  ListModelPackagesCommand,
  SageMakerClient,
} from '@aws-sdk/client-sagemaker';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Promotion } from '../../lib';
import type { Decision } from '../../lib/core/ledger/facts';
import { csv, flights, requests } from './flights';
import { Loop, type Template } from './loop';

/** Seconds that a deployment waits before it looks at the endpoint, as long as the tests need to interfere: three of ours. */
const WAIT = 3000;

function waitLonger(template: Template): void {
  let changed = 0;
  for (const { Type, Properties } of Object.values<Template>(template.Resources)) {
    if (Type !== 'AWS::StepFunctions::StateMachine') continue;
    const parts = Properties.DefinitionString['Fn::Join'][1];
    parts.forEach((part: unknown, index: number) => {
      if (typeof part !== 'string') return;
      parts[index] = part.replace(/(Wait for the new model":\{[^}]*\$polls < \d+ \? )30/, (_, before) => {
        changed++;
        return `${before}${WAIT}`;
      });
    });
  }
  expect(changed).toBe(1);
}

/** What the project says of itself and no other loop shows; on one ledger, as the loop writes it. */
describe('what is said of the loop', () => {
  let loop: Loop;
  let sagemaker: SageMakerClient;
  let january: string[];
  beforeAll(async () => {
    loop = await Loop.start({ promotion: Promotion.BETTER, edit: waitLonger });
    sagemaker = new SageMakerClient(loop.engine.clientConfig);
    january = await flights(1, 8000);
    const { runs, deployments } = await loop.upload('incoming/january.csv', csv(january));
    expect(runs.map(({ ended, judged }) => [judged?.verdict, ended?.outcome, ended?.error])).toEqual([
      ['FIRST', 'PROMOTED', undefined],
    ]);
    expect(deployments).toMatchObject([{ outcome: 'DEPLOYED', modelVersion: 1 }]);
  }, 240_000);
  afterAll(() => loop.stop());

  const versions = async () =>
    (await sagemaker.send(new ListModelPackagesCommand({ ModelPackageGroupName: group() }))).ModelPackageSummaryList;
  /** While the events of a rule are lost. */
  async function withoutRule<T>(id: string, then: () => Promise<T>): Promise<T> {
    const events = new EventBridgeClient(loop.engine.clientConfig);
    const { Rules = [] } = await events.send(new ListRulesCommand({}));
    const [rule, ...others] = Rules.filter(({ Name }) => Name?.includes(id));
    expect(others).toEqual([]);
    await events.send(new DisableRuleCommand({ Name: rule?.Name }));
    try {
      return await then();
    } finally {
      await events.send(new EnableRuleCommand({ Name: rule?.Name }));
    }
  }
  const group = () => loop.output('ModelPackageGroup');
  const endpoint = () => sagemaker.send(new DescribeEndpointCommand({ EndpointName: 'flights' }));
  /** The newest decision of the controller, if it is another than before. */
  const decision = (decisions: readonly Decision[]) => [...decisions].sort((a, b) => (a.at < b.at ? -1 : 1)).at(-1);

  test('a version in the registry names what it was made of, and how good it is', async () => {
    const { runs } = await loop.facts();
    const [run] = runs;
    const arn = run?.ended?.modelPackageArn as string;
    const found = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: arn }));
    const at = (name: string) => `s3://${loop.bucket}/runs/${run?.runId}/${name}`;

    expect(found.CustomerMetadataProperties).toMatchObject({
      pipeline: 'flights',
      runId: run?.runId,
      reason: 'data',
      dataVersion: run?.started?.dataVersion,
      codeVersion: expect.stringMatching(/^[0-9a-f]{8,}$/),
      verdict: 'FIRST',
      modelVersionId: expect.any(String),
      modelSha256: expect.any(String),
    });
    expect(found.MetadataProperties?.GeneratedBy).toMatch(/:training-job\/flights-[0-9a-f]{6}-/);
    expect(found.ModelMetrics).toMatchObject({
      ModelQuality: { Statistics: { S3Uri: at('judgement.json') } },
      ModelDataQuality: { Statistics: { S3Uri: at('profile.json') } },
    });
    expect(found.DriftCheckBaselines?.ModelDataQuality?.Statistics?.S3Uri).toBe(at('baseline.json'));
    expect(found.ModelPackageDescription).toBe(run?.judged?.because);
    for (const name of ['judgement.json', 'profile.json', 'baseline.json']) {
      expect(JSON.parse(await loop.read(`runs/${run?.runId}/${name}`))).toBeTypeOf('object');
    }
  });

  test('the same upload again trains nothing again, under its key or under another, and everybody is told', async () => {
    for (const key of ['incoming/january.csv', 'incoming/copy.csv', 'incoming/january.csv']) {
      const { runs, decisions } = await loop.upload(key, csv(january));
      expect(runs).toHaveLength(1);
      expect(decision(decisions)).toMatchObject({
        decided: 'IGNORED',
        because: expect.stringContaining(`byte for byte the data of the run ${runs[0]?.runId}, uploaded again`),
      });
    }
    const { out } = await loop.perennial('runs');
    expect(out).toMatch(/SINCE THEN.*data +already trained on: byte for byte/s);
  }, 240_000);

  test('a changed byte starts one, also if its event is lost; and a model that is not better replaces none', async () => {
    await loop.s3.send(new DeleteObjectCommand({ Bucket: loop.bucket, Key: 'incoming/copy.csv' }));
    const before = await endpoint();
    const [first, ...others] = january as [string, ...string[]];
    const changed = first.replace(/\d(?=,[^,]*,[^,]*$)/, (digit) => String((Number(digit) + 1) % 10));
    expect(changed).not.toBe(first);
    const { runs: none } = await withoutRule('NewData', () =>
      loop.upload('incoming/january.csv', csv([changed, ...others])),
    );
    expect(none).toHaveLength(1);
    loop.engine.fire('flights-controller'); // as the clock does every hour
    const { runs, deployments } = await loop.rest();

    expect(runs).toHaveLength(2);
    expect(runs[1]?.started?.evidence).toMatchObject([{ reason: 'data', detail: { key: 'incoming/january.csv' } }]);
    expect(runs[1]?.judged).toMatchObject({ championVersion: 1, verdict: expect.not.stringMatching(/^BETTER$/) });
    expect(runs[1]?.ended).toMatchObject({ outcome: 'REJECTED' });
    expect(runs[1]?.ended?.modelPackageArn).toBeUndefined();
    expect(await versions()).toHaveLength(1);
    expect(deployments).toHaveLength(1);
    expect((await endpoint()).EndpointConfigName).toBe(before.EndpointConfigName);
  }, 240_000);

  test('a replay is judged, and whatever the verdict, its model is not registered', async () => {
    const [first] = (await loop.facts()).runs;
    const asked = await loop.perennial(`replay ${first?.runId}`);
    expect(asked.out).toContain('whose model is judged and never registered');
    const { runs, deployments } = await loop.rest();

    expect(runs).toHaveLength(3);
    expect(runs[2]?.started).toMatchObject({ reason: 'manual', dataVersion: first?.started?.dataVersion });
    expect(runs[2]?.judged).toMatchObject({ championVersion: 1, verdict: 'NOT_WORSE' });
    expect(runs[2]?.judged?.difference).toBeCloseTo(0, 6); // the same data made the same model
    expect(runs[2]?.ended).toMatchObject({ outcome: 'REPLAYED' });
    expect(await versions()).toHaveLength(1);
    expect(deployments).toHaveLength(1);
    expect((await loop.perennial('run latest')).out).toMatch(/outcome +REPLAYED/);
  }, 240_000);

  test('an hour’s requests are judged by schedule; drift that no newer data can cure is told to people', async () => {
    const far = (row: string) => row.split(',').with(3, '6000').join(',');
    const asked = (await requests(3, 3000)).map(far);
    for (let at = 0; at < asked.length; at += 500) await loop.ask(asked.slice(at, at + 500));
    await loop.engine.idle();
    loop.engine.advance(2 * 3600_000); // drift starts no run within an hour of the last
    loop.engine.fire('flights-monitor');
    const { runs, windows, decisions } = await loop.rest();

    expect(windows).toMatchObject([{ verdict: 'DRIFT' }]);
    expect(runs).toHaveLength(3);
    // the replay trained on other data meanwhile, and the run is that on the data as it is
    const because = `no labelled data has come since the run ${runs[1]?.runId}`;
    expect(decision(decisions)).toMatchObject({
      reason: 'drift',
      decided: 'IGNORED',
      needs: 'NEWER_DATA',
      because: expect.stringContaining(because),
    });
    expect(loop.told()).toEqual([
      expect.stringContaining(windows[0]?.summary as string),
      expect.stringContaining(because),
    ]);
    expect((await loop.perennial('runs')).out.replace(/\s+/g, ' ')).toContain(because);
  }, 240_000);

  test('a version that is rejected during its deployment does not serve at its end, and keeps the words of who did it', async () => {
    const before = await endpoint();
    const [one] = (await versions()) ?? [];
    const made = await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName: one?.ModelPackageArn }));
    const [container] = made.InferenceSpecification?.Containers ?? [];
    const { Image, Environment, ModelDataUrl } = container ?? {};
    await sagemaker.send(
      new CreateModelPackageCommand({
        ModelPackageGroupName: group(),
        CustomerMetadataProperties: made.CustomerMetadataProperties,
        InferenceSpecification: {
          ...(made.InferenceSpecification as InferenceSpecification),
          Containers: [{ Image, Environment, ModelDataUrl }],
        },
        ModelApprovalStatus: 'PendingManualApproval',
      }),
    );
    const approved = await withoutRule('DeploymentApproval', async () => {
      const { out } = await loop.perennial('approve 2');
      await loop.engine.idle();
      return out;
    });
    expect(approved).toBe('version 2: PendingManualApproval → Approved: it is deployed now');
    expect((await endpoint()).EndpointStatus).toBe('InService'); // the event was lost
    loop.engine.fire('flights-deployment'); // as the clock does every hour
    while ((await endpoint()).EndpointStatus !== 'Updating') await new Promise((wait) => setTimeout(wait, 20));
    expect((await loop.perennial('approve 2')).out).toMatch(
      /^version 2 is Approved already, and its deployment deploy-v2-\w+ is under way$/,
    );
    expect((await loop.perennial('reject 2 --comment too-soon')).out).toMatch(
      /^version 2: Approved → Rejected: its deployment deploy-v2-\w+ is under way, and is undone before it ends/,
    );
    const { deployments } = await loop.rest();

    expect(deployments.at(-1)).toMatchObject({
      modelVersion: 2,
      outcome: 'ROLLED_BACK',
      error: { name: 'Perennial.NotDeployable', cause: expect.stringContaining('must still be Approved') },
    });
    expect(loop.told()).toContainEqual(expect.stringContaining('of version 2 was rolled back'));
    expect(await endpoint()).toMatchObject({
      EndpointStatus: 'InService',
      EndpointConfigName: before.EndpointConfigName,
    });
    const { ModelPackageArn: ModelPackageName } = ((await versions()) ?? []).find(
      ({ ModelPackageVersion }) => ModelPackageVersion === 2,
    ) as { ModelPackageArn: string };
    expect(await sagemaker.send(new DescribeModelPackageCommand({ ModelPackageName }))).toMatchObject({
      ModelApprovalStatus: 'Rejected',
      ApprovalDescription: 'too-soon',
    });
    expect(await loop.ask(await requests(3, 5))).toHaveLength(5);
  }, 240_000);

  test('a version that serves is not rejected; one that has been rejected is approved as any other', async () => {
    expect(await loop.perennial('reject 1')).toMatchObject({
      code: 1,
      err: 'perennial: version 1 must not serve to be rejected, and it does: no other has served, so delete the endpoint flights; then reject it',
    });
    expect((await loop.perennial('reject 2')).out).toBe('version 2 was Rejected already');
    expect((await loop.perennial('approve 1')).out).toContain('version 1 was Approved already, and serves');
    expect((await loop.rest()).deployments.at(-1)).toMatchObject({ modelVersion: 1, outcome: 'SKIPPED' });
    expect((await loop.perennial('approve 2')).out).toBe('version 2: Rejected → Approved: it is deployed now');
    expect((await loop.rest()).deployments.at(-1)).toMatchObject({ modelVersion: 2, outcome: 'DEPLOYED' });
    expect((await loop.perennial('reject 2')).err).toContain('such as the one before (perennial approve 1)');
    expect((await loop.perennial('served')).out).toMatch(/\n.* +now +v2 /);
  }, 240_000);

  test('no command and no page names a model that does not serve', async () => {
    const [, two] = JSON.parse((await loop.perennial('served --json')).out);
    expect(two).toMatchObject({ version: 2 });
    expect(two.gone).toBeUndefined();
    await sagemaker.send(new DeleteEndpointCommand({ EndpointName: 'flights' }));
    await loop.engine.idle();

    const because = 'the endpoint flights does not exist: no model serves';
    const { out } = await loop.perennial('served');
    expect(out).toMatch(/ +unknown +v2 /);
    expect(out).toContain(because);
    const [first] = (await loop.facts()).runs;
    expect((await loop.perennial(`run ${first?.runId}`)).out).toMatch(/served .* to unknown UTC/s);
    await loop.perennial('report --out page.html');
    const page = readFileSync(join(loop.folder, 'page.html'), 'utf8');
    expect(page).toContain('<h1>Version 2 was deployed last</h1>');
    expect(page).toMatch(new RegExp(because, 'i'));
    expect((await loop.perennial('reject 2')).out).toBe('version 2: Approved → Rejected: it is not deployed');

    // approved again, it is put into service again
    expect((await loop.perennial('approve 1')).out).toBe(
      'version 1 was Approved already, and is so again: it is deployed',
    );
    expect((await loop.rest()).deployments.at(-1)).toMatchObject({ modelVersion: 1, outcome: 'DEPLOYED' });
    expect((await loop.perennial('served')).out).toMatch(/ +now +v1 /);
  }, 240_000);

  test('nothing was denied', () => {
    const denied = loop.engine.log.filter(({ message }) => /AccessDenied/.test(message));
    expect(denied.map(({ message }) => message)).toEqual([]);
  });
});
