import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { ContinuousTraining, type ContinuousTrainingProps, DataContract, Trainer } from '../../lib';

/** The smallest contract that is worth training on. */
export const CONTRACT = {
  columns: [
    { name: 'id', type: 'integer', unique: true },
    { name: 'at', type: 'timestamp' },
    { name: 'size', type: 'number', minimum: 0 },
    { name: 'kind', type: 'string' },
    { name: 'bad', type: 'boolean' },
  ],
  key: 'id',
  eventTime: 'at',
  features: ['size', 'kind'],
  target: 'bad',
};

/** An empty stack to build one construct in. */
export function emptyStack(): Stack {
  return new Stack(new App(), 'Stack');
}

/** A stack with the whole loop, a stack of one's own if it is given. */
export function wholeLoop({
  stack = emptyStack(),
  ...props
}: Partial<ContinuousTrainingProps> & { stack?: Stack } = {}): {
  stack: Stack;
  loop: ContinuousTraining;
} {
  const loop = new ContinuousTraining(stack, 'Loop', {
    contract: DataContract.fromObject(CONTRACT),
    trainer: Trainer.xgboost(),
    ...props,
  });
  return { stack, loop };
}

/** The template of a stack, made once a stack. */
export function templateOf(stack: Stack): Template {
  return Template.fromStack(stack);
}
