# SPDX-License-Identifier: Apache-2.0
"""The robot's model against other ways to the same numbers: the simulator's own world, and the meshes' vertices."""

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import ModelSpec, RobotSpec, load_robot, robot_from_mapping
from lerobot_arena.embodiment.simulation import engine
from lerobot_arena.embodiment.simulation.meshes import read_stl, so101_folder
from lerobot_arena.embodiment.simulation.scene import HOME_RAD, Scene
from lerobot_arena.guard.checks.protocol import TABLE, WIDEST_MARGIN_M
from lerobot_arena.guard.robot_model import geometry_of, opening_of

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

mujoco = engine.mujoco()

SO101 = load_robot("so101")
MODEL = geometry_of(SO101)
HOME = tuple(HOME_RAD[name] for name in SO101.joint_names)
poses = st.tuples(*(st.floats(joint.lower_rad, joint.upper_rad) for joint in SO101.joints))

# Two fingers on a turning post, beside a block. z up; at 0 the long finger points along x.
TWO_LINKS = """
<mujoco><worldbody>
  <body name="post"><geom type="cylinder" size="0.02 0.1" pos="0 0 0.1"/>
    <body name="upper" pos="0 0 0.2"><joint name="shoulder" axis="0 1 0" range="-3 3"/>
      <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.01"/>
      <body name="lower" pos="0.2 0 0"><joint name="elbow" axis="0 1 0" range="-3 3"/>
        <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.01"/>
        <site name="tip" pos="0.2 0 0"/>
      </body>
    </body>
  </body>
  <body name="slider"><joint name="slide" type="slide" axis="1 0 0"/><geom size="0.01" pos="0 5 5"/></body>
</worldbody></mujoco>
"""


def two_links(folder: Path, **model: Any) -> RobotSpec:
    (folder / "arm.xml").write_text(model.pop("xml", TWO_LINKS))
    joint = {"lower_rad": -3.0, "upper_rad": 3.0, "max_velocity_rad_s": 3.0, "max_acceleration_rad_s2": 30.0}
    names = model.pop("joints", ["shoulder", "elbow"])
    return robot_from_mapping(
        {
            "name": "two_links",
            "joints": [{"name": name, **joint} for name in names],
            "model": {"mjcf": "arm.xml", "end_effector": "tip", "tool_axis": [2, 0, 0], **model},
        },
        folder=folder,
    )


def test_the_pose_of_a_plane_arm_is_trigonometry(tmp_path: Path) -> None:
    arm = geometry_of(two_links(tmp_path))
    for a, b in ((0.0, 0.0), (0.3, -0.8), (-1.0, 2.5)):
        pose = arm.pose((a, b))
        x, z = 0.2 * cos(a) + 0.2 * cos(a + b), 0.2 - 0.2 * sin(a) - 0.2 * sin(a + b)
        assert pose.position_m == pytest.approx((x, 0.0, z))
        assert pose.up == pytest.approx((cos(a + b), 0.0, -sin(a + b))), "of length 1, whatever the file says"
    assert arm.moves_tool == (True, True)


def test_gaps_of_a_plane_arm_are_trigonometry(tmp_path: Path) -> None:
    arm = geometry_of(two_links(tmp_path))
    # The long arm stretched down to 5 mm over the table.
    reach = (0.2 - 0.01 - 0.005) / 0.4
    gaps = arm.near((float(np.arcsin(reach)), 0.0))
    assert gaps == {(TABLE, "lower"): pytest.approx(0.005, abs=1e-6)}
    # Folded back over the post: half of the lower arm's capsule, 1 cm thick, in its flat top.
    folded = arm.near((0.0, pi))
    assert folded[("post", "lower")] == pytest.approx(-0.01, abs=1e-4) and (TABLE, "lower") not in folded
    assert not any("upper" in pair for pair in folded), "a neighbour of both"


def test_what_only_a_simulation_needs_is_no_obstacle(tmp_path: Path) -> None:
    simulated = TWO_LINKS.replace('size="0.02 0.1"', 'name="block" size="0.02 0.1"').replace(
        "</worldbody>",
        """<geom name="floor" type="plane" size="1 1 1" pos="0 0 0.19"/></worldbody>
        <contact><pair geom1="block" geom2="floor"/><exclude body1="post" body2="lower"/></contact>
        <equality><joint joint1="shoulder" joint2="elbow"/></equality>
        <tendon><fixed name="cable"><joint joint="elbow" coef="1"/></fixed></tendon>
        <actuator><position name="motor" joint="shoulder"/><motor tendon="cable"/></actuator>
        <sensor><actuatorpos actuator="motor"/></sensor>
        <keyframe><key qpos="0 0 0" ctrl="0 0"/></keyframe>""",
    )
    arm = geometry_of(two_links(tmp_path, xml=simulated))
    assert arm.pose((0.0, 0.0)).position_m == pytest.approx((0.4, 0.0, 0.2))
    assert arm.near((0.0, 0.0)) == {}, "a floor of its own scenery does not count"
    assert arm.near((0.0, pi)) == {}, "nor a pair that the model's author excludes"


def test_without_room_for_a_bit_per_part_the_gaps_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lerobot_arena.guard.robot_model._BITS", 3)
    plain = geometry_of(SO101)
    for joints in np.random.default_rng(11).uniform(*_ranges(), (60, 6)):
        assert plain.near(tuple(joints)) == MODEL.near(tuple(joints))


def test_the_table_is_where_the_robot_file_says(tmp_path: Path) -> None:
    arm = geometry_of(two_links(tmp_path, table_height_m=0.185))
    assert arm.near((0.0, 0.0)) == {
        (TABLE, "lower"): pytest.approx(0.005, abs=1e-6),
        (TABLE, "upper"): pytest.approx(0.005, abs=1e-6),
    }, "and the post that stands in it does not count"


@settings(max_examples=50)
@given(joints=poses)
def test_the_so101s_tool_is_where_the_simulator_has_it(joints: tuple[float, ...]) -> None:
    scene = SIMULATED
    scene.set_arm(joints)
    site = scene.data.site("gripperframe")
    pose = MODEL.pose(joints)
    assert pose.position_m == pytest.approx(tuple(site.xpos), abs=1e-6)
    assert pose.up == pytest.approx(tuple(site.xmat.reshape(3, 3)[:, 2]), abs=1e-6)


SIMULATED = Scene(SO101)


def test_gaps_to_the_table_are_those_of_the_meshes_vertices() -> None:
    """The jaws' STL files, placed by the simulator's own kinematics, against the hulls of at most 96 corners."""
    checked = 0
    for joints in np.random.default_rng(3).uniform(*_ranges(), (400, 6)):
        for part, names in (
            ("gripper", ("wrist_roll_follower_so101_v1", "sts3215_03a_v1")),
            ("moving_jaw_so101_v1", ("moving_jaw_so101_v1",)),
        ):
            gap = MODEL.near(tuple(joints)).get((TABLE, part))
            if gap is None or gap <= -0.05:
                continue
            SIMULATED.set_arm(joints)
            lowest = min(_lowest(part, name) for name in names)
            assert gap == pytest.approx(lowest, abs=0.0015)
            checked += 1
    assert checked > 30


def _ranges() -> tuple[list[float], list[float]]:
    return [j.lower_rad for j in SO101.joints], [j.upper_rad for j in SO101.joints]


@cache
def _points(part: str, mesh: str) -> FloatArray:
    """Vertices of a mesh in the body's frame as the MJCF's XML has them, whatever MuJoCo's compiler does to it."""
    bodies = ElementTree.parse(so101_folder() / "so101.xml").iter("body")
    body = next(body for body in bodies if body.get("name") == part)
    geom = next(geom for geom in body.findall("geom") if geom.get("mesh") == mesh)
    rotation = np.zeros(9)
    quaternion = np.array([float(v) for v in geom.get("quat", "1 0 0 0").split()])
    mujoco.mju_quat2Mat(rotation, quaternion / np.linalg.norm(quaternion))
    corners = read_stl((so101_folder() / "assets" / f"{mesh}.stl").read_bytes()).reshape(-1, 3)
    offset = np.array([float(v) for v in geom.get("pos", "0 0 0").split()])
    return np.unique(corners, axis=0) @ rotation.reshape(3, 3).T + offset


def _lowest(part: str, mesh: str) -> float:
    placed = SIMULATED.data.body(part)
    return float((_points(part, mesh) @ placed.xmat.reshape(3, 3)[2] + placed.xpos[2]).min())


def test_the_so101_at_home_touches_nothing_and_folded_wrongly_itself() -> None:
    assert all(gap > 0.0 for gap in MODEL.near(HOME).values())
    assert MODEL.near((0.0, -1.7, 1.6, 1.6, 0.0, 0.0)), "wrist on the shoulder"
    into_the_base = MODEL.near((0.0, -1.0, 1.69, 1.2, 0.0, 0.0))
    assert min(into_the_base.values()) < 0.0
    down = MODEL.near((0.0, 1.2, 0.3, 0.2, 0.0, 0.0))
    assert min(gap for (part, _), gap in down.items() if part == TABLE) < 0.0


def test_neighbours_by_design_never_count() -> None:
    parts = ["base", "shoulder", "upper_arm", "lower_arm", "wrist", "gripper"]
    for joints in np.random.default_rng(5).uniform(*_ranges(), (300, 6)):
        for pair, gap in MODEL.near(tuple(joints)).items():
            assert gap < WIDEST_MARGIN_M
            assert pair not in set(itertools.pairwise(parts)) | {(TABLE, "base")}


def test_answers_do_not_depend_on_what_was_asked_before() -> None:
    other = geometry_of(SO101)
    everywhere = [tuple(joints) for joints in np.random.default_rng(7).uniform(*_ranges(), (200, 6))]
    first = [(MODEL.pose(joints), MODEL.near(joints)) for joints in everywhere]
    again = [(other.near(joints), other.pose(joints)) for joints in reversed(everywhere)]
    assert first == [(pose, near) for near, pose in reversed(again)]


def test_the_gripper_moves_no_tool_and_opens_upwards() -> None:
    assert MODEL.moves_tool == (True,) * 5 + (False,)
    assert opening_of(SO101) == (0.0,) * 5 + (1.0,)
    jaw = SO101.joints[5]
    turned = replace(jaw, scale=replace(jaw.scale, lower_rad=jaw.upper_rad, upper_rad=jaw.lower_rad))
    assert opening_of(replace(SO101, joints=(*SO101.joints[:5], turned))) == (0.0,) * 5 + (-1.0,)


def test_a_urdf_tells_the_same() -> None:
    """The other description of the same arm; its camera mount is not in it."""
    urdf = _model(mjcf="so101_nexus:assets/SO101/so101_new_calib.urdf", end_effector="gripper_frame_link")
    other = geometry_of(urdf)
    assert other.moves_tool == MODEL.moves_tool
    for joints in np.random.default_rng(13).uniform(*_ranges(), (100, 6)):
        poses = MODEL.pose(tuple(joints)), other.pose(tuple(joints))
        assert poses[1].position_m == pytest.approx(poses[0].position_m, abs=0.02)
        gaps = {
            tuple(part.removesuffix("_link") for part in pair): gap
            for pair, gap in other.near(tuple(joints)).items()
        }
        for pair, gap in MODEL.near(tuple(joints)).items():
            if "camera_mount" not in pair and abs(gap) < 0.008:
                assert gaps[pair] == pytest.approx(gap, abs=0.002)


def test_joints_are_found_by_alias() -> None:
    renamed = tuple(replace(j, name=f"my_{j.name}", aliases=(j.name,)) for j in reversed(SO101.joints))
    turned = geometry_of(replace(SO101, joints=renamed))
    assert turned.pose(tuple(reversed(HOME))) == MODEL.pose(HOME)


def _model(**change: Any) -> RobotSpec:
    assert SO101.model is not None
    return replace(SO101, model=replace(SO101.model, **change))


@pytest.mark.parametrize(
    ("robot", "error", "words"),
    [
        (replace(SO101, model=None), InvalidInput, "no `model`"),
        (_model(mjcf="surely_not_installed:arm.xml"), Unavailable, "package surely_not_installed"),
        (_model(mjcf="so101_nexus:assets/none.xml"), InvalidInput, "there is no model"),
        (_model(mjcf="so101_nexus:../../../../etc/passwd"), InvalidInput, "outside its package"),
        (_model(mjcf="/nowhere/arm.xml"), InvalidInput, "there is no model"),
        (_model(mjcf=__file__), InvalidInput, "is no MJCF"),
        (_model(end_effector="nose"), InvalidInput, "no site or body 'nose'; its sites: baseframe, gripperframe"),
        (replace(SO101, joints=(replace(SO101.joints[0], name="hip", aliases=()), *SO101.joints[1:])),
         InvalidInput, "no joint 'hip'; its joints: shoulder_pan"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(robot: RobotSpec, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        geometry_of(robot)


def test_a_sliding_joint_has_no_radians(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'slide' of the model"):
        geometry_of(two_links(tmp_path, joints=["shoulder", "elbow", "slide"]))


def test_without_mujoco_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lerobot_arena.guard.robot_model.importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"lerobot_arena\[sim\]"):
        geometry_of(SO101)


def test_without_opengl_it_works_all_the_same() -> None:
    program = (
        "from lerobot_arena.core.robot import load_robot\n"
        "from lerobot_arena.guard.robot_model import geometry_of\n"
        "geometry_of(load_robot('so101')).near((0.0,) * 6)"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, env={**os.environ, "MUJOCO_GL": "none_such"}
    )


FILE: dict[str, Any] = {"name": "r", "joints": [{"name": "a", "lower_rad": -1, "upper_rad": 1,
                        "max_velocity_rad_s": 1, "max_acceleration_rad_s2": 1}]}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ([], "must be a mapping"),
        ({"mjcf": "a.xml"}, "end_effector must be a text"),
        ({"mjcf": 3, "end_effector": "tip"}, "mjcf must be a text"),
        ({"mjcf": "a.xml", "end_effector": "tip", "tool_axes": [0, 0, 1]}, "Did you mean 'tool_axis'"),
        ({"mjcf": "a.xml", "end_effector": "tip", "tool_axis": [0, 0]}, "3 finite numbers"),
        ({"mjcf": "a.xml", "end_effector": "tip", "tool_axis": [0, 0, 0]}, "points nowhere"),
        ({"mjcf": "a.xml", "end_effector": "tip", "table_height_m": "low"}, "finite number"),
    ],
)
def test_a_robot_files_model_is_strict(model: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        robot_from_mapping({**FILE, "model": model})


def test_a_robot_file_names_its_model_from_where_it_lies(tmp_path: Path) -> None:
    found = robot_from_mapping({**FILE, "model": {"mjcf": "a.xml", "end_effector": "tip"}}, folder=tmp_path)
    assert found.model == ModelSpec(str(tmp_path / "a.xml"), "tip")
    package = {**FILE, "model": {"mjcf": "pack:a.xml", "end_effector": "tip"}}
    assert robot_from_mapping(package, folder=tmp_path).model == ModelSpec("pack:a.xml", "tip")
