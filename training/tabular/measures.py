"""What the training says about itself, computed where the scores lie."""

import torch
from torch import Tensor

def logloss(scores: Tensor, target: Tensor) -> float:
    sure = scores.double().clamp(1e-15, 1 - 1e-15)
    return -torch.where(target > 0, sure.log(), (1 - sure).log()).mean().item()


def auc(scores: Tensor, target: Tensor) -> float:
    """The chance that a positive row has the higher score; equal scores count half. NaN where a class is missing."""
    order = scores.sort().values
    positive = scores[target > 0]
    positives, negatives = len(positive), len(scores) - len(positive)
    if not positives or not negatives:
        return float("nan")
    below, upto = (torch.searchsorted(order, positive, right=right).double() for right in (False, True))
    ranks = ((below + upto + 1) / 2).sum().item()
    return (ranks - positives * (positives + 1) / 2) / (positives * negatives)
