import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import { listed } from '../core/listed';
import { Prefix } from '../core/names';
import { claim } from '../private/two-of-a-kind';
import { instanceTypeMistake, noCount, outside } from '../private/validate';
import type { ServingTargetConfig, ServingTargetOptions } from './serving-target-props';

type Mistake = string | false;

/** What is wrong with what a target has returned, whoever wrote it. */
export function servingMistakes(
  scope: Construct,
  serving: ServingTargetConfig,
  options: ServingTargetOptions,
): Mistake[] {
  const { name, capturePrefix, mistakes = [] } = serving;
  return [
    claim(scope, "name of a ModelDeployment's target", name),
    !/^[a-z0-9](-*[a-z0-9]){0,39}$/.test(name) &&
      `the target's name must be 1 to 40 lower-case letters, digits and inner hyphens, got '${name}'`,
    capturePrefix !== undefined &&
      !/^capture\/.*\/$/s.test(capturePrefix) &&
      `capturePrefix must begin with ${Prefix.CAPTURE} and end with a slash, got '${capturePrefix}'`,
    ...endpointMistakes(serving),
    ...stateMistakes(serving, options),
    ...mistakes,
  ];
}

/** What SageMaker would refuse, in its own words. */
function endpointMistakes({ endpoint }: ServingTargetConfig): Mistake[] {
  if (endpoint === undefined) return [];
  const { ProductionVariants: variants, DataCaptureConfig } = endpoint.configuration;
  if (!Array.isArray(variants) || variants.length === 0) {
    return [`endpoint: ProductionVariants must be a list of at least one variant, got ${JSON.stringify(variants)}`];
  }
  const { InitialSamplingPercentage: percent = 0 } = (DataCaptureConfig ?? {}) as {
    InitialSamplingPercentage?: number;
  };
  return [
    ...variants.flatMap(({ InstanceType, InitialInstanceCount }) => [
      InstanceType !== undefined && instanceTypeMistake('InstanceType', InstanceType),
      InitialInstanceCount !== undefined &&
        noCount(InitialInstanceCount, 1, 1000) &&
        `InitialInstanceCount must be a whole number from 1 to 1000, got ${InitialInstanceCount}`,
    ]),
    outside(percent, 0, 100) && `InitialSamplingPercentage must be 0 to 100, got ${percent}`,
  ];
}

/** A state as the language of states has it, as far as it is looked at. */
interface RenderedState {
  readonly Type: string;
  readonly End?: boolean;
  readonly Catch?: ReadonlyArray<{ readonly ErrorEquals: readonly string[]; readonly Assign?: object }>;
}

/** What would let a deployment end without a record, or a version serve that was never asked. */
function stateMistakes({ make, smokeTest, undo }: ServingTargetConfig, options: ServingTargetOptions): Mistake[] {
  const { planAgain, skipped, rolledBack, failed } = options;
  const ends = new Set([planAgain, skipped, rolledBack, failed].flatMap(reachable));
  const making = reachable(make).filter((state) => !ends.has(state));
  const undoing = reachable(undo).filter((state) => !ends.has(state));
  // the deployment itself goes on from the smoke test, and catches what it says
  const own = [...new Set([...making, ...undoing])].filter((state) => state !== smokeTest);
  const rendered = own.map((state) => ({
    id: state.stateId,
    state: state.toStateJson(sfn.QueryLanguage.JSONATA) as unknown as RenderedState,
  }));
  const those = (wrong: (state: RenderedState) => boolean) =>
    rendered.filter(({ state }) => wrong(state)).map(({ id }) => id);
  const open = those(
    ({ Type, Catch = [] }) => isWork(Type) && !Catch.some(({ ErrorEquals }) => ErrorEquals.includes('States.ALL')),
  );
  const mute = those(({ Catch = [] }) => Catch.some(({ Assign = {} }) => !('failure' in Assign)));
  const loose = those(({ Type, End }) => End === true || Type === 'Succeed' || Type === 'Fail');
  return [
    !making.includes(smokeTest) &&
      `make must go on to smokeTest, got ${listed(making.map(({ stateId }) => stateId))}; let the last of them have .next(smokeTest)`,
    !reachable(undo).includes(rolledBack.startState) && 'undo must go on to options.rolledBack, got no way there',
    undoing.includes(smokeTest) && 'undo must go on to options.rolledBack, got a way to smokeTest',
    (smokeTest.toStateJson(sfn.QueryLanguage.JSONATA) as unknown as RenderedState).End !== true &&
      `smokeTest must have no next state, got one of ${smokeTest.stateId}; what follows it is the deployment's`,
    open.length > 0 &&
      `make and undo: every task must catch States.ALL, got ${listed(open)} without; ` +
        "addCatch(options.failed, { errors: ['States.ALL'], assign: options.caught })",
    mute.length > 0 &&
      `make and undo: every Catch must assign what went wrong, got ${listed(mute)} without; give it assign: options.caught`,
    loose.length > 0 &&
      `make and undo must end in smokeTest or in an end of the options, so that the end is recorded, got ${listed(loose)}; ` +
        'let them have .next(options.rolledBack) or .next(options.failed)',
  ];
}

function isWork(type: string): boolean {
  return ['Task', 'Map', 'Parallel'].includes(type);
}

function reachable({ startState }: sfn.IChainable): sfn.State[] {
  return sfn.State.findReachableStates(startState, { includeErrorHandlers: true });
}
