import type { DeploymentOutcome } from './deploy/documents';
import type { Outcome } from './ledger/documents';
import { packageVersion } from './names';

/** What an e-mail or a line of a terminal has room for. */
const LONGEST = 1000;

/** An error as a state machine has caught it. */
interface Failure {
  readonly name: string;
  readonly cause: string;
}

/** What people are told of the end of a run. */
export function noticeOfRun(end: {
  readonly runId: string;
  readonly outcome: Outcome;
  readonly modelPackageArn?: string;
  readonly error?: Failure;
}): string {
  const { runId, outcome, modelPackageArn, error } = end;
  const version = modelPackageArn === undefined ? '' : ` ${packageVersion(modelPackageArn)}`;
  switch (outcome) {
    case 'FAILED':
      return oneLine(`the run ${runId} failed: ${reasonOf(error)}`);
    case 'AWAITING_APPROVAL':
      return `the run ${runId} made version${version}, which waits for approval: perennial approve${version}, or perennial reject${version}`;
    case 'PROMOTED':
      return `the run ${runId} made version${version}, which is approved`;
    case 'REJECTED':
      return `the run ${runId} made no better model`;
    case 'REPLAYED':
      return `the run ${runId} was a replay: its model is judged, and was not registered`;
  }
}

/** What people are told of the end of a deployment. */
export function noticeOfDeployment(end: {
  readonly deploymentId: string;
  readonly outcome: DeploymentOutcome;
  readonly modelPackageArn: string;
  readonly error?: Failure;
}): string {
  const { deploymentId, outcome, modelPackageArn, error } = end;
  const what = `the deployment ${deploymentId} of version ${packageVersion(modelPackageArn)}`;
  switch (outcome) {
    case 'FAILED':
      return oneLine(`${what} failed: ${reasonOf(error)}`);
    case 'ROLLED_BACK':
      return oneLine(`${what} was rolled back: ${reasonOf(error)}`);
    case 'DEPLOYED':
      return `${what} is in service`;
    case 'SKIPPED':
      return `${what} had nothing to do`;
  }
}

function reasonOf(error: Failure | undefined): string {
  return error === undefined ? 'no cause was given' : `${error.name}: ${error.cause}`;
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1)}…`;
}
