# SPDX-License-Identifier: Apache-2.0
"""A look into a foreign ONNX file before any library loads it: its operators, tensors and metadata.

Fields by number from onnx.proto (github.com/onnx/onnx, IR version 3 and later). Belongs into a child process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.protobuf import BYTES, VARINT, fields, varint
from lerobot_arena.platform.catalog.limits import OnnxLimits

_MAX_DEPTH = 8
# message kind → field number → message kind below it
_BELOW = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
# They may go round without end, in a browser's page as well.
_ENDLESS = {"Loop", "Scan"}


@dataclass(slots=True)
class OnnxFacts:
    """What the file holds: how many operators, which, how many parameters, and its `metadata_props`."""

    nodes: int = 0
    parameters: int = 0
    operators: set[str] = field(default_factory=set)
    metadata: dict[str, str] = field(default_factory=dict)


def look(path: Path, limits: OnnxLimits) -> OnnxFacts:
    """Read the file's structure. Raises InvalidInput for what may not be published, or when it is no ONNX file."""
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise InvalidInput(f"The ONNX file has {size} bytes; {limits.file_bytes} is the limit.")
    data = memoryview(path.read_bytes())
    try:
        return _look(data, limits)
    except (IndexError, ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "it is cut short"
        raise InvalidInput(f"The model is no ONNX file: {said}.") from error


def _look(data: memoryview, limits: OnnxLimits) -> OnnxFacts:
    facts = OnnxFacts()
    has_graph = False
    for kind, message in _messages(data, "model", 0):
        has_graph = has_graph or kind == "graph"
        if kind == "function":
            raise InvalidInput("The ONNX file defines functions of its own; inline them when you export it.")
        if kind == "node":
            _count_node(message, facts, limits)
        elif kind == "tensor":
            _count_tensor(message, facts, limits)
    if not has_graph:
        raise ValueError("there is no graph in it")
    facts.metadata = dict(_metadata(data, limits))
    return facts


def _messages(data: memoryview, kind: str, depth: int) -> Iterator[tuple[str, memoryview]]:
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"The ONNX file nests graphs more than {_MAX_DEPTH // 3} deep.")
    below = _BELOW.get(kind, {})
    for number, wire, value in fields(data):
        inner = below.get(number)
        if inner is None or wire != BYTES or isinstance(value, int):
            continue
        yield inner, value
        if inner in _BELOW:
            yield from _messages(value, inner, depth + (inner != "attribute"))


def _text(value: memoryview | int) -> str:
    return "" if isinstance(value, int) else bytes(value).decode(errors="replace")


def _count_node(node: memoryview, facts: OnnxFacts, limits: OnnxLimits) -> None:
    operator, domain = "", ""
    for number, _, value in fields(node):
        operator = _text(value) if number == 4 else operator
        domain = _text(value) if number == 7 else domain
    facts.nodes += 1
    facts.operators.add(operator[:60])
    if facts.nodes > limits.nodes:
        raise InvalidInput(f"The ONNX file has more than {limits.nodes} operators.")
    if operator in _ENDLESS:
        raise InvalidInput(
            f"The ONNX file uses the operator {operator}, which may never end; unroll it when you export."
        )
    if domain not in _DOMAINS:
        raise InvalidInput(
            f"The ONNX file uses an operator of the domain {domain[:60]!r}, which no runner has."
        )


def _count_tensor(tensor: memoryview, facts: OnnxFacts, limits: OnnxLimits) -> None:
    dims: list[int] = []
    name = ""
    for number, wire, value in fields(tensor):
        if number == 1:
            dims += [value] if wire == VARINT and isinstance(value, int) else _packed(value)
        elif number == 8:
            name = _text(value)[:60]
        elif number == 13 or number == 14 and value == 1:
            raise InvalidInput(
                f"The ONNX file keeps {name or 'a tensor'} in another file (external data); save it as a single file."
            )
    elements = prod(dims)
    facts.parameters += elements
    if elements > limits.parameters or facts.parameters > limits.parameters:
        raise InvalidInput(
            f"The ONNX file's tensors hold more than {limits.parameters} numbers ({name or 'one'} has {elements})."
        )


def _packed(value: memoryview | int) -> list[int]:
    if isinstance(value, int):
        return []
    out, at = [], 0
    while at < len(value):
        item, at = varint(value, at)
        out.append(item)
        if len(out) > 64:
            raise ValueError("a tensor has more than 64 dimensions")
    return out


def _metadata(data: memoryview, limits: OnnxLimits) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for number, wire, value in fields(data):
        if number != 14 or wire != BYTES or isinstance(value, int):
            continue
        entry = {inner: _text(content) for inner, _, content in fields(value)}
        found[entry.get(1, "")] = entry.get(2, "")
        if len(found) > limits.metadata_entries:
            raise InvalidInput(f"The ONNX file has more than {limits.metadata_entries} metadata_props.")
    too_long = next(
        (key for key, text in found.items() if len(key) + len(text) > limits.metadata_bytes), None
    )
    if too_long is not None:
        raise InvalidInput(
            f"The ONNX file's metadata {too_long[:60]!r} is longer than {limits.metadata_bytes} characters."
        )
    return found
