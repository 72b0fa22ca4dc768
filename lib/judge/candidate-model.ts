import { scoringModelName } from '../core/names';
import type { Owner } from '../core/ownership';
import { EXECUTION_HASH } from '../machine/expressions';
import { expression, jsonata, literal, type Text } from '../machine/jsonata';
import type { TrainerConfig } from '../train/trainer-props';
import { $ } from '../training-variables';

/** The name of the model with which the candidate is scored, as JSONata. */
export function candidateModel({ pipeline, registry }: Owner): Text<string> {
  return expression(`${literal(scoringModelName(pipeline, registry, ''))} & ${EXECUTION_HASH}`);
}

/** The container that serves the candidate, as SageMaker's models and packages name it. */
export function candidateContainer({ servingImage, servingEnvironment }: TrainerConfig) {
  return { Image: servingImage, ModelDataUrl: jsonata($.model), Environment: servingEnvironment };
}
