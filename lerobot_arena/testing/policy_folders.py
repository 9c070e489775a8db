# SPDX-License-Identifier: Apache-2.0
"""Policy folders made from nothing, for tests: a LeRobot checkpoint's files, a small graph, a replay file."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
SIZE = 32


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """The format in ten lines, so that tests of it need no library."""
    header: dict[str, Any] = {}
    body = b""
    for name, tensor in tensors.items():
        data = np.ascontiguousarray(tensor, dtype=np.float32).tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + body)


def feature(kind: str, *shape: int) -> dict[str, Any]:
    return {"type": kind, "shape": list(shape)}


class CheckpointFolder:
    """A LeRobot checkpoint as far as its JSON goes; tests change a part and write it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        inputs = {
            "observation.state": feature("STATE", 6),
            "observation.images.front": feature("VISUAL", 3, SIZE, SIZE),
        }
        outputs = {"action": feature("ACTION", 6)}
        modes = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}
        self.config: dict[str, Any] = {
            "type": "act",
            "input_features": inputs,
            "output_features": outputs,
            "normalization_mapping": modes,
            "chunk_size": 10,
            "n_action_steps": 5,
        }
        self.before = [
            {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
            {
                "registry_name": "normalizer_processor",
                "config": {"features": {**inputs, **outputs}, "norm_map": dict(modes), "eps": 1e-8},
                "state_file": "before.safetensors",
            },
        ]
        self.after = [
            {
                "registry_name": "unnormalizer_processor",
                "config": {"features": outputs, "norm_map": dict(modes), "eps": 1e-8},
                "state_file": "after.safetensors",
            }
        ]
        joints = {"mean": np.full(6, 10.0), "std": np.full(6, 20.0)}
        image = {"mean": np.full((3, 1, 1), 0.5), "std": np.full((3, 1, 1), 0.2)}
        self.stats: dict[str, dict[str, Any]] = {
            "observation.state": dict(joints),
            "observation.images.front": image,
            "action": dict(joints),
        }
        self.weights = {"model.action_head.weight": np.zeros((6, 4))}

    def write(self) -> Path:
        path = self.path
        (path / "config.json").write_text(json.dumps(self.config))
        (path / "policy_preprocessor.json").write_text(json.dumps({"steps": self.before}))
        (path / "policy_postprocessor.json").write_text(json.dumps({"steps": self.after}))
        flat = {f"{key}.{name}": value for key, entry in self.stats.items() for name, value in entry.items()}
        write_safetensors(path / "before.safetensors", flat)
        write_safetensors(
            path / "after.safetensors", {k: v for k, v in flat.items() if k.startswith("action")}
        )
        write_safetensors(path / "model.safetensors", self.weights)
        return path


def write_replay(path: Path, **content: Any) -> str:
    """A replay file that repeats the state of six joints; returns its policy path."""
    path.write_text(json.dumps({"joint_names": list(JOINTS), "fps": 30.0, "chunk_size": 5, **content}))
    return f"replay:{path}"


def write_onnx(folder: Path, **changes: Any) -> Path:
    """A graph that answers state + mean brightness, five steps of it, with its manifest."""
    import onnx
    from onnx import TensorProto, helper

    folder.mkdir()
    nodes = [
        helper.make_node("Cast", ["observation.images.front"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Add", ["observation.state", "mean"], ["shifted"]),
        helper.make_node("Reshape", ["shifted", "as_step"], ["step"]),
        helper.make_node(changes.pop("last_op", "Mul"), ["step", "ones"], ["action"]),
    ]
    constants = [
        helper.make_tensor("as_step", TensorProto.INT64, [3], [1, 1, 6]),
        helper.make_tensor("ones", TensorProto.FLOAT, [1, 5, 6], changes.pop("ones", [1.0] * 30)),
    ]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [
            helper.make_tensor_value_info("observation.state", TensorProto.FLOAT, [1, 6]),
            helper.make_tensor_value_info("observation.images.front", TensorProto.UINT8, [1, SIZE, SIZE, 3]),
        ],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, 5, 6])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    manifest = {
        "format": "lerobot_arena.policy/1",
        "policy_type": "act",
        "joint_names": list(JOINTS),
        "unit": "normalized",
        "fps": 30.0,
        "chunk_size": 5,
        "n_action_steps": 3,
        "cameras": {"front": {"height": SIZE, "width": SIZE}},
        **changes,
    }
    manifest = {key: value for key, value in manifest.items() if value is not None}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
