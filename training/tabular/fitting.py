"""Fits the network. All data lies on the device, and a step asks the device nothing, so the CPU only says "next"."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from job import Refused
from network import forward
from problems import PROBLEMS
from ranks import Agreement, Ranks
from torch import Tensor
from torch.optim.adamw import adamw

# Rows scored at once.
BLOCK = {"cuda": 16384, "cpu": 1024}
ALIGNED = 32  # floats; every weight begins at a whole cache line
LONGEST_GRADIENT = 1.0


class Stopped(Exception):
    """The job was told to stop; the newest checkpoint says where to go on."""


class Plan(NamedTuple):
    """The hyperparameters that decide the model."""

    problem: str
    seed: int
    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    schedule: str
    warmup: float
    weight_decay: float
    dropout: float
    precision: str


class Rows(NamedTuple):
    """A part of the data on the device."""

    positions: Tensor
    codes: Tensor
    wanted: Tensor
    """The target as the network shall say it."""
    target: Tensor


class Weights:
    """All weights in one vector, of which each is a view: one sum over GPUs, one step, one copy to keep."""

    def __init__(self, arrays: dict[str, np.ndarray], device: torch.device):
        names = sorted(arrays, key=lambda name: (not name.startswith("w"), name))
        starts, end = {}, 0
        for name in names:
            if not name.startswith("w") and not hasattr(self, "decayed"):
                self.decayed = end
            starts[name] = end
            end += -(-arrays[name].size // ALIGNED) * ALIGNED
        self.flat = torch.zeros(end, device=device)
        self.gradient = torch.zeros(end, device=device)

        def views(vector: Tensor) -> dict[str, Tensor]:
            return {n: vector[starts[n] : starts[n] + arrays[n].size].view(arrays[n].shape) for n in names}

        self.views, self.gradients = views(self.flat), views(self.gradient)
        for name in names:
            self.views[name].copy_(torch.from_numpy(arrays[name]))
        # what autograd knows; it shares the memory
        self.learned = {name: view.detach().requires_grad_() for name, view in self.views.items()}

    def halves(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """What decays, and what does not."""
        return vector[: self.decayed], vector[self.decayed :]


class Fit:
    """A training that can be interrupted after any step and goes on to the very same model."""

    def __init__(self, plan: Plan, weights: Weights, seen: Rows, unseen: Rows, rescaled: Callable, ranks: Ranks):
        self.plan, self.weights, self.seen, self.unseen = plan, weights, seen, unseen
        self.problem = PROBLEMS[plan.problem]
        self.rescaled, self.ranks = rescaled, ranks
        device = ranks.device
        self.precision = getattr(torch, plan.precision)
        self.own = max(1, min(plan.batch_size, len(seen.target)) // ranks.size)
        self.batch = self.own * ranks.size
        if self.batch > len(seen.target):
            raise Refused(f"channel train must have a row for each of {ranks.size} processes, got {len(seen.target)}")
        self.per_epoch = len(seen.target) // self.batch

        # what a step reads and changes on the device, besides the weights
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self.losses = torch.zeros((), device=device)
        self.order = torch.zeros(self.per_epoch, self.own, dtype=torch.int32, device=device)
        self.rates = rates(plan, self.per_epoch).to(device)
        self.rate = torch.zeros((), device=device)
        self.means, self.squares = torch.zeros_like(weights.flat), torch.zeros_like(weights.flat)
        self.steps = [torch.zeros((), device=device) for _ in weights.halves(weights.flat)]
        self.best_weights = weights.flat.clone()
        # what the CPU counts
        self.done = self.evaluated = self.best_epoch = 0
        self.best = math.nan

    def tensors(self) -> list[Tensor]:
        """All on the device that a step changes and the next one needs."""
        return [self.weights.flat, self.best_weights, self.means, self.squares, *self.steps, self.step, self.losses]

    def take_step(self) -> None:
        batch = self.order.index_select(0, self.step % self.per_epoch).squeeze(0)
        rows = [part.index_select(0, batch) for part in self.seen[:3]]
        said = forward(self.weights.learned, *rows[:2], self.precision, self.plan.dropout)
        # the mean of the members' losses: each learns by itself, as in an ensemble
        cost = self.problem.loss(said, rows[2].unsqueeze(0).expand_as(said))
        gradients = torch.autograd.grad(cost, list(self.weights.learned.values()))
        torch._foreach_copy_(list(self.weights.gradients.values()), gradients)
        gradient = self.ranks.sum_(self.weights.gradient)
        if self.ranks.size > 1:
            gradient.div_(self.ranks.size)
        gradient.mul_((LONGEST_GRADIENT / (gradient.norm() + 1e-12)).clamp(max=1))
        self.rate.copy_(self.rates.index_select(0, self.step).squeeze(0))
        vectors = (self.weights.flat, self.weights.gradient, self.means, self.squares)
        for *half, count, decay in zip(*map(self.weights.halves, vectors), self.steps, (self.plan.weight_decay, 0.0)):
            adamw(
                *([tensor] for tensor in half), [], [count], fused=True, capturable=self.rate.is_cuda, lr=self.rate,
                weight_decay=decay, beta1=0.9, beta2=0.999, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
        self.losses.add_(cost.detach())
        self.step.add_(1)

    def stepper(self) -> Callable[[], None]:
        """A step. On a GPU it is recorded once and played from then on, which takes one launch instead of a hundred."""
        if self.ranks.device.type != "cuda":
            return self.take_step
        kept = [tensor.clone() for tensor in self.tensors()]
        random = torch.cuda.get_rng_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # recording wants what libraries set up at first use to be there
            for _ in range(3):
                self.take_step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # NCCL's own thread asks after its events
            self.take_step()
        for tensor, value in zip(self.tensors(), kept):
            tensor.copy_(value)
        torch.cuda.set_rng_state(random)
        return graph.replay

    def shuffle(self, epoch: int) -> None:
        """An epoch's order; every process draws the same, and takes its share of each batch."""
        generator = torch.Generator(self.ranks.device).manual_seed(self.plan.seed * 1_000_003 + epoch)
        count = len(self.seen.target)
        order = torch.randperm(count, generator=generator, device=self.ranks.device, dtype=torch.int32)
        order = order[: self.per_epoch * self.batch].view(self.per_epoch, self.ranks.size, self.own)
        self.order.copy_(order[:, self.ranks.rank])

    def run(self, checkpoints, stopped: Callable[[], bool], seconds: float) -> None:
        """Trains until the epochs are over or validation gets no better; then the best weights are in place."""
        agreement = Agreement(self.ranks, stopped, seconds)
        step, rate = self.stepper(), math.nan

        def pause() -> None:
            stop, due = agreement.ask()
            if stop or due:
                checkpoints.write(self)
                agreement.saved_now()
            if stop:
                raise Stopped

        while True:
            if self.done and self.done % self.per_epoch == 0 and self.evaluated < self.done // self.per_epoch:
                self.evaluate(pause, rate)
            epoch = self.evaluated
            if epoch == self.plan.epochs or (self.plan.patience and epoch - self.best_epoch >= self.plan.patience):
                break
            self.shuffle(epoch)
            start, begin = time.monotonic(), self.done
            while self.done < (epoch + 1) * self.per_epoch:
                step()
                self.done += 1
                pause()
            self.losses.item()  # waits for the device
            rate = (self.done - begin) * self.batch / (time.monotonic() - start)
        if self.plan.patience:
            self.weights.flat.copy_(self.best_weights)
        self.pause = pause

    def evaluate(self, pause: Callable[[], None], rate: float) -> None:
        cost = self.losses.item() / self.per_epoch
        if not math.isfinite(cost):
            raise Refused(f"the loss of epoch {self.evaluated + 1} is {cost}; a lower learning_rate than {self.plan.learning_rate:g} may help")
        now = self.problem.measured(self.scores(self.unseen, pause), self.unseen.target)
        # one process decides, lest two GPUs' last bits do
        value = self.ranks.share(lambda: now[self.problem.metrics[-1]])
        epoch = self.evaluated + 1
        if math.isnan(self.best) or (value > self.best if self.problem.more_is_better else value < self.best):
            self.best, self.best_epoch = value, epoch
            self.best_weights.copy_(self.weights.flat)
        said = " ".join(f"validation:{name}={value:.6f}" for name, value in now.items())
        self.ranks.print(f"epoch {epoch}: loss={cost:.6f} {said} {rate:.0f} rows/s")
        self.losses.zero_()
        self.evaluated = epoch

    @torch.no_grad()
    def scores(self, part: Rows, pause: Callable[[], None]) -> Tensor:
        """The predictions for all rows of a part, of which each process makes its share."""
        count, size, rank = len(part.target), self.ranks.size, self.ranks.rank
        every = torch.zeros(count, device=self.ranks.device)
        share, block = -(-count // size), BLOCK[self.ranks.device.type]
        for start in range(0, share, block):  # as many for every process, for they all pause alike
            rows = slice(rank * share + start, min(rank * share + min(start + block, share), count))
            if rows.start < rows.stop:
                said = forward(self.weights.views, part.positions[rows], part.codes[rows], self.precision)
                every[rows] = self.problem.scores(said).mean(0)
            pause()
        return self.rescaled(self.ranks.sum_(every))


def rates(plan: Plan, per_epoch: int) -> Tensor:
    """The learning rate of every step."""
    steps = plan.epochs * per_epoch
    at = torch.arange(steps + 8)  # recording takes a few steps, which are undone
    warm = max(1, round(plan.warmup * steps))
    rising = ((at + 1) / warm).clamp(max=1)
    if plan.schedule == "cosine":
        rising = rising * (1 + torch.cos(math.pi * ((at - warm) / max(1, steps - warm)).clamp(0, 1))) / 2
    return plan.learning_rate * rising
