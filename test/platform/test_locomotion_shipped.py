# SPDX-License-Identifier: Apache-2.0
"""The shipped robot, course and policies: complete, small, and they still walk, each in its own way."""

import hashlib
import json

import pytest

from lerobot_arena.platform.catalog import contract, network, onnx_metadata
from lerobot_arena.platform.catalog.control_spec import from_json
from lerobot_arena.platform.catalog.runner import Runner
from lerobot_arena.platform.catalog.validate import Level, validate_folder
from lerobot_arena.platform.training.locomotion_measure import composed, disturbed, walk
from lerobot_arena.platform.training.locomotion_recipes import MODELS, PARKOUR, PONY, RECIPES

PONIES = ("pony-bound", "pony-trot")
POLICIES = (*PONIES, "g1-walk")
FOLDERS = (*POLICIES, "parkour", "pony")


@pytest.fixture(params=PONIES)
def folder(request):
    return MODELS / request.param


@pytest.fixture(params=POLICIES)
def policy(request):
    return MODELS / request.param


def _runner(folder, entry=PONY):
    spec = from_json(json.loads((folder / "control_spec.json").read_text()))
    return Runner(entry, folder / "policy.onnx", spec)


def test_all_of_it_is_small_and_says_its_licence():
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1.5e6
    for path in files:
        if path.suffix in {".xml", ".yaml"}:
            assert "SPDX-License-Identifier: Apache-2.0" in path.read_text().splitlines()[0], path.name


@pytest.mark.parametrize("name", FOLDERS)
def test_the_validator_finds_nothing_wrong(name):
    findings = validate_folder(MODELS / name)
    assert findings and not [one for one in findings if one.level is Level.ERROR]


@pytest.mark.parametrize("name", FOLDERS)
def test_their_references_are_one_another(name):
    kind = {"parkour": "scene", "pony": "robot"}.get(name, "policy")
    file = contract.read((MODELS / name / f"{kind}.yaml").read_text(), name, most_bytes=10_000)
    assert f"{file.owner}/{file.slug}" == {"parkour": "chasebrignac/parkour"}.get(
        name, f"lerobot-arena/{name}"
    )
    if kind == "policy":
        robot = "unitree/G1" if name == "g1-walk" else "lerobot-arena/pony"
        assert (file.default_robot, file.default_scene) == (robot, "chasebrignac/parkour")


def test_the_file_says_all_by_itself_and_what_is_beside_it(policy):
    session = network.open_session(policy / "policy.onnx")
    spec = onnx_metadata.read(session.get_modelmeta().custom_metadata_map)
    assert spec == from_json(json.loads((policy / "control_spec.json").read_text()))
    chosen = RECIPES[policy.name]
    assert spec == chosen.spec(chosen.period)
    told = network.describe(session)
    spec.check_network(told.input_width, told.output_width)


def test_how_it_was_made_is_kept(policy):
    made = json.loads((policy / "made.json").read_text())
    assert made["sha256"] == hashlib.sha256((policy / "policy.onnx").read_bytes()).hexdigest()
    assert f" make {policy.name} " in made["command"] and made["measured"]["starts"] >= 20
    assert made["measured"]["falls_standing"] == 0


def test_it_does_what_each_key_asks(folder):
    runner = _runner(folder)
    (back, fore), turn = runner.spec.commands["lin_vel_x"], runner.spec.commands["ang_vel_z"][1]
    for seconds, speed, spin in ((4, fore, 0), (4, back, 0), (3, 0, turn), (3, 0, -turn)):
        runner.reset()
        found = walk(runner, seconds, speed, spin)
        assert not found.fell
        assert speed == 0 or found.ahead_m / speed > 0.2 * seconds, (speed, found)
        assert spin == 0 or found.turned_rad / spin > 0.2 * seconds, (spin, found)


def test_without_a_command_it_stays(folder):
    runner = _runner(folder)
    found = walk(runner, 5.0, 0.0, 0.0)
    assert not found.fell
    assert abs(found.ahead_m) < 0.05 and abs(found.left_m) < 0.05 and abs(found.turned_rad) < 0.1
    assert not any(disturbed(runner, seed, 2.0, 0.0).fell for seed in range(100, 103))


def test_a_vote_between_them_means_something():
    """On the plain the bound is faster; on the course the trot goes on where the bound ends."""
    trot, bound = (_runner(MODELS / name) for name in ("pony-trot", "pony-bound"))
    assert walk(bound, 5.0, 0.8, 0.0).ahead_m > walk(trot, 5.0, 0.8, 0.0).ahead_m
    with composed(PONY, PARKOUR) as whole:
        trot, bound = (_runner(MODELS / name, whole) for name in ("pony-trot", "pony-bound"))
        hurdles = walk(trot, 12.0, 0.8, 0.0)
        assert not hurdles.fell and hurdles.ahead_m > 5.0
        assert walk(bound, 12.0, 0.8, 0.0).ahead_m < 4.0
