import { DeleteModelCommand, SageMakerClient } from '@aws-sdk/client-sagemaker';
import { isCandidateModel, scoringModelName } from '../../lib/core/names';
import type { Owner } from '../../lib/core/ownership';
import { modelsNamed, unlessMissing } from '../shared/sagemaker';

/** The models with which runs score their candidates: each is of use to its own run alone. */
export interface CandidateModels {
  /** The names of all of a pipeline's. */
  list(): Promise<string[]>;
  /** Takes one away; refused where its tags do not say that it is ours. */
  delete(modelName: string): Promise<void>;
}

export function candidateModels({ pipeline, registry }: Owner, client = new SageMakerClient()): CandidateModels {
  return {
    async list() {
      const found = await modelsNamed(client, scoringModelName(pipeline, registry, ''));
      return found.map(({ name }) => name).filter((name) => isCandidateModel(pipeline, registry, name));
    },
    async delete(ModelName) {
      await unlessMissing(client.send(new DeleteModelCommand({ ModelName })));
    },
  };
}
