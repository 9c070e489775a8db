# SPDX-License-Identifier: Apache-2.0
"""A policy's network as onnxruntime sees it: one observation in, one action out."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.adapters import Network
from lerobot_arena.platform.catalog.reading import plain_name

_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : (Load model from \S+ failed: ?)?")

_SOURCE = re.compile(r"^/onnxruntime_src/.*?\.(h|cc):\d+ .*\) (?=\S)")


def open_session(path: Path, *, threads: int = 1) -> Any:
    """An onnxruntime session on the CPU. Raises InvalidInput when the file is no network it can run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Else bytes that look like its own format are taken for that, whatever was looked at before.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidInput(f"The network cannot be loaded: {_said(error)}") from error


def describe(session: Any) -> Network:
    """Which input and output a runner uses. Raises InvalidInput for a network with another shape of interface."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        named = ", ".join(item.name for item in inputs)[:200] or "none"
        raise InvalidInput(
            f"The network must have one input, the observation; it has {len(inputs)} ({named})."
        )
    output = next(
        (item for item in outputs if item.name == "actions"), outputs[0] if len(outputs) == 1 else None
    )
    if output is None:
        named = ", ".join(item.name for item in outputs)[:200] or "none"
        raise InvalidInput(f"The network must have one output, or one called actions; it has {named}.")
    return Network(
        plain_name(inputs[0].name, "The name of the network's input"),
        _width(inputs[0], "input"),
        plain_name(output.name, "The name of the network's output"),
        _width(output, "output"),
    )


def ask(session: Any, network: Network, observation: np.ndarray) -> np.ndarray:
    """Run it once: float32 [N] → float32 [M]. Raises InvalidInput when it fails, or answers with another shape."""
    try:
        (answer,) = session.run([network.output_name], {network.input_name: observation[None, :]})
    except Exception as error:
        raise InvalidInput(f"The network fails when it is run: {_said(error)}") from error
    if not isinstance(answer, np.ndarray) or answer.size != network.output_width:
        size = getattr(answer, "size", "no")
        raise InvalidInput(
            f"The network answers with {size} numbers, not with {network.output_width} actions."
        )
    return answer.reshape(-1)


def probe(session: Any, network: Network) -> None:
    """Ask it about nothing but zeros. Raises InvalidInput when the answer is not finite, or there is none."""
    if not np.isfinite(ask(session, network, np.zeros(network.input_width, np.float32))).all():
        raise InvalidInput(
            "The network's answer to an observation of zeros is not finite: its weights are broken."
        )


def _width(port: Any, what: str) -> int:
    shape = list(port.shape)
    is_batch = len(shape) == 2 and (shape[0] == 1 or not isinstance(shape[0], int))
    if port.type != "tensor(float)" or not is_batch or not isinstance(shape[1], int) or shape[1] < 1:
        raise InvalidInput(
            f"The network's {what} {port.name[:60]!r} must be float32 [1, n] with a fixed n, "
            f"but it is {port.type} {str(shape)[:100]}."
        )
    return shape[1]


def _said(error: Exception) -> str:
    """onnxruntime's own words without its prefixes; about memory ours."""
    text = str(error)
    if "bad_alloc" in text or "Failed to allocate" in text:
        return "it needs more memory than is allowed here."
    line = (text.strip().splitlines() or [type(error).__name__])[0]
    return f"{_SOURCE.sub('', _PREFIX.sub('', line))[:300].rstrip(' .')}."
