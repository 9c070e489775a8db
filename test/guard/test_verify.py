# SPDX-License-Identifier: Apache-2.0
"""`arena guard verify`: every row against the shipped configuration, and bad configurations that must show."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.cli.guard import all_rows, chosen_rows
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot, robot_from_mapping
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.shipped import config_of, shipped_config
from lerobot_arena.guard.verify.row import Claims, FaultRow, tried
from lerobot_arena.guard.verify.subject import Subject, subject_of

LISTED = {
    *(f"A{number}" for number in range(1, 21)),
    *(f"B{number}" for number in range(1, 10)),
    *(f"C{number}" for number in range(1, 6)),
    *(f"D{number}" for number in range(1, 16) if number != 8),
    *(f"E{number}" for number in range(1, 11)),
    *(f"F{number}" for number in range(1, 12)),
    *(f"H{number}" for number in range(1, 6)),
}


@cache
def shipped() -> Subject:
    return subject_of(load_robot("so101"), GuardParams(), shipped_config())


@pytest.mark.parametrize("row", all_rows(), ids=lambda row: row.id)
def test_the_shipped_configuration_survives(row: FaultRow) -> None:
    evidence = tried(row, shipped())
    assert evidence.ok, evidence.got


def test_the_rows_are_the_fault_list() -> None:
    ids = [row.id for row in all_rows()]
    assert len(set(ids)) == len(ids) and set(ids) >= LISTED


def test_each_check_of_the_table_has_a_row_that_misses_it() -> None:
    assert set(CHECKS) <= {part for row in all_rows() for part in row.removed}


def test_the_documentation_names_each_check_and_its_boundaries_can_be_read() -> None:
    text = (Path(__file__).parents[2] / "docs/guard.md").read_text()
    assert [name for name in CHECKS if f"`{name}`" not in text] == []
    example = text.split("```yaml")[1].split("```")[0]
    assert {"bench", "cool_motors"} == {b.name for b in config_of([("docs/guard.md", example)]).boundaries}


def evidence(row_id: str, subject: Subject) -> tuple[bool, str]:
    found = tried(chosen_rows([row_id])[0], subject)
    return found.ok, found.got


@pytest.mark.parametrize(
    ("params", "row", "words"),
    [
        (GuardParams(enforcement_mode="monitor"), "A8", "its range is"),
        (GuardParams(enforcement_mode="monitor"), "A11", "range"),
        (GuardParams(enforcement_mode="monitor"), "E8", "does not keep the arm safe"),
        (GuardParams(enforcement_mode="log_only"), "B2", "more commands"),
        (GuardParams(joint_timeout_s=5.0), "B2", "driven blind"),
        (GuardParams(action_timeout_s=20.0), "A13", "what it saw once"),
        (GuardParams(check_budget_ms=1000.0), "D7", "may hang"),
        (GuardParams(ramp_s=0.0), "F7", "ramp_s 0"),
        (GuardParams(nonfinite_limit=1000), "A1", "state stopped"),
    ],
)
def test_parameters_that_do_not_keep_an_arm_safe_show(params: GuardParams, row: str, words: str) -> None:
    is_ok, got = evidence(row, replace(shipped(), params=params))
    assert not is_ok and words in got


def test_huge_limits_show() -> None:
    robot = load_robot("so101")
    wild = [replace(j, max_velocity_rad_s=500.0, max_acceleration_rad_s2=1e6) for j in robot.joints]
    subject = replace(shipped(), robot=replace(robot, joints=tuple(wild)))
    for row, words in (("A8", "limits nothing"), ("A10", "full speed in one cycle")):
        is_ok, got = evidence(row, subject)
        assert not is_ok and words in got


def test_what_cannot_be_tried_is_no_pass() -> None:
    def broken(subject: Subject, claims: Claims) -> None:
        claims.that(True, "so far so good")
        raise RuntimeError("no")

    found = tried(FaultRow("X1", "", "", broken), shipped())
    assert not found.ok and "RuntimeError" in found.got
    assert not tried(FaultRow("X2", "", "", lambda subject, claims: None), shipped()).ok, "nothing was seen"


def test_an_arm_without_a_model_and_with_other_joints() -> None:
    joints = [
        {
            "name": f"{side}_{name}", "lower_rad": -1.5, "upper_rad": 2.0,
            "max_velocity_rad_s": 2.0, "max_acceleration_rad_s2": 20.0,
        }
        for side in ("left", "right") for name in ("pan", "lift", "gripper")
    ]  # fmt: skip
    robot = robot_from_mapping({"name": "two_arms", "joints": joints})
    with pytest.raises(InvalidInput, match="geometry"):
        subject_of(robot, GuardParams(), shipped_config())
    subject = subject_of(robot, GuardParams(), shipped_config(), task="any_arm")
    for row in all_rows():
        if row.id[0] in "ABHK":
            found = tried(row, subject)
            assert found.ok, f"{row.id}: {found.got}"


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["guard", "verify", *arguments])
    return result.exit_code, result.stdout


def test_the_command_ends_with_json_and_the_right_code(tmp_path: Path) -> None:
    code, out = invoke("--row", "a1", "--row", "F1", "--json")
    last = json.loads(out.splitlines()[-1])
    assert code == 0
    assert [(row["id"], row["ok"]) for row in last["rows"]] == [("A1", True), ("F1", True)]
    assert all(row.keys() == {"id", "ok", "fault", "expected", "got"} for row in last["rows"])
    params = tmp_path / "guard.yaml"
    params.write_text(
        yaml.safe_dump({"/**": {"guard": {"ros__parameters": {"enforcement_mode": "monitor"}}}})
    )
    code, out = invoke("--config", str(params), "--row", "A11", "--json")
    assert code == 1 and not json.loads(out.splitlines()[-1])["rows"][0]["ok"]


def test_the_table_says_what_was_verified(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        yaml.safe_dump({
            "boundaries": [
                {"name": "slow", "nodes": [{"callback": "velocity", "params": {"max_velocity": [0.5] * 6}}]}
            ],
            "tasks": [{"name": "default", "boundaries": ["slow"]}],
        })
    )  # fmt: skip
    code, out = invoke("--config", str(mine), "--row", "A8")
    assert code == 0 and "A8" in out and "0 unsafe" in out
    assert str(mine) in out.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--row", "Z9"], "no row"), (["--robot", "so100"], "so101"), (["--task", "defualt"], "defualt")],
)
def test_wrong_usage_is_told(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["guard", "verify", *arguments])
    assert result.exit_code == 2 and words in result.stderr


def test_a_misspelt_parameter_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "guard.yaml"
    path.write_text("/**: {guard: {ros__parameters: {joint_timeout: 1.0}}}")
    result = CliRunner().invoke(app, ["guard", "verify", "--config", str(path)])
    assert result.exit_code == 2 and "guard.yaml" in result.stderr and "joint_timeout_s" in result.stderr
