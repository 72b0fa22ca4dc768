/** What the engine has last said of itself, and in which part of the loop it says so. */
const PHASES: readonly (readonly [said: RegExp, phase: string])[] = [
  [/uploaded incoming\//, 'upload and controller'],
  [/ControllerHandlerFunction\S* answered/, 'upload and controller'],
  [/: flights-training \S+ RUNNING/, 'snapshot and preparation'],
  [/SnapshotFunction\S* answered|prepared\//, 'snapshot and preparation'],
  [/PrepareFunction\S* answered/, 'choice of the capacity option'],
  [/sagemaker: training job \S+: \w+/, 'training'],
  [/: epoch \d/, 'training'],
  [/AttemptFunction\S* answered|SealFunction\S* answered|sealed\//, 'sealing and scoring'],
  [/sagemaker: transform job \S+: \w+/, 'sealing and scoring'],
  [/scores\/candidate/, 'judging and registering'],
  [/JudgeFunction\S* answered|model package \S+: \w+/, 'judging and registering'],
  [/: flights-deployment \S+ RUNNING/, 'deployment'],
  [/DeploymentPlanFunction\S* answered|endpoint flights: \w+|SmokeTestFunction\S* answered/, 'deployment'],
  [/run ended|: flights-training \S+ (SUCCEEDED|FAILED)/, 'end of the run'],
  [/: flights-deployment \S+ (SUCCEEDED|FAILED)/, 'at rest'],
];

/** The part of the loop that a log ends in. */
export function phaseOf(log: string): string {
  for (const line of log.split('\n').reverse()) {
    const found = PHASES.find(([said]) => said.test(line));
    if (found !== undefined) return found[1];
  }
  return 'at rest';
}
