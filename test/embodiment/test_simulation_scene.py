# SPDX-License-Identifier: Apache-2.0
"""The simulated world: same seed, same world; time is kept; bad targets are refused; cameras see what is there."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import CameraSpec, JointSpec, RobotSpec, load_robot
from lerobot_arena.core.units import JointScale
from lerobot_arena.embodiment.simulation.layout import PAN_AXIS_XY, draw_layout
from lerobot_arena.embodiment.simulation.meshes import read_stl, thin, write_stl
from lerobot_arena.embodiment.simulation.model import build_model
from lerobot_arena.embodiment.simulation.render import Renderer
from lerobot_arena.embodiment.simulation.scene import HOME_RAD, Scene


@pytest.fixture(scope="module")
def robot() -> RobotSpec:
    return load_robot("so101")


@pytest.fixture(scope="module")
def model(robot):
    return build_model(robot)


@pytest.fixture
def scene(robot, model) -> Scene:
    return Scene(robot, model=model)


def _drive(scene: Scene) -> np.ndarray:
    target = np.array([HOME_RAD[name] for name in scene.robot.joint_names])
    rows = []
    for step in range(30):
        scene.step(target + 0.3 * np.sin(step / 5), 1 / 30)
        rows.append(scene.snapshot())
    return np.array(rows)


def test_the_same_seed_gives_the_same_world_and_the_same_course(robot, model):
    first, second = Scene(robot, seed=7, model=model), Scene(robot, seed=3, model=model)
    second.step(None, 0.5)
    second.reset(7)
    np.testing.assert_array_equal(_drive(first), _drive(second))


def test_seeds_differ(scene):
    scene.reset(1)
    one = scene.snapshot()
    scene.reset(2)
    assert not np.array_equal(one, scene.snapshot())


def test_the_arm_follows_its_targets_by_name_in_any_order(scene):
    target = dict(reversed(HOME_RAD.items())) | {"shoulder_pan": 0.3, "gripper": 0.2}
    scene.step(target, 1.0)
    wanted = [target[name] for name in scene.robot.joint_names]
    np.testing.assert_allclose(scene.joint_positions(), wanted, atol=0.02)
    assert np.abs(scene.joint_velocities()).max() < 0.05


@pytest.mark.parametrize("bad", [[0.0] * 5, [0.0] * 7, [0.0] * 5 + [float("nan")], [[0.0] * 6]])
def test_unusable_targets_are_refused_and_change_nothing(scene, bad):
    before = scene.targets()
    with pytest.raises(InvalidInput, match="6 finite joint values"):
        scene.step(bad, 0.02)
    np.testing.assert_array_equal(scene.targets(), before)
    assert scene.time_s == 0.0


def test_unknown_joint_names_are_refused(scene):
    with pytest.raises(InvalidInput, match="unknown elbow"):
        scene.set_targets({**dict.fromkeys(scene.robot.joint_names[1:], 0.0), "elbow": 0.0})


@pytest.mark.parametrize("seconds", [1 / 30, 0.02, 0.01, 0.0123, 0.001])
def test_no_time_is_lost_between_steps(scene, seconds):
    calls = round(2.0 / seconds)
    for _ in range(calls):
        scene.step(None, seconds)
    assert scene.time_s == pytest.approx(calls * seconds, abs=0.0051)


def test_new_objects_leave_the_arm_and_the_time_alone(scene):
    scene.reset(1)
    scene.step(None, 0.1)
    arm, tray = scene.joint_positions(), scene.objects().tray
    scene.reset_objects(2)
    np.testing.assert_array_equal(scene.joint_positions(), arm)
    assert scene.time_s == pytest.approx(0.1)
    assert scene.objects().tray != tray
    assert scene.seed == 2


def test_the_cube_lies_still_until_it_is_touched(scene):
    for seed in range(20):
        scene.reset(seed)
        before = scene.objects().cube_position
        scene.step(None, 0.5)
        objects = scene.objects()
        assert not objects.is_touched
        np.testing.assert_allclose(objects.cube_position, before, atol=1e-3)


@given(st.integers(0, 2**32))
def test_cube_and_tray_are_apart_and_within_reach(seed):
    layout = draw_layout(np.random.default_rng(seed))
    places = np.array([(p.x_m, p.y_m) for p in (layout.cube, layout.tray)])
    assert np.linalg.norm(places[0] - places[1]) >= 0.115
    assert (np.linalg.norm(places - PAN_AXIS_XY, axis=1) <= 0.2301).all()


def test_another_arm_is_refused():
    joint = JointSpec("waist", -1, 1, 1, 1, JointScale(-1, 1))
    with pytest.raises(InvalidInput, match="The simulator is an SO-101"):
        Scene(RobotSpec("other", (joint,)))


def test_thinning_keeps_the_shape_within_a_cell_and_stl_survives_a_round_trip():
    axis = np.linspace(0, 0.05, 60)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    points = np.stack([x, y, np.sin(x * 40) * 0.01], axis=-1).astype(np.float32)
    squares = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    faces = np.concatenate([
        np.stack([squares[0], squares[1], squares[2]], axis=2).reshape(-1, 3, 3),
        np.stack([squares[0], squares[2], squares[3]], axis=2).reshape(-1, 3, 3),
    ])  # fmt: skip
    thinned = thin(faces, 0.005)
    assert len(thinned) < len(faces) / 10
    distances = np.linalg.norm(thinned.reshape(-1, 1, 3) - points.reshape(1, -1, 3), axis=2).min(axis=1)
    assert distances.max() < 0.005
    np.testing.assert_array_equal(read_stl(write_stl(thinned)), thinned)


def test_the_cameras_see_cube_and_tray_and_only_the_snapshot_matters(robot, scene):
    with Renderer(scene.model, robot.cameras) as renderer:
        for seed in range(3):
            scene.reset(seed)
            picture = renderer.render(scene.snapshot(), "front").astype(int)
            assert picture.shape == (480, 640, 3)
            red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
            assert 200 < ((red > 100) & (green < 60) & (blue < 60)).sum() < 4000, "the cube"
            assert 3000 < ((blue > 90) & (red < 60)).sum() < 40000, "the tray"
        again = renderer.render(scene.snapshot(), "front").astype(int)
        np.testing.assert_array_equal(picture, again)
        assert not np.array_equal(renderer.render(scene.snapshot(), "wrist"), picture)
        with pytest.raises(InvalidInput, match="no camera 'side'"):
            renderer.render(scene.snapshot(), "side")
        with pytest.raises(ValueError, match="snapshot of this model"):
            renderer.render(scene.snapshot()[:-1], "front")


@pytest.mark.parametrize("backend", ["disable", "nonsense"])
def test_without_opengl_it_says_what_to_install(backend):
    script = (
        "from lerobot_arena.core.errors import Unavailable\n"
        "from lerobot_arena.core.robot import load_robot\n"
        "from lerobot_arena.embodiment.simulation.render import Renderer\n"
        "from lerobot_arena.embodiment.simulation.scene import Scene\n"
        "try:\n"
        "    robot = load_robot('so101')\n"
        "    Renderer(Scene(robot).model, robot.cameras)\n"
        "except Unavailable as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"MUJOCO_GL": backend},
        capture_output=True,
        text=True,
    )
    assert "libegl1 libgl1-mesa-dri" in result.stdout, result.stderr


def test_a_camera_that_the_model_lacks_is_refused(model):
    with pytest.raises(InvalidInput, match="not side"):
        Renderer(model, [CameraSpec("side")])
