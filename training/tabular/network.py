"""The network: an ensemble in one, after TabM (Gorishniy et al., 2024) and BatchEnsemble (Wen et al., 2020).

Each of k members is a perceptron; a layer's members share one matrix, which each scales by a vector of its own on
either side. A number is embedded as a piecewise-linear function of its value, a category by a row of a table.
inference.py computes the same with numpy.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def initial(features: list[dict], members: int, width: int, layers: int, embedding: int, seed: int) -> dict[str, np.ndarray]:
    """The weights to begin with. Those of matrices, which decay, have two dimensions and a name that starts with `w`."""
    random = np.random.default_rng(seed)

    def uniform(*shape: int, fan: int) -> np.ndarray:
        return random.uniform(-1, 1, shape).astype(np.float32) / np.float32(np.sqrt(fan))

    numbers = [feature for feature in features if feature["kind"] == "number"]
    categories = [feature for feature in features if feature["kind"] == "category"]
    intervals = max([1, *(len(feature["knots"]) - 1 for feature in numbers)])
    weights = {}
    if numbers:
        # the last row is added where the value is missing
        weights["numbers"] = uniform(len(numbers), intervals + 1, embedding, fan=embedding)
    if categories:
        rows = sum(1 + len(feature["categories"]) for feature in categories)
        weights["categories"] = uniform(rows, embedding, fan=embedding)
        firsts = np.cumsum([0, *(1 + len(feature["categories"]) for feature in categories[:-1])])
        weights["categories"][firsts] = 0  # unknown: what none had in training stays in the middle
    inputs = embedding * len(features)
    for layer in range(layers):
        weights[f"w{layer}"] = uniform(inputs, width, fan=inputs)
        # members begin apart by what they see of the input, and by their biases
        signs = random.choice(np.float32([-1, 1]), (members, inputs))
        weights[f"in{layer}"] = signs if layer == 0 else np.ones_like(signs)
        weights[f"out{layer}"] = np.ones((members, width), np.float32)
        weights[f"bias{layer}"] = uniform(members, width, fan=inputs)
        inputs = width
    weights["head"] = uniform(members, width, fan=width)
    weights["head_bias"] = uniform(members, fan=width)
    return weights


def forward(weights: dict[str, Tensor], positions: Tensor, codes: Tensor, precision: torch.dtype, dropout: float = 0.0) -> Tensor:
    """What each member says to each row, as float32: members x rows."""
    parts = []
    if "numbers" in weights:
        steps = torch.arange(weights["numbers"].shape[1] - 1, device=positions.device)
        filled = (positions.unsqueeze(-1) - steps).clamp(0, 1)
        missing = (positions < 0).unsqueeze(-1).to(filled.dtype)
        basis = torch.cat([filled, missing], -1).to(precision)
        embedded = torch.bmm(basis.transpose(0, 1), weights["numbers"].to(precision))
        parts.append(embedded.transpose(0, 1).flatten(1))
    if "categories" in weights:
        parts.append(F.embedding(codes, weights["categories"]).flatten(1).to(precision))
    hidden = torch.cat(parts, 1)
    for layer in range(depth(weights)):
        # each member's own matrix costs less to make than scaling all rows twice
        matrix = weights[f"in{layer}"].unsqueeze(2) * weights[f"w{layer}"] * weights[f"out{layer}"].unsqueeze(1)
        matrix, bias = matrix.to(precision), weights[f"bias{layer}"].to(precision).unsqueeze(1)
        if layer == 0:
            members, inputs, width = matrix.shape
            # one product for all members, for they read the same
            wide = hidden @ matrix.transpose(0, 1).reshape(inputs, members * width)
            hidden = wide.view(-1, members, width).transpose(0, 1) + bias
        else:
            hidden = torch.baddbmm(bias, hidden, matrix)
        hidden = hidden.relu_()
        if dropout:
            hidden = F.dropout(hidden, dropout)
    said = torch.bmm(hidden, weights["head"].to(precision).unsqueeze(2)).squeeze(2)
    return said.float() + weights["head_bias"].unsqueeze(1)


def depth(weights: dict) -> int:
    return sum(name.startswith("bias") for name in weights)
