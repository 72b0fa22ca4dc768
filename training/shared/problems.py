"""What a model predicts, and all that follows from it. Nothing else asks which problem it is.

A further problem is a class here and its entry at the end. Methods that compute with PyTorch import it themselves,
for where a model is served there may be none.
"""

import numpy as np


class Binary:
    """Which of two things happens: labels are 0 and 1, an answer is the probability of 1."""

    name = "binary"
    # What is measured, as XGBoost calls it; the last one decides when to stop early, and whether more of it is better.
    metrics = ("logloss", "auc")
    more_is_better = True

    @staticmethod
    def booster(target: np.ndarray) -> dict:
        """XGBoost's parameters for such labels."""
        return {"objective": "binary:logistic"}

    @staticmethod
    def mistake(target: np.ndarray) -> str | None:
        """Why finite labels cannot be such; completes "must be ..."."""
        others = sorted(set(target[~np.isin(target, (0, 1))].tolist()))
        return f"0 or 1, got {others[:3]}" if others else None

    @staticmethod
    def lack(target: np.ndarray) -> str | None:
        """What labels lack to learn from; completes "must have ..."."""
        if len(np.unique(target)) > 1:
            return None
        return f"both classes to learn from, got only {target[0]:g} in all {len(target)} rows"

    @staticmethod
    def scale(target: np.ndarray) -> tuple[float, float]:
        """Middle and spread of the labels, by which the network's are made small."""
        return 0.0, 1.0

    @staticmethod
    def loss(said, wanted):
        """The mean loss of what the network says, before it is an answer. Tensors of one shape."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(said, wanted)

    @staticmethod
    def scores(said):
        """The answers of what the network says, in its own scale. Tensors."""
        return said.sigmoid()

    @staticmethod
    def answers(said: np.ndarray) -> np.ndarray:
        """The same as `scores`, where the model is served."""
        return 0.5 + 0.5 * np.tanh(0.5 * said)  # the logistic function, which so never overflows

    @staticmethod
    def measured(scores, target) -> dict[str, float]:
        """The metrics in their order, of the network's answers. Tensors."""
        from measures import auc, logloss

        return {"logloss": logloss(scores, target), "auc": auc(scores, target)}


class Regression:
    """How much of something there is: labels and answers are numbers."""

    name = "regression"
    metrics = ("mae", "rmse")
    more_is_better = False

    @staticmethod
    def booster(target: np.ndarray) -> dict:
        return {"objective": "reg:squarederror"}

    @staticmethod
    def mistake(target: np.ndarray) -> str | None:
        return None

    @staticmethod
    def lack(target: np.ndarray) -> str | None:
        return None

    @staticmethod
    def scale(target: np.ndarray) -> tuple[float, float]:
        return float(target.mean()), float(target.std()) or 1.0

    @staticmethod
    def loss(said, wanted):
        from torch.nn.functional import mse_loss

        return mse_loss(said, wanted)

    @staticmethod
    def scores(said):
        return said

    @staticmethod
    def answers(said: np.ndarray) -> np.ndarray:
        return said

    @staticmethod
    def measured(scores, target) -> dict[str, float]:
        error = scores.double() - target.double()
        return {"mae": error.abs().mean().item(), "rmse": error.square().mean().sqrt().item()}


PROBLEMS = {problem.name: problem for problem in (Binary, Regression)}
DEFAULT = Binary.name
