"""The channels `train` and `validation`: Parquet with the features in order and the target last."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from features import matrix
from job import ROOT, Refused
from problems import PROBLEMS


class Part(NamedTuple):
    rows: np.ndarray
    """The features as `features.matrix` makes them."""
    target: np.ndarray


def read(channel: str) -> pa.Table:
    """All Parquet files of a channel as one table, files in the order of their names."""
    folder = Path(os.environ.get(f"SM_CHANNEL_{channel.upper()}", ROOT / "input" / "data" / channel))
    files = sorted(str(file) for file in folder.rglob("*.parquet"))
    if not files:
        raise Refused(f"channel {channel} must hold Parquet files (*.parquet), found none in {folder}")
    return ds.dataset(files, format="parquet").to_table().unify_dictionaries()


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def features_of(table: pa.Table, least: int = 1) -> list[dict]:
    """Each feature's name and kind; a category's values in an order that does not depend on the rows' order.

    Values that fewer than `least` rows have are left out, and so count as unknown.
    """
    features = []
    for field in list(table.schema)[:-1]:
        if is_text(field.type):
            counts = pc.value_counts(table[field.name].cast(pa.string())).to_pylist()
            values = sorted(c["values"] for c in counts if c["values"] is not None and c["counts"] >= least)
            features.append({"name": field.name, "kind": "category", "categories": values})
        elif pa.types.is_null(field.type):
            raise Refused(f"column {field.name} of channel train has no value in any row")
        else:
            features.append({"name": field.name, "kind": "number"})
    return features


def labels(table: pa.Table, channel: str, problem: str) -> np.ndarray:
    name = table.schema.names[-1]
    if table[name].null_count:
        raise Refused(f"target {name} of channel {channel} must have a value in every row, {table[name].null_count} have none")
    values = table[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not np.isfinite(values).all():
        raise Refused(f"target {name} of channel {channel} must be finite")
    mistake = PROBLEMS[problem].mistake(values)
    if mistake:
        raise Refused(f"target {name} of channel {channel} must be {mistake}")
    return values


def load(problem: str, least: int = 1) -> tuple[Part, Part, list[dict], str]:
    """Both channels, the features, and the target's name."""
    train = read("train")
    if train.num_columns < 2:
        raise Refused(f"channel train must have at least one feature and the target, got columns {train.schema.names}")
    validation = read("validation")
    if validation.schema.names != train.schema.names:
        raise Refused(f"both channels must have the same columns, got {train.schema.names} and {validation.schema.names}")
    for channel, table in (("train", train), ("validation", validation)):
        if table.num_rows == 0:
            raise Refused(f"channel {channel} must have rows, got none")
    features = features_of(train, least)
    target = labels(train, "train", problem)
    lack = PROBLEMS[problem].lack(target)
    if lack:
        raise Refused(f"target {train.schema.names[-1]} must have {lack} of channel train")
    seen = Part(matrix(train, features), target)
    unseen = Part(matrix(validation, features), labels(validation, "validation", problem))
    return seen, unseen, features, train.schema.names[-1]
