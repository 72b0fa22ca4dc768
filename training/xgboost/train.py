"""Trains an XGBoost model in SageMaker's script mode; started as `python train.py --name value ...`.

Reads  Parquet in the channels `train` and `validation`: the features in order, the target last.
       Text columns are categories, all others are numbers.
Writes model/xgboost-model.ubj, model/model.json (what inference.py must know), model/code/inference.py,
       and a checkpoint every few rounds, from which an interrupted job goes on to the very same model.

Hyperparameters of ours: problem (binary or regression), seed, key (name of the row's key, if requests
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
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import xgboost as xgb

MODEL = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
ROOT = MODEL.parent
CHECKPOINTS = ROOT / "checkpoints"

# What XGBoost measures each round; the last one decides when to stop early, and whether more of it is better.
METRICS = {"binary": (["logloss", "auc"], True), "regression": (["mae", "rmse"], False)}
OBJECTIVES = {"binary": "binary:logistic", "regression": "reg:squarederror"}


class Refused(Exception):
    """The job cannot succeed, whatever machine it runs on; its text is for the person who started it."""


def arguments(words):
    """`--key value` pairs. Values are JSON where they can be, for SageMaker turns them into text and back."""
    if len(words) % 2 or any(not key.startswith("--") for key in words[::2]):
        raise Refused(f"arguments must be pairs '--name value', got {' '.join(words)}")
    return {key[2:]: decoded(value) for key, value in zip(words[::2], words[1::2])}


def decoded(text):
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def whole(options, name, default, least):
    value = options.pop(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refused(f"hyperparameter {name} must be a whole number of at least {least}, got {value!r}")
    return value


def read(channel):
    """All Parquet files of a channel as one table, files in the order of their names."""
    folder = Path(os.environ.get(f"SM_CHANNEL_{channel.upper()}", ROOT / "input" / "data" / channel))
    files = sorted(str(file) for file in folder.rglob("*.parquet"))
    if not files:
        raise Refused(f"channel {channel} must hold Parquet files (*.parquet), found none in {folder}")
    return ds.dataset(files, format="parquet").to_table().unify_dictionaries()


def is_text(kind):
    return pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def as_text(column):
    return column.cast(pa.string())


def features_of(table):
    """Each feature's name and kind; a category's values in an order that does not depend on the rows' order."""
    features = []
    for field in list(table.schema)[:-1]:
        if is_text(field.type):
            values = sorted(value for value in pc.unique(as_text(table[field.name])).to_pylist() if value is not None)
            features.append({"name": field.name, "kind": "category", "categories": values})
        elif pa.types.is_null(field.type):
            raise Refused(f"column {field.name} of channel train has no value in any row")
        else:
            features.append({"name": field.name, "kind": "number"})
    return features


def matrix(table, features):
    """The features as floats: numbers as they are, categories as their index; missing and unknown values are NaN."""
    rows = np.empty((table.num_rows, len(features)), dtype=np.float32)
    for index, feature in enumerate(features):
        column = table[feature["name"]]
        if feature["kind"] == "category":
            column = pc.index_in(as_text(column), pa.array(feature["categories"], pa.string()))
        rows[:, index] = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return rows


def labels(table, channel, problem):
    name = table.schema.names[-1]
    if table[name].null_count:
        raise Refused(f"target {name} of channel {channel} must have a value in every row, {table[name].null_count} have none")
    values = table[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not np.isfinite(values).all():
        raise Refused(f"target {name} of channel {channel} must be finite")
    if problem == "binary" and not np.isin(values, (0, 1)).all():
        raise Refused(f"target {name} of channel {channel} must be 0 or 1, got {sorted(set(values.tolist()) - {0, 1})[:3]}")
    return values


def load(problem):
    """Both channels as XGBoost sees them, and the features."""
    train = read("train")
    if train.num_columns < 2:
        raise Refused(f"channel train must have at least one feature and the target, got columns {train.schema.names}")
    validation = read("validation")
    if validation.schema.names != train.schema.names:
        raise Refused(f"both channels must have the same columns, got {train.schema.names} and {validation.schema.names}")
    for channel, table in (("train", train), ("validation", validation)):
        if table.num_rows == 0:
            raise Refused(f"channel {channel} must have rows, got none")
    features = features_of(train)
    target = labels(train, "train", problem)
    if problem == "binary" and len(np.unique(target)) < 2:
        raise Refused(
            f"target {train.schema.names[-1]} must have both classes to learn from, "
            f"got only {target[0]:g} in all {len(target)} rows of channel train"
        )
    kinds = ["c" if feature["kind"] == "category" else "q" for feature in features]
    common = {"feature_names": [f["name"] for f in features], "feature_types": kinds, "enable_categorical": True}
    seen = xgb.QuantileDMatrix(matrix(train, features), target, **common)
    unseen = xgb.QuantileDMatrix(
        matrix(validation, features), labels(validation, "validation", problem), ref=seen, **common
    )
    return seen, unseen, features, train.schema.names[-1]


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


class Checkpoints:
    """The newest state of the job, as a booster with attributes; written so that a reader never sees half a file."""

    def __init__(self, identity):
        self.identity = identity
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)

    def save(self, booster, rounds):
        file = CHECKPOINTS / f"round-{rounds:06}.ubj"
        part = CHECKPOINTS / f".{file.name}.part.ubj"
        booster.set_attr(identity=self.identity)
        booster.save_model(part)
        os.replace(part, file)
        for old in sorted(CHECKPOINTS.glob("round-*.ubj"))[:-2]:  # the last but one stays, should this one be lost
            old.unlink(missing_ok=True)

    def newest(self, params):
        for file in sorted(CHECKPOINTS.glob("round-*.ubj"), reverse=True):
            try:
                booster = xgb.Booster(params, model_file=file)
            except xgb.core.XGBoostError as error:
                print(f"checkpoint {file.name} cannot be read and is left out: {error}", flush=True)
                continue
            if booster.attr("identity") == self.identity:
                return booster
            print(f"checkpoint {file.name} is of other data or parameters and is left out", flush=True)
        return None


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
    booster = checkpoints.newest(params) or xgb.Booster(params, [seen, unseen])
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
                checkpoints.save(booster, done)
            print(f"stopped after round {done}, the checkpoints say where to go on", flush=True)
            sys.exit(128 + signal.SIGTERM)
        if done % every == 0 and done < rounds:
            checkpoints.save(booster, done)
            if fixed:
                booster = checkpoints.newest(params)
    return booster[: best_round + 1] if patience else booster


def write_model(booster, about):
    MODEL.mkdir(parents=True, exist_ok=True)
    booster.set_attr(identity=None, best=None, best_round=None)
    booster.save_model(MODEL / "xgboost-model.ubj")
    (MODEL / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1))
    code = MODEL / "code"
    code.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("inference.py"), code / "inference.py")


def main(words):
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    options = arguments(words)
    problem = options.pop("problem", "binary")
    if problem not in METRICS:
        raise Refused(f"hyperparameter problem must be one of {', '.join(METRICS)}, got {problem!r}")
    key = options.pop("key", None)
    rounds = whole(options, "num_round", 200, 1)
    patience = whole(options, "early_stopping_rounds", 20, 0)
    every = whole(options, "checkpoint_rounds", 25, 1)
    metrics, more_is_better = METRICS[problem]
    params = {
        "objective": OBJECTIVES[problem],
        "tree_method": "hist",
        "max_depth": 8,
        "eta": 0.1,
        "seed": whole(options, "seed", 0, 0),
        "seed_per_iteration": True,  # a job that goes on from a checkpoint draws what it would have drawn
        "device": "cuda" if gpu() else "cpu",
        **options,
        "eval_metric": metrics,
    }
    seen, unseen, features, target = load(problem)
    print(f"{seen.num_row()} rows to train on, {unseen.num_row()} to validate, device {params['device']}", flush=True)
    identity = sha256(
        json.dumps([params, features, target, seen.num_row(), float(seen.get_label().sum()), unseen.num_row()]).encode()
    ).hexdigest()
    metric = metrics[-1]
    data = (seen, unseen, metric, more_is_better)
    booster = fit(params, rounds, patience, every, data, Checkpoints(identity), lambda: bool(stop))
    for name, matrix_ in (("train", seen), ("validation", unseen)):
        for measured, value in scores(booster, matrix_, name, 0).items():
            print(f"{measured.replace('-', ':', 1)}={value:.6f}", flush=True)
    print(f"rounds={booster.num_boosted_rounds()}", flush=True)
    about = {"problem": problem, "features": features, "target": target, "xgboost": xgb.__version__}
    write_model(booster, {**about, "key": key} if key is not None else about)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, xgb.core.XGBoostError, pa.ArrowException) as error:
        print(error, file=sys.stderr, flush=True)
        failure = ROOT / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        failure.write_text(str(error))
        sys.exit(1)
