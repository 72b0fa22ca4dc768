"""Trains an ensemble of neural networks for tables in SageMaker's script mode: `python train.py --name value ...`,
or by torchrun with a process for each GPU.

Reads  Parquet in the channels `train` and `validation`: the features in order, the target last.
       Text columns are categories, all others are numbers.
Writes model/weights.npz, model/model.json and model/code, which need no PyTorch to be served,
       and checkpoints, from which an interrupted job goes on to the very same model.

Hyperparameters: problem (see problems.py), seed (0), key (name of the row's key, if requests carry one);
  epochs (20), early_stopping_epochs (5; 0: never), batch_size (0: by the number of rows; over all GPUs together),
  learning_rate (0.005), schedule (cosine or constant), warmup (0.05, the share of all steps), weight_decay (0.0003),
  dropout (0); members (4), width (256), layers (3), embedding (16, numbers for each feature), bins (48, for each
  number), least_rows (5: a category that fewer rows have counts as unknown); precision (auto, bfloat16 or float32),
  checkpoint_seconds (60).
"""

import json
import os
import signal
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from channels import load
from encoding import encoded, with_knots
from fitting import Fit, Plan, Rows, Stopped, Weights
from job import CHECKPOINTS, MODEL, Checkpoints, Refused, arguments, choice, number, run, whole, write_about
from network import initial
from problems import DEFAULT, PROBLEMS
from ranks import Ranks


class States(Checkpoints):
    """A checkpoint is the state of a training; the first process writes it and reads it for all."""

    def __init__(self, identity: str, ranks: Ranks):
        super().__init__(identity, "step-*.pt")
        self.ranks = ranks

    def write(self, fit: Fit) -> None:
        cuda = self.ranks.device.type == "cuda"
        random = self.ranks.gather(torch.cuda.get_rng_state() if cuda else torch.get_rng_state())
        if self.ranks.rank > 0:
            return
        state = {
            "identity": self.identity,
            "tensors": [tensor.cpu() for tensor in fit.tensors()],
            "random": random,
            "device": self.ranks.device.type,
            "counts": [fit.done, fit.evaluated, fit.best_epoch, fit.best],
        }
        self.save(f"step-{fit.done:010}.pt", lambda file: torch.save(state, file))

    def resume(self, fit: Fit) -> None:
        def read(file: Path) -> tuple[str, dict]:
            state = torch.load(file, map_location="cpu", weights_only=True)
            return state["identity"], state

        state = self.ranks.share(lambda: self.newest(read, Exception))
        if state is None:
            return
        for tensor, value in zip(fit.tensors(), state["tensors"]):
            tensor.copy_(value)
        fit.done, fit.evaluated, fit.best_epoch, fit.best = state["counts"]
        kind, size = self.ranks.device.type, self.ranks.size
        if (state["device"], len(state["random"])) != (kind, size):
            torch.manual_seed(fit.plan.seed * 1_000_003 + fit.done * size + self.ranks.rank)
            self.ranks.print(f"going on after step {fit.done}, on other machines: the bits will not be the same")
            return
        random = state["random"][self.ranks.rank]
        torch.cuda.set_rng_state(random) if kind == "cuda" else torch.set_rng_state(random)
        self.ranks.print(f"going on after step {fit.done}")


def automatic_batch(rows: int) -> int:
    """Some hundred steps an epoch, within what fills a GPU and what still learns well."""
    return 2 ** int(np.clip(round(np.log2(rows / 700)), 7, 13))


def write_model(fit: Fit, about: dict) -> None:
    MODEL.mkdir(parents=True, exist_ok=True)
    part = MODEL / ".part.npz"
    np.savez(part, **{name: view.cpu().numpy() for name, view in fit.weights.views.items()})
    os.replace(part, MODEL / "weights.npz")
    write_about(about, ["inference.py", "encoding.py", "csv_request.py", "features.py", "problems.py"])


def main(words: list[str]) -> None:
    stop: list[bool] = []
    # until there is something to save, a stop is just that
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    options = arguments(words)
    problem = PROBLEMS[choice(options, "problem", DEFAULT, PROBLEMS)]
    key = options.pop("key", None)
    shape = {
        "members": whole(options, "members", 4, 1, 256),
        "width": whole(options, "width", 256, 1, 8192),
        "layers": whole(options, "layers", 3, 1, 16),
        "embedding": whole(options, "embedding", 16, 1, 512),
        "seed": whole(options, "seed", 0, 0, 2**32 - 1),
    }
    bins = whole(options, "bins", 48, 1, 1024)
    least_rows = whole(options, "least_rows", 5, 1)
    seconds = number(options, "checkpoint_seconds", 60, 0.1, 86400)
    precision = choice(options, "precision", "auto", ("auto", "bfloat16", "float32"))
    plan = Plan(
        problem=problem.name,
        seed=shape["seed"],
        epochs=whole(options, "epochs", 20, 1, 100_000),
        patience=whole(options, "early_stopping_epochs", 5, 0),
        batch_size=whole(options, "batch_size", 0, 0),
        learning_rate=number(options, "learning_rate", 0.005, 1e-7, 1),
        schedule=choice(options, "schedule", "cosine", ("cosine", "constant")),
        warmup=number(options, "warmup", 0.05, 0, 1),
        weight_decay=number(options, "weight_decay", 0.0003, 0, 1),
        dropout=number(options, "dropout", 0, 0, 0.9),
        precision=precision,
    )
    if options:
        raise Refused(f"hyperparameters {', '.join(sorted(options))} are not known; train.py says which are")

    *parts, features, target = load(problem.name, least_rows)
    for channel, part in zip(("train", "validation"), parts):
        for feature, column in zip(features, part.rows.T):
            if np.isinf(column).any():
                raise Refused(f"column {feature['name']} of channel {channel} must be finite or missing")
    features = with_knots(features, parts[0].rows, bins)
    middle, spread = problem.scale(parts[0].target)

    ranks = Ranks()
    device = ranks.device
    torch.manual_seed(shape["seed"] * 1_000_003 + ranks.rank)
    if precision == "auto":
        whole_float = device.type == "cpu" or not torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "float32" if whole_float else "bfloat16"
    plan = plan._replace(
        precision=precision, batch_size=plan.batch_size or automatic_batch(len(parts[0].target))
    )

    def on_device(part) -> Rows:
        wanted = ((part.target - middle) / spread).astype(np.float32)
        arrays = (*encoded(part.rows, features), wanted, part.target.astype(np.float32))
        return Rows(*(torch.from_numpy(array).to(device) for array in arrays))

    seen, unseen = map(on_device, parts)
    ranks.print(
        f"{len(seen.target)} rows to train on, {len(unseen.target)} to validate, "
        f"{ranks.size} x {device.type} in {precision}, {plan.batch_size} rows a step"
    )
    fit = Fit(plan, Weights(initial(features, **shape), device), seen, unseen, lambda s: s * spread + middle, ranks)
    # what the next machines must have in common with the last; they may be more, or others
    same = [plan._replace(precision="", batch_size=fit.batch), shape, bins, features, target]
    digest = sha256(json.dumps(same).encode())
    for array in (*parts[0], *parts[1]):
        digest.update(np.ascontiguousarray(array))
    checkpoints = States(digest.hexdigest(), ranks)
    checkpoints.resume(fit)
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    try:
        fit.run(checkpoints, lambda: bool(stop), seconds)
        for name, part in (("train", seen), ("validation", unseen)):
            for metric, value in problem.measured(fit.scores(part, fit.pause), part.target).items():
                ranks.print(f"{name}:{metric}={value:.6f}")
    except Stopped:
        ranks.print(f"stopped after step {fit.done}, the checkpoints say where to go on")
        ranks.close()
        sys.exit(128 + signal.SIGTERM)
    ranks.print(f"epochs={fit.evaluated}")
    if ranks.rank == 0:
        about = {"problem": problem.name, "features": features, "target": target, "torch": torch.__version__}
        about |= {"middle": middle, "spread": spread}
        write_model(fit, {**about, "key": key} if key is not None else about)
    ranks.close()


if __name__ == "__main__":
    run(main, pa.ArrowException)
