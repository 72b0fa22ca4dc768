"""The network, and how it sees a row: shared by train.py and inference.py."""

from zlib import crc32

import torch
from torch import nn

BUCKETS = 1024


class Network(nn.Module):
    def __init__(self, kinds: list[str]):
        super().__init__()
        numbers, texts = kinds.count("number"), kinds.count("text")
        self.scaled = nn.BatchNorm1d(numbers)
        self.meanings = nn.Embedding(BUCKETS, 8)
        self.layers = nn.Sequential(nn.Linear(numbers + 8 * texts, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, numbers, texts):
        return self.layers(torch.cat([self.scaled(numbers), self.meanings(texts).flatten(1)], 1)).squeeze(1)


def encoded(columns, kinds):
    """Numbers, where a missing one is 0, and for each text the number of its bucket."""
    numbers = [[float(value or 0) for value in column] for column, kind in zip(columns, kinds) if kind == "number"]
    texts = [[crc32((v or "").encode()) % BUCKETS for v in column] for column, kind in zip(columns, kinds) if kind == "text"]
    return torch.tensor(numbers).T, torch.tensor(texts).T
