"""A model at no cost: it knows the hour of the day alone. Takes a while, so that a training can be cut off."""

import argparse
import os
import shutil
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--problem")  # these two are told to every trainer
parser.add_argument("--key")
told = parser.parse_args()
model = Path(os.environ["SM_MODEL_DIR"])
checkpoints = model.parent / "checkpoints"
checkpoints.mkdir(parents=True, exist_ok=True)
for epoch in range(3):
    if (checkpoints / str(epoch)).exists():
        continue
    time.sleep(0.15)
    (checkpoints / str(epoch)).write_text("done")
    print("epoch", epoch, flush=True)
(model / "key").write_text(told.key or "")
(model / "code").mkdir()
shutil.copy(Path(__file__).with_name("inference.py"), model / "code")
