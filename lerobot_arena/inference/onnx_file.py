# SPDX-License-Identifier: Apache-2.0
"""A look into an ONNX file without the onnx package: where its tensors lie, and whether they are finite.

Only the fields needed are followed, by number, from onnx.proto (github.com/onnx/onnx, IR version 3 and later). Runs in
the worker process: the file may be foreign.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.core.protobuf import BYTES, fields
from lerobot_arena.inference.weights import inside

_MAX_DEPTH = 12
# message kind → field number → message kind below it
_BELOW = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_FLOATS = {1: np.float32, 10: np.float16, 11: np.float64}


def check_onnx(path: Path) -> None:
    """Raise PolicyError for external data outside the folder, a tensor that is not finite, or no ONNX at all."""
    data = memoryview(path.read_bytes())
    try:
        for tensor in _tensors(data, "model", 0):
            _check_tensor(tensor, path)
    except (IndexError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path} is no ONNX model: {error}.") from error


def _tensors(data: memoryview, kind: str, depth: int) -> Iterator[memoryview]:
    if depth > _MAX_DEPTH:
        raise ValueError("its graphs are nested too deeply")
    below = _BELOW[kind]
    for number, wire, value in fields(data):
        inner = below.get(number)
        if inner is None or wire != BYTES or isinstance(value, int):
            continue
        if inner == "tensor":
            yield value
        else:
            yield from _tensors(value, inner, depth + 1)


def _check_tensor(tensor: memoryview, path: Path) -> None:
    kind, name, raw, floats = 0, "", None, []
    for number, _, value in fields(tensor):
        if number == 2 and isinstance(value, int):
            kind = value
        elif isinstance(value, int):
            continue
        elif number == 8:
            name = bytes(value).decode(errors="replace")
        elif number == 9:
            raw = value
        elif number in (4, 10):  # float_data, double_data, packed
            floats.append(np.frombuffer(value, dtype=np.float32 if number == 4 else np.float64))
        elif number == 13:
            _check_external(value, path)
    if raw is not None and kind in _FLOATS:
        floats.append(np.frombuffer(raw, dtype=_FLOATS[kind]))
    if not all(np.isfinite(values).all() for values in floats):
        raise PolicyError(f"{path}: the weights of {name!r} are not finite. Export or download it again.")


def _check_external(entry: memoryview, path: Path) -> None:
    pair = {
        number: bytes(value).decode(errors="replace")
        for number, _, value in fields(entry)
        if not isinstance(value, int)
    }
    if pair.get(1) == "location":
        inside(path.parent, pair.get(2, ""), what="external tensor data")
