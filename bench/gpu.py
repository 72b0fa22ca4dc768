"""What only a GPU can show of the tabular trainer, each check with its figures, and `failed` where one fails:

    gpu.py FOLDER [--rows N] [--epochs N]

FOLDER is what a run prepared (bench/tabular.ts: .perennial/bench-tabular-2/runs/data-0123456789ab). A recorded step must
do what a taken one does, with a sum over NCCL in it too; a job that was told to stop must go on to the same bits; and numpy
must serve what the GPU has learnt. NCCL sums over one process here, for it refuses two on one GPU.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

HERE = Path(__file__).resolve().parent
TRAINING = [HERE.parent / "training" / name for name in ("shared", "tabular")]
sys.path[:0] = map(str, TRAINING)

import inference
import numpy as np
import torch
import torch.distributed as dist
from channels import load
from encoding import encoded, with_knots
from fitting import Fit, Plan, Rows, Weights
from measures import auc
from network import forward, initial, prediction
from ranks import Ranks

SHAPE = {"members": 4, "width": 256, "layers": 3, "embedding": 16, "seed": 1}
failed = []


def check(name, holds, figures):
    print(f"{'ok    ' if holds else 'FAILED'} {name}: {figures}", flush=True)
    if not holds:
        failed.append(name)


class Quiet(Ranks):
    def print(self, line):
        pass


class OverNccl(Quiet):
    """Sums as several processes do, over a group of one."""

    def sum_(self, tensor):
        dist.all_reduce(tensor)
        return tensor


class Taken(Fit):
    """Takes each step, records none."""

    def stepper(self):
        return self.take_step


def trained(kind, ranks, plan, features, parts):
    torch.manual_seed(plan.seed)
    fit = kind(plan, Weights(initial(features, **SHAPE), ranks.device), *parts, lambda scores: scores, ranks)
    start = time.perf_counter()
    fit.run(None, lambda: False, 1e9)
    seconds = time.perf_counter() - start
    return fit, seconds


def difference(a, b):
    return ((a.weights.flat - b.weights.flat).norm() / b.weights.flat.norm()).item()


def recording(plan, features, parts):
    ranks = Quiet()
    for name, given in (
        ("bfloat16", plan),
        ("float32", plan._replace(precision="float32")),
        ("bfloat16 with dropout", plan._replace(dropout=0.1)),
    ):
        recorded, fast = trained(Fit, ranks, given, features, parts)
        again, _ = trained(Fit, ranks, given, features, parts)
        taken, slow = trained(Taken, ranks, given, features, parts)
        check(f"{name}: two recordings learn the same bits", difference(again, recorded) == 0, f"differ by {difference(again, recorded):.2g}")
        check(
            f"{name}: recorded and taken steps learn the same", difference(taken, recorded) == 0,
            f"differ by {difference(taken, recorded):.2g}, AUC {recorded.best:.4f} and {taken.best:.4f}; "
            f"{recorded.done} steps, {fast:.2f} s recorded, {slow:.2f} s taken",
        )  # fmt: skip
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "RANK": "0", "WORLD_SIZE": "1"}
    dist.init_process_group("nccl", device_id=ranks.device)
    alone, _ = trained(Fit, ranks, plan, features, parts)
    summed, seconds = trained(Fit, OverNccl(), plan, features, parts)
    dist.destroy_process_group()
    check("a sum over NCCL can be recorded", difference(summed, alone) == 0, f"differ by {difference(summed, alone):.2g}, {seconds:.2f} s")


def serving(fit, features, parts, rows):
    """The same rows by torch on the GPU, and by numpy from the model as it is stored."""
    root = Path(mkdtemp())
    np.savez(root / "weights.npz", **{name: view.cpu().numpy() for name, view in fit.weights.views.items()})
    (root / "model.json").write_text(json.dumps({"problem": "binary", "features": features, "target": "late"}))
    model = inference.model_fn(str(root))
    start = time.perf_counter()
    served = inference.predicted(*encoded(rows, features), model)
    seconds = time.perf_counter() - start
    shutil.rmtree(root)
    with torch.no_grad():
        unseen = parts[1]
        said = {
            precision: prediction(forward(fit.weights.views, unseen.positions[: len(rows)], unseen.codes[: len(rows)], precision), "binary")
            for precision in (torch.float32, torch.bfloat16)
        }
    target = unseen.target[: len(rows)]
    by_numpy = torch.from_numpy(served.astype(np.float32)).to(target.device)
    apart = (said[torch.float32] - by_numpy).abs().max().item()
    check("numpy serves what the GPU says", apart < 1e-4, f"scores differ by at most {apart:.2g}; {len(rows) / seconds:.0f} rows/s by numpy")
    apart = (said[torch.bfloat16] - by_numpy).abs().max().item()
    lost = auc(by_numpy, target) - auc(said[torch.bfloat16], target)
    check("and bfloat16 judged what is served", abs(lost) < 1e-3, f"scores differ by at most {apart:.2g}, AUC by {lost:.2g}")


class Job:
    """train.py as a process of its own."""

    def __init__(self, folder, **parameters):
        self.root = Path(mkdtemp())
        self.code = self.root / "code"
        self.code.mkdir()
        for file in (file for source in TRAINING for file in source.glob("*.py")):
            shutil.copy(file, self.code)
        self.words = [str(word) for name, value in parameters.items() for word in (f"--{name}", value)]
        self.env = {**os.environ, "SM_MODEL_DIR": str(self.root / "model"), "PYTHONUNBUFFERED": "1"}
        for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            self.env.pop(name, None)
        for channel in ("train", "validation"):
            self.env[f"SM_CHANNEL_{channel.upper()}"] = str(folder / "prepared" / channel)

    def start(self):
        return subprocess.Popen(
            [sys.executable, str(self.code / "train.py"), *self.words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def end(self):
        process = self.start()
        said, _ = process.communicate()
        return process.returncode, said

    def weights(self):
        with np.load(self.root / "model" / "weights.npz") as stored:
            return {name: stored[name] for name in stored.files}


def whole_jobs(folder, epochs):
    for dropout in (0, 0.1):
        job = {"problem": "binary", "epochs": epochs, "early_stopping_epochs": 0, "dropout": dropout, "seed": 7}
        straight = Job(folder, **job)
        start = time.perf_counter()
        code, said = straight.end()
        seconds = time.perf_counter() - start
        print(said)
        check(f"train.py with dropout {dropout} ends well", code == 0, f"{seconds:.1f} s with the start")
        stopped = Job(folder, **job)
        process = stopped.start()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith(f"epoch {max(1, epochs // 3)}:"):
                time.sleep(0.05)
                process.send_signal(signal.SIGTERM)
        code = process.wait()
        check("told to stop, it stops and says where", code == 143 and "stopped after step" in lines[-1], f"exit code {code}, {lines[-1].strip()}")
        code, said = stopped.end()
        check("started again, it goes on", code == 0 and "going on after step" in said, next((s for s in said.splitlines() if "going on" in s), said[-300:]))
        one, other = straight.weights(), stopped.weights()
        apart = [name for name in one if not np.array_equal(one[name], other[name])]
        check("and ends with the very same model", not apart, f"{len(one)} arrays, of which differ: {apart or 'none'}")
        for each in (straight, stopped):
            shutil.rmtree(each.root)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    for name, default in (("rows", 200_000), ("epochs", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}; torch {torch.__version__}, NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}, numpy {np.__version__}")
    for channel in ("train", "validation"):
        os.environ[f"SM_CHANNEL_{channel.upper()}"] = str(given.folder / "prepared" / channel)
    seen, unseen, features, _ = load("binary", 5)
    features = with_knots(features, seen.rows, 48)
    device = Quiet().device
    parts = [
        Rows(*(torch.from_numpy(a).to(device) for a in (*encoded(p.rows[: given.rows], features), *[p.target[: given.rows].astype(np.float32)] * 2)))
        for p in (seen, unseen)
    ]
    plan = Plan("binary", 1, 1, 0, 1024, 0.005, "cosine", 0.05, 0.0003, 0.0, "bfloat16")
    recording(plan, features, parts)
    fit, _ = trained(Fit, Quiet(), plan._replace(epochs=3), features, parts)
    serving(fit, features, parts, unseen.rows[: min(20_000, given.rows)])
    whole_jobs(given.folder, given.epochs)
    sys.exit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
