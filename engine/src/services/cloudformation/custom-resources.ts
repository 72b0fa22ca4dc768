import { randomBytes } from 'node:crypto';
import { drop, listen, loopbackServer, readBody } from '../../gateway/loopback';
import type { Context, Resource, Shape } from '../../service';
import { fingerprint } from '../../state/fingerprint';
import type { Kept } from '../../state/state-store';

/** What CloudFormation knows of a custom resource after a deployment. */
interface Deployed {
  readonly stack: string;
  readonly logicalId: string;
  readonly properties: Shape;
  /** What its function called it; asked for when it is first needed, so that a start costs nothing. */
  readonly physicalId?: string;
}

/** CloudFormation waits for an answer that long; here in real time, because functions wait in real time. */
const PATIENCE_MS = 3_600_000;
/** @see https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html */
const LONGEST_ANSWER = 4096; // bytes

/**
 * Custom resources as CloudFormation runs them: a change of properties is an update, another physical id in its answer
 * has the old one deleted, and so has a resource that the template has no more.
 */
export class CustomResources {
  /** Those that are run: the CDK's own would bring functions in other languages, and are not needed here. */
  readonly resourceTypes = ['Custom::PerennialCleanUp'];
  private readonly known = new Map<string, Deployed>();
  private readonly kept: Kept<Deployed>;

  constructor(private readonly context: Context) {
    this.kept = context.store.collection('cloudformation/custom-resources', {
      ...{ stack: 'string', logicalId: 'string', properties: 'object', physicalId: 'string?' },
    });
    this.kept.restore((deployed, key) => this.known.set(key, deployed));
  }

  /** Brings what an earlier start on the folder has deployed to what the template says now. */
  load(resources: readonly Resource[]): void {
    const wanted = new Map(this.customOf(resources).map((one) => [keyOf(one), one]));
    const changed: [Deployed, Resource | undefined][] = [];
    for (const [key, known] of this.known) {
      const now = wanted.get(key);
      if (now === undefined || fingerprint(now.properties) !== fingerprint(known.properties))
        changed.push([known, now]);
    }
    for (const [key, { stack, logicalId, properties }] of wanted) {
      if (!this.known.has(key)) this.keep({ stack, logicalId, properties });
    }
    this.context.whenReady(() => {
      for (const [known, now] of changed) {
        this.context.background(`custom resource ${keyOf(known)}`, () =>
          now ? this.update(known, now) : this.delete(known),
        );
      }
    });
  }

  private customOf(resources: readonly Resource[]): Resource[] {
    return resources.filter(({ type }) => this.resourceTypes.includes(type));
  }

  /**
   * Deletes a stack's, each after those that depend on it.
   *
   * @throws Error what the function says that it failed with
   */
  async deleteAll(resources: readonly Resource[]): Promise<void> {
    let left = this.customOf(resources);
    while (left.length > 0) {
      const free = left.filter(
        ({ stack, logicalId }) => !left.some((one) => one.stack === stack && one.dependsOn?.includes(logicalId)),
      );
      if (free.length === 0) throw new Error(`${left.map(({ path }) => path).join(', ')} depend on one another`);
      for (const resource of free) {
        const { stack, logicalId, properties } = resource;
        await this.delete(this.known.get(keyOf(resource)) ?? { stack, logicalId, properties });
      }
      left = left.filter((one) => !free.includes(one));
    }
  }

  private async update(known: Deployed, now: Resource): Promise<void> {
    const { stack, logicalId, properties } = now;
    const PhysicalResourceId = await this.physicalId(known);
    const updated = { PhysicalResourceId, OldResourceProperties: known.properties };
    const physicalId = await this.ask('Update', now, updated);
    this.keep({ stack, logicalId, properties, physicalId });
    if (physicalId === PhysicalResourceId) return;
    // by the function as it is now
    const gone = { ...known, properties: { ...known.properties, ServiceToken: properties.ServiceToken } };
    await this.ask('Delete', gone, { PhysicalResourceId });
  }

  private async delete(known: Deployed): Promise<void> {
    await this.ask('Delete', known, { PhysicalResourceId: await this.physicalId(known) });
    this.known.delete(keyOf(known));
    this.kept.delete(keyOf(known));
  }

  private async physicalId(known: Deployed): Promise<string> {
    return known.physicalId ?? this.ask('Create', known);
  }

  private keep(deployed: Deployed): void {
    this.kept.put(keyOf(deployed), deployed);
    this.known.set(keyOf(deployed), deployed);
  }

  /** @returns the physical id that the function answers */
  private async ask(RequestType: string, { stack, logicalId, properties }: Deployed, more?: Shape): Promise<string> {
    const { partition, region, account } = this.context.aws;
    const { Status, Reason, PhysicalResourceId } = await this.answer((ResponseURL) => ({
      RequestType,
      ResponseURL,
      StackId: `arn:${partition}:cloudformation:${region}:${account}:stack/${stack}/00000000-0000-4000-8000-000000000000`,
      RequestId: randomBytes(16).toString('hex'),
      LogicalResourceId: logicalId,
      ServiceToken: properties.ServiceToken,
      ResourceProperties: properties,
      ...more,
    }));
    const what = `${RequestType} of ${stack}/${logicalId}`;
    this.context.log('cloudformation', `${what}: ${Status}`, { id: PhysicalResourceId });
    if (Status !== 'SUCCESS') throw new Error(`${what} failed: ${Reason}`);
    return String(PhysicalResourceId);
  }

  /** Invokes the function, as CloudFormation does, and waits for what it puts under the address that it is given. */
  private async answer(event: (url: string) => Shape): Promise<Shape> {
    const path = `/${randomBytes(24).toString('hex')}`; // nobody else can guess it, as with a presigned URL
    let [resolve, reject] = [(_: Shape) => {}, (_: unknown) => {}];
    const answered = new Promise<Shape>((done, failed) => {
      [resolve, reject] = [done, failed];
    });
    answered.catch(() => {}); // where the invocation itself fails, nobody waits for it
    const server = loopbackServer(async (request, response) => {
      const body = await readBody(request, LONGEST_ANSWER).catch(() => undefined); // too long, or cut off
      drop(request);
      const isAnswer = request.method === 'PUT' && request.url === path && body !== undefined;
      response.writeHead(isAnswer ? 200 : 403).end();
      if (!isAnswer) return;
      try {
        resolve(JSON.parse(body.toString()));
      } catch (error) {
        reject(error);
      }
    });
    const late = () => reject(new Error('the function of a custom resource has not answered within an hour'));
    const timer = setTimeout(late, PATIENCE_MS).unref();
    const stopped = () => reject(new Error('the engine has stopped'));
    this.context.signal.addEventListener('abort', stopped, { once: true });
    try {
      const asked = event(`http://127.0.0.1:${await listen(server, 0)}${path}`);
      await this.context.call(
        'lambda',
        'Invoke',
        { FunctionName: asked.ServiceToken, InvocationType: 'Event', Payload: JSON.stringify(asked) },
        { kind: 'root' },
      );
      return await answered;
    } finally {
      clearTimeout(timer);
      this.context.signal.removeEventListener('abort', stopped);
      server.close();
      server.closeAllConnections();
    }
  }
}

function keyOf({ stack, logicalId }: { readonly stack: string; readonly logicalId: string }): string {
  return `${stack}/${logicalId}`;
}
