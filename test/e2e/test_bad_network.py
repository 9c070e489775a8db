# SPDX-License-Identifier: Apache-2.0
"""A robot in another network namespace, 200 ms and 2 % loss away, drives a session with a token of its own."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from lerobot_arena.core.robot import load_robot
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing import bad_link
from lerobot_arena.testing.bad_link import BadLink

pytestmark = [
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.timeout(400),  # its own waits say more, and come first
    pytest.mark.skipif(bool(bad_link.missing()), reason=f"no bad network here: {bad_link.missing()}"),
]

ROBOT = Path(__file__).with_name("far_robot.py")
SO101 = load_robot("so101")
NAMES = SO101.joint_names
MAX_AGE_S = 0.25
# Of a busy two-core machine between looking at a command and using it.
MARGIN_S = 0.1
SESSION = "far"
FASTEST_PER_S = GuardParams().normalized_velocity_per_s
PASSWORD = "a long enough password"


class FarRobot:
    """The program behind the link, and what it says."""

    def __init__(self, link: BadLink, url: str, token: str, output: Path) -> None:
        self._output = output
        environment = {**os.environ, "ARENA_TOKEN": token, "ARENA_CONFIG_DIR": str(output.parent / "config")}
        with output.open("wb") as file:
            command = [sys.executable, str(ROBOT), url, SESSION, "600"]
            self.process = link.run(command, env=environment, stdout=file.fileno())

    def said(self, kind: str, since: float = 0.0) -> list[dict[str, Any]]:
        lines = self._output.read_text().splitlines()
        said = [json.loads(line) for line in lines if line.endswith("}")]
        return [item for item in said if item["kind"] == kind and item["at"] >= since]

    def commands(self, since: float = 0.0) -> list[dict[str, Any]]:
        return self.said("command", since)


@pytest.fixture(scope="module")
def link(module_ros_domain: int) -> Iterator[BadLink]:
    with BadLink(module_ros_domain, delay_s=0.1, loss=0.02) as made:
        yield made


@pytest.fixture(scope="module")
def stack(link: BadLink, stack_on: Callable[..., Any]) -> Any:
    """Listens on the link's address, so that everything from there needs a token."""
    return stack_on("--host", link.here)


@pytest.fixture(scope="module")
def anna(stack: Any, link: BadLink) -> Iterator[httpx.Client]:
    """The way a first user goes: the link on the terminal, an account, a login."""
    found = stack.wait_for(
        "the first admin's link", lambda: re.search(r"first-admin=([\w-]+)", stack.tail()), 30
    )
    body = {"username": "anna", "password": PASSWORD}
    made = stack.rest.post("/auth/first-admin", json={"secret": found[1], **body})
    assert made.status_code in {200, 201}, made.text
    login = stack.rest.post("/auth/login", json=body).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    with httpx.Client(base_url=f"http://{link.here}:{stack.port}", headers=headers, timeout=60.0) as client:
        yield client


@pytest.fixture(scope="module")
def robot(
    stack: Any, anna: httpx.Client, link: BadLink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FarRobot]:
    policy = {
        "joint_names": list(NAMES), "unit": "normalized", "fps": 30, "chunk_size": 50, "n_action_steps": 50,
        "actions": [[10.0 + 40.0 * ((step // 25 + 1) % 2) for _ in NAMES] for step in range(100)],
    }  # fmt: skip
    (stack.policies / "wave.json").write_text(json.dumps(policy))
    body = {"session_id": SESSION, "policy_path": "replay:wave.json", "camera_names": []}
    answer = anna.post("/sessions", json=body)
    assert answer.status_code == 200, answer.text
    body = {"name": "robot", "scopes": ["sessions:read", "rooms:join"]}
    token = anna.post("/api/api-tokens", json=body).json()["token"]
    stack.wait_for(
        "the policy to load",
        lambda: (stack.status(SESSION)["inference_stats"] or {}).get("joint_names"),
        40,
    )
    output = tmp_path_factory.mktemp("robot") / "said.jsonl"
    made = FarRobot(link, f"http://{link.here}:{stack.port}", token, output)
    stack.wait_for("the robot's link", lambda: any(s["is_live"] for s in made.said("state")), 40)
    yield made
    made.process.kill()


def start(anna: httpx.Client, stack: Any) -> None:
    """Told to run; on such a link the joints may be too old at one moment and fresh at the next."""

    def started() -> bool:
        answer = anna.post(f"/sessions/{SESSION}/start")
        assert answer.status_code in {200, 409}, answer.text
        return answer.status_code == 200

    stack.wait_for("the session to start", started, 30)


def drive_until(anna: httpx.Client, stack: Any, what: str, done: Callable[[], bool]) -> None:
    """Started again whenever a stop ends it: with packets lost in a row that is what has to happen."""

    def is_done() -> bool:
        if stack.status(SESSION)["status"] != "running":
            start(anna, stack)
        return done()

    start(anna, stack)
    stack.wait_for(what, is_done, 80)


def check_safe(commands: list[dict[str, Any]]) -> None:
    """Every command that the robot executed was fresh, in range, and on a path no faster than the guard allows."""
    for command in commands:
        assert command["age_s"] <= MAX_AGE_S + MARGIN_S, command
        assert set(command["joints"]) == set(NAMES)
        assert all(-0.01 <= value <= 60.01 for value in command["joints"].values()), command
    for before, after in pairwise(commands):
        # Ages may differ by all that they may be; what the guard sent in between was not late, but never executed.
        seconds = after["at"] - before["at"] + MAX_AGE_S + MARGIN_S
        for name in NAMES:
            assert abs(after["joints"][name] - before["joints"][name]) <= FASTEST_PER_S * seconds


def test_without_a_token_nothing_is_open_from_there(stack: Any, link: BadLink) -> None:
    outside = f"http://{link.here}:{stack.port}"
    assert httpx.get(f"{outside}/sessions").status_code == 401
    assert httpx.post(f"{outside}/api/control/estop").status_code == 401
    assert httpx.get(f"{outside}/health").status_code == 200


def test_the_robot_moves_over_the_bad_link_by_fresh_commands_only(
    robot: FarRobot, anna: httpx.Client, stack: Any
) -> None:
    drive_until(anna, stack, "commands to arrive", lambda: len(robot.commands()) > 50)
    check_safe(robot.commands())
    values = [command["joints"]["shoulder_pan"] for command in robot.commands()]
    assert max(values) - min(values) > 10.0, "it moves"


def test_a_stalled_link_holds_and_only_a_start_goes_on(
    robot: FarRobot, anna: httpx.Client, link: BadLink, stack: Any
) -> None:
    link.weather.is_stalled = True
    stalled_at = time.monotonic()
    stack.wait_for("the guard to notice", lambda: stack.status(SESSION)["status"] != "running", 20)
    assert stack.status(SESSION)["error_message"]
    last = max((command["at"] for command in robot.commands()), default=0.0)
    assert last <= stalled_at + MAX_AGE_S + 1.0, "what was on its way is used up soon"
    link.weather.is_stalled = False
    back_at = time.monotonic()
    stack.wait_for("the link to be back", lambda: any(s["is_live"] for s in robot.said("state", back_at)), 40)
    time.sleep(2.0)  # nothing shall happen, and that can only be waited for
    assert not robot.commands(back_at), "nobody said start"
    drive_until(anna, stack, "commands to come again", lambda: len(robot.commands(back_at)) > 20)
    check_safe(robot.commands())
