import { describe, expect, test } from 'vitest';
import { type CleanUpEvent, type CleanUpPorts, cleanUp } from '../../lambdas/clean-up';
import { endpointConfigName, modelName } from '../../lib/core/names';

const [CONFIG, MODEL] = [endpointConfigName('flights', 'g', 1, 'settings'), modelName('flights', 'g', 1, 'content')];

function event(
  RequestType: CleanUpEvent['RequestType'],
  DeleteModelPackages: 'true' | 'false' = 'false',
): CleanUpEvent {
  return {
    RequestType,
    ResponseURL: 'https://answer',
    StackId: 's',
    RequestId: 'r',
    LogicalResourceId: 'l',
    ResourceProperties: { EndpointName: 'flights', ModelPackageGroupName: 'g', DeleteModelPackages },
  };
}

/** SageMaker with an endpoint that goes through these states. */
function world(statuses: Array<string | undefined>) {
  const done: string[] = [];
  const answers: Array<{ Status: string; Reason?: string; PhysicalResourceId: string }> = [];
  const ports: CleanUpPorts = {
    endpointStatus: async () => (statuses.length > 1 ? statuses.shift() : statuses[0]),
    deleteEndpoint: async (name) => void done.push(`endpoint ${name}`),
    configs: async () => [CONFIG, endpointConfigName('my-flights', 'g', 1, 'settings')],
    deleteConfig: async (name) => void done.push(`config ${name}`),
    models: async () => [MODEL, modelName('flights', 'other', 1, 'content')],
    deleteModel: async (name) => void done.push(`model ${name}`),
    packages: async () => ['arn/1'],
    deletePackage: async (arn) => void done.push(`package ${arn}`),
    answer: async (_, body) => void answers.push(JSON.parse(body)),
    wait: async () => {},
  };
  return { ports, done, answers };
}

describe('cleaning up', () => {
  test('waits for the endpoint to be gone, then deletes what it served', async () => {
    const { ports, done, answers } = world(['Updating', 'InService', 'Deleting', undefined]);
    await cleanUp(ports, event('Delete'));

    expect(done).toEqual(['endpoint flights', `config ${CONFIG}`, `model ${MODEL}`]);
    expect(answers).toEqual([expect.objectContaining({ Status: 'SUCCESS', PhysicalResourceId: 'flights-clean-up' })]);
  });

  test('deletes registered versions only if it was told so', async () => {
    const { ports, done } = world([undefined]);
    await cleanUp(ports, event('Delete', 'true'));

    expect(done).toContain('package arn/1');
  });

  test.each(['Create', 'Update'] as const)('does nothing on %s but answer', async (type) => {
    const { ports, done, answers } = world(['InService']);
    await cleanUp(ports, event(type));

    expect(done).toEqual([]);
    expect(answers).toHaveLength(1);
  });

  test('answers that it failed if the endpoint does not go, and says what to do', async () => {
    const { ports, answers } = world(['Deleting']);
    await cleanUp(ports, event('Delete'));

    expect(answers).toEqual([
      expect.objectContaining({ Status: 'FAILED', Reason: expect.stringContaining('delete it by hand') }),
    ]);
  });
});
