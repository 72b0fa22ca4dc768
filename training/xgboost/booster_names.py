"""Features' names as XGBoost takes them, the same for training and for serving."""

import re


def booster_names(features: list[dict]) -> list[str]:
    """The names, but for `[`, `]` and `<`, which XGBoost refuses; one that had them also says its place, so none is twice."""
    legal = [re.sub(r"[\[\]<]", "_", feature["name"]) for feature in features]
    return [
        name if name == feature["name"] else f"{place} {name}"
        for place, (name, feature) in enumerate(zip(legal, features), 1)
    ]
