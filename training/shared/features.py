"""Columns as a matrix, the same for training and for serving."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def matrix(table: pa.Table, features: list[dict]) -> np.ndarray:
    """The features as floats: numbers as they are, categories as their index; missing and unknown values are NaN."""
    rows = np.empty((table.num_rows, len(features)), dtype=np.float32)
    for index, feature in enumerate(features):
        column = table[feature["name"]]
        if feature["kind"] == "category":
            column = pc.index_in(column.cast(pa.string()), pa.array(feature["categories"], pa.string()))
        rows[:, index] = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return rows
