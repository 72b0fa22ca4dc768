"""A model at no cost: the later the hour, the likelier it is late."""

import argparse
import os
import shutil
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--problem")  # these two are told to every trainer
parser.add_argument("--key")
told = parser.parse_args()

code = Path(os.environ["SM_MODEL_DIR"], "code")
code.mkdir(parents=True)
shutil.copy(Path(__file__).with_name("inference.py"), code)
