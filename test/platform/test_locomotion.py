# SPDX-License-Identifier: Apache-2.0
"""How walking policies are made: rhythm, graph, simulated robots, search, one step of learning, the command line."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog import network, onnx_metadata
from lerobot_arena.platform.catalog.runner import Runner
from lerobot_arena.platform.training import locomotion
from lerobot_arena.platform.training.locomotion_export import LIMIT, write_policy
from lerobot_arena.platform.training.locomotion_gait import Gait, Wire, weave
from lerobot_arena.platform.training.locomotion_make import make, start_of, weights_of
from lerobot_arena.platform.training.locomotion_measure import yaw
from lerobot_arena.platform.training.locomotion_mirror import mirror
from lerobot_arena.platform.training.locomotion_ppo import Layer, PpoRules, Trainer
from lerobot_arena.platform.training.locomotion_recipes import PONY, RECIPES, recipe
from lerobot_arena.platform.training.locomotion_search import search
from lerobot_arena.platform.training.locomotion_spec import PONY_JOINTS, g1_spec, offsets, pony_spec
from lerobot_arena.platform.training.locomotion_task import Task, TaskRules, command_ranges, variants
from lerobot_arena.platform.training.locomotion_worlds import Worlds, equip, gravity

GAITS = [Gait((0.0, 0.5), 0.4), Gait((0.0, 0.5, 0.5, 0.0), 0.5), Gait((0.5, 0.0, 0.75, 0.25), 0.25)]
SPECS = {"pony": pony_spec(0.48), "g1": g1_spec(1.0)}


def _observations(spec, count, *, seed=0, turns=None):
    rng = np.random.default_rng(seed)
    obs = rng.normal(size=(count, spec.observation_width)).astype(np.float32)
    angle = 2 * np.pi * (rng.random(count) if turns is None else np.asarray(turns))
    obs[:, offsets(spec)["gait_phase"]] = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return obs


@pytest.mark.parametrize("gait", GAITS)
@given(turn=st.floats(0, 1, exclude_max=True), vx=st.floats(-1, 1))
@settings(max_examples=30, deadline=None)
def test_a_limb_is_lifted_in_its_swing_only_and_reaches_no_further_than_a_stride(gait, turn, vx):
    spec = SPECS["pony"]
    obs = _observations(spec, 1, turns=[turn])
    obs[:, offsets(spec)["command"]] = (vx, 0, 1)
    found = dict(zip(gait.names, gait.features(spec, obs)[0], strict=True))
    for limb, phase in enumerate(gait.phases):
        at = (turn + phase) % 1
        assert -1e-6 <= found[f"lift{limb}"] <= 1 + 1e-6
        if gait.duty + 1e-3 < at < 1 - 1e-3:
            assert found[f"lift{limb}"] == pytest.approx(0, abs=1e-6)
        assert abs(found[f"reach{limb}_wz"]) <= 1 + 1e-5
        assert found[f"reach{limb}_vx"] == pytest.approx(vx * found[f"reach{limb}_wz"], abs=1e-5)


@pytest.mark.parametrize("gait", GAITS)
def test_no_joint_jumps_as_the_phase_goes_round(gait):
    spec = SPECS["pony"]
    obs = np.repeat(_observations(spec, 1), 2001, axis=0)
    angle = np.linspace(0, 2 * np.pi, 2001)
    obs[:, offsets(spec)["gait_phase"]] = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    assert np.abs(np.diff(gait.features(spec, obs), axis=0)).max() < 0.03


def test_without_a_command_nothing_swings():
    spec, gait = SPECS["pony"], GAITS[1]
    obs = _observations(spec, 50)
    obs[:, offsets(spec)["command"]] = 0
    features = gait.features(spec, obs)
    moving = [
        index for index, name in enumerate(gait.names) if name.startswith(("lift", "reach", "sin", "cos"))
    ]
    assert not features[:, moving].any()


def test_wires_on_one_entry_add_up():
    woven = weave(GAITS[0], ("a", "b"), [Wire("one", "b", 1.0), Wire("one", "b", 0.5), Wire("vx", "a", 2.0)])
    assert woven[GAITS[0].names.index("one"), 1] == 1.5
    assert woven.sum() == 3.5


@pytest.mark.parametrize("name", SPECS)
def test_the_metadata_alone_is_the_whole_spec(tmp_path, name):
    spec, gait = SPECS[name], GAITS[0]
    write_policy(tmp_path / "p.onnx", spec, gait, np.zeros((len(gait.names), len(spec.joint_names))), run="r")
    session = network.open_session(tmp_path / "p.onnx")
    props = session.get_modelmeta().custom_metadata_map
    assert onnx_metadata.read(props) == spec
    assert props["action_scale"].split(",")[0] == "0.250", "three decimals, as mjlab writes them"


@pytest.mark.parametrize("gait", GAITS)
def test_the_graph_is_the_gait_plus_the_network(tmp_path, gait):
    spec, rng = SPECS["pony"], np.random.default_rng(1)
    weights = rng.normal(size=(len(gait.names), len(PONY_JOINTS)))
    sizes = [spec.observation_width, 16, len(PONY_JOINTS)]
    layers = [
        Layer(rng.normal(size=(a, b)).astype(np.float32) / 8, rng.normal(size=b).astype(np.float32))
        for a, b in pairwise(sizes)
    ]
    write_policy(tmp_path / "p.onnx", spec, gait, weights, layers, run="r")
    session = network.open_session(tmp_path / "p.onnx")
    told = network.describe(session)
    edges = [*np.linspace(0, 1, 41), *(np.array(gait.phases) + 1e-4), gait.duty]
    obs = _observations(spec, len(edges), turns=edges)
    hidden = obs @ layers[0].weights + layers[0].bias
    learnt = np.where(hidden > 0, hidden, np.expm1(hidden)) @ layers[1].weights + layers[1].bias
    wanted = np.clip(gait.features(spec, obs) @ weights + learnt, -LIMIT, LIMIT)
    found = np.stack([network.ask(session, told, one) for one in obs])
    # The cosine's angle is good to 1e-3 rad where the cosine is flat.
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def _worlds(count, spec=None, **changes):
    spec = spec or SPECS["pony"]
    return Worlds([equip(PONY, spec)], replace(spec, **changes), count, threads=1)


def test_many_robots_move_as_the_one_that_is_served(tmp_path):
    """The batch that policies are made in, and the runner they are served by, are the same loop."""
    chosen = RECIPES["pony-trot"]
    spec, weights = chosen.spec(chosen.period), weights_of(chosen, start_of(chosen))
    write_policy(tmp_path / "p.onnx", spec, chosen.gait, weights, run="r")
    runner = Runner(PONY, tmp_path / "p.onnx", spec)
    runner.command(0.5, 0.1, 0.3)
    worlds = _worlds(3, spec)
    worlds.reset(np.ones(3, bool), rng=np.random.default_rng(0), noise=0.0)
    worlds.commands[:] = (0.5, 0.1, 0.3)
    for tick in range(50):
        obs = worlds.observe()
        worlds.step(chosen.gait.features(spec, obs) @ weights)
        runner.step()
        if tick == 0:
            np.testing.assert_allclose(obs[1], runner.observation, atol=1e-6)
    # Contacts amplify the last digits of float32 and of the solver's warm start.
    np.testing.assert_allclose(worlds.base[2], runner.state().base_pos, atol=0.01)
    worlds.close()


def test_a_robot_without_motors_or_floor_gets_both(tmp_path):
    import mujoco

    (tmp_path / "bare.xml").write_text(
        '<mujoco><worldbody><body pos="0 0 1"><freejoint/><geom size=".1"/><body name="arm"><joint name="j" '
        'axis="0 1 0"/><geom type="capsule" fromto="0 0 0 .3 0 0" size=".02"/></body></body></worldbody></mujoco>'
    )
    spec = replace(
        SPECS["pony"], joint_names=("j",), default_joint_pos=(0.4,), stiffness=(20.0,), damping=(1.0,),
        armature=0.02, action_scale=(1.0,), action_offset=(0.4,), action_clip=None,
    )  # fmt: skip
    model = equip(tmp_path / "bare.xml", spec)
    assert (model.nu, model.dof_damping[6], model.dof_armature[6]) == (1, 1.0, 0.02)
    assert (model.actuator_gainprm[0, 0], model.actuator_biasprm[0, 1]) == (20.0, -20.0)
    assert mujoco.mjtGeom.mjGEOM_PLANE in model.geom_type


def test_gravity_tells_tilt():
    half = np.sqrt(0.5)
    forward = np.array([[1, 0, 0, 0], [half, 0, half, 0], [half, half, 0, 0]])
    np.testing.assert_allclose(gravity(forward), [[0, 0, -1], [1, 0, 0], [0, -1, 0]], atol=1e-9)
    assert yaw((half, 0, 0, half)) == pytest.approx(np.pi / 2)


def test_who_falls_starts_anew_and_nobody_else():
    worlds = _worlds(4)
    task = Task(worlds, TaskRules(push_m_s=0.0), seed=0)
    worlds.base[1, 2] = 0.05
    worlds.quaternion[2] = (0, 1, 0, 0)
    _, fell, late = task.step(np.zeros((4, 12)))
    assert fell.tolist() == [False, True, True, False] and not late.any()
    task.renew(fell)
    assert not worlds.fell().any()
    low, high = command_ranges(worlds.spec)
    assert (worlds.commands >= low).all() and (worlds.commands <= high).all()
    worlds.close()


def test_following_a_command_earns_more_than_standing():
    worlds = _worlds(2)
    task = Task(worlds, TaskRules(), seed=0)
    worlds.reset(np.ones(2, bool), rng=np.random.default_rng(0), noise=0.0)
    worlds.commands[:] = (0.5, 0, 0)
    worlds.velocity[0, 0] = 0.5
    reward, _, _ = task.step(np.zeros((2, 12)))
    assert reward[0] > reward[1] + 0.3
    worlds.close()


def test_variants_differ_in_friction_mass_and_gains_and_leave_the_first_alone():
    model = equip(PONY, SPECS["pony"])
    found = variants(model, 4, seed=3)
    assert found[0] is model
    assert len({round(float(one.geom_friction[0, 0]), 6) for one in found}) == 4
    assert len({round(float(one.actuator_gainprm[0, 0]), 6) for one in found}) == 4
    assert model.actuator_gainprm[0, 0] == 40


def test_the_search_finds_the_top_and_the_same_one_again():
    top = np.array([1.0, -2.0, 0.5])

    def hill(crowd):
        return -np.sum((crowd - top) ** 2 * [1, 30, 4], axis=1)

    first, again = (search(hill, np.zeros(3), np.ones(3), generations=60, seed=5, crowd=12) for _ in range(2))
    np.testing.assert_allclose(first.values, top, atol=1e-3)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.curve[-1][0] > first.curve[0][0]


@pytest.mark.parametrize(("name", "shifted"), [("pony-trot", True), ("pony-bound", False), ("g1-walk", True)])
def test_in_the_mirror_a_gait_is_the_same_gait(name, shifted):
    """Seen in the mirror and mirrored back, a symmetric gait answers the same; and twice mirrored is not mirrored."""
    chosen = RECIPES[name]
    values = start_of(chosen) + [number.spread for number in chosen.numbers.values()]
    spec, weights = chosen.spec(chosen.period), weights_of(chosen, values)
    found = mirror(spec, shifted=shifted)
    obs = _observations(spec, 40)
    turned = (obs[:, found.seen.order] * found.seen.signs).astype(np.float32)
    np.testing.assert_array_equal(turned[:, found.seen.order] * found.seen.signs, obs)
    here, there = (chosen.gait.features(spec, one) @ weights for one in (obs, turned))
    np.testing.assert_allclose(there[:, found.action.order] * found.action.signs, here, atol=1e-5)


def test_a_mirrored_humanoid_exchanges_left_and_right():
    spec = SPECS["g1"]
    action = mirror(spec, shifted=True).action
    for index, (other, sign) in enumerate(zip(action.order, action.signs, strict=True)):
        name, swapped = spec.joint_names[index], spec.joint_names[other]
        assert name.split("_")[0] != swapped.split("_")[0] or name == swapped
        assert spec.default_joint_pos[index] == sign * spec.default_joint_pos[other], name


@pytest.mark.lerobot
def test_one_update_learns_and_its_layers_are_the_normalised_network():
    import torch

    chosen = RECIPES["pony-trot"]
    worlds = _worlds(8)
    rules = PpoRules(steps=6, epochs=1, batches=2, hidden=(8,), threads=1)
    trainer = Trainer(
        Task(worlds, TaskRules(), seed=0), chosen.gait, weights_of(chosen, start_of(chosen)), rules
    )
    before = trainer.actor[0].weight.detach().clone()
    reward, falls = trainer.update()
    assert np.isfinite([reward, falls]).all()
    assert not torch.equal(before, trainer.actor[0].weight)
    layers = trainer.learnt().layers
    obs = worlds.observe()
    hidden = obs @ layers[0].weights + layers[0].bias
    found = np.where(hidden > 0, hidden, np.expm1(hidden)) @ layers[1].weights + layers[1].bias
    with torch.no_grad():
        wanted = trainer.actor(trainer._norms[0](torch.from_numpy(obs))).numpy()
    inside = np.abs((obs - trainer._norms[0].mean.numpy()) / trainer._norms[0].std.numpy()).max(axis=1) < 8
    np.testing.assert_allclose(found[inside], wanted[inside], atol=1e-3)
    worlds.close()


def test_the_same_seed_searches_the_same_gait():
    small = replace(RECIPES["pony-bound"], generations=1, crowd=4, search_s=0.2)
    first, again, other = (make(small, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)
    assert not first.layers


def test_the_command_makes_and_measures_a_policy(tmp_path, monkeypatch, capsys):
    small = replace(RECIPES["pony-bound"], generations=1, crowd=4, search_s=0.1)
    monkeypatch.setitem(RECIPES, "pony-bound", small)
    monkeypatch.setattr(locomotion, "measure", lambda *_, **__: _Few())
    assert locomotion.main(["make", "pony-bound", "--out", str(tmp_path), "--seed", "4"]) == 0
    facts = json.loads((tmp_path / "made.json").read_text())
    assert facts["command"].endswith("make pony-bound --out FOLDER --seed 4 --threads 1")
    assert facts == json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "control_spec.json").read_text()) == json.loads(
        json.dumps(small.spec(small.period).to_json())
    )


class _Few:
    def to_json(self):
        return {"starts": 0}


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(InvalidInput, match="pony-trot"):
        recipe("centaur")
