"""The tabular trainer against the same network in plain PyTorch and in Lightning, and against XGBoost:

    tabular.py FOLDER [--rows N] [--epochs N] [--pairs N] [--rounds N] [--name value ...]

FOLDER is what a run prepared (bench/tabular.ts). The networks are equal in weights to begin with, batches, optimizer and
learning rates; each is timed in turn, --pairs times after one that is not counted, without the start of Python and
without validation. Plain PyTorch is there twice: with a DataLoader, and compiled with all rows on the device, as one
writes it who knows how slow a DataLoader is for rows. More rows than there are come from the same ones again, with the
distance changed by some miles.
"""

import argparse
import logging
import os
import re
import statistics
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "training" / name) for name in ("shared", "tabular")]

import lightning
import numpy as np
import torch
import torch._dynamo  # noqa: F401 (optimizers load it at their first step, which is none of training's time)
import xgboost
from channels import load
from encoding import encoded, with_knots
from fitting import Fit, Plan, Rows, Weights, rates
from measures import auc
from network import forward, initial, loss, prediction
from ranks import Ranks
from torch.utils.data import DataLoader, TensorDataset

SHAPE = {"members": 4, "width": 256, "layers": 3, "embedding": 16, "seed": 1}


class Quiet(Ranks):
    """Keeps what would be printed."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def print(self, line):
        self.lines.append(line)


def waited(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def best_of(count, work, device):
    def once():
        start = waited(device)
        work()
        return waited(device) - start

    once()
    return min(once() for _ in range(count))


def ceilings(device, precision):
    """What this machine does at most: floating-point operations of a product and bytes of a copy, a second."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(precision) for _ in range(2))
    source = torch.empty(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    flops = 2 * size**3 / best_of(10, lambda: a @ b, device)
    return flops, 2 * source.numel() / best_of(10, lambda: target.copy_(source), device)


def per_row(inputs, precision):
    """Operations and bytes of a row's way through the network and back.

    Bytes are counted, not measured: of each layer's outputs, four accesses on the way there (the product writes,
    the ReLU reads and writes, the next product reads) and seven on the way back.
    """
    k, width, layers = SHAPE["members"], SHAPE["width"], SHAPE["layers"]
    products = k * (inputs * width + (layers - 1) * width * width + width)
    return 3 * 2 * products, 11 * k * width * layers * precision.itemsize


class Network(torch.nn.Module):
    """The same network as anybody would write it."""

    def __init__(self, weights, precision):
        super().__init__()
        self.precision = precision
        for name, value in weights.items():
            self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(value.copy())))

    def forward(self, positions, codes):
        return forward(dict(self.named_parameters()), positions, codes, self.precision)

    def optimizer(self, plan, per_epoch):
        named = dict(self.named_parameters())
        groups = [
            {"params": [value for name, value in named.items() if name.startswith("w")], "weight_decay": plan.weight_decay},
            {"params": [value for name, value in named.items() if not name.startswith("w")], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=1.0)
        table = rates(plan, per_epoch).tolist()
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: table[step])


def loader(rows, plan, device):
    shuffled = {"batch_size": plan.batch_size, "shuffle": True, "drop_last": True}
    workers = {"num_workers": 4, "persistent_workers": True, "pin_memory": True} if device.type == "cuda" else {}
    return DataLoader(TensorDataset(*(tensor.cpu() for tensor in rows[:3])), **shuffled, **workers)


def ours(weights, plan, seen, unseen, ranks):
    ranks.lines.clear()
    fit = Fit(plan, Weights(weights, ranks.device), seen, unseen, lambda scores: scores, ranks)
    fit.run(None, lambda: False, 1e9)
    speeds = [float(re.search(r"(\d+) rows/s", line)[1]) for line in ranks.lines]
    return statistics.harmonic_mean(speeds), fit.weights.views


def stepped(plan, network, batches, per_epoch, device, compiled):
    torch.manual_seed(plan.seed)
    optimizer, schedule = network.optimizer(plan, per_epoch)
    said = torch.compile(network) if compiled else network
    start = waited(device)
    for _ in range(plan.epochs):
        for positions, codes, wanted in batches():
            optimizer.zero_grad()
            loss(said(positions, codes), wanted, plan.problem).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    seconds = waited(device) - start
    return plan.epochs * per_epoch * plan.batch_size / seconds, dict(network.named_parameters())


def plain(weights, plan, seen, unseen, ranks):
    network = Network(weights, getattr(torch, plan.precision)).to(ranks.device)
    loaded = loader(seen, plan, ranks.device)

    def batches():
        return ([part.to(ranks.device, non_blocking=True) for part in batch] for batch in loaded)

    return stepped(plan, network, batches, len(loaded), ranks.device, compiled=False)


def plain_on_device(weights, plan, seen, unseen, ranks):
    network = Network(weights, getattr(torch, plan.precision)).to(ranks.device)
    per_epoch = len(seen.target) // plan.batch_size

    def batches():
        order = torch.randperm(len(seen.target), device=ranks.device)
        for pick in order[: per_epoch * plan.batch_size].view(per_epoch, -1):
            yield [part[pick] for part in seen[:3]]

    return stepped(plan, network, batches, per_epoch, ranks.device, compiled=True)


def by_lightning(weights, plan, seen, unseen, ranks):
    batches = loader(seen, plan, ranks.device)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = Network(weights, getattr(torch, plan.precision))

        def training_step(self, batch, _):
            return loss(self.network(*batch[:2]), batch[2], plan.problem)

        def configure_optimizers(self):
            optimizer, schedule = self.network.optimizer(plan, len(batches))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

        def on_train_start(self):
            self.start = waited(ranks.device)

        def on_train_end(self):
            self.seconds = waited(ranks.device) - self.start

    lightning.seed_everything(plan.seed, verbose=False)
    module = Module()
    trainer = lightning.Trainer(
        max_epochs=plan.epochs, gradient_clip_val=1.0, accelerator="gpu" if ranks.device.type == "cuda" else "cpu",
        devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, batches)
    network = module.network.to(ranks.device)
    return plan.epochs * len(batches) * plan.batch_size / module.seconds, dict(network.named_parameters())


def by_xgboost(parts, features, rounds, device):
    kinds = ["c" if feature["kind"] == "category" else "q" for feature in features]
    start = time.perf_counter()
    seen = xgboost.QuantileDMatrix(*parts[0], feature_types=kinds, enable_categorical=True)
    params = {"objective": "binary:logistic", "tree_method": "hist", "max_depth": 8, "eta": 0.1, "device": device.type, "seed": 1}
    booster = xgboost.train(params, seen, rounds)
    seconds = time.perf_counter() - start
    rows = xgboost.DMatrix(parts[1].rows, feature_types=kinds, enable_categorical=True)
    return seconds, auc(torch.from_numpy(booster.predict(rows)), torch.from_numpy(parts[1].target))


def more(part, count, features):
    """So many rows of a part: the first ones, or all again and again with the distances changed."""
    random = np.random.default_rng(0)
    pick = np.arange(count) % len(part.target)
    rows = part.rows[pick]
    again = np.arange(count) >= len(part.target)
    distance = [feature["name"] for feature in features].index("distance")
    rows[again, distance] += random.normal(0, 5, again.sum()).astype(np.float32)
    return part._replace(rows=rows, target=part.target[pick])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, default in (("rows", 200_000), ("epochs", 3), ("pairs", 3), ("rounds", 200), ("batch", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("members", "width", "layers"):
        parser.add_argument(f"--{name}", type=int, default=SHAPE[name])
    given = parser.parse_args()
    SHAPE.update(members=given.members, width=given.width, layers=given.layers)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for channel in ("train", "validation"):
        os.environ[f"SM_CHANNEL_{channel.upper()}"] = str(given.folder / "prepared" / channel)
    seen, unseen, features, _ = load("binary", 5)
    seen = more(seen, given.rows, features)
    features = with_knots(features, seen.rows, 48)
    ranks = Quiet()
    device = ranks.device
    precision = torch.bfloat16 if device.type == "cuda" else torch.float32
    batch = given.batch or (8192 if device.type == "cuda" else 1024)
    plan = Plan("binary", 1, given.epochs, 0, batch, 0.005, "cosine", 0.05, 0.0003, 0.0, str(precision)[len("torch.") :])
    parts = [
        Rows(*(torch.from_numpy(a).to(device) for a in (*encoded(p.rows, features), *[p.target.astype(np.float32)] * 2)))
        for p in (seen, unseen)
    ]
    weights = initial(features, **SHAPE)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; torch {torch.__version__}, {precision}; {given.rows} rows, {given.epochs} epochs, {batch} rows a step, {SHAPE}")
    before = ceilings(device, precision)

    contestants = {
        "ours": ours,
        "PyTorch, DataLoader": plain,
        "PyTorch, compiled, rows on the device": plain_on_device,
        "Lightning": by_lightning,
    }
    speeds, scores = ({name: [] for name in contestants} for _ in range(2))
    trees = []
    for pair in range(-1, given.pairs):
        for name, train in contestants.items():
            speed, learned = train(weights, plan, *parts, ranks)
            if pair < 0:  # what only the first time costs
                continue
            speeds[name].append(speed)
            with torch.no_grad():
                said = [
                    prediction(forward(learned, parts[1].positions[i : i + 4096], parts[1].codes[i : i + 4096], precision), "binary")
                    for i in range(0, len(unseen.target), 4096)
                ]
            scores[name].append(auc(torch.cat(said), parts[1].target))
            print(f"{name}: {speed:.0f} rows/s, validation AUC {scores[name][-1]:.4f}", flush=True)
        if pair < 0:
            continue
        trees.append(by_xgboost((seen, unseen), features, given.rounds, device))
        print(f"XGBoost: {given.rounds} rounds in {trees[-1][0]:.1f} s, validation AUC {trees[-1][1]:.4f}", flush=True)

    # the greater of before and after, for others may have used the machine meanwhile
    most_flops, most_bytes = map(max, before, ceilings(device, precision))
    print(f"ceilings: product {most_flops / 1e12:.3f} TFLOP/s, copy {most_bytes / 1e9:.1f} GB/s")
    flops, moved = per_row(SHAPE["embedding"] * len(features), precision)
    print("\n| | rows/s: median (min-max) | ours / this | TFLOP/s | of the product's | GB/s (counted) | of the copy's | AUC |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    for name, values in speeds.items():
        at = middle[name]
        print(
            f"| {name} | {at:.0f} ({min(values):.0f}-{max(values):.0f}) | {middle['ours'] / at:.2f} | {at * flops / 1e12:.3f} "
            f"| {at * flops / most_flops:.0%} | {at * moved / 1e9:.2f} | {at * moved / most_bytes:.0%} | {statistics.mean(scores[name]):.4f} |"
        )
    seconds = statistics.median(one for one, _ in trees)
    network = given.epochs * given.rows / middle["ours"]
    print(f"\nXGBoost, {given.rounds} rounds: {seconds:.1f} s, AUC {trees[0][1]:.4f}; ours {network:.1f} s, ours / XGBoost {network / seconds:.2f}")


if __name__ == "__main__":
    main()
