"""An endpoint's requests and answers, the same for every model.

A request is text/csv without a header: the row's key first if the model was trained with one, then the
features in their order. An empty field is a missing value, a category never seen counts as missing too.
The answer is one score a line, with commas between its numbers if they are several.
"""

import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
from features import matrix

try:  # the container's server answers such an error with its status and text, any other with 500
    from sagemaker_inference.errors import BaseInferenceToolkitError
except ImportError:

    class BaseInferenceToolkitError(Exception):
        def __init__(self, status_code, message, phrase):
            super().__init__(message)
            self.status_code, self.message, self.phrase = status_code, message, phrase


class BadRequest(BaseInferenceToolkitError, ValueError):
    def __init__(self, message: str, status: int = 400):
        super().__init__(status, message, "Bad Request")


def input_fn(body, content_type: str | None) -> bytes:
    if (content_type or "").split(";")[0].strip().lower() != "text/csv":
        raise BadRequest(f"the content type must be text/csv, got {content_type}", status=415)
    return body.encode() if isinstance(body, str) else bytes(body)


def output_fn(scores: np.ndarray, accept: str | None) -> str:
    if (accept or "*/*").split(";")[0].strip().lower() not in ("text/csv", "*/*", "text/*"):
        raise BadRequest(f"the answer can only be text/csv, the request accepts {accept}", status=406)
    numbers = [pa.array(column).cast(pa.string()) for column in (scores.T if scores.ndim > 1 else [scores])]
    lines = pc.binary_join_element_wise(*numbers, ",") if len(numbers) > 1 else numbers[0]
    return "\n".join(lines.to_pylist()) + "\n"


def rows_of(body: bytes, model: dict) -> np.ndarray:
    """The request as the model's matrix; `model` is what model.json says."""
    table = parse(body, model)
    for feature in model["features"]:
        column = table[feature["name"]]
        if feature["kind"] == "category" or column.null_count == len(column) or pc.all(pc.is_finite(column)).as_py():
            continue
        bad = pc.index(pc.is_finite(column), False).as_py()
        raise BadRequest(f"row {bad + 1}: {feature['name']} must be a finite number or empty, got {column[bad]}")
    return matrix(table, model["features"])


def parse(body: bytes, model: dict) -> pa.Table:
    """The request's columns: numbers as doubles, all else as text."""
    features = model["features"]
    key = model.get("key")
    names = [feature["name"] for feature in features]
    columns = names if key is None else [key, *names]
    # the key may also be a feature, and is of no use here: a name that no feature has
    read_names = names if key is None else ["\0key", *names]
    kinds = {feature["name"]: pa.float64() if feature["kind"] == "number" else pa.string() for feature in features}

    def read(threads):
        return csv.read_csv(
            io.BytesIO(body),
            read_options=csv.ReadOptions(column_names=read_names, use_threads=threads),
            parse_options=csv.ParseOptions(ignore_empty_lines=len(columns) > 1),
            convert_options=csv.ConvertOptions(
                column_types={"\0key": pa.string(), **kinds},
                include_columns=names,
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    try:
        try:
            return read(threads=len(body) > 1 << 20)
        except pa.ArrowInvalid:
            return read(threads=False)  # only so does the message name the row
    except pa.ArrowInvalid as error:
        raise BadRequest(explained(str(error), columns)) from error


def explained(text: str, columns: list[str]) -> str:
    """Arrow's message in the caller's words."""
    expected = f"a row must have {len(columns)} fields ({', '.join(columns)})"
    if "Empty CSV" in text:
        return f"the request must have at least one row; {expected}"
    row = re.search(r"Row #(\d+)", text)
    where = f"row {row[1]}: " if row else ""
    if found := re.search(r"Expected (\d+) columns, got (\d+)", text):
        return f"{where}{expected}, got {found[2]}"
    if found := re.search(r"In CSV column #(\d+):.*invalid value '(.*)'", text, re.DOTALL):
        return f"{where}{columns[int(found[1])]} must be a number or empty, got '{found[2]}'"
    return f"{where}the request is not CSV: {text}"
