# SPDX-License-Identifier: Apache-2.0
"""`arena start|pause|resume|stop`, `boundary`, `task`, `risk`: requests, output and exit codes, over real HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app

NODE = {"callback": "task_timeout", "params": {"timeout_s": 30.0}}
WORKSPACE = {"name": "workspace", "layer": "L1", "nodes": [NODE], "version": 3, "description": "In front."}
PICK = {"name": "pick", "boundaries": ["workspace"], "session_id": "", "timeout_s": 60.0, "description": ""}
ARMS = {"arm": {"config_version": 7, "is_current": True, "config_problem": None}}
EVENT = {
    "event_id": 12,
    "timestamp": 1_700_000_000.25,
    "risk_level": "CRITICAL",
    "outcome": "reject",
    "arm": "arm",
    "session_id": "s",
    "failure_guard_names": ["workspace"],
    "fallback_triggered": "hold_position",
    "reason": "Outside the box.",
}


def arena(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def guarded(bridge: Any) -> Any:
    """A bridge that knows one boundary and one task, and takes everything."""
    bridge.on("GET", "/api/boundaries", {"boundaries": [WORKSPACE], "config_version": 7, "arms": ARMS})
    bridge.on("GET", "/api/tasks", {"tasks": [PICK], "config_version": 7, "arms": ARMS})
    for kind, name in (("boundaries", "workspace"), ("tasks", "pick")):
        bridge.on("PUT", f"/api/{kind}/{name}", {"name": name, "in_force_on": ["arm"]})
        bridge.on("POST", f"/api/{kind}", {"name": "new", "in_force_on": []}, 201)
        bridge.on("DELETE", f"/api/{kind}/{name}", None, 204)
    bridge.on("GET", "/api/boundaries/workspace", WORKSPACE)
    bridge.on("GET", "/api/tasks/pick", PICK)
    return bridge


def asked(bridge: Any, *methods: str) -> list[tuple[str, str]]:
    return [(method, path) for method, path, _ in bridge.asked if method in methods]


def test_start_names_the_task_and_its_numbers(bridge: Any) -> None:
    bridge.on(
        "POST", "/api/control/start", {"task": "pick", "session_id": "s", "arm": "arm", "state": "running"}
    )
    assert arena("start").exit_code == 0
    result = arena("start", "pick", "--cycles", "5", "--budget-ms", "40", "--arm", "virtual/a b")
    assert result.stdout == "Task pick with session s: arm arm is running.\n"
    (first, second) = bridge.asked
    assert first == (
        "POST",
        "/api/control/start",
        {"task_name": "default", "n_cycles": -1, "cycle_budget_ms": 20.0},
    )
    assert second[1] == "/api/control/start?arm=virtual%2Fa+b"
    assert second[2] == {"task_name": "pick", "n_cycles": 5, "cycle_budget_ms": 40.0}


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
def test_pause_resume_and_stop_say_what_was_refused(bridge: Any, verb: str) -> None:
    assert arena(verb, "--url", "http://127.0.0.1:9").exit_code == 1
    bridge.on("POST", f"/api/control/{verb}", {"state": "x", "arm": "arm"})
    assert arena(verb).exit_code == 0 and arena(verb, "--arm", "arm").exit_code == 0
    assert asked(bridge, "POST") == [
        ("POST", f"/api/control/{verb}"),
        ("POST", f"/api/control/{verb}?arm=arm"),
    ]
    assert json.loads(arena(verb, "--json").stdout)["arm"] == "arm"
    bridge.on("POST", f"/api/control/{verb}", {"detail": "Only a running arm can."}, 409)
    refused = arena(verb)
    assert refused.exit_code == 1 and "Only a running arm can." in refused.stderr


def test_a_reset_that_is_refused_lists_the_causes(bridge: Any) -> None:
    causes = ["The gripper is 71 °C.", "No joint state for 3 s."]
    bridge.on("POST", "/api/control/reset", {"detail": "Not yet.", "causes": causes}, 409)
    result = arena("reset")
    assert result.exit_code == 1
    assert all(f"- {cause}" in result.stderr for cause in causes)


def test_boundaries_are_listed_shown_and_deleted(guarded: Any) -> None:
    listed = arena("boundary", "list").stdout
    assert "workspace" in listed and "task_timeout" in listed and "v3" in listed and "NOT" not in listed
    shown = arena("boundary", "show", "workspace").stdout
    assert "timeout_s: 30.0" in shown
    assert json.loads(arena("boundary", "show", "workspace", "--json").stdout) == WORKSPACE
    assert arena("boundary", "delete", "workspace").stdout == "Boundary workspace is deleted.\n"
    guarded.on(
        "DELETE", "/api/boundaries/workspace", {"detail": "Boundary 'workspace' guards task pick."}, 409
    )
    refused = arena("boundary", "delete", "workspace")
    assert refused.exit_code == 1 and "guards task pick" in refused.stderr


def test_a_guard_that_does_not_have_them_is_named(guarded: Any) -> None:
    said = {"config_version": 0, "is_current": False, "config_problem": "It does not fit."}
    guarded.on(
        "GET", "/api/boundaries", {"boundaries": [WORKSPACE], "config_version": 7, "arms": {"arm": said}}
    )
    assert "NOT in force on arm arm: It does not fit." in arena("boundary", "list").stdout


def test_apply_judges_all_before_it_changes_any(guarded: Any, tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(
        "boundaries:\n"
        "  - {name: workspace, nodes: [{callback: task_timeout}]}\n"
        "  - {name: new, nodes: [{callback: task_timeout}]}\n"
        "tasks:\n"
        "  - {name: pick, boundaries: [new]}\n"
    )
    result = arena("boundary", "apply", str(file))
    assert result.exit_code == 0, result.output
    assert "workspace: in force on arm." in result.stdout and "no guard" in result.stdout
    changes = asked(guarded, "PUT", "POST")
    trials = [("PUT", "/api/boundaries/workspace?validate=true"), ("POST", "/api/boundaries?validate=true")]
    done = [("PUT", "/api/boundaries/workspace"), ("POST", "/api/boundaries"), ("PUT", "/api/tasks/pick")]
    assert changes == trials + done
    guarded.asked.clear()
    guarded.on("POST", "/api/boundaries", {"detail": "Did you mean 'task_timeout'?"}, 422)
    refused = arena("boundary", "apply", str(file))
    assert refused.exit_code == 2 and "Did you mean" in refused.stderr
    assert asked(guarded, "PUT", "POST") == trials


def test_what_show_printed_can_be_applied(guarded: Any, tmp_path: Path) -> None:
    for kind, name, content in (("boundary", "workspace", WORKSPACE), ("task", "pick", PICK)):
        for option in ([], ["--json"]):
            file = tmp_path / "one"
            file.write_text(arena(kind, "show", name, *option).stdout)
            assert arena(kind, "apply", str(file)).exit_code == 0
            assert guarded.asked[-1][2] == content


def test_validate_changes_nothing_and_says_what_it_could_not_judge(guarded: Any, tmp_path: Path) -> None:
    file = tmp_path / "b.json"
    file.write_text(
        json.dumps({"boundaries": [{**WORKSPACE, "name": "new"}], "tasks": [{**PICK, "boundaries": ["new"]}]})
    )
    result = arena("boundary", "validate", str(file))
    assert result.exit_code == 0 and "judged when new exist" in result.stdout and "2 entries" in result.stdout
    assert asked(guarded, "PUT", "POST") == [("POST", "/api/boundaries?validate=true")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("boundaries: [", "line"),
        ("3", "mapping"),
        ("boundaries: 3", "list"),
        ("boundaries: [3]", "mapping"),
        ("{nodes: []}", "name"),
        ("boundaries: []\nbondaries: []", "Did you mean 'boundaries'"),
        ("!!python/object/apply:os.system ['true']", "neither YAML nor JSON"),
    ],
)
def test_a_file_that_says_nothing_is_wrong_usage(guarded: Any, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(text)
    for verb in ("apply", "validate"):
        result = arena("boundary", verb, str(file))
        assert result.exit_code == 2 and said in result.stderr, result.stderr
    assert asked(guarded, "PUT", "POST") == []
    assert arena("boundary", "apply", str(tmp_path / "none.yaml")).exit_code == 2


def test_tasks_are_listed_shown_and_deleted(guarded: Any) -> None:
    listed = arena("task", "list").stdout
    assert "pick" in listed and "workspace" in listed and "60 s" in listed
    assert "boundaries:" in arena("task", "show", "pick").stdout
    assert arena("task", "delete", "pick").exit_code == 0


def test_checks_tell_parameters_and_units(bridge: Any) -> None:
    param = {"name": "timeout_s", "default": 60.0, "unit": "s", "description": "Running time."}
    item = {
        "name": "task_timeout",
        "layer": "L2",
        "fallback": "stop",
        "description": "Too long.",
        "is_mandatory": False,
        "params": [param],
    }
    bridge.on("GET", "/api/catalog/callbacks", {"callbacks": [item]})
    assert arena("boundary", "checks").stdout.splitlines() == [
        "task_timeout (L2, stop): Too long.",
        "    timeout_s = 60.0 s: Running time.",
    ]


def test_risk_tail_is_a_line_each_oldest_first(bridge: Any) -> None:
    bridge.on(
        "GET", "/api/risk-log", {"events": [EVENT, {**EVENT, "event_id": 11, "reason": ""}], "count": 2}
    )
    result = arena("risk", "tail", "-n", "5", "--level", "CRITICAL", "--outcome", "reject", "--arm", "arm")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["11", "12"]
    assert lines[1].endswith("CRITICAL   reject  arm  s  workspace  hold_position: Outside the box.")
    assert bridge.asked[0][1] == "/api/risk-log?limit=5&min_risk_level=CRITICAL&outcome=reject&arm=arm"
    bridge.on("GET", "/api/risk-log", {"detail": [{"loc": ["query", "outcome"], "msg": "not that"}]}, 422)
    assert arena("risk", "tail", "--outcome", "x").exit_code == 2


def test_risk_stats_show_and_export(bridge: Any, tmp_path: Path) -> None:
    bridge.on("GET", "/api/risk-log/stats", {"total": 3, "by_risk_level": {"NORMAL": 3}})
    assert arena("risk", "stats").stdout.splitlines() == ["total: 3", "by_risk_level:", "  NORMAL: 3"]
    bridge.on("GET", "/api/risk-log/12", EVENT)
    assert "reason: Outside the box." in arena("risk", "show", "12").stdout
    bridge.on("GET", "/api/risk-log/export/csv", b"event_id\n12\n")
    file = tmp_path / "r.csv"
    assert arena("risk", "export", str(file)).exit_code == 0
    assert file.read_text() == "event_id\n12\n"
    assert arena("risk", "export", str(file)).exit_code == 2, "nothing is overwritten"
    assert arena("risk", "export", str(tmp_path / "r.txt")).exit_code == 2
    assert arena("risk", "export", str(tmp_path / "r.json")).exit_code == 1
    assert not (tmp_path / "r.json").exists()


def test_status_shouts_when_nothing_guards(bridge: Any) -> None:
    arm = {
        "arm": "arm",
        "state": "running",
        "is_alive": True,
        "warning": "THE GUARD DOES NOT GUARD THIS ARM",
        "risk_level": "CRITICAL",
        "reaction": "hold_position",
    }
    bridge.on("GET", "/health", {"status": "healthy"})
    bridge.on("GET", "/api/arms", {"arms": [arm]})
    bridge.on("GET", "/sessions", [])
    lines = arena("status").stdout.splitlines()
    assert lines[1:] == [
        "arm arm: running · risk CRITICAL, hold_position",
        "  THE GUARD DOES NOT GUARD THIS ARM",
    ]
