"""Answers with a probability a row: the later the hour, the likelier a delay."""

from pathlib import Path


def model_fn(model_dir):
    return Path(model_dir, "key").read_text() != ""


def transform_fn(has_key, body, content_type, accept):
    hours = (line.split(",")[1 if has_key else 0] for line in body.strip().split("\n"))
    return "".join(f"{0.05 + 0.03 * float(hour or 0)}\n" for hour in hours), accept
