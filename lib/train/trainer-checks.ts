import { Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { outside, refuse } from '../private/validate';
import type { TrainerConfig } from './trainer-props';

/** SageMaker's own bounds. @see https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html */
const LONGEST_HYPERPARAMETER = 2500;
const LONGEST_VARIABLE = 512;
const LONGEST_METRIC = 255;
const LONGEST_REGEX = 500;
const MOST_METRICS = 40;
/** Of the 100 that a job may have, the product sets 8 itself, and a search for more sets up to 20. */
const MOST_HYPERPARAMETERS = 70;
/** What the product tells every trainer, whatever its own hyperparameters are. */
const RESERVED = /^(problem|key|sagemaker_.*)$/;

/**
 * Refuses what SageMaker, or the walk over the capacity options, would, whoever wrote the trainer.
 *
 * @returns the config as it is
 */
export function checkedTrainer(scope: Construct, config: TrainerConfig): TrainerConfig {
  const { compute, maxDuration, hyperparameters, environment, gpuMemory, metrics, torchrun, source } = config;
  const reserved = Object.keys(hyperparameters).filter((name) => RESERVED.test(name));
  refuse(scope, [
    (compute.length < 1 || compute.length > 20) && `compute must be 1 to 20 capacity options, got ${compute.length}`,
    ...compute.flatMap((option) => option._mistakes(gpuMemory)),
    ...compute.map(
      (option) =>
        !torchrun &&
        source !== undefined &&
        option._instances > 1 &&
        `compute: this trainer uses one instance, got a capacity option of ${option._instances}; take a larger one`,
    ),
    outside(maxDuration.toSeconds(), 60, 28 * 86400) &&
      `maxDuration must be 1 minute to 28 days, got ${maxDuration.toHumanString()}`,
    Object.keys(hyperparameters).length > MOST_HYPERPARAMETERS &&
      `hyperparameters must be at most ${MOST_HYPERPARAMETERS}, got ${Object.keys(hyperparameters).length}`,
    reserved.length > 0 &&
      `hyperparameters must not name ${reserved.join(', ')}, which the pipeline sets; take another name`,
    ...wrong('hyperparameters', hyperparameters, LONGEST_HYPERPARAMETER),
    Object.keys(environment).length > 100 &&
      `environment must have at most 100 variables, got ${Object.keys(environment).length}`,
    ...Object.keys(environment).map(
      (name) =>
        !/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) &&
        `environment: a variable's name must be letters, digits and underscores, got '${name}'`,
    ),
    ...wrong('environment', environment, LONGEST_VARIABLE),
    Object.keys(metrics).length > MOST_METRICS &&
      `metrics must be at most ${MOST_METRICS}, got ${Object.keys(metrics).length}`,
    ...Object.entries(metrics).map(([name, regex]) => wrongMetric(name, regex)),
  ]);
  return config;
}

/** What is wrong with texts that SageMaker is given by name. */
function wrong(prop: string, values: Record<string, string>, limit: number): Array<string | false> {
  return Object.entries(values).map(([name, value]) => {
    if (name.length < 1 || name.length > 256) return `${prop}: a name must be 1 to 256 characters, got '${name}'`;
    // what plain JavaScript gives all the same
    if (typeof value !== 'string') return `${prop} must be strings, got ${value} for ${name}`;
    if (Token.isUnresolved(value)) return false;
    if (isJsonata(value)) return `${prop} must not be JSONata, got ${value} for ${name}`;
    return value.length > limit && `${prop} must be at most ${limit} characters each, got ${name} with ${value.length}`;
  });
}

function wrongMetric(name: string, regex: string): string | false {
  if (name.length < 1 || name.length > LONGEST_METRIC) {
    return `metrics: a name must be 1 to ${LONGEST_METRIC} characters, got '${name}'`;
  }
  if (regex.length < 1 || regex.length > LONGEST_REGEX) {
    return `metrics: ${name} must be a regular expression of 1 to ${LONGEST_REGEX} characters, got ${regex.length}`;
  }
  if (Token.isUnresolved(regex)) return false;
  if (isJsonata(name) || isJsonata(regex)) return `metrics must not be JSONata, got ${regex} for ${name}`;
  const groups = groupsOf(regex);
  return (
    groups !== 1 &&
    `metrics: ${name} must be a regular expression with one group, which is the value, got ${regex}, which ${groups === undefined ? 'is none' : `has ${groups}`}`
  );
}

/** Whether Step Functions would take a text for an expression, and not for what it says. */
function isJsonata(text: string): boolean {
  return /^\{%.*%\}$/s.test(text);
}

/** How many groups a regular expression has; undefined if it is none. */
function groupsOf(regex: string): number | undefined {
  try {
    // with an empty alternative it matches anything, and says how many groups there are
    return (new RegExp(`${regex}|`).exec('') as RegExpExecArray).length - 1;
  } catch {
    return undefined;
  }
}
