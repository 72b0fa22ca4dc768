import { AUC, COMPLEMENT, ofLoss } from '../judge/metric';
import { calibrationError, LOSSES } from '../statistics';
import { countScores, oneNumber } from './one-number';
import type { Problem } from './problem';

/** Which of two things happens: labels are 0 and 1, a score is the probability of 1. */
export const BINARY: Problem = {
  name: 'binary',
  suits: ({ type, minimum, maximum, allowed }) => {
    const isZeroOrOne = (minimum === 0 && maximum === 1) || allowed?.every((value) => value === 0 || value === 1);
    return type === 'boolean' || (type === 'integer' && isZeroOrOne) ? 'surely' : 'no';
  },
  labels: {
    are: '0 or 1',
    allows: (label) => label === 0 || label === 1,
    refusedBy: (column) => `${column} NOT IN (0, 1)`,
    lack: (labels) => {
      const positive = Array.prototype.reduce.call(labels, (sum, label) => sum + label, 0) as number;
      const negative = labels.length - positive;
      if (positive >= 2 && negative >= 2) return undefined;
      return `at least 2 rows of each class, got ${positive} of 1 and ${negative} of 0`;
    },
    lackIfAlike: 'both classes',
    edges: () => [1],
  },
  scores: {
    are: 'probabilities from 0 to 1',
    fix: 'let its inference code answer probabilities, not margins or classes',
    read: oneNumber,
    allows: (score) => typeof score === 'number' && score >= 0 && score <= 1,
    count: countScores,
  },
  metrics: [
    AUC,
    ofLoss('logLoss', 'log loss', LOSSES.logLoss),
    ofLoss('brier', 'Brier score', LOSSES.brier),
    ofLoss('accuracy', 'accuracy', LOSSES.mistake, COMPLEMENT),
  ],
  alsoMeasured: { calibrationError: (labels, scores) => calibrationError(labels, scores as ArrayLike<number>) },
  printed: ['auc', 'logloss'],
  alsoPrinted: { f1: true, precision: true, recall: true },
  trivialAnswers: ({ mean }) => [{ what: 'the base rate', score: mean }],
};
