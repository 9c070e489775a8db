# SPDX-License-Identifier: Apache-2.0
"""A walking policy as one ONNX file, written operator by operator: gait, and the network beside it if there is one.

Input `obs` float32 [1, N], output `actions` float32 [1, M]; `metadata_props` carry the whole ControlSpec.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_gait import WISH, Gait
from lerobot_arena.platform.training.locomotion_ppo import Layer
from lerobot_arena.platform.training.locomotion_spec import offsets, period_s, to_metadata

OPSET = 17
# What onnxruntime of the browser and of Python both read.
IR_VERSION = 8
# Raw actions are cut here: 2 rad beside the default pose at the scale of a quarter.
LIMIT = 8.0


class _Graph:
    """Collects nodes and constants; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = out or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def slice(self, of: str, where: slice) -> str:
        edges = [self.constant([edge], np.int64) for edge in (where.start, where.stop, 1)]
        return self.op("Slice", of, *edges)

    def clip(self, of: str, low: float, high: float) -> str:
        return self.op("Clip", of, self.constant(low), self.constant(high))


def write_policy(
    path: Path, spec: ControlSpec, gait: Gait, weights: FloatArray, layers: Sequence[Layer] = (), *, run: str
) -> None:
    """Write actions = clip(features · `weights` + network(obs)); `run` is kept as the metadata's run_path."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    total = graph.op("MatMul", _features(graph, spec, gait), graph.constant(weights))
    if layers:
        total = graph.op("Add", total, _network(graph, layers))
    low, high = graph.constant(-LIMIT), graph.constant(LIMIT)
    graph.op("Clip", total, low, high, out=spec.output_name)
    made = helper.make_graph(
        graph.nodes,
        "policy",
        [helper.make_tensor_value_info(spec.input_name, TensorProto.FLOAT, [1, spec.observation_width])],
        [helper.make_tensor_value_info(spec.output_name, TensorProto.FLOAT, [1, len(spec.joint_names)])],
        graph.constants,
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="lerobot_arena"
    )
    model.ir_version = IR_VERSION
    helper.set_model_props(model, metadata(spec, run))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def metadata(spec: ControlSpec, run: str) -> dict[str, str]:
    """Return mjlab's keys, and those of ours for what mjlab's convention leaves to the reader."""
    told = spec.to_json()
    return {
        **to_metadata(spec, run),
        "control_dt": f"{spec.control_dt:.3f}",
        "gait_period": f"{period_s(spec):.3f}",
        **({} if spec.armature is None else {"armature": f"{spec.armature:.3f}"}),
        **{key: json.dumps(told[key]) for key in ("commands", "initial", "fell")},
        **({} if spec.action_clip is None else {"action_clip": json.dumps(told["action_clip"])}),
    }


def _features(graph: _Graph, spec: ControlSpec, gait: Gait) -> str:
    """Return what Gait.features computes, in its order."""
    where = offsets(spec)
    wave, command = graph.slice("obs", where["gait_phase"]), graph.slice("obs", where["command"])
    gravity, gyro = graph.slice("obs", where["projected_gravity"]), graph.slice("obs", where["base_ang_vel"])
    asked = [graph.op("Slice", command, *_edges(graph, axis)) for axis in range(3)]
    wish = graph.op("MatMul", graph.op("Abs", command), graph.constant(np.array(WISH)[:, None]))
    act = graph.clip(wish, 0, 1)
    lift, reach = _limbs(graph, wave, gait)
    lean = graph.op("Slice", gravity, *_edges(graph, 0))
    parts = [
        graph.op("Mul", lift, act),
        *(graph.op("Mul", reach, drive) for drive in (*asked, act)),
        *(graph.op("Mul", wave, drive) for drive in (act, *asked)),
        graph.op("Slice", gravity, *_edges(graph, 0, 2)),
        graph.op("Mul", lean, act),
        *(gyro, command, act, graph.constant([[1.0]])),
    ]
    return graph.op("Concat", *parts, axis=1)


def _edges(graph: _Graph, start: int, count: int = 1) -> list[str]:
    return [graph.constant([edge], np.int64) for edge in (start, start + count, 1)]


def _limbs(graph: _Graph, wave: str, gait: Gait) -> tuple[str, str]:
    """Return lift and reach [1, K]. ONNX has no atan2: the sign of the sine picks the half of the cosine's angle."""
    sine, cosine = (graph.op("Slice", wave, *_edges(graph, axis)) for axis in range(2))
    half = graph.op("Div", graph.op("Acos", graph.clip(cosine, -1, 1)), graph.constant(2 * math.pi))
    other = graph.op("Sub", graph.constant(1.0), half)
    turn = graph.op("Where", graph.op("Less", sine, graph.constant(0.0)), other, half)
    turns = graph.op("Add", turn, graph.constant([gait.phases]))
    turns = graph.op("Sub", turns, graph.op("Floor", turns))
    swing = graph.clip(graph.op("Div", turns, graph.constant(gait.duty)), 0, 1)
    rest = graph.op("Sub", turns, graph.constant(gait.duty))
    stance = graph.clip(graph.op("Div", rest, graph.constant(1 - gait.duty)), 0, 1)
    angle = graph.op("Mul", swing, graph.constant(math.pi))
    behind = graph.op("Mul", stance, graph.constant(2.0))
    reach = graph.op("Neg", graph.op("Add", graph.op("Cos", angle), behind))
    return graph.op("Sin", angle), reach


def _network(graph: _Graph, layers: Sequence[Layer]) -> str:
    carried = "obs"
    for index, layer in enumerate(layers):
        carried = graph.op("Gemm", carried, graph.constant(layer.weights), graph.constant(layer.bias))
        if index < len(layers) - 1:
            carried = graph.op("Elu", carried, alpha=1.0)
    return carried
