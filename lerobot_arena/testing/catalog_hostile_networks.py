# SPDX-License-Identifier: Apache-2.0
"""Networks that are none, that lie about their tensors, never end, or need more memory than there is."""

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from lerobot_arena.testing.catalog_files import (
    CART_TERMS,
    cart_metadata,
    cart_policy,
    cart_weights,
    linear_onnx,
    onnx_bytes,
    robot_zip,
)
from lerobot_arena.testing.catalog_hostile import Hostile
from lerobot_arena.testing.catalog_hostile_zips import noise


def networks() -> list[Hostile]:
    """As a policy of `onnx_metadata_v1`."""
    bytes_rows = [Hostile(f"onnx_{name}", "policy", make, says) for name, says, make in _FILES]
    told = [Hostile(f"metadata_{name}", "policy", _told(changes), says) for name, says, changes in _METADATA]
    configured = [
        Hostile(f"config_{name}", "policy", cart_policy, says, config) for name, says, config in _CONFIGS
    ]
    return bytes_rows + told + configured


def _told(changes: dict[str, str | None]) -> Callable[[], bytes]:
    return lambda: cart_policy(**changes)


def _graph(
    nodes: list[Any],
    *,
    inputs: list[tuple[str, int, list[Any]]] | None = None,
    outputs: list[tuple[str, int, list[Any]]] | None = None,
    tensors: list[Any] | None = None,
    opset: int = 17,
) -> bytes:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        nodes,
        "evil",
        [helper.make_tensor_value_info(*row) for row in inputs or [("obs", TensorProto.FLOAT, [1, 18])]],
        [helper.make_tensor_value_info(*row) for row in outputs or [("actions", TensorProto.FLOAT, [1, 2])]],
        tensors or [],
    )
    return onnx_bytes(graph, cart_metadata(), opset=opset)


def _one(operator: str, *inputs: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, list(inputs), ["actions"], **attributes)


def _tensor(name: str, values: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values), name)


def _claimed(dims: list[int], *, times: int = 1) -> bytes:
    """Tensors that say they are so large, with no data."""
    from onnx import TensorProto

    tensors = [TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=dims) for i in range(times)]
    return _graph([_one("MatMul", "obs", "w0")], tensors=tensors)


def _external(location: str) -> Callable[[], bytes]:
    def make() -> bytes:
        from onnx import TensorProto

        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[18, 2], data_location=1)
        tensor.external_data.add(key="location", value=location)
        return _graph([_one("MatMul", "obs", "w")], tensors=[tensor])

    return make


def _built(shape: list[int]) -> bytes:
    """The network itself asks for so much when it runs, or when its constants are folded."""
    from onnx import helper

    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["obs", "w"], ["small"]),
        helper.make_node("Add", ["small", "sum"], ["actions"]),
    ]
    return _graph(nodes, tensors=[_tensor("shape", np.array(shape)), _tensor("w", cart_weights())])


def _squared(times: int) -> bytes:
    """Outer products of a constant: each twice as large as the last."""
    from onnx import helper

    nodes = [helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(times)]
    nodes += [
        helper.make_node("ReduceSum", [f"c{times}"], ["sum"], keepdims=0),
        helper.make_node("MatMul", ["obs", "w"], ["small"]),
        helper.make_node("Add", ["small", "sum"], ["actions"]),
    ]
    return _graph(nodes, tensors=[_tensor("c0", np.zeros(1000, np.float32)), _tensor("w", cart_weights())])


def _looped(operator: str) -> bytes:
    from onnx import TensorProto, helper

    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("on", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("on_out", TensorProto.BOOL, [])],
    )  # fmt: skip
    loop = helper.make_node(operator, ["many", "yes"], [], body=body)
    return _graph(
        [loop, _one("MatMul", "obs", "w")],
        tensors=[
            _tensor("many", np.array(2**62)),
            _tensor("yes", np.array(True)),
            _tensor("w", cart_weights()),
        ],
    )


def _deep_ifs(depth: int) -> bytes:
    from onnx import TensorProto, helper

    answer = [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [1, 2])]
    graph = helper.make_graph([_one("MatMul", "obs", "w")], "leaf", [], answer)
    for _ in range(depth):
        graph = helper.make_graph(
            [_one("If", "yes", then_branch=graph, else_branch=graph)], "deeper", [], answer
        )
    graph.input.append(helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, 18]))
    graph.initializer.extend([_tensor("yes", np.array(True)), _tensor("w", cart_weights())])
    return onnx_bytes(graph, cart_metadata())


def _functions() -> bytes:
    import onnx
    from onnx import helper

    model = onnx.load_from_string(cart_policy())
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("evil", "f", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], opset)
    )
    return bytes(model.SerializeToString())


def _many_nodes() -> bytes:
    from onnx import helper

    names = ["obs", *(f"v{i}" for i in range(20_001))]
    chain = [helper.make_node("Identity", [a], [b]) for a, b in pairwise(names)]
    return _graph([*chain, _one("MatMul", names[-1], "w")], tensors=[_tensor("w", cart_weights())])


def _ports(*inputs: tuple[str, str, list[Any]]) -> Callable[[], bytes]:
    def make() -> bytes:
        from onnx import TensorProto, helper

        kinds = {"float": TensorProto.FLOAT, "double": TensorProto.DOUBLE}
        given = [(name, kinds[kind], dims) for name, kind, dims in inputs]
        answer = [("actions", given[0][1], [1, 2])]
        node = helper.make_node("Slice", ["obs", "zero", "two", "one"], ["actions"])
        tensors = [
            _tensor("zero", np.array([0])),
            _tensor("two", np.array([2])),
            _tensor("one", np.array([1])),
        ]
        return _graph([node], inputs=given, outputs=answer, tensors=tensors)

    return make


_FILES: list[tuple[str, str, Callable[[], bytes]]] = [
    ("of_nothing", "empty", lambda: b""),
    ("that_is_noise", "no ONNX", noise),
    ("that_is_a_zip", "no ONNX", robot_zip),
    ("that_is_zeros", "no ONNX", lambda: bytes(4000)),
    ("cut_in_half", "no ONNX", lambda: cart_policy()[: len(cart_policy()) // 2]),
    ("cut_by_one_byte", "no ONNX", lambda: cart_policy()[:-1]),
    ("with_a_number_without_end", "no ONNX", lambda: b"\x08" + b"\xff" * 400),
    ("of_another_format", "no ONNX", lambda: struct.pack("<I", 36) + b"ORTM" + bytes(400)),
    ("whose_tensor_is_huge", "tensors hold", lambda: _claimed([1 << 40])),
    ("whose_tensor_is_huge_in_parts", "tensors hold", lambda: _claimed([1 << 20, 1 << 20, 1 << 20])),
    ("whose_tensors_are_huge_together", "tensors hold", lambda: _claimed([1 << 20], times=70)),
    ("whose_tensor_is_negative", "tensors hold|no ONNX|loaded", lambda: _claimed([-1, 4])),
    ("whose_tensor_has_no_data", "loaded", lambda: _claimed([18, 2])),
    ("beside_a_data_file", "external data", _external("policy.onnx.data")),
    ("beside_a_system_file", "external data", _external("/etc/passwd")),
    ("beside_a_file_above", "external data", _external("../../../../etc/passwd")),
    ("that_builds_too_much", "network|memory|crash", lambda: _built([1 << 36])),
    ("that_builds_too_much_in_parts", "network|memory|crash", lambda: _built([1 << 18, 1 << 18])),
    ("that_doubles", "network|memory|crash|computing", lambda: _squared(24)),
    ("that_loops", "Loop, which may never end", lambda: _looped("Loop")),
    ("that_scans", "Scan, which may never end", lambda: _looped("Scan")),
    ("nested_deeply", "deep|more than", lambda: _deep_ifs(12)),
    ("with_functions", "functions", _functions),
    ("of_too_many_operators", "operators", _many_nodes),
    ("of_a_foreign_domain", "domain", lambda: _graph([_one("Shell", "obs", domain="evil.ops")])),
    ("of_an_unknown_operator", "loaded", lambda: _graph([_one("SystemCall", "obs")])),
    ("of_the_future", "loaded", lambda: _graph([_one("Identity", "obs")], opset=9999)),
    ("that_has_a_circle", "loaded", lambda: _graph([_one("Add", "obs", "actions")])),
    ("of_two_inputs", "one input", _ports(("obs", "float", [1, 18]), ("time_step", "float", [1, 1]))),
    ("of_open_width", "fixed n", _ports(("obs", "float", [1, "n"]))),
    ("of_doubles", "float32", _ports(("obs", "double", [1, 18]))),
    ("of_pictures", "float32", _ports(("obs", "float", [1, 3, 96, 96]))),
    ("of_broken_weights", "finite", lambda: linear_onnx(np.full((18, 2), np.nan), cart_metadata())),
    ("of_infinite_weights", "finite", lambda: linear_onnx(np.full((18, 2), np.inf), cart_metadata())),
    ("of_other_width", "takes 19 numbers", lambda: linear_onnx(np.zeros((19, 2)), cart_metadata())),
    ("of_other_actions", "3 actions", lambda: linear_onnx(np.zeros((18, 3)), cart_metadata())),
]

_METADATA: list[tuple[str, str, dict[str, str | None]]] = [
    ("none_of_it", "joint_names, default_joint_pos, joint_stiffness", dict.fromkeys(cart_metadata())),
    ("without_damping", "missing key joint_damping", {"joint_damping": None}),
    ("without_joints", "missing key joint_names", {"joint_names": None}),
    ("without_scale", "missing key action_scale", {"action_scale": ""}),
    ("joints_beyond_count", "no.*more|joint_names", {"joint_names": ",".join(f"j{i}" for i in range(5000))}),
    ("joint_twice", "more than once", {"joint_names": "left_wheel,left_wheel"}),
    ("joint_without_name", "joint_names", {"joint_names": "left_wheel,"}),
    ("number_that_is_none", "no number", {"joint_damping": "0.4,four"}),
    ("number_not_finite", "number from", {"joint_damping": "nan,0.4"}),
    ("number_infinite", "number from", {"default_joint_pos": "inf,0.4"}),
    ("gain_negative", "number from", {"joint_stiffness": "-1.0,4.0"}),
    ("gains_of_other_joints", "joint_stiffness", {"joint_stiffness": "1.0,2.0,3.0"}),
    ("unknown_term", "height_scan", {"observation_names": ",".join((*CART_TERMS[:-1], "height_scan"))}),
    ("terms_that_do_not_add_up", "add up to", {"observation_names": "joint_pos,command"} | dict.fromkeys(
        [f"observation_terms_{key}" for key in ("scale", "clip", "history_length", "flatten_history_dim")])),
    ("scale_of_other_terms", "observation_terms_scale", {"observation_terms_scale": "1.0,1.0"}),
    ("clip_turned_around", "lowest", {"observation_terms_clip": ",".join(["1;-1"] * 7)}),
    ("history_without_end", "history_length", {"observation_terms_history_length": ",".join(["1e9"] * 7)}),
    ("history_not_whole", "whole number", {"observation_terms_history_length": ",".join(["0.5"] * 7)}),
    ("history_not_flat", "flattened", {"observation_terms_history_length": ",".join(["3.0"] * 7),
                                        "observation_terms_flatten_history_dim": ",".join(["0.000"] * 7)}),
    ("too_long", "longer than", {"run_path": "x" * 70_000}),
    ("nested_json", "cannot be read", {"commands": "[" * 30_000}),
]  # fmt: skip

_CONFIGS: list[tuple[str, str, str]] = [
    ("unknown_key", "unknown key", '{"stifness": [1, 2]}'),
    ("no_mapping", "mapping", "[1, 2, 3]"),
    ("period_of_zero", "control_dt", '{"control_dt": 0}'),
    ("period_negative", "control_dt", '{"controlDt": -0.02}'),
    (
        "command_turned_around",
        "lowest",
        '{"commands": {"lin_vel_x": [1, -1], "lin_vel_y": [0, 0], "ang_vel_z": [0, 0]}}',
    ),
    (
        "start_without_rotation",
        "unit quaternion",
        '{"initial": {"base_pos": [0, 0, 1], "base_quat": [0, 0, 0, 0]}}',
    ),
    ("joints_of_nobody", "no .head", '{"joint_names": ["head", "tail"]}'),
]
