import { CreateModelCommand, DescribeModelCommand, type SageMakerClient } from '@aws-sdk/client-sagemaker';
import type { ModelContainer } from '../../lib/core/judge/documents';
import type { Tag, Tags } from '../../lib/core/ownership';
import { tagsOf, unlessMissing } from '../shared/sagemaker';

/** Models with which holdouts are scored. */
export interface ScoringModels {
  /** What there is under a name; undefined if there is nothing. */
  find(
    modelName: string,
  ): Promise<{ readonly tags: Tags; readonly role?: string; readonly container: ModelContainer } | undefined>;
  /** Makes one, unless somebody else is faster: the next look tells who. */
  create(modelName: string, container: ModelContainer, tags: readonly Tag[]): Promise<void>;
}

export function scoringModels(client: SageMakerClient, role: string): ScoringModels {
  return {
    async find(ModelName) {
      const model = await unlessMissing(client.send(new DescribeModelCommand({ ModelName })));
      if (model === undefined) return undefined;
      const { ModelArn, ExecutionRoleArn, PrimaryContainer, Containers } = model;
      return {
        tags: await tagsOf(client, ModelArn),
        role: ExecutionRoleArn,
        container: PrimaryContainer ?? Containers?.[0] ?? {},
      };
    },
    async create(ModelName, { Image, ModelDataUrl, Environment }, tags) {
      try {
        await client.send(
          new CreateModelCommand({
            ModelName,
            ExecutionRoleArn: role,
            PrimaryContainer: { Image, ModelDataUrl, Environment },
            Tags: [...tags],
          }),
        );
      } catch (error) {
        if (!/already existing/.test((error as Error).message)) throw error;
      }
    },
  };
}
