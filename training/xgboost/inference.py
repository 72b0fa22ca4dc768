"""Serves a model of train.py, for an endpoint's requests and for batch transform; csv_request.py says what they are."""

import json
from pathlib import Path

import numpy as np
import xgboost as xgb
from booster_names import booster_names
from csv_request import input_fn, output_fn, rows_of  # noqa: F401 (the container looks for all of them here)


def model_fn(model_dir: str) -> dict:
    about = json.loads(Path(model_dir, "model.json").read_text())
    booster = xgb.Booster(model_file=Path(model_dir, "xgboost-model.ubj"))
    # a model trained on a GPU is served where there may be none
    booster.set_param({"device": "cpu"})
    return {**about, "booster": booster}


def predict_fn(body: bytes, model: dict) -> np.ndarray:
    features = model["features"]
    data = xgb.DMatrix(
        rows_of(body, model),
        feature_names=booster_names(features),
        feature_types=["c" if feature["kind"] == "category" else "q" for feature in features],
        enable_categorical=True,
    )
    return model["booster"].predict(data)
