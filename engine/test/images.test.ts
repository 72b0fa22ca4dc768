import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { imageRequirements } from '../src/containers/python';

const ECR = '763104351884.dkr.ecr.eu-west-1.amazonaws.com';

describe('an image', () => {
  test.each([
    [`${ECR}/pytorch:2.13-cpu-amzn2023-sagemaker`, 'pytorch'],
    [`${ECR}/pytorch:2.13-cu133-amzn2023-sagemaker@sha256:${'0'.repeat(64)}`, 'pytorch'],
    [`${ECR}/pytorch@sha256:${'0'.repeat(64)}`, 'pytorch'],
    ['public.ecr.aws/deep-learning-containers/pytorch:2.13-cpu-amzn2023-sagemaker', 'pytorch'],
    [`${ECR}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker`, 'pytorch'],
    ['683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:3.2-0', 'sagemaker-xgboost'],
    ['localhost:5000/sagemaker-xgboost', 'sagemaker-xgboost'],
  ])('%s brings along images/%s.txt', (image, file) => {
    expect(imageRequirements(image)).toMatch(new RegExp(`/images/${file}\\.txt$`));
  });

  test.each([`${ECR}/my-pytorch:1`, `${ECR}/pytorch/mine:1`, `${ECR}/tensorflow-training:2.19`, 'pytorch/:1', ''])(
    '%j is not known',
    (image) => {
      expect(imageRequirements(image)).toBeUndefined();
    },
  );

  test('of PyTorch has torch in one version', () => {
    const lines = readFileSync(imageRequirements(`${ECR}/pytorch:2.13`) as string, 'utf8').split('\n');
    expect(lines.filter((line) => line.startsWith('torch=='))).toEqual(['torch==2.13.0']);
    expect(lines.filter((line) => line !== '' && !/^#|^[a-z-]+==[\d.]+$/.test(line))).toEqual([]);
  });
});
