# SPDX-License-Identifier: Apache-2.0
"""The one status, from all combinations of facts."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.bridge.board import STALE_S
from lerobot_arena.bridge.session_view import SessionFacts, SessionView, view_session
from lerobot_arena.bridge.tally import Tally
from lerobot_arena.core.session import (
    EmbodimentStatus,
    GuardState,
    SessionStatus,
    SessionWanted,
)

WANTED = SessionWanted("s", "arm", "demo")
READY = SessionFacts(
    WANTED,
    age_s=1.0,
    status=SessionStatus("s", "ready", is_loaded=True),
    inference_age_s=0.1,
    guard=GuardState("arm", session_id="s"),
    guard_age_s=0.1,
)


def view(facts: SessionFacts) -> SessionView:
    return view_session(facts, input_timeout_s=600.0)


def guarded(state: str, **fields: object) -> GuardState:
    return replace(GuardState("arm", session_id="s", state=state), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ready"),
        ({"has_run": True}, "stopped"),
        ({"guard": guarded("running")}, "running"),
        ({"guard": guarded("paused")}, "running"),
        ({"guard": guarded("running", session_id="other")}, "ready"),
        ({"guard": guarded("running"), "guard_age_s": STALE_S + 0.1}, "initializing"),
        ({"guard": guarded("running"), "guard_age_s": STALE_S + 0.1, "has_run": True}, "stopped"),
        ({"status": None}, "initializing"),
        ({"status": SessionStatus("s", "initializing")}, "initializing"),
        ({"status": SessionStatus("s", "initializing"), "has_run": True}, "stopped"),
        ({"status": SessionStatus("s", "error", "no")}, "error"),
        ({"status": SessionStatus("s", "error", "no"), "guard": guarded("running")}, "error"),
        ({"inference_age_s": STALE_S + 0.1}, "initializing"),
        ({"guard": None, "guard_age_s": None}, "initializing"),
        ({"status": SessionStatus("s", "ready", input_idle_s=600.0)}, "timeout"),
        ({"status": SessionStatus("s", "ready", input_idle_s=600.0), "guard": guarded("running")}, "timeout"),
        ({"guard": guarded("emergency", estop_latched=True)}, "ready"),
        ({"guard": guarded("emergency", estop_latched=True), "has_run": True}, "stopped"),
        ({"embodiment": EmbodimentStatus("arm", "mujoco", is_stopped=True), "has_run": True}, "stopped"),
    ],
)
def test_status(changes: dict[str, object], status: str) -> None:
    assert view(replace(READY, **changes)).status == status  # type: ignore[arg-type]


def test_missing_processes_are_named_only_after_a_while() -> None:
    young, old = (
        replace(READY, guard=None, guard_age_s=None),
        replace(READY, guard=None, guard_age_s=None, age_s=11.0),
    )
    assert view(young).error_message is None
    assert "guard" in (view(old).error_message or "")
    assert "inference" in (view(replace(READY, status=None, age_s=11.0)).error_message or "")


states = st.sampled_from(["idle", "running", "paused", "stopped", "emergency"])
ages = st.none() | st.floats(0, 10)
facts = st.builds(
    SessionFacts,
    wanted=st.just(WANTED),
    has_run=st.booleans(),
    age_s=st.floats(0, 100),
    status=st.none()
    | st.builds(
        SessionStatus,
        session_id=st.just("s"),
        status=st.sampled_from(["initializing", "ready", "error"]),
        error_message=st.sampled_from(["", "why"]),
        is_loaded=st.booleans(),
        input_idle_s=st.sampled_from([0.0, 599.0, 601.0]),
    ),
    inference_age_s=ages,
    guard=st.none()
    | st.builds(
        GuardState,
        arm=st.just("arm"),
        session_id=st.sampled_from(["", "s", "other"]),
        state=states,
        estop_latched=st.booleans(),
        message=st.sampled_from(["", "why"]),
    ),
    guard_age_s=ages,
    embodiment=st.none()
    | st.builds(EmbodimentStatus, st.just("arm"), st.just("mujoco"), is_stopped=st.booleans()),
)


@settings(deadline=None)
@given(facts)
def test_nothing_is_called_running_unless_a_living_guard_says_so(given_facts: SessionFacts) -> None:
    shown = view(given_facts)
    assert shown.status in {"initializing", "ready", "running", "stopped", "timeout", "error"}
    if shown.status == "running":
        guard = given_facts.guard
        assert guard is not None and guard.session_id == "s" and guard.state in {"running", "paused"}
        assert given_facts.guard_age_s is not None and given_facts.guard_age_s <= STALE_S
        assert shown.error_message is None
    if shown.status in {"error", "timeout"}:
        assert shown.error_message
    if shown.status == "ready":
        assert given_facts.is_inference_alive and given_facts.is_guard_alive and not given_facts.has_run


def test_tally_counts_over_restarts_of_the_guard_and_of_its_count() -> None:
    tally = Tally()
    history = [
        guarded("idle", boot_id="1", commands_sent=90),
        guarded("running", boot_id="1", commands_sent=0),  # a new session: the guard counts anew
        guarded("running", boot_id="1", commands_sent=10, decisions=(7, 3, 0, 0), holds=1),
        guarded("stopped", boot_id="1", commands_sent=12, decisions=(9, 3, 0, 0), holds=1),
        guarded("stopped", boot_id="1", commands_sent=12, decisions=(9, 3, 0, 0), holds=1),
        guarded("running", boot_id="2", commands_sent=5, decisions=(5, 0, 0, 0)),  # a new process
    ]
    before = None
    for state in history:
        tally.add(before, state)
        before = state
    assert (tally.commands_sent, tally.decisions, tally.holds) == (17, [14, 3, 0, 0], 1)


@settings(deadline=None)
@given(st.lists(st.tuples(states, st.integers(0, 50), st.sampled_from("12")), max_size=20))
def test_counts_never_shrink(history: list[tuple[str, int, str]]) -> None:
    tally, before, last = Tally(), None, 0
    for state, count, boot_id in history:
        now = guarded(state, boot_id=boot_id, commands_sent=count)
        tally.add(before, now)
        assert tally.commands_sent >= last
        before, last = now, tally.commands_sent
