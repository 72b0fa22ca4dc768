"""The matrix of features as the network reads it, the same for training and for serving.

A number becomes its position among its feature's knots, which are quantiles of the training rows: 3.25 lies a
quarter of the way from the fourth knot to the fifth, and beyond the ends there is nothing. A category becomes its
row in the table of all features' categories, in which each feature's first row is for unknown and missing values.
"""

import numpy as np

MISSING = -1.0


def with_knots(features: list[dict], rows: np.ndarray, bins: int) -> list[dict]:
    """The features, the numbers with their knots: all values there are, or quantiles where they are too many."""

    def knots(values: np.ndarray) -> list[float]:
        values = values[~np.isnan(values)]
        few = np.unique(values[:: max(1, len(values) // 100_000)])
        if len(few) <= bins + 1:
            few = np.unique(values)
        if len(few) > bins + 1:
            few = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)).astype(np.float32))
        return few.tolist()

    return [
        {**feature, "knots": knots(rows[:, index])} if feature["kind"] == "number" else feature
        for index, feature in enumerate(features)
    ]


def encoded(rows: np.ndarray, features: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers' positions and the categories' codes."""
    kinds = [feature["kind"] for feature in features]
    positions = np.empty((len(rows), kinds.count("number")), np.float32)
    codes = np.empty((len(rows), kinds.count("category")), np.int32)
    number = category = first = 0
    for column, feature in zip(rows.T, features):
        absent = np.isnan(column)
        if feature["kind"] == "number":
            knots = feature["knots"]
            place = np.interp(column, knots, np.arange(len(knots))) if knots else column
            positions[:, number] = np.where(absent | (not knots), MISSING, place)
            number += 1
        else:
            codes[:, category] = np.where(absent, first, first + 1 + np.where(absent, 0, column).astype(np.int32))
            category += 1
            first += 1 + len(feature["categories"])
    return positions, codes
