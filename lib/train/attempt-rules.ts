import { Stack, Token } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { problemOf } from '../core/problem';
import { type AttemptRules, capacityPrice, MOST_ATTEMPTS, mostAttempts } from '../core/train/attempts';
import { noCount, outside, refuse } from '../private/validate';
import type { TrainingSettings } from '../training-defaults';
import type { TrainerConfig } from './trainer-props';

/** How the capacity options are tried, as the function that decides has it; refuses what could never begin. */
export function attemptRules(scope: Construct, settings: TrainingSettings, trainer: TrainerConfig): AttemptRules {
  const { contract, retryPolicy, budget = {}, tuning } = settings;
  const { quotaWait, passInterval } = retryPolicy;
  const { compute, maxDuration } = trainer;
  const { region } = Stack.of(scope);
  const rules: AttemptRules = {
    capacityOptions: compute.map((option) => option._spec(maxDuration)),
    quotaWaitSeconds: quotaWait.toSeconds(),
    maxPasses: retryPolicy.maxPasses,
    passIntervalSeconds: passInterval.toSeconds(),
    ...(budget.maxCostPerRun !== undefined && { maxCostPerRun: budget.maxCostPerRun }),
    ...(budget.maxCostPerMonth !== undefined && { maxCostPerMonth: budget.maxCostPerMonth }),
    ...(budget.prices !== undefined && { prices: budget.prices }),
    ...tuning?._rules(scope, problemOf(contract._contract.target.problem)),
  };
  const metrics = Object.keys(trainer.metrics);
  const looked = (rules.tuning ?? rules.search)?.metric;
  const hasCeiling = budget.maxCostPerRun !== undefined || budget.maxCostPerMonth !== undefined;
  refuse(scope, [
    outside(rules.quotaWaitSeconds, 0, 86_400) &&
      `retryPolicy.quotaWait must be 0 to 24 hours, got ${quotaWait.toHumanString()}`,
    outside(rules.passIntervalSeconds, 0, 86_400) &&
      `retryPolicy.passInterval must be 0 to 24 hours, got ${passInterval.toHumanString()}`,
    noCount(rules.maxPasses, 1, 100) &&
      `retryPolicy.maxPasses must be a whole number from 1 to 100, got ${rules.maxPasses}`,
    outside(budget.maxCostPerRun ?? 1, 0.01, 1e9) &&
      `budget.maxCostPerRun must be at least 0.01 USD, got ${budget.maxCostPerRun}`,
    outside(budget.maxCostPerMonth ?? 1, 0.01, 1e9) &&
      `budget.maxCostPerMonth must be at least 0.01 USD, got ${budget.maxCostPerMonth}`,
    ...Object.entries(budget.prices ?? {}).map(
      ([type, price]) => outside(price, 0, 10_000) && `budget.prices must be USD an hour, got ${price} for ${type}`,
    ),
    ...limitMistakes(rules),
    looked !== undefined &&
      !metrics.includes(looked) &&
      `tuning.metric must be one that the trainer prints (${metrics.join(', ')}), got ${looked}`,
    ...rules.capacityOptions.map(
      (option) =>
        hasCeiling &&
        !Token.isUnresolved(region) &&
        capacityPrice(option, region, budget.prices) === undefined &&
        `budget: the price of ${option.label} in ${region} is unknown, and a ceiling needs one; tell it in budget.prices`,
    ),
  ]);
  return rules;
}

/** Bytes that a state may be given. @see https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html */
const LONGEST_PAYLOAD = 256 * 1024;

/** What would not fit an execution: its history, or the payload of a state. */
function limitMistakes(rules: AttemptRules): Array<string | false> {
  const attempts = mostAttempts(rules);
  // a state gets the rules, what has been tried so far, and the log of it
  const tried = JSON.stringify(rules.tuning?.suggestions ?? []).length + 500 * (rules.tuning?.suggestions.length ?? 0);
  const attemptBytes = JSON.stringify(rules).length + tried + 20_000;
  return [
    attempts > MOST_ATTEMPTS &&
      `retryPolicy: ${rules.capacityOptions.length} capacity options may be asked for ${attempts} times, and an execution's history holds ${MOST_ATTEMPTS}; lower maxPasses or quotaWait, or leave capacity options out`,
    attemptBytes > LONGEST_PAYLOAD &&
      `tuning: what is tried takes ${attemptBytes} bytes, and a state may be given ${LONGEST_PAYLOAD}; lower maxTrials, or shorten names and values`,
  ];
}
