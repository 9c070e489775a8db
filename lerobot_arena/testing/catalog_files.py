# SPDX-License-Identifier: Apache-2.0
"""Good things to publish, made from nothing: a two-wheeled cart, a network that drives it, a box to look at."""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

WHEELS = ("left_wheel", "right_wheel")
_ACTUATORS = {
    "none": "",
    "position": "".join(f'<position name="{n}" joint="{n}" kp="4"/>' for n in WHEELS),
    "motor": "".join(f'<motor name="{n}" joint="{n}"/>' for n in WHEELS),
    "mixed": f'<position name="{WHEELS[0]}" joint="{WHEELS[0]}" kp="4"/>',
}


def cart_xml(*, actuators: str = "none", sensors: bool = False, extra: str = "", keyframe: str = "") -> str:
    """A cart on two wheels and two frictionless casters, in primitives; `extra` goes right below <mujoco>."""
    damping = ' damping="0.4"' if actuators == "position" else ""
    wheels = "".join(
        f'<body name="{side}" pos="0 {y} 0"><joint name="{side}_wheel" axis="0 1 0"{damping}/>'
        f'<geom type="cylinder" size=".05 .01" euler="90 0 0" mass=".2" friction="1.2"/></body>'
        for side, y in (("left", 0.08), ("right", -0.08))
    )
    casters = "".join(
        f'<geom type="sphere" size=".02" pos="{x} 0 -.03" mass=".05" condim="1"/>' for x in (-0.08, 0.08)
    )
    imu = '<sensor><velocimeter name="imu_lin_vel" site="imu"/><gyro name="imu_ang_vel" site="imu"/></sensor>'
    return f"""<mujoco model="cart">{extra}
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 .1"/>
    <body name="base" pos="0 0 .051">
      <freejoint name="root"/>
      <site name="imu" pos=".01 0 .01"/>
      <geom type="box" size=".1 .06 .02" mass="1"/>{casters}{wheels}
    </body>
  </worldbody>
  <actuator>{_ACTUATORS[actuators]}</actuator>{imu if sensors else ""}{keyframe}
</mujoco>"""


CART_TERMS = (
    "base_lin_vel",
    "base_ang_vel",
    "projected_gravity",
    "joint_pos",
    "joint_vel",
    "actions",
    "command",
)
CART_WIDTHS = (3, 3, 3, 2, 2, 2, 3)


def cart_weights(gain: float = 0.4, turn: float = 0.1) -> np.ndarray:
    """[18, 2]: each action is the last one and a little more of the command, so that the wheels go on turning."""
    weights = np.zeros((sum(CART_WIDTHS), 2), np.float32)
    last, command = sum(CART_WIDTHS[:5]), sum(CART_WIDTHS[:6])
    weights[last : last + 2] = np.eye(2)
    weights[command] = gain
    weights[command + 2] = (-turn, turn)
    return weights


def cart_metadata(**changes: str | None) -> dict[str, str]:
    """What mjlab would write for the cart; None takes a key away."""
    found: dict[str, str | None] = {
        "run_path": "none",
        "joint_names": ",".join(WHEELS),
        "joint_stiffness": "4.000,4.000",
        "joint_damping": "0.400,0.400",
        "default_joint_pos": "0.000,0.000",
        "command_names": "twist",
        "observation_names": ",".join(CART_TERMS),
        "observation_terms_scale": ",".join(["1.000"] * 7),
        "observation_terms_clip": ",".join(["-inf;inf"] * 7),
        "observation_terms_history_length": ",".join(["0.000"] * 7),
        "observation_terms_flatten_history_dim": ",".join(["1.000"] * 7),
        "action_scale": "1.000,1.000",
        **changes,
    }
    return {key: value for key, value in found.items() if value is not None}


def linear_onnx(
    weights: np.ndarray,
    metadata: Mapping[str, str] | None = None,
    *,
    input_name: str = "obs",
    output_name: str = "actions",
) -> bytes:
    """float32 [1, N] → [1, M] by one matrix."""
    from onnx import TensorProto, helper, numpy_helper

    rows, columns = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", [input_name, "weights"], [output_name])],
        "policy",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, rows])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [1, columns])],
        [numpy_helper.from_array(np.asarray(weights, np.float32), "weights")],
    )
    return onnx_bytes(graph, metadata)


def onnx_bytes(graph: Any, metadata: Mapping[str, str] | None = None, *, opset: int = 17) -> bytes:
    """A model of a graph."""
    from onnx import helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    helper.set_model_props(model, dict(metadata or {}))
    return bytes(model.SerializeToString())


def cart_policy(**changes: str | None) -> bytes:
    """The network that drives the cart, with its metadata."""
    return linear_onnx(cart_weights(), cart_metadata(**changes))


def cart_deploy() -> dict[str, Any]:
    """The same policy's deploy YAML, as unitree_rl_lab would write it; its motors are right, left."""
    ones = {"base_ang_vel": 3, "projected_gravity": 3, "velocity_commands": 3, "joint_pos_rel": 2,
            "joint_vel_rel": 2, "last_action": 2}  # fmt: skip
    return {
        "joint_names": list(reversed(WHEELS)),
        "joint_ids_map": [1, 0],
        "step_dt": 0.02,
        "stiffness": [5.0, 4.0],
        "damping": [0.5, 0.4],
        "default_joint_pos": [0.0, 0.0],
        "commands": {
            "base_velocity": {
                "ranges": {
                    "lin_vel_x": [-0.5, 1.0],
                    "lin_vel_y": [0, 0],
                    "ang_vel_z": [-1, 1],
                    "heading": None,
                }
            }
        },
        "actions": {
            "JointPositionAction": {
                "clip": None,
                "joint_names": [".*"],
                "scale": [1.0, 1.0],
                "offset": [0.0, 0.0],
                "joint_ids": None,
            }
        },
        "observations": {
            name: {"params": {}, "clip": None, "scale": [1.0] * width, "history_length": 2}
            for name, width in ones.items()
        },
    }


def deploy_onnx() -> bytes:
    """A network for `cart_deploy`, without metadata: 30 → 2."""
    weights = np.zeros((30, 2), np.float32)
    weights[28:30] = np.eye(2)  # the newer of two last actions
    weights[15] = 0.4  # the newer forward command
    return linear_onnx(weights)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a zip as its two headers tell it; None takes the truth."""

    name: str | bytes
    data: bytes = b""
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    claimed_size: int | None = None
    claimed_packed: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    packed: bytes | None = None
    at: int | None = None


def zip_bytes(*members: Member) -> bytes:
    """A zip of exactly these members, however wrong (PKWARE APPNOTE 6.3, §4.3)."""
    body, directory = b"", b""
    for member in members:
        name = member.name if isinstance(member.name, bytes) else member.name.encode()
        packed = member.packed if member.packed is not None else _packed(member)
        size = len(member.data) if member.claimed_size is None else member.claimed_size
        packed_size = len(packed) if member.claimed_packed is None else member.claimed_packed
        crc = zlib.crc32(member.data) if member.crc is None else member.crc
        flags = member.flags | (0x800 if not name.isascii() else 0)
        common = struct.pack("<HHHHHIII", 20, flags, member.method, 0, 0x21, crc, packed_size, size)
        offset = len(body) if member.at is None else member.at
        local = member.local_name or name
        body += b"PK\3\4" + common + struct.pack("<HH", len(local), 0) + local + packed
        directory += b"PK\1\2" + struct.pack("<H", 0x0314) + common
        directory += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, member.mode << 16, offset) + name
    count = min(len(members), 0xFFFF)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\5\6" + end


def _packed(member: Member) -> bytes:
    if member.method != 8:
        return member.data
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(member.data) + packer.flush()


def robot_zip(xml: str | None = None, *more: Member) -> bytes:
    """A bundle with `robot.xml`."""
    return zip_bytes(Member("robot.xml", (cart_xml() if xml is None else xml).encode()), *more)


def glb_bytes(document: Mapping[str, Any], binary: bytes = b"") -> bytes:
    """A GLB of this JSON and binary chunk."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    if binary:
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def triangle_document(
    positions: Sequence[float] = (0, 0, 0, 1, 0, 0, 0, 1, 0),
) -> tuple[dict[str, Any], bytes]:
    """One triangle: JSON and binary chunk, for tests to change."""
    binary = struct.pack("<9f", *positions) + struct.pack("<3H", 0, 1, 2) + b"\0\0"
    document: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 6}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 0],
            },
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
    }
    return document, binary


def png_header(width: int, height: int) -> bytes:
    """A PNG as far as its size goes."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
