import { type CleanUpProperties, cleanUpId } from '../../lib/core/clean-up';
import { lazy } from '../shared/lazy';
import { type CleanUpPorts, cleanUpPorts } from './clean-up-ports';
import { remove } from './remove';

/** What CloudFormation sends to a custom resource. */
export interface CleanUpEvent {
  readonly RequestType: 'Create' | 'Update' | 'Delete';
  /** Pre-signed: the answer is put there. */
  readonly ResponseURL: string;
  readonly StackId: string;
  readonly RequestId: string;
  readonly LogicalResourceId: string;
  readonly PhysicalResourceId?: string;
  readonly ResourceProperties: CleanUpProperties;
  /** Set by an earlier call that ran out of time: when the first began, in milliseconds. */
  readonly Began?: number;
}

/** CloudFormation waits for an hour: no call begins later than so, for it may take a quarter of one. */
const LATEST_MS = 44 * 60_000;
/** A call that has less left hands over to the next. */
const HAND_OVER_MS = 45_000;
/** Runs {@link cleanUp} on AWS. */
export async function handler(event: CleanUpEvent, context: { getRemainingTimeInMillis(): number }): Promise<void> {
  await cleanUp(onAws(), event, () => context.getRemainingTimeInMillis());
}

const onAws = lazy(cleanUpPorts);

/**
 * Takes away what was made at run time, when the stack is deleted or its names change, and answers CloudFormation in any
 * case: without an answer the stack would hang for an hour. What takes longer than one call may is handed to the next.
 */
export async function cleanUp(ports: CleanUpPorts, event: CleanUpEvent, remaining: () => number): Promise<void> {
  const { RequestType, ResponseURL, StackId, RequestId, LogicalResourceId, ResourceProperties } = event;
  // of an update CloudFormation learns here whether it is another thing by now
  const id = RequestType === 'Delete' ? event.PhysicalResourceId : undefined;
  const PhysicalResourceId = id ?? cleanUpId(ResourceProperties);
  const { Began = ports.now() } = event;
  let outcome: { Status: 'SUCCESS' | 'FAILED'; Reason?: string } = { Status: 'SUCCESS' };
  try {
    if (RequestType === 'Delete') {
      const work = { ports, stack: stackName(StackId), hasTime: () => remaining() > HAND_OVER_MS };
      if (!(await remove(work, ResourceProperties))) {
        if (ports.now() - Began < LATEST_MS) return await ports.again({ ...event, Began });
        throw new Error(
          `${PhysicalResourceId} must be gone within an hour, but is still there; delete the stack again`,
        );
      }
    }
  } catch (error) {
    console.error(JSON.stringify({ error: String(error) }));
    outcome = { Status: 'FAILED', Reason: String(error).slice(0, 1000) };
  }
  const answer = { ...outcome, PhysicalResourceId, StackId, RequestId, LogicalResourceId };
  await ports.answer(ResponseURL, JSON.stringify(answer));
}

/** `arn:aws:cloudformation:<region>:<account>:stack/<name>/<id>` */
function stackName(stackId: string): string {
  return stackId.split('/')[1] ?? '';
}
