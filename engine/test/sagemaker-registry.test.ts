import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Shape } from '../src/service';
import { ROLE } from './support/fake-context';
import { BUCKET, IMAGE, Lab } from './support/sagemaker';

let lab = new Lab();
const labs: Lab[] = [lab];
afterAll(() => Promise.all(labs.map((one) => one.stop())));
beforeEach(async () => {
  lab = new Lab();
  labs.push(lab);
  await lab.call('CreateModelPackageGroup', { ModelPackageGroupName: 'flights' });
});

const version = (changes: Shape = {}): Shape => ({
  ModelPackageGroupName: 'flights',
  ModelApprovalStatus: 'PendingManualApproval',
  InferenceSpecification: {
    Containers: [
      { Image: IMAGE, ModelDataUrl: `s3://${BUCKET}/m.tar.gz`, Environment: { A: '1' }, FrameworkVersion: '3.2-0' },
    ],
    SupportedContentTypes: ['text/csv'],
    SupportedResponseMIMETypes: ['text/csv'],
  },
  ...changes,
});

const arn = (number: number) => `arn:aws:sagemaker:eu-west-1:111122223333:model-package/flights/${number}`;

describe('the model registry', () => {
  it('numbers versions, and gives a number once', async () => {
    const first = await lab.call('CreateModelPackage', version());
    await lab.call('CreateModelPackage', version());
    await lab.call('DeleteModelPackage', { ModelPackageName: arn(2) });
    const third = await lab.call('CreateModelPackage', version());

    expect(first.ModelPackageArn).toBe(arn(1));
    expect(third.ModelPackageArn).toBe(arn(3));
    expect(await lab.call('DescribeModelPackage', { ModelPackageName: arn(1) })).toMatchObject({
      ModelPackageVersion: 1,
      ModelApprovalStatus: 'PendingManualApproval',
      ModelPackageStatus: 'Completed',
    });
  });

  it('registers once for one token', async () => {
    const one = await lab.call('CreateModelPackage', version({ ClientToken: 'run-1' }));
    const again = await lab.call('CreateModelPackage', version({ ClientToken: 'run-1' }));
    const other = await lab.call('CreateModelPackage', version({ ClientToken: 'run-2' }));

    expect(again).toEqual(one);
    expect(other.ModelPackageArn).toBe(arn(2));
    expect(lab.context.events).toHaveLength(2);
  });

  it('tells of every change, and which fields it concerned', async () => {
    await lab.call('CreateModelPackage', version());
    await lab.call('UpdateModelPackage', {
      ModelPackageArn: arn(1),
      ModelApprovalStatus: 'Approved',
      ApprovalDescription: 'ok',
    });
    await lab.call('UpdateModelPackage', {
      ModelPackageArn: arn(1),
      CustomerMetadataProperties: { servedBy: 'endpoint' },
    });

    const details = lab.context.events.map(({ detail }) => detail);
    expect(lab.context.events[0]['detail-type']).toBe('SageMaker Model Package State Change');
    expect(details.map(({ ModelApprovalStatus }) => ModelApprovalStatus)).toEqual([
      'PendingManualApproval',
      'Approved',
      'Approved',
    ]);
    expect(details.map(({ UpdatedModelPackageFields }) => UpdatedModelPackageFields)).toEqual([
      ...[undefined, ['ModelApprovalStatus'], ['CustomerMetadataProperties']],
    ]);
    expect(details[1]).toMatchObject({
      ModelPackageGroupName: 'flights',
      ModelPackageVersion: 1,
      ApprovalDescription: 'ok',
    });
    expect(typeof details[1].CreationTime).toBe('number');
  });

  it('lists by group and approval, the newest first, page by page', async () => {
    for (let count = 0; count < 3; count++) await lab.call('CreateModelPackage', version());
    await lab.call('UpdateModelPackage', { ModelPackageArn: arn(2), ModelApprovalStatus: 'Approved' });

    const first = await lab.call('ListModelPackages', { ModelPackageGroupName: 'flights', MaxResults: 2 });
    const rest = await lab.call('ListModelPackages', { ModelPackageGroupName: 'flights', NextToken: first.NextToken });
    const approved = await lab.call('ListModelPackages', { ModelApprovalStatus: 'Approved' });

    const versions = (page: Shape) => page.ModelPackageSummaryList.map((made: Shape) => made.ModelPackageVersion);
    expect(versions(first)).toEqual([3, 2]);
    expect(versions(rest)).toEqual([1]);
    expect(versions(approved)).toEqual([2]);
  });

  it.each([
    ['tags on a version', { Tags: [{ Key: 'a', Value: 'b' }] }, /cannot supply a tag argument/],
    [
      'metadata with a comma',
      { CustomerMetadataProperties: { a: 'x,y' } },
      /customerMetadataProperties.a.*regular expression/,
    ],
    ['long metadata', { CustomerMetadataProperties: { a: 'x'.repeat(257) } }, /less than or equal to 256/],
    ['a token of 37 characters', { ClientToken: 'x'.repeat(37) }, /clientToken/],
    [
      'an unknown status',
      { ModelApprovalStatus: 'Fine' },
      /enum value set: \[Approved, Rejected, PendingManualApproval\]/,
    ],
    [
      'a version like 10.1',
      { InferenceSpecification: { Containers: [{ Image: IMAGE, FrameworkVersion: '10.1' }] } },
      /frameworkVersion/,
    ],
    ['an unknown group', { ModelPackageGroupName: 'none' }, /ModelPackageGroup none does not exist/],
  ])('refuses %s', async (_, changes, message) => {
    await expect(lab.call('CreateModelPackage', version(changes))).rejects.toThrow(message);
  });

  it('keeps a group that has versions', async () => {
    await lab.call('CreateModelPackage', version());

    const deleted = lab.call('DeleteModelPackageGroup', { ModelPackageGroupName: 'flights' });

    await expect(deleted).rejects.toMatchObject({ code: 'ConflictException' });
    await lab.call('DeleteModelPackage', { ModelPackageName: arn(1) });
    await lab.call('DeleteModelPackageGroup', { ModelPackageGroupName: 'flights' });
  });

  it('is there again after a restart', async () => {
    const stateDir = mkdtempSync(join(tmpdir(), 'restart-'));
    const before = new Lab({}, 0.01, stateDir);
    await before.call('CreateModelPackageGroup', { ModelPackageGroupName: 'flights' });
    await before.call('CreateModelPackage', version());
    await before.stop();

    const after = new Lab({}, 0.01, stateDir);
    labs.push(after);

    const found = await after.call('DescribeModelPackage', { ModelPackageName: arn(1) });
    expect(found.CreationTime).toBeInstanceOf(Date);
  });
});

describe('a model', () => {
  it('has its tags until it is deleted, and policies may speak of them', async () => {
    const url = await lab.archive('m.tar.gz', { weights: '2' });
    const Tags = [{ Key: 'owner', Value: 'me' }];
    const model = {
      ModelName: 'm',
      ExecutionRoleArn: ROLE,
      PrimaryContainer: { Image: IMAGE, ModelDataUrl: url },
      Tags,
    };
    const conditions = (operation: string, input: Shape) =>
      lab.sagemaker.operations[operation]?.needs(input, { kind: 'root' }).map((need) => need.conditions);
    const asked = { 'aws:RequestTag/owner': 'me', 'aws:TagKeys': ['owner'] };
    const [create, addTags, pass] = conditions('CreateModel', model) ?? [];
    expect([create, addTags]).toEqual([asked, asked]);
    expect(pass).toEqual({ 'iam:PassedToService': 'sagemaker.amazonaws.com' });

    const { ModelArn } = await lab.call('CreateModel', model);
    expect(conditions('DeleteModel', { ModelName: 'm' })).toEqual([{ 'aws:ResourceTag/owner': 'me' }]);
    await lab.call('DeleteModel', { ModelName: 'm' });
    expect(conditions('DeleteModel', { ModelName: 'm' })).toEqual([{}]);
    expect(await lab.call('ListTags', { ResourceArn: ModelArn })).toEqual({ Tags: [] });
  });

  const model = (name: string, container: Shape) => ({
    ModelName: name,
    ExecutionRoleArn: ROLE,
    PrimaryContainer: container,
  });

  it('is made of a version only once that is approved', async () => {
    await lab.call('CreateModelPackage', version());
    const request = model('v1', { ModelPackageName: arn(1) });

    await expect(lab.call('CreateModel', request)).rejects.toThrow(/not approved.*PendingManualApproval/);
    await lab.call('UpdateModelPackage', { ModelPackageArn: arn(1), ModelApprovalStatus: 'Approved' });
    await lab.call('CreateModel', request);

    await expect(lab.call('CreateModel', request)).rejects.toThrow(/Cannot create already existing model/);
    expect((await lab.call('ListModels', {})).Models).toHaveLength(1);
    await lab.call('DeleteModel', { ModelName: 'v1' });
    await expect(lab.call('DescribeModel', { ModelName: 'v1' })).rejects.toThrow(/Could not find model/);
  });

  it('needs leave to pass its role', () => {
    const needs = lab.sagemaker.operations.CreateModel.needs(model('M', { Image: IMAGE }), { kind: 'root' });

    expect(needs.map(({ action, resource }) => [action, resource])).toEqual([
      ['sagemaker:CreateModel', 'arn:aws:sagemaker:eu-west-1:111122223333:model/m'],
      ['iam:PassRole', ROLE],
    ]);
  });
});
