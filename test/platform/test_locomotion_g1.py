# SPDX-License-Identifier: Apache-2.0
"""Learning on the lower half of a humanoid; a robot of the same shape stands in for the G1, which is not shipped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.training import locomotion
from lerobot_arena.platform.training.locomotion_g1 import LEARNT_JOINTS, build, learnt_spec, lite_xml, widened
from lerobot_arena.platform.training.locomotion_measure import composed
from lerobot_arena.platform.training.locomotion_ppo import Layer
from lerobot_arena.platform.training.locomotion_recipes import G1_WORLD, RECIPES, recipe
from lerobot_arena.platform.training.locomotion_spec import G1_JOINTS, g1_spec, offsets

WHOLE = g1_spec(0.8)
AXES = {"roll": "1 0 0", "pitch": "0 1 0", "yaw": "0 0 1", "knee": "0 1 0", "elbow": "0 1 0"}


def _chain(names, last=""):
    """Nested bodies, one joint each; tilted, as the G1's are."""
    text = last
    for name in reversed(names):
        axis = next(vector for part, vector in AXES.items() if part in name)
        text = (
            f'<body name="{name}_body" pos="0.01 0 -0.08" quat="0.98 0.1 0 0.17"><inertial pos="0 0 -0.03" mass="0.5" '
            f'diaginertia="0.01 0.01 0.01"/><joint name="{name}" axis="{axis}" range="-3 3"/>'
            f'<geom name="{name}_collision" type="sphere" size="0.02"/>{text}</body>'
        )
    return text


@pytest.fixture
def robot(tmp_path) -> Path:
    foot = '<geom name="{}_foot1_collision" type="sphere" size="0.02" pos="0 0 -0.03"/>'
    left, right, waist = G1_JOINTS[:6], G1_JOINTS[6:12], G1_JOINTS[12:15]
    hand = '<site name="{}_hand" pos="0.1 0 0"/>'
    arms = _chain(G1_JOINTS[15:22], hand.format("left")) + _chain(G1_JOINTS[22:], hand.format("right"))
    path = tmp_path / "g1.xml"
    path.write_text(
        '<mujoco><compiler angle="radian" autolimits="true"/><worldbody><body name="pelvis" pos="0 0 0.8">'
        '<inertial pos="0 0 0" mass="4" diaginertia="0.1 0.1 0.1"/><freejoint/><site name="imu"/>'
        + _chain(left, foot.format("left"))
        + _chain(right, foot.format("right"))
        + _chain(waist, arms)
        + '</body></worldbody><sensor><gyro name="imu_ang_vel" site="imu"/></sensor></mujoco>'
    )
    return path


def test_what_is_learnt_on_weighs_and_stands_as_the_whole(robot):
    import mujoco

    whole = mujoco.MjModel.from_xml_path(str(robot))
    lite, small = build(robot, WHOLE, [])
    assert (lite.nu, lite.nsensor, lite.opt.timestep) == (LEARNT_JOINTS, 0, 0.005)
    assert small.joint_names == WHOLE.joint_names[:LEARNT_JOINTS]
    assert lite.body_mass.sum() == pytest.approx(whole.body_mass.sum())
    places = []
    for model, spec in ((whole, WHOLE), (lite, small)):
        data = mujoco.MjData(model)
        for name, angle in zip(spec.joint_names, spec.default_joint_pos, strict=True):
            data.joint(name).qpos[0] = angle
        mujoco.mj_forward(model, data)
        places.append([data.body(f"{name}_body").xipos.copy() for name in WHOLE.joint_names])
    np.testing.assert_allclose(*places, atol=1e-9)


def test_only_feet_touch_anything(robot):
    lite, _ = build(robot, WHOLE, [])
    names = [lite.geom(index).name for index in range(lite.ngeom)]
    assert sorted(filter(None, names)) == ["left_foot1_collision", "right_foot1_collision"]


def test_another_robot_is_refused(tmp_path):
    (tmp_path / "other.xml").write_text(
        '<mujoco><worldbody><body><joint name="j"/></body></worldbody></mujoco>'
    )
    with pytest.raises(InvalidInput, match="29 joints"):
        lite_xml(tmp_path / "other.xml", WHOLE)


def test_widened_it_does_the_same_with_the_legs_and_nothing_with_the_arms():
    small, rng = learnt_spec(WHOLE), np.random.default_rng(0)
    gait = RECIPES["g1-walk"].gait
    weights = rng.normal(size=(len(gait.names), LEARNT_JOINTS))
    sizes = (small.observation_width, 8, LEARNT_JOINTS)
    layers = [Layer(rng.normal(size=(a, b)), rng.normal(size=b)) for a, b in zip(sizes, sizes[1:])]  # noqa: RUF007
    wide, (first, last) = widened(weights, layers, small, WHOLE)
    whole_obs = rng.normal(size=(5, WHOLE.observation_width))
    part = np.concatenate(
        [
            whole_obs[:, where.start : where.start + offsets(small)[name].stop - offsets(small)[name].start]
            for name, where in offsets(WHOLE).items()
        ],
        axis=1,
    )
    wanted = np.tanh(part @ layers[0].weights + layers[0].bias) @ layers[1].weights + layers[1].bias
    found = np.tanh(whole_obs @ first.weights + first.bias) @ last.weights + last.bias
    np.testing.assert_allclose(found[:, :LEARNT_JOINTS], wanted, atol=1e-5)
    assert not found[:, LEARNT_JOINTS:].any() and not wide[:, LEARNT_JOINTS:].any()
    same, kept = widened(weights, layers, small, small)
    assert same is weights and kept == tuple(layers)


def test_the_recipe_wants_the_robot_named(robot):
    with pytest.raises(InvalidInput, match="--robot"):
        recipe("g1-walk")
    assert recipe("g1-walk", robot).entry == robot
    assert recipe("pony-trot", robot).entry != robot
    assert locomotion.main(["measure", "g1-walk", str(robot.parent)]) == 1


@pytest.mark.lerobot
def test_the_command_learns_on_a_part_and_writes_the_whole(robot, tmp_path, monkeypatch):
    chosen = RECIPES["g1-walk"]
    assert chosen.ppo is not None
    few = replace(
        chosen, robots=4, copies=2, ppo=replace(chosen.ppo, updates=1, steps=4, epochs=1, hidden=(8,))
    )
    monkeypatch.setitem(RECIPES, "g1-walk", few)
    monkeypatch.setattr(locomotion, "measure", lambda entry, model, spec: _Stood(entry, model, spec))
    out = tmp_path / "out"
    assert locomotion.main(["make", "g1-walk", "--out", str(out), "--robot", str(robot)]) == 0
    assert (out / "policy.onnx").stat().st_size < 50_000


class _Stood:
    """One tick on the whole robot in its world, in place of minutes of walking."""

    def __init__(self, entry, model, spec):
        from lerobot_arena.platform.catalog.runner import Runner

        self._state = Runner(entry, model, spec).step()

    def to_json(self):
        return {"height_m": self._state.base_pos[2]}


def test_its_world_has_a_floor_light_and_a_step_of_five_milliseconds(robot):
    import mujoco

    with composed(robot, G1_WORLD) as whole:
        model = mujoco.MjModel.from_xml_path(str(whole))
    assert model.opt.timestep == 0.005 and model.nlight == 1
    assert mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type
