"""The processes of one job, one for each GPU, or just this one: what each is told by torchrun, and what they agree on."""

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist

# Processes agree this often whether to go on, so each can stop within a second or so of a signal to any.
SECONDS_BETWEEN_TALKS = 0.5


class Ranks:
    def __init__(self):
        self.rank = int(os.environ.get("RANK") or 0)
        self.size = int(os.environ.get("WORLD_SIZE") or 1)
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0)) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        self.talk = None
        if self.size > 1:
            dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=10))
            # what only the processes' CPUs agree on must not wait for their GPUs
            self.talk = dist.new_group(backend="gloo")

    def print(self, line: str) -> None:
        if self.rank == 0:
            print(line, flush=True)

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Adds up what all have, in place; every process gets the same bits."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def share(self, make: Callable[[], object]):
        """What the first process makes, for all."""
        box = [make() if self.rank == 0 else None]
        if self.size > 1:
            dist.broadcast_object_list(box, group=self.talk)
        return box[0]

    def gather(self, one) -> list:
        """What each has, for all."""
        every = [one]
        if self.size > 1:
            every = [None] * self.size
            dist.all_gather_object(every, one, group=self.talk)
        return every

    def close(self) -> None:
        if self.size > 1:
            dist.destroy_process_group()


class Agreement:
    """Whether to stop, or to write a checkpoint; asked once a step, and all processes get the same answer.

    The GPU is not asked anything. Processes only talk every so many steps, by which they all count alike.
    """

    def __init__(self, ranks: Ranks, stopped: Callable[[], bool], seconds: float):
        self.ranks = ranks
        self.stopped = stopped
        self.seconds = seconds
        self.saved = self.talked = time.monotonic()
        self.asked = 0
        self.interval = 1

    def ask(self) -> tuple[bool, bool]:
        now = time.monotonic()
        mine = (self.stopped(), now - self.saved >= self.seconds)
        if self.ranks.size == 1:
            return mine
        self.asked += 1
        if self.asked < self.interval:
            return False, False
        pace = SECONDS_BETWEEN_TALKS * self.asked / max(now - self.talked, 1e-6)
        # at most doubled, for the first steps say little; the slowest process sets the pace
        wanted = max(1, min(int(pace), 2 * self.interval))
        said = torch.tensor([*map(int, mine), -wanted])
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self.ranks.talk)
        stop, due, interval = said.tolist()
        self.interval, self.asked, self.talked = -interval, 0, now
        return bool(stop), bool(due)

    def saved_now(self) -> None:
        self.saved = time.monotonic()
