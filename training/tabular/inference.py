"""Serves a model of train.py, for an endpoint's requests and for batch transform; csv_request.py says what they are.

Computes network.py's forward pass with numpy, so that no PyTorch is needed where the model is served.
"""

import json
from pathlib import Path

import numpy as np
from csv_request import input_fn, output_fn, rows_of  # noqa: F401 (the container looks for all of them here)
from encoding import encoded
from problems import PROBLEMS

# As many rows at once as keep a layer of all members in the processor's caches, or nearly so.
FLOATS_AT_ONCE = 1 << 21


def model_fn(model_dir: str) -> dict:
    about = json.loads(Path(model_dir, "model.json").read_text())
    with np.load(Path(model_dir, "weights.npz")) as stored:
        weights = {name: stored[name] for name in stored.files}
    layers = []
    for layer in range(sum(name.startswith("bias") for name in weights)):
        into, out = weights[f"in{layer}"][:, :, None], weights[f"out{layer}"][:, None, :]
        layers.append((into * weights[f"w{layer}"] * out, weights[f"bias{layer}"][:, None, :]))
    return {**about, "weights": weights, "layers": layers}


def predict_fn(body: bytes, model: dict) -> np.ndarray:
    positions, codes = encoded(rows_of(body, model), model["features"])
    members, _, width = model["layers"][0][0].shape
    size = max(1, FLOATS_AT_ONCE // (members * width))
    blocks = range(0, len(positions), size)
    return np.concatenate([predicted(positions[i : i + size], codes[i : i + size], model) for i in blocks])


def predicted(positions: np.ndarray, codes: np.ndarray, model: dict) -> np.ndarray:
    weights = model["weights"]
    parts = []
    if "numbers" in weights:
        steps = np.arange(weights["numbers"].shape[1] - 1, dtype=np.float32)
        filled = np.clip(positions.T[:, :, None] - steps, 0, 1)
        missing = (positions.T[:, :, None] < 0).astype(np.float32)
        embedded = np.concatenate([filled, missing], 2) @ weights["numbers"]
        parts.append(embedded.transpose(1, 0, 2).reshape(len(positions), -1))
    if "categories" in weights:
        parts.append(weights["categories"][codes].reshape(len(codes), -1))
    hidden = np.concatenate(parts, 1)
    for matrix, bias in model["layers"]:
        hidden = hidden @ matrix
        hidden += bias
        np.maximum(hidden, 0, out=hidden)
    said = (hidden @ weights["head"][:, :, None])[:, :, 0] + weights["head_bias"][:, None]
    answers = PROBLEMS[model["problem"]].answers(said).mean(0)
    return answers * np.float32(model["spread"]) + np.float32(model["middle"])
