"""Answers an endpoint's requests: CSV without a header, the key first if there is one. One probability a line."""

import csv
import io

import torch
from network import Network, encoded


def model_fn(model_dir):
    model = torch.load(f"{model_dir}/model.pt", weights_only=True)
    network = Network(model["kinds"])
    network.load_state_dict(model["weights"])
    return {**model, "network": network.eval()}


def input_fn(body, content_type):
    text = body if isinstance(body, str) else body.decode()
    return [row for row in csv.reader(io.StringIO(text)) if row]


def predict_fn(rows, model):
    columns = list(zip(*rows))[1 if model["key"] else 0 :]
    with torch.no_grad():
        return torch.sigmoid(model["network"](*encoded(columns, model["kinds"]))).tolist()


def output_fn(scores, accept):
    return "\n".join(map(str, scores)) + "\n"
