import { describe, expect, test } from 'vitest';
import { ErrorName } from '../../lib/core/errors';
import { parseDeploymentMessage, parseMessage } from '../../lib/core/messages';
import { Events } from '../../lib/core/names';

const arn = 'arn:aws:sagemaker:eu-west-1:1:model-package/flights/3';

function body(event: object): string {
  return JSON.stringify({ id: 'e', time: '2026-03-01T12:00:00Z', detail: {}, ...event });
}

/** An event of ours. */
function own(type: string, detail: object = {}): object {
  return { source: 'perennial', 'detail-type': type, detail: { pipeline: 'flights', ...detail } };
}

const STATES = { source: 'aws.states', 'detail-type': 'Step Functions Execution Status Change' };
const UPLOAD = { source: 'aws.s3', 'detail-type': 'Object Created' };
const DRIFT = { windowId: 'w', windowEnd: '2026-03-01T11:00:00Z', modelVersion: 1, reportKey: 'k', summary: 's' };

describe('a message of the controller', () => {
  const parse = (event: object) => parseMessage(body(event), 'flights');

  test('reads the reports of one window as one trigger', () => {
    const message = own(Events.DRIFT_DETECTED, DRIFT);

    expect(parse({ ...message, id: 'e1' })).toEqual(parse({ ...message, id: 'e2', time: '2026-03-01T13:00:00Z' }));
  });

  test('tells scheduled runs apart by their time, not by the id of the attempt', () => {
    const message = own(Events.SCHEDULE);

    expect(parse({ ...message, id: 'a' })).toEqual(parse({ ...message, id: 'b' }));
    expect(parse(message)).not.toEqual(parse({ ...message, time: '2026-03-01T13:00:00Z' }));
  });

  test('reads the end of a run from Step Functions', () => {
    const detail = { name: 'r', status: 'TIMED_OUT', startDate: 0, stopDate: 60_000 };

    expect(parse({ ...STATES, detail })).toEqual({
      kind: 'ended',
      end: { runId: 'r', status: 'TIMED_OUT', startedAt: '1970-01-01T00:00:00.000Z', at: '1970-01-01T00:01:00.000Z' },
    });
  });

  test('is the time to look', () => {
    expect(parse(own(Events.RECONCILE))).toEqual({ kind: 'reconcile' });
  });

  test('keeps of what people write as much as fits', () => {
    const message = parse(own(Events.RUN_REQUESTED, { requestedBy: 'a'.repeat(5000), note: '😀'.repeat(5000) }));

    expect(JSON.stringify(message).length).toBeLessThan(800);
    expect(message).toMatchObject({ evidence: { detail: { note: expect.stringContaining('more characters') } } });
  });

  test.each([
    ['another pipeline', own(Events.RUN_REQUESTED, { pipeline: 'other' })],
    ['another event of ours', own(Events.DEPLOYMENT_ENDED)],
    ['another source', { source: 'aws.ec2', 'detail-type': 'x' }],
    ['an execution that has not ended', { ...STATES, detail: { name: 'r', status: 'RUNNING', stopDate: null } }],
  ])('that is about %s passes', (_, event) => {
    expect(parse(event).kind).toBe('other');
  });

  test.each<[string, string, string]>([
    ['no JSON', 'hello', "a message must be JSON, got 'hello'"],
    ['no object', 'null', 'a message must be an event'],
    ['without a source', '{}', 'source must be a text, got nothing'],
    [
      'an upload without a key',
      body({ ...UPLOAD, detail: { object: {} } }),
      'detail.object.key must be a text, got nothing',
    ],
    [
      'an upload at no time',
      body({ ...UPLOAD, time: 'never', detail: { object: { key: 'a' } } }),
      "time must be an ISO time, got 'never'",
    ],
    [
      'an upload whose key is too long',
      body({ ...UPLOAD, detail: { object: { key: 'ä'.repeat(513) } } }),
      'detail.object.key must have 1 to 1,024 bytes',
    ],
    [
      'a request whose id is a number',
      body({ ...own(Events.RUN_REQUESTED, { requestedBy: 'ann' }), id: -1 }),
      'id must be a text, got -1',
    ],
    ['a request by nobody', body(own(Events.RUN_REQUESTED)), 'detail.requestedBy must be a text, got nothing'],
    [
      'a request for no pipeline',
      body({ source: 'perennial', 'detail-type': Events.RUN_REQUESTED, detail: { requestedBy: 'ann' } }),
      'detail.pipeline must be a text, got nothing',
    ],
    [
      'a request for what is no snapshot',
      body(own(Events.RUN_REQUESTED, { requestedBy: 'ann', snapshotKey: 'incoming/a.csv' })),
      'detail.snapshotKey must have snapshots/ in front',
    ],
    [
      'drift of no version',
      body(own(Events.DRIFT_DETECTED, { ...DRIFT, modelVersion: '1' })),
      "detail.modelVersion must be a whole number from 0 on, got '1'",
    ],
    [
      'an end without a run',
      body(own(Events.RUN_ENDED, { outcome: 'FAILED' })),
      'detail.runId must be a text, got nothing',
    ],
    [
      'an end that is none',
      body(own(Events.RUN_ENDED, { runId: 'r', outcome: 'x' })),
      'detail.outcome must be one of PROMOTED',
    ],
    [
      'an end of an execution without a name',
      body({ ...STATES, detail: { status: 'FAILED' } }),
      'detail.name must be a text, got nothing',
    ],
    [
      'an end of an execution in the year 275760',
      body({ ...STATES, detail: { name: 'r', status: 'FAILED', stopDate: 8.64e15 } }),
      'detail.stopDate must have a year of four digits',
    ],
  ])('is refused by name if it is %s', (_, text, message) => {
    expect(() => parseMessage(text, 'flights')).toThrow(
      expect.objectContaining({ name: ErrorName.INVALID_DOCUMENT, message: expect.stringContaining(message) }),
    );
  });
});

describe('a message of the deployments', () => {
  const parse = (event: object) => parseDeploymentMessage(body(event), 'g', 'flights');
  const approval = (detail: object) => ({
    source: 'aws.sagemaker',
    'detail-type': 'SageMaker Model Package State Change',
    detail: { ModelPackageGroupName: 'g', ModelPackageArn: arn, ModelApprovalStatus: 'Approved', ...detail },
  });

  test('is an approval, by whoever it was', () => {
    const input = { modelPackageArn: arn, approvedAt: '2026-03-01T12:00:00.000Z' };

    expect(parse(approval({}))).toEqual({ kind: 'approved', input });
    expect(parse(approval({ UpdatedModelPackageFields: ['ModelApprovalStatus'] }))).toEqual({
      kind: 'approved',
      input,
    });
  });

  test.each([
    [
      'an update of other fields of an approved version',
      approval({ UpdatedModelPackageFields: ['CustomerMetadataProperties'] }),
    ],
    ['a rejection', approval({ ModelApprovalStatus: 'Rejected' })],
    ['another group', approval({ ModelPackageGroupName: 'other' })],
    ['another pipeline', own(Events.RECONCILE, { pipeline: 'other' })],
    ['a scheduled run', own(Events.SCHEDULE)],
  ])('passes if it is %s', (_, event) => {
    expect(parse(event).kind).toBe('other');
  });

  test('is an end, also of an execution that somebody started with an input of their own', () => {
    const detail = { name: 'mine', status: 'SUCCEEDED', startDate: 0, stopDate: 1000 };
    const ended = { kind: 'ended', deploymentId: 'mine', at: '1970-01-01T00:00:01.000Z' };
    const execution = { status: 'SUCCEEDED', startedAt: '1970-01-01T00:00:00.000Z' };

    for (const input of [undefined, '{', '{"modelPackageArn":1}', 7]) {
      expect(parse({ ...STATES, detail: { ...detail, input } })).toEqual({ ...ended, execution });
    }
    const input = { modelPackageArn: arn, approvedAt: '2026-03-01T12:00:00.000Z' };
    expect(parse({ ...STATES, detail: { ...detail, input: JSON.stringify(input) } })).toMatchObject({
      execution: { ...execution, input },
    });
  });

  test.each([
    [
      'an approval without an ARN',
      approval({ ModelPackageArn: undefined }),
      'detail.ModelPackageArn must be a text, got nothing',
    ],
    [
      'an approval of no version',
      approval({ ModelPackageArn: `${arn}x` }),
      'detail.ModelPackageArn must have the form',
    ],
    ['an update of no fields', approval({ UpdatedModelPackageFields: 'ModelApprovalStatus' }), 'must be a list'],
    ['an end without a deployment', own(Events.DEPLOYMENT_ENDED), 'detail.deploymentId must be a text, got nothing'],
  ])('is refused by name if it is %s', (_, event, message) => {
    expect(() => parse(event)).toThrow(
      expect.objectContaining({ name: ErrorName.INVALID_DOCUMENT, message: expect.stringContaining(message) }),
    );
  });
});
