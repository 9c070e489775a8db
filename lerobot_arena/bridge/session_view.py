# SPDX-License-Identifier: Apache-2.0
"""The one status a client reads, from what its owner wants, what inference holds and what the guard does. Pure."""

from dataclasses import dataclass

from lerobot_arena.bridge.board import STALE_S
from lerobot_arena.core.session import (
    EMERGENCY,
    ERROR,
    INITIALIZING,
    PAUSED,
    READY,
    RUNNING,
    STOPPED,
    TIMEOUT,
    EmbodimentStatus,
    GuardState,
    SessionStatus,
    SessionWanted,
)

# A missing process is no news right after the session was made.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """All that the status depends on.

    `status` and `guard` are None when they are missing or older than the session; ages are seconds since receipt.
    `has_run`: it was started or stopped before, or comes back from a restart.
    """

    wanted: SessionWanted
    has_run: bool = False
    age_s: float = 0.0
    status: SessionStatus | None = None
    inference_age_s: float | None = None
    guard: GuardState | None = None
    guard_age_s: float | None = None
    embodiment: EmbodimentStatus | None = None

    @property
    def is_guard_alive(self) -> bool:
        return self.guard is not None and self.guard_age_s is not None and self.guard_age_s <= STALE_S

    @property
    def is_inference_alive(self) -> bool:
        return self.inference_age_s is not None and self.inference_age_s <= STALE_S

    @property
    def is_mine(self) -> bool:
        """The guard has selected this session."""
        return self.guard is not None and self.guard.session_id == self.wanted.session_id

    @property
    def is_running(self) -> bool:
        """The guard says that it runs this session."""
        return (
            self.is_guard_alive
            and self.is_mine
            and self.guard is not None
            and self.guard.state in {RUNNING, PAUSED}
        )

    @property
    def is_loaded(self) -> bool:
        """A policy that can answer is up."""
        return self.status is not None and self.is_inference_alive and self.status.is_loaded


@dataclass(frozen=True, slots=True)
class SessionView:
    """What a client reads."""

    status: str
    error_message: str | None = None


def estop_reason(guard: GuardState | None, embodiment: EmbodimentStatus | None, arm: str) -> str | None:
    """Why nothing may start on this arm until a reset; None when nothing is latched."""
    if guard is not None and (guard.estop_latched or guard.state == EMERGENCY):
        detail = guard.message
    elif embodiment is not None and embodiment.is_stopped:
        detail = embodiment.message
    else:
        return None
    remedy = "" if "reset" in detail.lower() else " Reset it (POST /api/control/reset), then start again."
    return f"The e-stop (emergency stop) of arm {arm!r} is latched{f': {detail}' if detail else '.'}{remedy}"


def _waiting_for(facts: SessionFacts) -> str | None:
    """What keeps a session from being ready, once it has taken too long."""
    if facts.age_s < PATIENCE_S:
        return None
    if facts.status is None or not facts.is_inference_alive:
        return "The inference process does not report this session: is it running?"
    if not facts.is_guard_alive:
        return f"No guard of arm {facts.wanted.arm!r} reports: is it running?"
    return None


def _stopped_because(facts: SessionFacts) -> str | None:
    if facts.guard is None or facts.guard_age_s is None:
        return _waiting_for(facts)
    if not facts.is_guard_alive:
        return (
            f"The guard of arm {facts.wanted.arm!r} has not reported for {facts.guard_age_s:.0f} s; the arm holds. "
            "Start again when it is back."
        )
    return (facts.guard.message if facts.is_mine else "") or _waiting_for(facts)


def view_session(facts: SessionFacts, *, input_timeout_s: float) -> SessionView:
    """Motion first, then failures, then the latch, then readiness."""
    status = facts.status
    if status is not None and status.status == ERROR:
        return SessionView(ERROR, status.error_message or "The policy failed without a message.")
    has_been_silent = (
        status is not None and facts.is_inference_alive and status.input_idle_s >= input_timeout_s
    )
    silence = (
        f"No camera frame or joint message for {status.input_idle_s:.0f} s; the arm holds."
        if status is not None and has_been_silent
        else None
    )
    if facts.is_running:
        return SessionView(TIMEOUT, silence) if silence else SessionView(RUNNING)
    if facts.has_run and (reason := estop_reason(facts.guard, facts.embodiment, facts.wanted.arm)):
        return SessionView(STOPPED, reason)
    if silence:
        return SessionView(TIMEOUT, silence)
    if facts.has_run:
        return SessionView(STOPPED, _stopped_because(facts))
    if (
        not facts.is_inference_alive
        or status is None
        or status.status == INITIALIZING
        or not facts.is_guard_alive
    ):
        return SessionView(INITIALIZING, _waiting_for(facts))
    return SessionView(READY)
