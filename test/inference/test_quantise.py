# SPDX-License-Identifier: Apache-2.0
"""int8 means that the convolutions run in int8, whatever the exporter did to their constants."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lerobot_arena.inference.manifest import CameraInput, PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput
from lerobot_arena.inference.quantise import quantise

onnx = pytest.importorskip("onnx")
KEY = "observation.images.front"


def two_convolutions(path: Path) -> None:
    """The second takes the first one's bias through an Identity, as torch's exporter writes equal constants."""
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, 144).tolist() for _ in range(2)]
    nodes = [
        helper.make_node("Cast", [KEY], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["image"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["image", "w0", "bias"], ["a"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Identity", ["bias"], ["bias_again"]),
        helper.make_node("Conv", ["b", "w1", "bias_again"], ["c"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["d", "axis"], ["action"]),
    ]
    constants = [
        helper.make_tensor("w0", TensorProto.FLOAT, [4, 3, 3, 3], weights[0][:108]),
        helper.make_tensor("w1", TensorProto.FLOAT, [4, 4, 3, 3], weights[1]),
        helper.make_tensor("bias", TensorProto.FLOAT, [4], [0.5, -0.5, 1.0, 0.0]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info(KEY, TensorProto.UINT8, [1, 8, 8, 3])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, 1, 4])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def operators(path: Path, tmp_path: Path) -> list[str]:
    """What ONNX Runtime really executes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


def run(path: Path, frame: np.ndarray) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {KEY: frame[np.newaxis]})[0]


def test_convolutions_that_share_a_bias_all_run_in_int8(tmp_path: Path) -> None:
    source, target = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    two_convolutions(source)
    camera = CameraInput("front", KEY, 8, 8, 8, 8)
    manifest = PolicyManifest(
        "onnx", "act", str(tmp_path), tuple("abcd"), "normalized", 30.0, cameras=(camera,)
    )
    rng = np.random.default_rng(1)
    frames = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(20)]
    quantise(source, target, manifest, [PolicyInput(np.empty(0), {"front": frame}) for frame in frames])
    found = operators(target, tmp_path)
    assert found.count("QLinearConv") == 2
    assert "Conv" not in found
    wanted, given = run(source, frames[0]), run(target, frames[0])
    assert np.abs(wanted - given).max() < 0.05 * np.abs(wanted).max()
    assert sorted(path.name for path in tmp_path.glob("*.onnx")) == [
        "float.onnx",
        "int8.onnx",
        "optimised.onnx",
    ]
