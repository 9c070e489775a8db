# SPDX-License-Identifier: Apache-2.0
"""A rover of four wheels with a policy of a few matrices: small enough for any browser, and it uses every term."""

import io
import zipfile
from typing import Any

ENTRY_XML = "rover/scene.xml"
JOINTS = ("front_left", "front_right", "rear_left", "rear_right")
_STIFFNESS, _DAMPING, _REST = 4.0, 0.5, 0.1
_WHEEL = """
      <body name="{name}" pos="{x} {y} 0">
        <joint name="{name}" type="hinge" axis="0 1 0"/>
        <geom type="cylinder" size="0.07 0.025" euler="1.5707963 0 0" mass="0.25" rgba="0.13 0.15 0.18 1"/>
        <geom type="capsule" fromto="-0.05 {side} 0 0.05 {side} 0" size="0.008" rgba="0.96 0.62 0.2 1" mass="0"
              contype="0" conaffinity="0"/>
      </body>"""
_ROVER = """<mujoco model="rover">
  <compiler angle="radian" meshdir="meshes"/>
  <option timestep="0.005" integrator="{integrator}"/>
  <asset><mesh name="mast" file="mast.obj"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" friction="1 0.01 0.001"/>
    <body name="chassis" pos="0 0 0.2">
      <freejoint name="root"/>
      <geom type="box" size="0.2 0.11 0.035" mass="2.5" rgba="0.93 0.93 0.9 1"/>
      <geom type="ellipsoid" pos="0.13 0 0.05" size="0.06 0.08 0.03" rgba="0.2 0.5 0.9 1" mass="0"
            contype="0" conaffinity="0"/>
      <geom type="mesh" mesh="mast" pos="-0.1 0 0.035" rgba="0.9 0.35 0.2 1" mass="0.05"
            contype="0" conaffinity="0"/>
      <site name="imu"/>{wheels}
    </body>
  </worldbody>
  <sensor>{sensors}</sensor>
  <actuator>{actuators}</actuator>
  <keyframe><key name="home" qpos="0 0 0.075 1 0 0 0 0 0 0 0"/></keyframe>
</mujoco>
"""
_MAST = "v -0.03 -0.02 0\nv 0.03 -0.02 0\nv 0 0.03 0\nv 0 0 0.14\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
# Steps that the rover climbs; included after it.
BENCHMARK_XML = """<mujoco model="steps">
  <worldbody>
    <geom name="steps_low" type="box" pos="0.9 0 0.005" size="0.2 0.8 0.005" rgba="0.33 0.52 0.72 1"/>
    <geom name="steps_wall" type="box" pos="-0.9 0 0.2" size="0.05 0.8 0.2" rgba="0.8 0.3 0.25 1"/>
  </worldbody>
</mujoco>
"""


def rover_zip(*, actuators: bool, integrator: str = "implicitfast") -> bytes:
    """Return the robot's bundle: with position actuators and an IMU, or with bare joints."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in rover_files(actuators=actuators, integrator=integrator).items():
            archive.writestr(name, text)
    return packed.getvalue()


def rover_files(*, actuators: bool, integrator: str = "implicitfast") -> dict[str, str]:
    """Return what is in the bundle. With actuators and `Euler` the robot breaks down at once."""
    xml = _rover_xml(actuators=actuators, integrator=integrator)
    return {ENTRY_XML: xml, "rover/meshes/mast.obj": _MAST}


def _rover_xml(*, actuators: bool, integrator: str) -> str:
    wheels = "".join(
        _WHEEL.format(
            name=name,
            x=0.14 if "front" in name else -0.14,
            y=0.14 if "left" in name else -0.14,
            side=0.026 if "left" in name else -0.026,
        )
        for name in JOINTS
    )
    drives = "".join(
        f'<position name="{name}" joint="{name}" kp="{_STIFFNESS}" kv="{_DAMPING}"/>' for name in JOINTS
    )
    sensors = '<velocimeter name="imu_lin_vel" site="imu"/><gyro name="imu_ang_vel" site="imu"/>'
    return _ROVER.format(
        integrator=integrator,
        wheels=wheels,
        sensors=sensors if actuators else "",
        actuators=drives if actuators else "",
    )


def rover_control() -> dict[str, Any]:
    """Return the ControlSpec; every kind of term, with clips, scales of both kinds and histories."""

    def term(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "scale": 1.0, "clip": None, "history_length": 1, "params": {}} | more

    return {
        "version": 1,
        "control_dt": 0.02,
        "joint_names": list(JOINTS),
        "default_joint_pos": [_REST] * 4,
        "stiffness": [_STIFFNESS] * 4,
        "damping": [_DAMPING] * 4,
        "armature": 0.002,
        "action_scale": [0.5] * 4,
        "action_offset": [_REST] * 4,
        "action_clip": [[-200.0, 200.0]] * 4,
        "observations": [
            term("base_lin_vel", clip=[-0.5, 0.5]),
            term("base_ang_vel", scale=0.25, history_length=3),
            term("projected_gravity"),
            term("command", scale=[2.0, 2.0, 0.5]),
            term("joint_pos"),
            term("joint_vel", scale=0.05, history_length=2),
            term("actions"),
            term("gait_phase", params={"period": 0.8}),
        ],
        "commands": {"lin_vel_x": [-0.4, 0.8], "lin_vel_y": [0.0, 0.0], "ang_vel_z": [-1.0, 1.0]},
        "input_name": "obs",
        "output_name": "actions",
        "initial": {"base_pos": [0.0, 0.0, 0.072], "base_quat": [1.0, 0.0, 0.0, 0.0]},
        "fell": {"min_height": 0.03, "max_tilt_deg": 60.0},
    }


def rover_policy(*, wrong_width: int = 0) -> bytes:
    """Return the network: wheels that turn as commanded, and a little of everything else through a tanh."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(6)
    width = 36 + wrong_width
    drive = np.zeros((width, 4), np.float32)
    for wheel, name in enumerate(JOINTS):
        # A target that runs ahead of the wheel by a constant angle is a constant torque; damping makes it a speed.
        drive[18 + wheel, wheel] = 2.0
        drive[15, wheel] = 2.6
        drive[17, wheel] = -3.0 if "left" in name else 3.0
    mixed = (rng.standard_normal((width, 8)) * 0.3).astype(np.float32)
    small = (rng.standard_normal((8, 4)) * 0.03).astype(np.float32)
    weights = {"drive": drive, "mixed": mixed, "small": small}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["obs", "drive"], ["driven"]),
            helper.make_node("MatMul", ["obs", "mixed"], ["mix"]),
            helper.make_node("Tanh", ["mix"], ["bent"]),
            helper.make_node("MatMul", ["bent", "small"], ["shaken"]),
            helper.make_node("Add", ["driven", "shaken"], ["actions"]),
        ],
        "rover",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, width])],
        [helper.make_tensor_value_info("actions", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
