# SPDX-License-Identifier: Apache-2.0
"""The guard as a real process over real DDS; this test stands in for its bridge, inference and embodiment."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.session import GuardState
from lerobot_arena.testing.guard_rig import (
    ACTION_TIMEOUT_S,
    MARGIN_S,
    PERIOD_S,
    GuardProcess,
    StandIn,
    wait_until,
)

pytestmark = [pytest.mark.ros, pytest.mark.timeout(300)]


def test_start_stop_estop_reset_over_dds(stand_in: StandIn, guard: GuardProcess) -> None:
    wait_until("ready", lambda: stand_in.state and not stand_in.state.not_ready and stand_in.state.session_id)
    assert not stand_in.commands, "nothing moves before a start"
    stand_in.speed = 10.0
    stand_in.run()
    wait_until("executed joints", lambda: len(stand_in.outputs) > 5)
    assert stand_in.outputs[-1][1].unit == "normalized"
    assert stand_in.requests[0].reset

    success, _, stopped = stand_in.call("stop")
    time.sleep(0.3)  # what should not come can only be waited for
    assert success and stand_in.moved_since(stopped + 0.05) == 0

    stand_in.run()
    success, message, stopped = stand_in.call("estop")
    assert success and "latched" in message
    time.sleep(0.3)  # time for what must not come
    assert stand_in.moved_since(stopped + 0.05) == 0
    wait_until(
        "the sink's answer", lambda: stand_in.state and "acknowledged: torque kept" in stand_in.state.sink
    )
    assert stand_in.state and stand_in.state.state == "emergency" and stand_in.emergencies == 1
    refused = stand_in.call("start")
    assert not refused[0] and "e-stop" in refused[1]
    wait_until("the cooldown", lambda: stand_in.state and not stand_in.state.reset_refusals)
    assert stand_in.call("reset")[0]
    time.sleep(0.3)  # time for what must not come
    assert stand_in.moved_since(stopped + 0.05) == 0
    wait_until("the truth about the sink", lambda: stand_in.state and "nobody serves" in stand_in.state.sink)
    old = stand_in.requests[-1].epoch
    stand_in.run()
    assert stand_in.requests[-1].epoch > old
    stand_in.estop_topic.publish(stand_in.convert.Empty())
    wait_until("the latch", lambda: stand_in.state and stand_in.state.estop_latched)
    assert "topic" in stand_in.state.message


def test_silence_holds_in_time_and_says_why(stand_in: StandIn, guard: GuardProcess) -> None:
    stand_in.run()
    stand_in.is_answering = False
    silent = time.monotonic()
    wait_until("stopped", lambda: stand_in.state and stand_in.state.state == "stopped")
    assert max(stand_in.moved()) - silent <= ACTION_TIMEOUT_S + PERIOD_S + MARGIN_S
    assert stand_in.state and "no action chunk" in stand_in.state.message
    assert any(cycle.reason for _, cycle in stand_in.cycles)

    stand_in.is_answering = True
    stand_in.run()
    stand_in.are_joints_alive = False
    silent = time.monotonic()
    wait_until("latched", lambda: stand_in.state and stand_in.state.state == "emergency")
    assert max(stand_in.moved()) - silent <= 0.3 + PERIOD_S + MARGIN_S
    assert "joint state" in stand_in.state.message


def test_a_second_publisher_stops_the_run_and_refuses_the_next(
    stand_in: StandIn, guard: GuardProcess
) -> None:
    stand_in.run()
    evil = stand_in.node.create_publisher(
        stand_in.convert.own.JointCommand, "/arm/command", stand_in.qos.COMMAND
    )
    wait_until("stopped", lambda: stand_in.state and stand_in.state.state == "stopped")
    refused = stand_in.call("start")
    assert not refused[0] and "stand_in" in refused[1]
    stand_in.node.destroy_publisher(evil)
    stand_in.run()


def test_a_killed_guard_is_replaced_within_5_s_disarmed_and_with_a_new_epoch(
    stand_in: StandIn, guard: GuardProcess, tmp_path: Path
) -> None:
    stand_in.run()
    old = stand_in.state
    assert old is not None
    guard.process.kill()
    guard.process.wait(10)
    killed = time.monotonic()
    other = GuardProcess("arm", tmp_path / "guard.txt")
    try:
        state = wait_until(
            "the next guard to be ready",
            lambda: next((s for s in stand_in.states if s.boot_id != old.boot_id and not s.not_ready), None),
        )
        # Above that this process, which plays everybody else, is itself too slow to tell.
        if os.getloadavg()[0] < 4 * (os.cpu_count() or 1):
            assert time.monotonic() - killed - other.waited_for_a_core_s() <= 5.0
        assert state.state == "idle"
        assert stand_in.moved_since(killed + MARGIN_S) == 0
        stand_in.run()
        assert stand_in.requests[-1].epoch > old.epoch
    finally:
        assert other.end() == 0


def test_a_frozen_guard_publishes_no_backlog_when_it_goes_on(stand_in: StandIn, guard: GuardProcess) -> None:
    stand_in.run()
    guard.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # longer than the action timeout
    sent, woken = len(stand_in.commands), time.monotonic()
    guard.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)  # time for what must not come
    allowed = (time.monotonic() - woken) / PERIOD_S + 2
    assert len(stand_in.commands) - sent <= allowed


@pytest.fixture
def room(ros_domain: int, data_dir: Path) -> Iterator[StandIn]:
    made = StandIn(is_virtual=True)
    made.measured = np.full(6, 20.0)
    made.want()
    yield made
    made.close()


def test_a_virtual_arm_gets_its_own_loop_and_room(room: StandIn, tmp_path: Path) -> None:
    process = GuardProcess("virtual", tmp_path / "guard.txt", "virtual:=true", "max_virtual_arms:=1")
    crowd: list[GuardState] = []
    room.node.create_subscription(
        room.convert.own.GuardState,
        "/virtual/other/guard/state",
        lambda message: crowd.append(room.convert.from_msg(GuardState, message)),
        room.qos.LATCHED,
    )
    try:
        room.want(room.session(joint_output_topic="/no such/topic!"), generation=2)
        wait_until("a reason", lambda: room.state and any("unusable" in r for r in room.state.not_ready))
        room.want(room.session(), room.session(session_id="other", arm="virtual/other"), generation=3)
        wait_until("no room for another", lambda: crowd and "max_virtual_arms" in crowd[-1].not_ready[0])
        room.speed = 20.0
        room.run()
        assert room.outputs[-1][1].unit == "normalized" and not room.commands
        assert room.outputs[-1][1].values[0] > 20.0
        assert room.state and room.state.unit == "normalized" and room.state.wanted_generation == 3
        room.are_joints_alive = False
        silent = time.monotonic()
        wait_until("stopped", lambda: room.state and room.state.state == "stopped")
        assert max(room.moved()) - silent <= 1.0 + PERIOD_S + MARGIN_S
    finally:
        assert process.end() == 0, (tmp_path / "guard.txt").read_text()
