"""Trains a small network on Parquet: the features in the contract's order, the target last."""

import argparse
import os
import shutil
from pathlib import Path

import pyarrow.dataset as ds
import torch
from network import Network, encoded
from torch.nn.functional import binary_cross_entropy_with_logits as loss

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--learning_rate", type=float, default=0.003)
parser.add_argument("--problem", choices=["binary"])  # these two are told to every trainer
parser.add_argument("--key")
told = parser.parse_args()
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(42)


def read(channel):
    table = ds.dataset(os.environ[f"SM_CHANNEL_{channel.upper()}"], format="parquet").to_table()
    *columns, target = [table[name].to_pylist() for name in table.column_names]
    kinds = ["number" if str(kind) in ("int64", "double") else "text" for kind in table.schema.types[:-1]]
    return kinds, [part.to(device) for part in (*encoded(columns, kinds), torch.tensor(target, dtype=torch.float))]


(kinds, seen), (_, unseen) = read("train"), read("validation")
network = Network(kinds).to(device)
optimizer = torch.optim.Adam(network.parameters(), told.learning_rate)
model = Path(os.environ["SM_MODEL_DIR"])
checkpoint = model.parent / "checkpoints" / "newest.pt"  # outlives the machine: SageMaker copies the folder to S3 and back
begin = 0
if checkpoint.exists():
    begin, weights, moments = torch.load(checkpoint, weights_only=True)
    network.load_state_dict(weights)
    optimizer.load_state_dict(moments)

for epoch in range(begin, told.epochs):
    for rows in torch.randperm(len(seen[-1])).split(256):
        numbers, texts, target = (part[rows] for part in seen)
        optimizer.zero_grad()
        loss(network(numbers, texts), target).backward()
        optimizer.step()
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save((epoch + 1, network.state_dict(), optimizer.state_dict()), checkpoint.with_suffix(".part"))
    checkpoint.with_suffix(".part").rename(checkpoint)

network.eval()
with torch.no_grad():
    print(f"validation:logloss={loss(network(*unseen[:2]), unseen[-1]).item():.6f}")
torch.save({"kinds": kinds, "key": told.key, "weights": network.cpu().state_dict()}, model / "model.pt")
(model / "code").mkdir()
for name in ("inference.py", "network.py"):
    shutil.copy(Path(__file__).with_name(name), model / "code")
