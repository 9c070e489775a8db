# SPDX-License-Identifier: Apache-2.0
"""`arena session …`, `estop`, `reset`, `status` against a real HTTP server: requests, output, exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app

SESSION = {
    "session_id": "pick",
    "status": "stopped",
    "policy_path": "demo",
    "camera_names": ["front"],
    "workspace_id": "w",
    "rooms": {},
    "stats": {"commands_sent": 12},
    "inference_stats": None,
    "error_message": "The e-stop of arm 'arm' is latched",
}


def arena(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def test_create_sends_what_was_said_and_leaves_the_rest_to_the_bridge(bridge: Any) -> None:
    bridge.on("POST", "/sessions", {"workspace_id": "w"})
    result = arena(
        "session", "create", "pick", "--policy", "demo", "--camera", "front", "--camera", "wrist", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"workspace_id": "w"}
    body = {"session_id": "pick", "policy_path": "demo", "camera_names": ["front", "wrist"], "robot": "arm"}
    assert bridge.asked == [("POST", "/sessions", body)]


def test_create_with_an_empty_robot_makes_a_virtual_arm(bridge: Any) -> None:
    bridge.on("POST", "/sessions", {})
    assert arena("session", "create", "pick", "--policy", "demo", "--robot", "").exit_code == 0
    assert "robot" not in bridge.asked[-1][2]


def test_a_local_folder_is_sent_as_an_absolute_path(
    bridge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.on("POST", "/sessions", {})
    for name in ("outputs", "demo"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    arena("session", "create", "pick", "--policy", "outputs")
    arena("session", "create", "pick", "--policy", "org/name@main")
    arena("session", "create", "pick", "--policy", "demo")
    sent = [body["policy_path"] for *_, body in bridge.asked]
    assert sent == [str(tmp_path / "outputs"), "org/name@main", "demo"]


def test_create_never_starts_unless_told(bridge: Any) -> None:
    bridge.on("POST", "/sessions", {})
    bridge.on("POST", "/sessions/pick/start", {"message": "Inference started for session pick"})
    arena("session", "create", "pick", "--policy", "demo")
    assert [path for _, path, _ in bridge.asked] == ["/sessions"]
    arena("session", "create", "pick", "--policy", "demo", "--start")
    assert [path for _, path, _ in bridge.asked][1:] == ["/sessions", "/sessions/pick/start"]


def test_create_waits_for_a_bridge_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_URL", "http://127.0.0.1:9")
    result = arena("session", "create", "pick", "--policy", "demo", "--wait", "0.3")
    assert result.exit_code == 1
    assert "arena up" in result.stderr


def test_an_existing_session_is_an_error_unless_it_may_exist(bridge: Any) -> None:
    bridge.on("POST", "/sessions", {"detail": "Session pick already exists"}, 409)
    bridge.on("GET", "/sessions/pick", SESSION)
    assert arena("session", "create", "pick", "--policy", "demo").exit_code == 1
    assert arena("session", "create", "pick", "--policy", "demo", "--exist-ok").exit_code == 0


@pytest.mark.parametrize(
    ("status", "detail", "code", "text"),
    [
        (404, "Session pick not found", 1, "Session pick not found"),
        (409, "The e-stop of arm 'arm' is latched", 1, "e-stop"),
        (400, "policy_path: no such folder", 2, "no such folder"),
        (422, [{"loc": ["body", "rate_hz"], "msg": "must be positive"}], 2, "rate_hz: must be positive"),
        (504, "guard did not answer", 1, "guard did not answer"),
        (500, "id 4711", 1, "answered 500: id 4711"),
    ],
)
def test_a_refusal_is_a_line_on_stderr_and_an_exit_code(
    bridge: Any, status: int, detail: Any, code: int, text: str
) -> None:
    bridge.on("POST", "/sessions/pick/start", {"detail": detail}, status)
    result = arena("session", "start", "pick")
    assert result.exit_code == code
    assert text in result.stderr
    assert "Traceback" not in result.output


def test_something_else_on_the_port_is_said_to_be_no_bridge(bridge: Any) -> None:
    bridge.on("GET", "/sessions", b"<html>a router's page</html>")
    result = arena("session", "list")
    assert result.exit_code == 1
    assert "does not answer like an arena bridge" in result.stderr


def test_nothing_there_names_the_remedy_and_where_it_looked() -> None:
    result = arena("session", "list", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "Nothing answers at http://127.0.0.1:9" in result.stderr and "arena up" in result.stderr


def test_list_and_show_are_readable_and_json_is_whole(bridge: Any) -> None:
    bridge.on("GET", "/sessions", [SESSION])
    bridge.on("GET", "/sessions/pick", SESSION)
    listed = arena("session", "list").stdout
    assert "pick" in listed and "stopped" in listed and "e-stop" in listed
    assert "commands_sent: 12" in arena("session", "show", "pick").stdout
    assert json.loads(arena("session", "list", "--json").stdout) == [SESSION]


def test_status_is_a_few_lines(bridge: Any) -> None:
    arm = {
        "arm": "arm",
        "state": "idle",
        "is_alive": True,
        "estop_latched": True,
        "message": "The e-stop was pressed (service).",
        "not_ready": ["The e-stop is latched."],
        "embodiment": {"backend": "mujoco", "robot": "so101", "is_connected": True, "message": ""},
        "task": {"episode": 3, "successes": 2, "failures": 0},
        "cameras": ["front", "wrist"],
    }
    bridge.on("GET", "/health", {"status": "healthy"})
    bridge.on("GET", "/api/arms", {"arms": [arm]})
    bridge.on("GET", "/sessions", [SESSION])
    lines = arena("status").stdout.splitlines()
    assert lines[1:4] == [
        "arm arm: E-STOP · mujoco so101, connected · cameras front, wrist · episode 3 (2 done, 0 failed)",
        "  The e-stop was pressed (service).",
        "  The e-stop is latched.",
    ]
    assert lines[4].startswith("session pick (demo): stopped: The e-stop")
    assert json.loads(arena("status", "--json").stdout)["arms"] == [arm]


def test_estop_without_an_arm_means_all_and_with_one_means_that(bridge: Any) -> None:
    bridge.on("POST", "/api/control/estop", {"emergency_stop": True, "arms": {"arm": {"acknowledged": True}}})
    assert arena("estop").exit_code == 0
    assert arena("estop", "--arm", "left").exit_code == 0
    assert [path for _, path, _ in bridge.asked] == ["/api/control/estop", "/api/control/estop?arm=left"]


def test_estop_without_a_bridge_says_which_other_way_there_is() -> None:
    result = arena("estop", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "ros2 service call /arm/guard/estop std_srvs/srv/Trigger" in result.stderr


def test_estop_that_nobody_acknowledged_is_a_failure(bridge: Any) -> None:
    bridge.on("POST", "/api/control/estop", {"detail": "No guard acknowledged"}, 503)
    result = arena("estop")
    assert result.exit_code == 1
    assert "No guard acknowledged" in result.stderr


def test_a_wrong_url_and_a_missing_argument_are_wrong_usage() -> None:
    assert arena("session", "list", "--url", "localhost:8001").exit_code == 2
    assert arena("session", "start").exit_code == 2
    assert arena("session", "create", "x").exit_code == 2


def test_the_port_variable_is_the_last_resort(bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge.on("GET", "/sessions", [])
    monkeypatch.delenv("ARENA_URL")
    monkeypatch.setenv("ARENA_BRIDGE_PORT", bridge.url.rsplit(":", 1)[1])
    assert arena("session", "list").exit_code == 0
