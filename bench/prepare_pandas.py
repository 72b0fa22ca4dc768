"""Prepares a month of flights with pandas, as one would by hand: prepare_pandas.py FILE FOLDER."""

import json
import os
import sys

import numpy as np
import pandas as pd

COLUMNS = ["flight", "date", "delay", "distance", "origin", "destination"]
RANGES = {"delay": (-1440, 2880), "distance": (0, 6000)}
FEATURES = ["hour", "weekday", "distance", "origin", "destination"]
HOLDOUT, VALIDATION = 0.2, 0.2

file, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
if file.endswith(".csv"):
    raw = pd.read_csv(file, dtype=str, keep_default_na=False, na_values=[""])
else:
    raw = pd.read_parquet(file)
assert list(raw.columns) == COLUMNS

bad = pd.Series(False, index=raw.index)
data = raw.copy()
for name in ["flight", "delay", "distance"]:
    number = pd.to_numeric(raw[name], errors="coerce")
    bad |= number.isna() | (number % 1 != 0)
    data[name] = number
data["date"] = pd.to_datetime(raw["date"], errors="coerce")
bad |= data["date"].isna() | raw["origin"].isna() | raw["destination"].isna()
for name, (low, high) in RANGES.items():
    bad |= ~data[name].between(low, high)
bad |= data["flight"].duplicated(keep=False)
raw[bad].to_json(os.path.join(folder, "quarantine.jsonl"), orient="records", lines=True)
data = data[~bad].astype({"flight": "int64", "delay": "int64", "distance": "int64"})

data["hour"] = data["date"].dt.hour
data["weekday"] = data["date"].dt.dayofweek + 1
data["late"] = (data["delay"] > 15).astype("int8")

hashes = pd.util.hash_pandas_object(data["flight"], index=False)
order = np.lexsort((hashes, data["date"]))
held = np.zeros(len(data), dtype=bool)
held[order[len(data) - round(len(data) * HOLDOUT) :]] = True
validates = (hashes % 10_000 < 10_000 * VALIDATION).to_numpy() & ~held
train = data[~held & ~validates]

parts = {"train": train, "validation": data[validates]}
for name, part in parts.items():
    part[[*FEATURES, "late"]].to_parquet(os.path.join(folder, f"{name}.parquet"), compression="zstd", index=False)
holdout = data[held]
holdout[["flight", *FEATURES]].to_csv(os.path.join(folder, "holdout.csv"), header=False, index=False)
with open(os.path.join(folder, "labels.json"), "w") as out:
    json.dump(holdout["late"].tolist(), out)

profile = {}
for name in FEATURES:
    if train[name].dtype == object:
        profile[name] = train[name].value_counts().to_dict()
    else:
        counts, edges = np.histogram(train[name], bins=20)
        profile[name] = {"counts": counts.tolist(), "edges": edges.tolist()}
with open(os.path.join(folder, "profile.json"), "w") as out:
    json.dump(profile, out)
counts = {"read": len(raw), "quarantined": int(bad.sum()), "train": len(train)}
with open(os.path.join(folder, "rows.json"), "w") as out:
    json.dump({**counts, "validation": int(validates.sum()), "holdout": int(held.sum())}, out)
