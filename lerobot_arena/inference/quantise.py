# SPDX-License-Identifier: Apache-2.0
"""int8 by calibration: static QDQ of the convolutions, which are nearly all of an image policy's work.

Attention stays float: a softmax over hundreds of tokens is below one step of uint8 (all-ops QDQ gives garbage at
2×480×640), and dynamic quantisation of convolutions is slower than float32.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import PolicyError
from lerobot_arena.inference.checkpoint import STATE
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput


def quantise(source: Path, target: Path, manifest: PolicyManifest, inputs: Sequence[PolicyInput]) -> None:
    """Write an int8 twin of the graph `source`, calibrated on `inputs`. Raises PolicyError."""
    try:
        import onnx  # noqa: F401
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise PolicyError(
            f"int8 needs the onnx package ({error}): pip install 'lerobot_arena[lerobot]'."
        ) from error

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands the calibration inputs to ONNX Runtime one by one."""

        def __init__(self) -> None:
            self._feeds = feeds(manifest, inputs)

        def get_next(self) -> dict[str, Any] | None:
            return next(self._feeds, None)

    plain = target.with_name(f"{target.stem}-plain.onnx")
    _give_own_constants(source, plain)
    # Its remarks (optional preprocessing) go to the root logger.
    logging.disable(logging.WARNING)
    try:
        _run(quantize_static, plain, target, Reader(), QuantFormat, QuantType)
    finally:
        logging.disable(logging.NOTSET)
        plain.unlink()


def _give_own_constants(source: Path, target: Path) -> None:
    """Write `source` with a copy of a constant for each user of it.

    The exporter keeps equal constants once and hands them on through Identity nodes. A convolution whose bias comes
    that way is not quantised, though nothing says so: after folding untrained batch norms, that is nearly all of them.
    """
    import onnx

    model = onnx.load(str(source))
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in constants:
            copy = onnx.TensorProto()
            copy.CopyFrom(constants[node.input[0]])
            copy.name = node.output[0]
            graph.initializer.append(copy)
            constants[copy.name] = copy
        else:
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    onnx.save(model, str(target))


def _run(quantize_static: Any, source: Path, target: Path, reader: Any, formats: Any, types: Any) -> None:
    quantize_static(
        str(source),
        str(target),
        reader,
        quant_format=formats.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=types.QUInt8,
        weight_type=types.QInt8,
    )


def feeds(manifest: PolicyManifest, inputs: Sequence[PolicyInput]) -> Iterator[dict[str, Any]]:
    """What the graph takes, by input name."""
    for item in inputs:
        found: dict[str, Any] = {c.key: item.frames[c.name][np.newaxis] for c in manifest.cameras}
        if manifest.state_names:
            found[STATE] = item.state.astype(np.float32)[np.newaxis]
        yield found
