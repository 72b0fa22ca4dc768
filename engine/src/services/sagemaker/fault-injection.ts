import { LONGEST_TIMER_MS } from '../../engine/clock';
import type { ScriptFault } from './faults';
import type { Job } from './training-job';

/** Waits for the moment at which a job's fault is to happen, and injects it once. */
export class FaultInjection {
  /** The fault, once it has happened. */
  injected: ScriptFault | undefined;
  private readonly fault: ScriptFault | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly job: Job,
    private readonly inject: (fault: ScriptFault) => void,
  ) {
    const { fault } = job;
    const isOfScript = fault?.kind === 'internal' || fault?.kind === 'interruption' || fault?.kind === 'nodeLoss';
    this.fault = isOfScript ? fault : undefined;
  }

  arm(): void {
    const { afterSeconds, afterLine } = this.fault ?? {};
    if (this.fault === undefined || (afterSeconds === undefined && afterLine !== undefined)) return;
    this.timer = setTimeout(() => this.happen(), Math.min((afterSeconds ?? 0) * 1000, LONGEST_TIMER_MS));
  }

  disarm(): void {
    clearTimeout(this.timer);
  }

  read(line: string): void {
    const { afterLine } = this.fault ?? {};
    if (afterLine !== undefined && line.includes(afterLine)) this.happen();
  }

  private happen(): void {
    if (this.fault === undefined || this.injected !== undefined || this.job.stop !== undefined) return;
    this.injected = this.fault;
    this.inject(this.fault);
  }
}
