# SPDX-License-Identifier: Apache-2.0
"""What ships: it can be read, fits the arm it is for, and a mistake in such a file is named."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import DEFAULT_TASK
from lerobot_arena.guard.boundary import boundary_from_json
from lerobot_arena.guard.boundary_set import BoundarySet, fit
from lerobot_arena.guard.checks.protocol import Body, JointLimits
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.shipped import config_of, shipped_config
from lerobot_arena.guard.task import task_from_json
from lerobot_arena.testing.check_examples import good_cycle, so101_body

needs_mujoco = pytest.mark.skipif(find_spec("mujoco") is None, reason="MuJoCo is missing")
SHIPPED = shipped_config()
READ = read_config(SHIPPED)
VIRTUAL = Body(
    ("left", "right", "gripper"),
    "normalized",
    JointLimits((-100.0, -100.0, 0.0), (100.0,) * 3, (200.0,) * 3, (2000.0,) * 3),
    no_geometry_because="it is virtual",
)


def test_it_is_version_0_and_the_same_when_read_again() -> None:
    assert SHIPPED.version == 0 and shipped_config() == SHIPPED
    for boundary in SHIPPED.boundaries:
        assert boundary_from_json(boundary.config).mapping() == json.loads(boundary.config)
    for task in SHIPPED.tasks:
        assert task_from_json(task.config).mapping() == json.loads(task.config)


def test_every_boundary_is_used_and_guards_with_something_of_its_own() -> None:
    used = {name for task in READ.tasks.values() for name in (*task.boundaries, *task.virtual_boundaries)}
    assert used == set(READ.boundaries)
    assert len({node.callback for b in READ.boundaries.values() for node in b.nodes}) == len(READ.boundaries)


@needs_mujoco
def test_the_default_task_guards_an_so101_and_any_virtual_arm() -> None:
    default = READ.tasks[DEFAULT_TASK]
    assert fit(READ.of_task(default, is_virtual=False), so101_body()) == ""
    assert fit(READ.of_task(default, is_virtual=True), VIRTUAL) == ""
    assert READ.of_task(default, is_virtual=False) and READ.of_task(default, is_virtual=True)


def test_an_arm_without_a_model_is_told_why_and_has_a_task_of_its_own() -> None:
    blind = Body(so101_names(), "radians", JointLimits((-1.0,) * 6, (1.0,) * 6, (1.0,) * 6, (9.0,) * 6))
    assert "robot model" in fit(READ.of_task(READ.tasks[DEFAULT_TASK], is_virtual=False), blind)
    assert fit(READ.of_task(READ.tasks["any_arm"], is_virtual=False), blind) == ""


def so101_names() -> tuple[str, ...]:
    return ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@needs_mujoco
def test_nothing_in_it_objects_to_a_good_cycle() -> None:
    seats = BoundarySet(READ.of_task(READ.tasks[DEFAULT_TASK], is_virtual=False), so101_body()).seats()
    assert [seat.examine(good_cycle()).reason for seat in seats] == [""] * len(seats)


def test_what_only_a_policys_eyes_say_never_stops_hard() -> None:
    for boundary in READ.boundaries.values():
        for node in boundary.nodes:
            if CHECKS.load(node.callback).layer == "L0":
                assert node.fallback in {"", "slow_down", "hold_position"}


GOOD = "boundaries:\n  - {name: b, nodes: [{callback: jerk}]}\n"
TASK = "tasks:\n  - {name: t, boundaries: [b]}\n"


def test_a_task_may_use_the_boundaries_of_another_file() -> None:
    config = config_of([("a.yaml", TASK), ("b.yaml", GOOD)])
    assert [t.name for t in config.tasks] == ["t"] and [b.name for b in config.boundaries] == ["b"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"x.yaml": "boundaries: ["}, "x.yaml is not YAML"),
        ({"x.yaml": "- b"}, "x.yaml: the file must be a mapping"),
        ({"x.yaml": "boundary: []"}, "unknown key 'boundary'. Did you mean 'boundaries'"),
        ({"x.yaml": "boundaries: {}\ntasks: 3"}, "tasks must be a list"),
        ({"x.yaml": GOOD.replace("jerk", "jerky")}, "x.yaml: .*Did you mean 'jerk'"),
        ({"x.yaml": GOOD, "y.yaml": GOOD}, "y.yaml: 'b' is there twice"),
        ({"x.yaml": TASK}, "x.yaml: .*no 'b'"),
    ],
)
def test_a_mistake_is_named_with_its_file(files: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        config_of(files.items())


def test_a_file_is_read_safely() -> None:
    with pytest.raises(InvalidInput, match="not YAML"):
        config_of([("x.yaml", "boundaries: !!python/object/apply:os.getcwd []")])


def test_the_whole_of_it_is_taken_or_nothing() -> None:
    broken = replace(SHIPPED, boundaries=SHIPPED.boundaries[1:])
    with pytest.raises(InvalidInput):
        read_config(broken)
