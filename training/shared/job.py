"""A training job in SageMaker's script mode: its folders, its hyperparameters, and how it fails."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

MODEL = Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model"))
ROOT = MODEL.parent
CHECKPOINTS = ROOT / "checkpoints"


class Refused(Exception):
    """The job cannot succeed, whatever machine it runs on; its text is for the person who started it."""


def arguments(words: list[str]) -> dict:
    """`--key value` pairs. Values are JSON where they can be, for SageMaker turns them into text and back."""
    if len(words) % 2 or any(not key.startswith("--") for key in words[::2]):
        raise Refused(f"arguments must be pairs '--name value', got {' '.join(words)}")
    return {key[2:]: decoded(value) for key, value in zip(words[::2], words[1::2])}


def decoded(text: str):
    try:
        return json.loads(text)
    except ValueError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def whole(options: dict, name: str, default: int, least: int, most: int | None = None) -> int:
    value = options.pop(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least or (most is not None and value > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise Refused(f"hyperparameter {name} must be a whole number {allowed}, got {value!r}")
    return value


def number(options: dict, name: str, default: float, least: float, most: float) -> float:
    value = options.pop(name, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise Refused(f"hyperparameter {name} must be a number from {least:g} to {most:g}, got {value!r}")
    return float(value)


def choice(options: dict, name: str, default: str, allowed) -> str:
    value = options.pop(name, default)
    if not isinstance(value, str) or value not in allowed:
        raise Refused(f"hyperparameter {name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


class Checkpoints:
    """The newest states of a job, of which a reader never sees half a file. Names sort by age."""

    def __init__(self, identity: str, pattern: str):
        self.identity = identity
        self.pattern = pattern
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)

    def save(self, name: str, write: Callable[[Path], None]) -> None:
        file = CHECKPOINTS / name
        part = CHECKPOINTS / f".part-{name}"
        write(part)
        os.replace(part, file)
        for old in sorted(CHECKPOINTS.glob(self.pattern))[:-2]:  # the last but one stays, should this one be lost
            old.unlink(missing_ok=True)

    def newest(self, read: Callable[[Path], tuple], unreadable):
        """What `read` makes of the newest file that is this job's; it also gives the identity that the file has."""
        for file in sorted(CHECKPOINTS.glob(self.pattern), reverse=True):
            try:
                identity, state = read(file)
            except unreadable as error:
                print(f"checkpoint {file.name} cannot be read and is left out: {error}", flush=True)
                continue
            if identity == self.identity:
                return state
            print(f"checkpoint {file.name} is of other data or parameters and is left out", flush=True)
        return None


def write_about(about: dict, code: list[str]) -> None:
    """What serving needs besides the model itself: model.json and the code, which lies beside the trainer's."""
    (MODEL / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1))
    folder = MODEL / "code"
    folder.mkdir(exist_ok=True)
    for name in code:
        shutil.copyfile(Path(__file__).with_name(name), folder / name)


def run(main: Callable[[list[str]], None], *foreseen) -> None:
    """Runs a trainer. What it refuses, and errors of these kinds, become the job's reason of failure."""
    try:
        main(sys.argv[1:])
    except (Refused, *foreseen) as error:
        print(error, file=sys.stderr, flush=True)
        failure = ROOT / "output" / "failure"
        failure.parent.mkdir(parents=True, exist_ok=True)
        part = failure.with_name(f".failure-{os.getpid()}")  # several processes of one job may fail together
        part.write_text(str(error))
        os.replace(part, failure)
        sys.exit(1)
