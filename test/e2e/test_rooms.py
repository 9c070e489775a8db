# SPDX-License-Identifier: Apache-2.0
"""Sessions whose joints come from clients: virtual arms on a slow policy, and a client that falls silent."""

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lerobot_arena.core.robot import load_robot
from lerobot_arena.testing.probe import Probe

pytestmark = [pytest.mark.ros, pytest.mark.slow]

NAMES = load_robot("so101").joint_names
SESSIONS = ("one", "two", "three")
DELAY_S = 0.3
STALENESS_S = 0.5
# What a busy two-core machine may add; the bound itself is cycles.
MARGIN_S = 1.0


class Client:
    """A robot somewhere else: says its joints, hears what was executed."""

    def __init__(self, node: Any, topics: dict[str, Any]) -> None:
        from lerobot_arena.ros import convert, qos

        self.heard: list[float] = []
        self.sequence = 0
        self._convert = convert
        self._publisher = node.create_publisher(convert.own.RoomJoints, topics["joint_input"], qos.SENSOR)
        node.create_subscription(
            convert.own.RoomJoints,
            topics["joint_output"],
            lambda _: self.heard.append(time.monotonic()),
            qos.STREAM,
        )

    def say(self) -> None:
        import numpy as np

        self.sequence += 1
        self._publisher.publish(
            self._convert.joints_to_room(NAMES, np.full(6, 5.0), "normalized", self.sequence, time.time_ns())
        )


class Clients(Probe):
    """All clients on one node; `are_talking` says joints at 50 Hz."""

    def __init__(self, domain: int) -> None:
        super().__init__("clients", domain=domain)
        self.clients: dict[str, Client] = {}
        self.are_talking = True
        self.node.create_timer(0.02, self._talk)

    def add(self, session_id: str, topics: dict[str, Any]) -> None:
        self.clients[session_id] = Client(self.node, topics)

    def _talk(self) -> None:
        if self.are_talking:
            for client in self.clients.values():
                client.say()


@pytest.fixture(scope="module")
def clients(stack: Any) -> Iterator[Clients]:
    made = Clients(stack.domain)
    policy = stack.policies / "slow.json"
    content = {
        "joint_names": list(NAMES), "unit": "normalized", "fps": 30, "chunk_size": 50, "n_action_steps": 50,
        "faults": {"delay_ms": DELAY_S * 1e3},
    }  # fmt: skip
    policy.write_text(json.dumps(content))
    for session_id in SESSIONS:
        body = {"session_id": session_id, "policy_path": "replay:slow.json", "camera_names": []}
        answer = stack.rest.post("/sessions", json=body)
        assert answer.status_code == 200, answer.text
        rooms = stack.status(session_id)["rooms"]
        assert rooms["joint_input_room_id"] == f"{session_id}-joint-input"
        made.add(session_id, rooms["topics"])
    made.start()
    stack.wait_for("the guards to hear the clients", lambda: _are_heard(stack), 20)
    yield made
    made.close()


def _are_heard(stack: Any) -> bool:
    arms = [arm for arm in stack.rest.get("/api/arms").json()["arms"] if arm["is_virtual"]]
    return len(arms) == len(SESSIONS) and not any("joint state" in " ".join(arm["not_ready"]) for arm in arms)


def test_three_sessions_on_a_slow_policy_keep_their_rate_while_rest_answers(
    stack: Any, clients: Clients
) -> None:
    for session_id in SESSIONS:
        stack.start(session_id)
    deadline = time.monotonic() + 20
    while not all(len(client.heard) > 20 for client in clients.clients.values()):
        assert time.monotonic() < deadline, {name: stack.status(name) for name in SESSIONS}
        time.sleep(0.05)  # how often it looks; the clients are threads
    begin, seconds = time.monotonic(), 5.0
    answered_s = []
    while time.monotonic() - begin < seconds:
        asked = time.monotonic()
        assert stack.rest.get("/sessions").status_code == 200
        answered_s.append(time.monotonic() - asked)
        time.sleep(0.05)  # a client that looks 20 times a second
    end = time.monotonic()
    rates = {
        name: sum(begin <= instant <= end for instant in client.heard) / (end - begin)
        for name, client in clients.clients.items()
    }
    # The upstream server gave 2.3 commands a second to each of three sessions here; the control rate is 50 Hz.
    assert min(rates.values()) > 25, rates
    assert statistics.median(answered_s) < DELAY_S / 2, "REST waits for no policy"
    statuses = [stack.status(name) for name in SESSIONS]
    assert [status["status"] for status in statuses] == ["running"] * 3
    assert all(status["stats"]["commands_sent"] > 0 for status in statuses)


def test_silence_ends_commands_within_the_staleness_bound(stack: Any, clients: Clients) -> None:
    clients.are_talking = False
    fell_silent = time.monotonic()
    time.sleep(STALENESS_S + MARGIN_S + 1.0)  # silence can only be waited for
    for name, client in clients.clients.items():
        assert client.heard[-1] <= fell_silent + STALENESS_S + MARGIN_S, name
        assert stack.status(name)["error_message"], f"{name} must say why it holds"
