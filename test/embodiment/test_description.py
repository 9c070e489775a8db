# SPDX-License-Identifier: Apache-2.0
"""The published URDF is the arm that is simulated: same zeros and directions, cameras where pictures come from."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
import yaml

from lerobot_arena.core import topics
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.embodiment.description import robot_description
from lerobot_arena.embodiment.simulation.engine import mujoco
from lerobot_arena.embodiment.simulation.model import build_model

ROBOT = load_robot("so101")


@pytest.fixture(scope="module")
def urdf() -> str:
    return robot_description(ROBOT, is_simulated=True)


def test_joints_and_cameras_are_where_the_simulator_has_them(urdf: str) -> None:
    mj = mujoco()
    plain = urdf.replace("file://", "")
    keep = '<mujoco><compiler strippath="false" fusestatic="false"/></mujoco>'
    published = mj.MjModel.from_xml_string(plain.replace("<link", f"{keep}<link", 1))
    simulated = build_model(ROBOT)
    ours, theirs = mj.MjData(simulated), mj.MjData(published)
    random = np.random.default_rng(3)
    limits = ROBOT.limits()
    for _ in range(5):
        for name, value in zip(ROBOT.joint_names, random.uniform(limits.lower, limits.upper), strict=True):
            ours.joint(name).qpos[0] = theirs.joint(name).qpos[0] = value
        mj.mj_forward(simulated, ours)
        mj.mj_forward(published, theirs)
        for name in ROBOT.joint_names:
            assert np.abs(ours.joint(name).xanchor - theirs.joint(name).xanchor).max() < 1e-4
            assert np.abs(ours.joint(name).xaxis - theirs.joint(name).xaxis).max() < 1e-4
        for camera in ROBOT.camera_names:
            seen, frame = ours.camera(camera), theirs.body(f"{camera}_optical_frame")
            assert np.abs(seen.xpos - frame.xpos).max() < 1e-4
            forward = frame.xmat.reshape(3, 3)[:, 2]
            assert np.abs(-seen.xmat.reshape(3, 3)[:, 2] - forward).max() < 1e-4, (
                "optical frames look along z"
            )
            down = frame.xmat.reshape(3, 3)[:, 1]
            assert np.abs(-seen.xmat.reshape(3, 3)[:, 1] - down).max() < 1e-4


def test_every_mesh_is_there(urdf: str) -> None:
    meshes = [element.attrib["filename"] for element in ElementTree.fromstring(urdf).iter("mesh")]
    assert len(meshes) > 20
    assert all(Path(unquote(urlparse(name).path)).is_file() for name in meshes)


def test_limits_of_the_robot_file_lie_within_the_urdfs(urdf: str) -> None:
    joints = {joint.attrib["name"]: joint for joint in ElementTree.fromstring(urdf).findall("joint")}
    for joint in ROBOT.joints:
        limit = joints[joint.name].find("limit")
        assert limit is not None
        assert joint.lower_rad >= float(limit.attrib["lower"]) - 1e-4
        assert joint.upper_rad <= float(limit.attrib["upper"]) + 1e-4


def test_an_unknown_arm_gets_no_urdf_and_its_owner_can_name_one(tmp_path: Path) -> None:
    koch = replace(ROBOT, name="koch")
    assert robot_description(koch, is_simulated=False) == ""
    path = tmp_path / "koch.urdf"
    path.write_text('<robot name="koch"/>')
    assert robot_description(koch, str(path), is_simulated=False) == '<robot name="koch"/>'
    path.write_text("<sdf/>")
    for wrong in (path, tmp_path / "absent.urdf"):
        with pytest.raises(InvalidInput, match="URDF"):
            robot_description(koch, str(wrong), is_simulated=False)


def test_the_rviz_file_shows_what_the_node_publishes() -> None:
    """Topics and QoS of config/arena.rviz are ours: a reliable image display would see nothing."""
    manager = yaml.safe_load((Path(__file__).parents[2] / "config" / "arena.rviz").read_text())[
        "Visualization Manager"
    ]
    displays = {display["Name"]: display for display in manager["Displays"]}
    assert displays["Robot"]["Description Topic"]["Value"] == topics.on_arm("arm", topics.ROBOT_DESCRIPTION)
    assert displays["Robot"]["Description Topic"]["Durability Policy"] == "Transient Local"
    for camera in ROBOT.camera_names:
        shown = displays[f"{camera.capitalize()} camera"]["Topic"]
        assert shown["Value"] == topics.camera("arm", camera)
        assert shown["Reliability Policy"] == "Best Effort"
    assert manager["Global Options"]["Fixed Frame"] == "base_link"
