import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Resource, Shape } from '../src/service';
import { CustomResources } from '../src/services/cloudformation/custom-resources';
import { StateStore } from '../src/state/state-store';
import { FakeContext } from './support/fake-context';

const TOKEN = 'arn:aws:lambda:eu-west-1:111122223333:function:CleanUp';

function resource(logicalId: string, name: string, more: Partial<Resource> = {}): Resource {
  return {
    ...{ stack: 'Stack', logicalId, path: `Stack/${logicalId}`, type: 'Custom::PerennialCleanUp' },
    ...{ physicalId: logicalId, arn: '', properties: { ServiceToken: TOKEN, Name: name }, ...more },
  };
}

/** A function that calls everything by its name, and what it was asked. */
class World {
  context = new FakeContext();
  readonly asked: string[] = [];
  reason: string | undefined;
  /** Puts the answer where the function was told to. */
  put = (url: string, body: string): unknown => fetch(url, { method: 'PUT', body });
  answer: (event: Shape) => object = (event) => ({
    ...(this.reason === undefined ? { Status: 'SUCCESS' } : { Status: 'FAILED', Reason: this.reason }),
    PhysicalResourceId: event.RequestType === 'Delete' ? event.PhysicalResourceId : event.ResourceProperties.Name,
  });

  /** A start of the engine on the folder of the one before. */
  start(resources: Resource[]): CustomResources {
    const { stateDir } = this.context;
    this.context.store.close();
    this.context = new FakeContext(undefined, stateDir);
    this.context.store = new StateStore(stateDir);
    this.context.answers['lambda:Invoke'] = ({ FunctionName, InvocationType, Payload }) => {
      const event = JSON.parse(Payload);
      this.asked.push(`${event.RequestType} ${event.PhysicalResourceId ?? ''} ${event.ResourceProperties.Name}`);
      expect([FunctionName, InvocationType]).toEqual([TOKEN, 'Event']);
      void this.put(event.ResponseURL, JSON.stringify(this.answer(event)));
      return { StatusCode: 202 };
    };
    const made = new CustomResources(this.context);
    made.load(resources);
    return made;
  }

  async idle(): Promise<string[]> {
    await this.context.idle();
    return this.asked.splice(0);
  }
}

let world = new World();
afterEach(() => {
  world = new World();
});

describe('custom resources', () => {
  test('ask nothing at a start that changes nothing', async () => {
    world.start([resource('A', 'a')]);
    world.start([resource('A', 'a')]);
    expect(await world.idle()).toEqual([]);
  });

  test('are updated when their properties change, and what they were is deleted if it has another physical id', async () => {
    world.start([resource('A', 'a')]);
    world.start([resource('A', 'b')]);
    expect(await world.idle()).toEqual(['Create  a', 'Update a b', 'Delete a a']);

    world.answer = () => ({ Status: 'SUCCESS', PhysicalResourceId: 'b' });
    world.start([resource('A', 'c')]);
    expect(await world.idle()).toEqual(['Update b c']);
  });

  test('are deleted when the template has them no more', async () => {
    world.start([resource('A', 'a'), resource('B', 'b')]);
    world.start([resource('B', 'b')]);
    expect(await world.idle()).toEqual(['Create  a', 'Delete a a']);
    world.start([resource('B', 'b')]);
    expect(await world.idle()).toEqual([]);
  });

  test('are deleted each before what it depends on', async () => {
    const resources = [resource('A', 'a'), resource('B', 'b', { dependsOn: ['A', 'Role'] }), resource('C', 'c')];
    await world.start(resources).deleteAll(resources);
    const deleted = (await world.idle()).filter((asked) => asked.startsWith('Delete'));
    expect(deleted).toEqual(['Delete b b', 'Delete c c', 'Delete a a']);
  });

  test('that fail to be deleted say why, and are still there', async () => {
    const resources = [resource('A', 'a')];
    world.reason = 'the endpoint does not go';
    await expect(world.start(resources).deleteAll(resources)).rejects.toThrow(
      'of Stack/A failed: the endpoint does not go',
    );
    world.reason = undefined;
    await world.idle();
    await world.start(resources).deleteAll(resources);
    expect(await world.idle()).toEqual(['Create  a', 'Delete a a']);
  });

  test('take a whole answer to their own address, and nothing else that is put there', async () => {
    const statuses: unknown[] = [];
    world.put = async (url, body) => {
      statuses.push(await cutOff(url));
      statuses.push((await fetch(url, { method: 'PUT', body: body + ' '.repeat(4096) })).status);
      statuses.push((await fetch(`${url}0`, { method: 'PUT', body })).status);
      statuses.push((await fetch(url, { method: 'POST', body })).status);
      statuses.push((await fetch(url, { method: 'PUT', body })).status);
    };
    const resources = [resource('A', 'a')];
    await world.start(resources).deleteAll(resources);
    expect(statuses.slice(0, 5)).toEqual(['cut off', 403, 403, 403, 200]);
  });
});

/** Begins to put an answer, and goes away. */
function cutOff(url: string): Promise<string> {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((done) => {
    const socket = connect(Number(port), hostname, () => {
      const head = `PUT ${pathname} HTTP/1.1\r\nhost: ${hostname}:${port}\r\ncontent-length: 100\r\n\r\n`;
      socket.write(`${head}{"Status"`, () => socket.resetAndDestroy());
    });
    socket.on('close', () => done('cut off'));
  });
}
