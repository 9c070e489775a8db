# SPDX-License-Identifier: Apache-2.0
"""The headless runner: the loop of docs/contract.md, term by term and tick by tick."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("onnx")
import mujoco

from lerobot_arena.core.errors import InvalidInput, PolicyFailed
from lerobot_arena.platform.catalog import control_spec, onnx_metadata
from lerobot_arena.platform.catalog.body import compile_model
from lerobot_arena.platform.catalog.control_spec import ControlSpec, slices
from lerobot_arena.platform.catalog.runner import Runner
from lerobot_arena.testing.catalog_files import (
    WHEELS,
    cart_metadata,
    cart_policy,
    cart_weights,
    cart_xml,
    linear_onnx,
)

HOME = (
    '<keyframe><key name="other" qpos="0 0 1 1 0 0 0 0 0"/>'
    '<key name="home" qpos=".5 0 .051 1 0 0 0 .3 .3" qvel="1 1 1 1 1 1 1 1"/></keyframe>'
)


class Cart:
    """Writes a cart and its policy, and opens them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, spec: ControlSpec | None = None, *, weights: np.ndarray | None = None, **xml: Any
    ) -> Runner:
        spec = spec or onnx_metadata.read(cart_metadata())
        (self.folder / "robot.xml").write_text(cart_xml(**xml))
        (self.folder / "policy.onnx").write_bytes(cart_policy() if weights is None else linear_onnx(weights))
        return Runner(self.folder / "robot.xml", self.folder / "policy.onnx", spec)


@pytest.fixture
def cart(tmp_path: Path) -> Cart:
    return Cart(tmp_path)


def spec_with(**changes: Any) -> ControlSpec:
    return control_spec.from_json({**onnx_metadata.read(cart_metadata()).to_json(), **changes})


def observing(name: str, **term: Any) -> ControlSpec:
    return spec_with(observations=[{"name": name, **term}, {"name": "command"}])


def test_it_stands_without_a_command_and_drives_with_one(cart: Cart) -> None:
    runner = cart()
    assert runner.step(50).distance_m < 0.01
    runner.command(1.0)
    state = runner.step(100)
    assert state.base_pos[0] > 0.2 and abs(state.base_pos[1]) < 0.02
    assert state.time_s == pytest.approx(3.0) and runner.body.data.time == pytest.approx(3.0)
    assert not state.fell and state.real_time_factor > 0


def test_a_reset_is_a_new_run(cart: Cart) -> None:
    runner = cart()
    runner.command(1.0)
    first = [runner.step().base_pos for _ in range(30)]
    runner.reset()
    assert runner.state().distance_m == 0 and runner.state().time_s == 0
    assert [runner.step().base_pos for _ in range(30)] == first


def test_commands_are_clamped_to_the_policys_ranges(cart: Cart) -> None:
    runner = cart()
    runner.command(9.0, -9.0, 9.0)
    assert runner.state().command == (1.0, -1.0, 0.5)


@pytest.mark.parametrize("actuators", ["none", "motor", "position"])
def test_targets_reach_the_joints(cart: Cart, actuators: str) -> None:
    """A policy that always says the same: the wheels of a cart in the air turn there and stay."""
    spec = spec_with(
        observations=[{"name": "command"}],
        action_offset=[0.5, -0.25],
        initial={"base_pos": [0, 0, 2], "base_quat": [1, 0, 0, 0]},
    )
    runner = cart(spec, weights=np.zeros((3, 2)), actuators=actuators, extra='<option gravity="0 0 0"/>')
    runner.step(150)
    assert runner.body.joint_pos() == pytest.approx([0.5, -0.25], abs=0.01)
    applied = runner.body.data.qfrc_applied[6:8]
    assert (np.abs(applied).max() > 0) == (actuators != "position")


def test_a_target_is_scaled_offset_and_clipped(cart: Cart) -> None:
    weights = np.zeros((3, 2))
    weights[0] = (1.0, 2.0)
    spec = spec_with(
        observations=[{"name": "command"}],
        action_scale=[0.5, 0.5],
        action_offset=[0.1, 0.1],
        action_clip=[[-1, 1], [-1, 0.7]],
    )
    runner = cart(spec, weights=weights, actuators="position")
    runner.command(1.0)
    runner.step()
    assert list(runner.body.data.ctrl) == pytest.approx([0.6, 0.7])
    assert list(runner.last_action) == [1.0, 2.0], "the last action is what the network said"


def test_damping_is_implicit_and_the_models_own_is_replaced(cart: Cart) -> None:
    runner = cart(spec_with(damping=[3.0, 5.0], armature=0.07))
    assert list(runner.body._model.dof_damping[6:8]) == [3.0, 5.0]
    assert list(runner.body._model.dof_armature[6:8]) == [0.07, 0.07]


def test_a_gain_at_which_explicit_damping_explodes_is_stable(cart: Cart) -> None:
    runner = cart(
        spec_with(stiffness=[40.0, 40.0], damping=[10.0, 10.0]), extra='<option gravity="0 0 -9.81"/>'
    )
    runner.command(1.0)
    assert math.isfinite(runner.step(100).base_pos[0])


def test_histories_are_oldest_first_and_primed_with_the_first_reading(cart: Cart) -> None:
    weights = np.zeros((2 * 3 + 3, 2))
    spec = spec_with(observations=[{"name": "actions", "history_length": 3}, {"name": "command"}])
    weights[6] = 1.0  # the command forward is the action
    runner = cart(spec, weights=weights)
    seen = []
    for speed in (0.25, 0.5, 0.75, 1.0):
        runner.command(speed)
        runner.step()
        seen.append(list(runner.observation[:6:2]))
    assert seen == [[0, 0, 0], [0, 0, 0.25], [0, 0.25, 0.5], [0.25, 0.5, 0.75]]
    assert runner.observation.dtype == np.float32
    primed = cart(
        spec_with(observations=[{"name": "command", "history_length": 3}]), weights=np.zeros((9, 2))
    )
    primed.command(0.5, 0.0, 0.25)
    primed.step()
    assert list(primed.observation) == [0.5, 0, 0.25] * 3


def test_a_reading_is_clipped_before_it_is_scaled(cart: Cart) -> None:
    spec = spec_with(observations=[{"name": "command", "clip": [-0.5, 0.5], "scale": [2.0, 1.0, 3.0]}])
    runner = cart(spec, weights=np.zeros((3, 2)))
    runner.command(1.0, -1.0, 0.25)
    runner.step()
    assert list(runner.observation) == [1.0, -0.5, 0.75]


def test_gait_phase_is_the_time_in_periods(cart: Cart) -> None:
    spec = observing("gait_phase", params={"period": 0.08})
    runner = cart(spec, weights=np.zeros((5, 2)))
    seen = []
    for _ in range(5):
        runner.step()
        seen.append(runner.observation[:2].tolist())
    assert np.allclose(seen, [[0, 1], [1, 0], [0, -1], [-1, 0], [0, 1]], atol=1e-6)
    runner.reset()
    runner.step()
    assert runner.observation[:2].tolist() == [0, 1]


def _turned() -> dict[str, Any]:
    """90° to the left, then 30° nose down: w, x, y, z of the product."""
    yaw, pitch = math.radians(45), math.radians(15)
    return {
        "base_pos": [0, 0, 3],
        "base_quat": [
            math.cos(yaw) * math.cos(pitch),
            -math.sin(yaw) * math.sin(pitch),
            math.cos(yaw) * math.sin(pitch),
            math.sin(yaw) * math.cos(pitch),
        ],
    }


def test_gravity_is_seen_from_the_base(cart: Cart) -> None:
    spec = spec_with(observations=[{"name": "projected_gravity"}], initial=_turned())
    runner = cart(spec, weights=np.zeros((3, 2)))
    assert runner.body.projected_gravity() == pytest.approx(
        [math.sin(math.radians(30)), 0, -math.cos(math.radians(30))]
    )


@pytest.mark.parametrize("sensors", [False, True], ids=["root", "imu"])
def test_velocities_are_in_the_bases_frame(cart: Cart, sensors: bool) -> None:
    runner = cart(spec_with(initial=_turned()), sensors=sensors)
    body = runner.body
    body.data.qvel[:6] = (
        0.0,
        2.0,
        0.0,
        0.1,
        0.2,
        0.3,
    )  # along the world's y, which is the base's x before the pitch
    mujoco.mj_forward(body._model, body.data)
    expected = np.array([2.0 * math.cos(math.radians(30)), 0.0, 2.0 * math.sin(math.radians(30))])
    lever = np.cross([0.1, 0.2, 0.3], [0.01, 0.0, 0.01]) if sensors else 0.0
    assert body.base_lin_vel() == pytest.approx(expected + lever)
    assert body.base_ang_vel() == pytest.approx([0.1, 0.2, 0.3])


def test_joints_are_read_in_the_policys_order_from_the_default_pose(cart: Cart) -> None:
    spec = spec_with(joint_names=list(reversed(WHEELS)), default_joint_pos=[0.1, 0.2])
    body = cart(spec).body
    assert list(body.data.qpos[7:9]) == [0.2, 0.1], "the model has left before right"
    body.data.qpos[7:9] = (1.2, 1.6)
    body.data.qvel[6:8] = (3.0, 4.0)
    assert body.joint_pos() == pytest.approx([1.5, 1.0])
    assert list(body.joint_vel()) == [4.0, 3.0]


def test_a_run_starts_from_home_with_the_default_pose_and_at_rest(cart: Cart) -> None:
    body = cart(keyframe=HOME).body
    assert body.data.qpos[0] == 0.5
    assert not body.data.qvel.any()
    assert list(body.data.qpos[7:9]) == [0.0, 0.0]
    first = cart(keyframe=HOME.replace("home", "house")).body
    assert first.data.qpos[2] == 1.0, "the first keyframe when none is called home"
    moved = cart(spec_with(initial=_turned()), keyframe=HOME).body
    assert list(moved.data.qpos[:3]) == [0, 0, 3]


def test_a_fall_is_remembered_until_the_reset(cart: Cart) -> None:
    upside_down = {"base_pos": [0, 0, 0.3], "base_quat": [0, 1, 0, 0]}
    runner = cart(spec_with(initial=upside_down))
    assert runner.step().fell
    runner.body.data.qpos[:7] = (0, 0, 0.051, 1, 0, 0, 0)
    assert runner.step().fell, "upright again, but it fell"
    runner.reset()
    assert not runner.state().fell
    low = cart(spec_with(fell={"min_height": 0.2, "max_tilt_deg": None}))
    assert low.step().fell is True
    never = cart(spec_with(initial=upside_down, fell=None))
    assert not never.step(10).fell


def test_what_diverges_is_said_and_not_hidden(cart: Cart) -> None:
    """MuJoCo itself would reset the model and go on."""
    runner = cart(spec_with(action_offset=[1e9, -1e9], stiffness=[1e8, 1e8]))
    with pytest.raises(PolicyFailed, match="diverges"):
        runner.step(50)


def test_an_action_that_is_not_finite_never_reaches_a_joint(cart: Cart) -> None:
    weights = np.zeros((18, 2))
    weights[-3] = np.float32(3e38)
    weights[-2] = np.float32(3e38)
    runner = cart(weights=weights)
    before = runner.body.data.qpos.copy()
    runner.command(1.0, 1.0)
    with pytest.raises(PolicyFailed, match=r"not finite after 0\.00 s"):
        runner.step()
    assert list(runner.body.data.qpos) == list(before)


@pytest.mark.parametrize(
    ("spec", "xml", "says"),
    [
        (
            {"joint_names": ["left_wheel", "tail"]},
            {},
            "no hinge or slide called tail; it has left_wheel, right_wheel",
        ),
        ({"joint_names": ["left_wheel", "root"]}, {}, "called root"),
        ({}, {"actuators": "mixed"}, "right_wheel have none"),
        ({"control_dt": 0.0125}, {}, "no multiple"),
        ({"control_dt": 0.001}, {}, "no multiple"),
    ],
)
def test_a_robot_that_does_not_fit_is_named(
    cart: Cart, spec: dict[str, Any], xml: dict[str, str], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        cart(spec_with(**spec), **xml)


def test_a_robot_without_a_base_runs_what_needs_none(tmp_path: Path) -> None:
    xml = '<mujoco><worldbody><body><joint name="left_wheel"/><geom size=".1"/>'
    xml += '<body><joint name="right_wheel"/><geom size=".1" pos="1 0 0"/></body></body></worldbody></mujoco>'
    (tmp_path / "robot.xml").write_text(xml)
    (tmp_path / "p.onnx").write_bytes(linear_onnx(np.zeros((3, 2))))
    needs_none = spec_with(observations=[{"name": "command"}], control_dt=0.02)
    assert Runner(tmp_path / "robot.xml", tmp_path / "p.onnx", needs_none).step(5).distance_m == 0
    with pytest.raises(InvalidInput, match="observes base_ang_vel, but the robot has no free joint"):
        Runner(
            tmp_path / "robot.xml", tmp_path / "p.onnx", spec_with(observations=[{"name": "base_ang_vel"}])
        )


def test_each_part_of_the_observation_is_where_the_spec_says(cart: Cart) -> None:
    runner = cart()
    runner.command(0.5, 0.25, -0.25)
    runner.step(20)
    parts = dict(zip([t.name for t in runner.spec.observations], slices(runner.spec), strict=True))
    before = runner.last_action.copy()
    pose, velocity = runner.body.joint_pos(), runner.body.joint_vel()
    runner.step()
    assert runner.observation[parts["command"]].tolist() == [0.5, 0.25, -0.25]
    assert runner.observation[parts["actions"]] == pytest.approx(before)
    assert runner.observation[parts["joint_pos"]] == pytest.approx(pose)
    assert runner.observation[parts["joint_vel"]] == pytest.approx(velocity)


def test_the_loop_is_the_one_that_the_contract_spells_out(cart: Cart, tmp_path: Path) -> None:
    """The same run in a few lines, straight from the text, gives the same trajectory."""
    runner = cart(sensors=True)
    spec = runner.spec
    runner.command(0.8, 0.0, 0.3)
    model = compile_model(tmp_path / "robot.xml")
    data = mujoco.MjData(model)
    model.dof_damping[6:8] = spec.damping
    mujoco.mj_forward(model, data)
    weights, last = cart_weights().astype(np.float64), np.zeros(2)
    for _ in range(100):
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, data.qpos[3:7])
        parts = [data.sensordata[:3], data.sensordata[3:6], -rotation.reshape(3, 3)[2], data.qpos[7:9],
                 data.qvel[6:8], last, [0.8, 0.0, 0.3]]  # fmt: skip
        last = np.concatenate(parts).astype(np.float32).astype(np.float64) @ weights
        for _ in range(4):
            data.qfrc_applied[6:8] = 4.0 * (last - data.qpos[7:9])
            mujoco.mj_step(model, data)
        runner.step()
        assert runner.body.data.qpos == pytest.approx(data.qpos, abs=1e-4)
    assert runner.state().distance_m > 0.1
