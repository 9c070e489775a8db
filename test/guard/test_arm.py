# SPDX-License-Identifier: Apache-2.0
"""The verbs of one arm, its readiness, and what its state tells."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import (
    EMERGENCY,
    ERROR,
    IDLE,
    RUNNING,
    STOPPED,
    EmbodimentStatus,
    SessionsStatus,
    SessionsWanted,
    SessionWanted,
)
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing.guard_world import GuardWorld


@pytest.fixture
def world() -> GuardWorld:
    return GuardWorld()


def stopped_embodiment(is_stopped: bool = True) -> EmbodimentStatus:
    return EmbodimentStatus("arm", "mujoco", is_connected=True, is_stopped=is_stopped)


def test_nothing_moves_before_a_start(world: GuardWorld) -> None:
    record = world.step(100)
    assert not world.commands and not world.ports.requests
    assert (record.outcome, record.decision, world.state) == (Outcome.NONE, Decision.PASS, IDLE)
    assert record.measured == (0.0,) * 6
    assert len(world.ports.cycles) <= 11, "idle cycles are published at 5 Hz at most"


def test_a_start_asks_for_a_reset_chunk_and_then_moves(world: GuardWorld) -> None:
    world.start()
    assert world.state == RUNNING
    first = world.ports.requests[0]
    assert first.reset and first.epoch == world.arm.state().epoch
    command = world.commands[0]
    assert command.joint_names == world.robot.joint_names
    assert command.period_s == pytest.approx(0.02) and command.epoch == first.epoch
    assert [c.sequence for c in world.commands] == sorted({c.sequence for c in world.commands})


def test_starting_twice_is_one_run(world: GuardWorld) -> None:
    world.start()
    epoch = world.arm.state().epoch
    again = world.arm.start()
    assert again.success and "already" in again.message
    assert world.arm.state().epoch == epoch


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"is_loaded": False}, "not loaded"),
    ({"is_loaded": False, "error_message": "No such folder."}, "No such folder."),
    ({"joint_names": ("a", "b")}, "unknown a"),
    ({"unit": "turns"}, "turns"),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS)
def test_a_start_is_refused_with_the_reason(world: GuardWorld, change: dict[str, Any], words: str) -> None:
    world.change_status(**change)
    assert any(words in reason for reason in world.arm.state().not_ready)
    answer = world.arm.start()
    assert not answer.success and words in answer.message
    world.step(50)
    assert not world.commands


def test_a_start_without_a_session_or_inference_is_refused(world: GuardWorld) -> None:
    world.arm.on_wanted(SessionsWanted(2, ()))
    assert "No session is selected" in world.arm.start().message
    world.arm.on_wanted(SessionsWanted(3, (SessionWanted("other", "arm", "demo"),)))
    assert "does not know" in world.arm.start().message
    world.clock.advance(4.0)
    assert "does not report" in world.arm.start().message


def test_a_start_on_stale_joints_is_refused(world: GuardWorld) -> None:
    world.clock.advance(0.31)
    assert "older than 0.3 s" in world.arm.start().message


def test_a_start_beside_another_publisher_is_refused(world: GuardWorld) -> None:
    world.arm.on_publishers(("/evil/node",))
    assert "/evil/node" in world.arm.start().message


def test_an_embodiment_that_is_not_connected_is_a_reason(world: GuardWorld) -> None:
    world.arm.on_embodiment(EmbodimentStatus("arm", "lerobot", message="No port."))
    assert "not connected. No port." in world.arm.start().message


def test_uncalibrated_robots_refuse_policies_that_need_a_calibration() -> None:
    world = GuardWorld(robot=replace(load_robot("so101"), is_calibrated=False), unit="normalized")
    assert any("no calibration" in reason for reason in world.arm.state().not_ready)
    world.change_status(unit="radians")
    assert not world.arm.state().not_ready


def test_stop_is_idempotent_silent_and_moves_nothing(world: GuardWorld) -> None:
    world.start()
    assert world.arm.stop().success and world.arm.stop().success
    sent = len(world.commands)
    world.step(50)
    assert len(world.commands) == sent
    state = world.arm.state()
    assert (state.state, state.message) == (STOPPED, "")


def test_an_estop_latches_reaches_the_embodiment_and_refuses_starts(world: GuardWorld) -> None:
    world.start()
    assert world.arm.estop("service").success
    sent = len(world.commands)
    world.step(50)
    assert len(world.commands) == sent
    assert world.ports.sink_calls == ["emergency_stop"]
    state = world.arm.state()
    assert state.estop_latched and state.state == EMERGENCY and "e-stop" in state.message
    assert "no answer" in state.sink
    refused = world.arm.start()
    assert not refused.success and "e-stop" in refused.message
    world.arm.sink_answered("acknowledged: holding")
    assert world.arm.state().sink == "acknowledged: holding"


def test_an_estop_twice_or_before_a_start_is_fine(world: GuardWorld) -> None:
    assert world.arm.estop("topic").success and world.arm.estop("service").success
    assert "topic" in world.arm.state().message
    assert world.ports.sink_calls == ["emergency_stop"] * 2, "asked again: the first may not have arrived"


def test_a_reset_ends_disarmed_and_moves_nothing(world: GuardWorld) -> None:
    world.start()
    world.arm.estop("service")
    sent = len(world.commands)
    assert "a moment ago" in world.arm.reset().message, "an e-stop is not reset in the same breath"
    world.step(30)
    assert world.arm.reset().success
    world.step(100)
    state = world.arm.state()
    assert (state.state, state.estop_latched, len(world.commands)) == (IDLE, False, sent)
    assert "e-stop" in state.message
    assert world.ports.sink_calls == ["emergency_stop", "clear_emergency"]
    old = state.epoch
    world.start()
    assert world.arm.state().epoch > old


def test_a_reset_without_an_estop_ends_stopped_and_leaves_a_run_alone(world: GuardWorld) -> None:
    world.start()
    assert not world.arm.reset().success and world.state == RUNNING
    world.arm.stop()
    assert world.arm.reset().success and world.state == IDLE
    assert "clear_emergency" not in world.ports.sink_calls


def test_an_embodiment_in_emergency_latches_its_guard(world: GuardWorld) -> None:
    """So that a guard that was restarted while latched is latched again."""
    world.arm.on_embodiment(stopped_embodiment())
    assert world.state == EMERGENCY
    world.step(30)
    assert world.arm.reset().success
    world.arm.on_embodiment(stopped_embodiment())  # sent before it heard of the reset
    assert world.state == IDLE
    assert "emergency stop" in world.arm.start().message
    world.arm.on_embodiment(stopped_embodiment(False))
    world.start()
    world.clock.advance(3.0)
    world.arm.on_embodiment(stopped_embodiment())
    assert world.state == EMERGENCY


def test_an_embodiment_that_does_not_clear_latches_again(world: GuardWorld) -> None:
    world.arm.on_embodiment(stopped_embodiment())
    world.step(30)
    assert world.arm.reset().success
    world.step(150)
    world.arm.on_embodiment(stopped_embodiment())
    assert world.state == EMERGENCY


def test_clear_queue_holds_until_the_next_chunk(world: GuardWorld) -> None:
    world.latency_s = 0.2
    world.start()
    world.step(5)
    sent = len(world.commands)
    assert world.arm.clear_queue().success
    record = world.step()
    assert record.outcome is Outcome.HELD and world.arm.state().queue_steps == 0
    assert world.ports.requests[-1].sequence > 1
    world.step(15)
    assert len(world.commands) > sent and world.state == RUNNING


def test_a_deleted_session_stops(world: GuardWorld) -> None:
    world.start()
    world.arm.on_wanted(SessionsWanted(2, ()))
    assert world.state == STOPPED and "deleted" in world.arm.state().message
    assert world.arm.state().wanted_generation == 2


def test_selecting_another_session_does_not_end_the_run(world: GuardWorld) -> None:
    world.start()
    world.arm.on_wanted(
        SessionsWanted(
            2, (SessionWanted("demo", "arm", "x"), SessionWanted("b", "arm", "x", is_selected=True))
        )
    )
    assert world.state == RUNNING and world.arm.state().session_id == "demo"
    busy = world.arm.start()
    assert not busy.success and "already running" in busy.message


def test_how_one_session_ended_is_not_told_of_another(world: GuardWorld) -> None:
    world.start()
    world.change_status(status=ERROR, error_message="NaN in layer 3", errors=1)
    assert "NaN in layer 3" in world.arm.state().message
    world.arm.on_wanted(SessionsWanted(2, (SessionWanted("b", "arm", "x"),)))
    state = world.arm.state()
    assert (state.session_id, state.state, state.message) == ("b", IDLE, "")


def test_counters_begin_again_with_another_session(world: GuardWorld) -> None:
    world.start()
    assert world.arm.state().commands_sent > 0
    world.arm.stop()
    world.arm.on_wanted(SessionsWanted(2, (SessionWanted("b", "arm", "x"),)))
    world.arm.on_sessions(SessionsStatus(2, "inference-1", (replace(world.status, session_id="b"),)))
    world.say_joints()
    assert world.arm.start().success
    assert world.arm.state().commands_sent == 0


def test_a_start_right_after_an_error_is_not_stopped_by_the_old_news(world: GuardWorld) -> None:
    world.change_status(status=ERROR, error_message="boom", errors=3)
    world.start()
    world.report()
    assert world.state == RUNNING
    world.change_status(status="ready", error_message="")
    world.change_status(status=ERROR, error_message="boom again", errors=4)
    assert world.state == STOPPED and "boom again" in world.arm.state().message


def test_executed_joints_go_out_in_the_policys_unit() -> None:
    world = GuardWorld(unit="normalized", policy=lambda m: np.zeros((30, 6)))
    world.start()
    assert world.ports.executed[-1] == pytest.approx(
        world.robot.from_radians(np.array(world.commands[-1].positions), "normalized").tolist()
    )


def test_state_counts_what_happened(world: GuardWorld) -> None:
    world.start()
    world.step(60)
    state = world.arm.state()
    assert state.commands_sent == len(world.commands)
    assert state.cycle_count == state.commands_sent + state.holds == sum(state.decisions)
    assert state.chunks_received == len(world.ports.requests) or state.chunks_received + 1 == len(
        world.ports.requests
    )
    assert 0 < state.queue_steps <= state.queue_capacity
    assert {stage.name for stage in state.stages} == {"source", "queue", "checks", "sink", "total"}


def test_a_cycle_that_breaks_ends_the_run_and_not_the_loop(
    world: GuardWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start()
    monkeypatch.setattr(world.ports, "publish_cycle", lambda record: 1 / 0)
    world.arm.tick(Tick(world.clock.now_ns))
    assert world.state == STOPPED and "ZeroDivisionError" in world.arm.state().message
    monkeypatch.undo()
    world.arm.tick(Tick(world.clock.now_ns))


def test_a_dead_control_loop_is_a_defect_that_refuses_starts(world: GuardWorld) -> None:
    world.start()
    world.arm.fail("The control loop died: MemoryError.")
    assert world.state == STOPPED
    assert "MemoryError" in world.arm.start().message


def test_a_virtual_arm_is_driven_in_its_own_unit() -> None:
    world = GuardWorld(
        is_virtual=True,
        unit="normalized",
        measured=[10.0] * 6,
        policy=lambda m: np.array(m) + np.ones((30, 6)),
    )
    world.start()
    world.step(20)
    assert world.arm.state().unit == "normalized"
    assert all(low <= v <= 100 for c in world.commands for v, low in zip(c.positions, (-100,) * 5 + (0,)))
    assert world.commands[-1].positions[0] > 10.0


def test_a_virtual_arm_without_limits_is_refused() -> None:
    world = GuardWorld(is_virtual=True, unit="degrees")
    world.change_status(joint_names=("a", "b"))
    assert any("No limits are known" in reason for reason in world.arm.state().not_ready)


def test_a_virtual_arm_without_a_room_to_speak_in_is_refused() -> None:
    world = GuardWorld(is_virtual=True, unit="normalized")
    world.arm.on_wanted(SessionsWanted(2, (SessionWanted("demo", "virtual/demo", "demo", is_virtual=True),)))
    assert "joint-output room" in world.arm.start().message


def test_a_joint_change_ends_a_virtual_run() -> None:
    world = GuardWorld(is_virtual=True, unit="normalized", params=GuardParams())
    world.start()
    world.change_status(unit="degrees")
    assert world.state == STOPPED and "unit changed" in world.arm.state().message
