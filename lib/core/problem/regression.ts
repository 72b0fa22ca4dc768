import { ofLoss, ROOT } from '../judge/metric';
import { quantileEdges } from '../prepare/profile';
import { LOSSES } from '../statistics';
import { countScores, oneNumber } from './one-number';
import type { Problem } from './problem';

/** How much of something there is: labels and scores are numbers. */
export const REGRESSION: Problem = {
  name: 'regression',
  suits: ({ type }) => (type === 'number' ? 'surely' : type === 'integer' ? 'likely' : 'no'),
  labels: {
    are: 'finite numbers',
    allows: Number.isFinite,
    refusedBy: (column) => `NOT isfinite(${column}::DOUBLE)`,
    lack: () => undefined,
    edges: (sample) => quantileEdges(sample),
  },
  scores: {
    are: 'finite numbers',
    fix: 'look at its inference code',
    read: oneNumber,
    allows: (score) => typeof score === 'number',
    count: countScores,
  },
  metrics: [ofLoss('rmse', 'RMSE', LOSSES.squared, ROOT), ofLoss('mae', 'MAE', LOSSES.absolute)],
  alsoMeasured: {},
  printed: ['rmse', 'mae'],
  alsoPrinted: { r2: true, mse: false, mape: false },
  trivialAnswers: ({ mean, median }) => [
    { what: "the training rows' mean", score: mean },
    { what: "the training rows' median", score: median },
  ],
};
