import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { jsonata } from './jsonata';

/** Looks at an endpoint: every half minute for ten minutes, then every two minutes, so that eight hours are 255 looks. */
const POLL = { seconds: 30, quick: 20, laterSeconds: 120 };

/** Looks within some hours. */
export function mostPolls(hours: number): number {
  return POLL.quick + Math.ceil((hours * 3600 - POLL.quick * POLL.seconds) / POLL.laterSeconds);
}

/** A wait between two looks. `$polls` counts those at the change under way, `$looks` all of the execution. */
export function untilNextPoll() {
  return {
    time: sfn.WaitTime.seconds(jsonata(`$polls < ${POLL.quick} ? ${POLL.seconds} : ${POLL.laterSeconds}`)),
    assign: { polls: jsonata('$polls + 1'), looks: jsonata('$looks + 1') },
  };
}
