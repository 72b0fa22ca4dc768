"""Trains an XGBoost model in SageMaker's script mode; started as `python train.py --name value ...`.

Reads  Parquet in the channels `train` and `validation`: the features in order, the target last.
       Text columns are categories, all others are numbers.
Writes model/xgboost-model.ubj, model/model.json (what inference.py must know), model/code,
       and a checkpoint every few rounds, from which an interrupted job goes on to the very same model.

Hyperparameters of ours: problem (see problems.py), seed, key (name of the row's key, if requests
carry one), num_round (200), early_stopping_rounds (20; 0: never), checkpoint_rounds (25). All others are
XGBoost's own, of which max_depth (8) and eta (0.1) have defaults here.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256

import pyarrow as pa
import xgboost as xgb
from booster_names import booster_names
from channels import load
from job import MODEL, Checkpoints, arguments, choice, run, whole, write_about
from problems import DEFAULT, PROBLEMS


def quantised(seen, unseen, features):
    """Both channels as XGBoost sees them."""
    kinds = ["c" if feature["kind"] == "category" else "q" for feature in features]
    common = {"feature_names": booster_names(features), "feature_types": kinds, "enable_categorical": True}
    seen = xgb.QuantileDMatrix(*seen, **common)
    return seen, xgb.QuantileDMatrix(*unseen, ref=seen, **common)


def gpu():
    """Whether this machine has a GPU that this XGBoost can use."""
    if not xgb.build_info().get("USE_CUDA"):
        return False
    if int(os.environ.get("SM_NUM_GPUS") or 0) > 0:
        return True
    if shutil.which("nvidia-smi") is None:
        return False
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    return listed.returncode == 0 and "GPU" in listed.stdout


class Boosters(Checkpoints):
    """A checkpoint is a booster with attributes."""

    def __init__(self, identity):
        super().__init__(identity, "round-*.ubj")

    def save_booster(self, booster, rounds):
        booster.set_attr(identity=self.identity)
        self.save(f"round-{rounds:06}.ubj", booster.save_model)

    def newest_booster(self, params):
        def read(file):
            booster = xgb.Booster(params, model_file=file)
            return booster.attr("identity"), booster

        return self.newest(read, xgb.core.XGBoostError)


def scores(booster, matrix_, name, round_):
    """The metrics of one matrix by their name."""
    words = booster.eval_set([(matrix_, name)], round_).split("\t")[1:]
    return {metric: float(value) for metric, value in (word.rsplit(":", 1) for word in words)}


def samples(params):
    """Whether XGBoost draws at random. A booster draws differently after it was loaded from a file."""
    return any(name == "subsample" or name.startswith("colsample_") for name in params)


def fit(params, rounds, patience, every, data, checkpoints, stopped):
    """Boosts until the rounds are over or validation stops improving; returns the best booster.

    A job that goes on from a checkpoint gives the same model as one that was never interrupted. Where
    XGBoost draws at random, that takes a checkpoint at fixed rounds only, and going on from it always.
    """
    seen, unseen, metric, more_is_better = data
    fixed = samples(params)
    booster = checkpoints.newest_booster(params) or xgb.Booster(params, [seen, unseen])
    start = booster.num_boosted_rounds()
    best, best_round = float(booster.attr("best") or "nan"), int(booster.attr("best_round") or -1)
    if start:
        print(f"going on after round {start}", flush=True)
    for round_ in range(start, rounds):
        if patience and best_round >= 0 and round_ - 1 - best_round >= patience:
            break
        booster.update(seen, round_)
        now = scores(booster, unseen, "validation", round_)
        value = now[f"validation-{metric}"]
        if best_round < 0 or (value > best if more_is_better else value < best):
            best, best_round = value, round_
            booster.set_attr(best=repr(best), best_round=str(best_round))
        done = round_ + 1
        if done % 10 == 0 or done == rounds:
            print(f"round {done}: " + " ".join(f"{k.replace('-', ':')}={v:.6f}" for k, v in now.items()), flush=True)
        if stopped():
            if not fixed:
                checkpoints.save_booster(booster, done)
            print(f"stopped after round {done}, the checkpoints say where to go on", flush=True)
            sys.exit(128 + signal.SIGTERM)
        if done % every == 0 and done < rounds:
            checkpoints.save_booster(booster, done)
            if fixed:
                booster = checkpoints.newest_booster(params)
    return booster[: best_round + 1] if patience else booster


def write_model(booster, about):
    MODEL.mkdir(parents=True, exist_ok=True)
    booster.set_attr(identity=None, best=None, best_round=None)
    booster.save_model(MODEL / "xgboost-model.ubj")
    write_about(about, ["inference.py", "booster_names.py", "csv_request.py", "features.py"])


def main(words):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    options = arguments(words)
    problem = PROBLEMS[choice(options, "problem", DEFAULT, PROBLEMS)]
    key = options.pop("key", None)
    rounds = whole(options, "num_round", 200, 1)
    patience = whole(options, "early_stopping_rounds", 20, 0)
    every = whole(options, "checkpoint_rounds", 25, 1)
    params = {
        "tree_method": "hist",
        "max_depth": 8,
        "eta": 0.1,
        "seed": whole(options, "seed", 0, 0),
        "seed_per_iteration": True,  # a job that goes on from a checkpoint draws what it would have drawn
        "device": "cuda" if gpu() else "cpu",
        **options,
        "eval_metric": list(problem.metrics),
    }
    *parts, features, target = load(problem.name)
    params = {**problem.booster(parts[0].target), **params}
    seen, unseen = quantised(*parts, features)
    print(f"{seen.num_row()} rows to train on, {unseen.num_row()} to validate, device {params['device']}", flush=True)
    # what the next machine must have in common with the last; it may have a GPU where that had none
    same = [{**params, "device": None}, features, target, seen.num_row(), float(seen.get_label().sum()), unseen.num_row()]
    identity = sha256(json.dumps(same).encode()).hexdigest()
    data = (seen, unseen, problem.metrics[-1], problem.more_is_better)
    booster = fit(params, rounds, patience, every, data, Boosters(identity), lambda: bool(stop))
    for name, matrix_ in (("train", seen), ("validation", unseen)):
        for measured, value in scores(booster, matrix_, name, 0).items():
            print(f"{measured.replace('-', ':', 1)}={value:.6f}", flush=True)
    print(f"rounds={booster.num_boosted_rounds()}", flush=True)
    about = {"problem": problem.name, "features": features, "target": target, "xgboost": xgb.__version__}
    write_model(booster, {**about, "key": key} if key is not None else about)


if __name__ == "__main__":
    run(main, xgb.core.XGBoostError, pa.ArrowException)
