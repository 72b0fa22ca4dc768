import type { Machine } from './definition';

export type Status = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

/** A state machine of the template. */
export interface StateMachine {
  readonly arn: string;
  readonly name: string;
  readonly roleArn: string;
  readonly type: 'STANDARD' | 'EXPRESS';
  readonly definition: Machine;
  /** Tells one definition from another. */
  readonly fingerprint: string;
  readonly created: Date;
}

/** An execution as it is kept, without what has happened in it. */
export interface Summary {
  readonly arn: string;
  readonly name: string;
  readonly stateMachineArn: string;
  /** The fingerprint of the definition that it began with. */
  readonly definition: string;
  readonly status: Status;
  readonly startDate: Date;
  readonly stopDate?: Date;
  readonly input: string;
  readonly output?: string;
  readonly error?: string;
  readonly cause?: string;
  readonly redriveCount: number;
  readonly redriveDate?: Date;
  /** Of one that has ended: the bytes of its history, and whether that says where a redrive would go on. */
  readonly historySize?: number;
  readonly redrivable?: boolean;
}
