# SPDX-License-Identifier: Apache-2.0
"""E-stop and reset over all arms, and the control status: what was acknowledged, by whom, and nothing more."""

import asyncio
from typing import Any

from lerobot_arena.bridge.answers import stages_of
from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.session_view import estop_reason
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.errors import ArenaError, Conflict, InvalidInput, NotAnswering, NotFound, Unavailable
from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED, EmbodimentStatus, GuardState

# How long an acknowledged verb may take to show in the status before we answer anyway.
_SHOW_S = 0.5


class Emergency:
    """Never waits for a session's verbs: an e-stop goes out at once."""

    def __init__(self, board: Board, link: ArmsLink, settings: Settings) -> None:
        self._board, self._link, self._settings = board, link, settings

    def arm_or_only(self, arm: str | None) -> str:
        """The named arm, or the only one. Raises NotFound; InvalidInput among several, Unavailable without any."""
        known = sorted(self._board.arms)
        if arm is not None:
            if arm not in known:
                raise NotFound(f"There is no arm {arm!r}. Arms here: {', '.join(known) or 'none'}.")
            return arm
        if len(known) > 1:
            raise InvalidInput(f"There are several arms: add ?arm= with one of {', '.join(known)}.")
        if not known:
            raise Unavailable("No arm reports: is a guard running?")
        return known[0]

    async def stop(self, arm: str | None) -> dict[str, Any]:
        """E-stop one arm, or all at once. Raises Unavailable or NotAnswering when none acknowledged."""
        arms = [self.arm_or_only(arm)] if arm is not None else sorted(self._board.arms)
        if not arms:
            raise Unavailable("No arm reports, so nothing acknowledged the e-stop: is a guard running?")
        answers = dict(zip(arms, await asyncio.gather(*(self._stop_one(name) for name in arms)), strict=True))
        acknowledged = [name for name, answer in answers.items() if answer["acknowledged"]]
        if not acknowledged:
            errors = [answer.pop("error") for answer in answers.values()]
            kind = NotAnswering if any(isinstance(error, NotAnswering) for error in errors) else Unavailable
            raise kind("Nothing acknowledged the e-stop. " + " ".join(str(error) for error in errors))
        for answer in answers.values():
            answer.pop("error", None)
        is_whole = len(acknowledged) == len(arms)
        return {"emergency_stop": is_whole, "state": EMERGENCY if is_whole else "partial", "arms": answers}

    async def _stop_one(self, arm: str) -> dict[str, Any]:
        try:
            answer = await self._link.call(arm, "estop", timeout_s=self._settings.estop_timeout_s)
            if not answer.success:
                raise Conflict(answer.message or f"The guard of arm {arm!r} refused the e-stop.")
        except ArenaError as error:
            return await self._stop_without_guard(arm, error)
        await self._board.wait_for(lambda: self._has_settled(arm), _SHOW_S)
        guard = self._guard(arm)
        return {
            "acknowledged": True,
            "by": "guard",
            "state": guard.state if guard is not None else EMERGENCY,
            "message": answer.message or "The guard latched the e-stop.",
            "sink": guard.sink if guard is not None else "",
        }

    async def _stop_without_guard(self, arm: str, error: ArenaError) -> dict[str, Any]:
        """The guard did not take it; its embodiment can still refuse to move."""
        state = self._guard(arm)
        try:
            answer = await self._link.call(arm, "emergency_stop", timeout_s=self._settings.estop_timeout_s)
            if not answer.success:
                raise Conflict(answer.message or f"The embodiment of arm {arm!r} refused to stop.")
        except ArenaError as second:
            text = f"Arm {arm!r}: {error} {second}"
            kind = NotAnswering if NotAnswering in {type(error), type(second)} else Unavailable
            return {
                "acknowledged": False,
                "by": None,
                "state": state.state if state is not None else "unknown",
                "message": text,
                "sink": "",
                "error": kind(text),
            }
        return {
            "acknowledged": True,
            "by": "embodiment",
            "state": EMERGENCY,
            "message": f"The guard did not answer ({error}) but the embodiment stopped: {answer.message}",
            "sink": answer.message,
        }

    async def reset(self, arm: str | None) -> dict[str, Any]:
        """Release the latch of one arm; nothing moves by it. Raises Conflict with the guard's reason."""
        name = self.arm_or_only(arm)
        guard, embodiment = self._guard(name), self._embodiment(name)
        is_latched = guard is not None and (guard.estop_latched or guard.state == EMERGENCY)
        if not is_latched and embodiment is not None and embodiment.is_stopped:
            # Stopped while its guard was dead: there is no latch to release but the embodiment's own.
            answer = await self._call(name, "clear_emergency")
        else:
            answer = await self._call(name, "reset")
        if not answer.success:
            raise Conflict(answer.message or f"Arm {name!r} refused the reset.")
        await self._board.wait_for(lambda: not self._is_latched(name), _SHOW_S)
        return {
            "reset": True,
            "arm": name,
            "state": self.status(name)["state"],
            "message": answer.message,
        }

    async def _call(self, arm: str, verb: str) -> Any:
        return await self._link.call(arm, verb, timeout_s=self._settings.verb_timeout_s)

    def status(self, arm: str | None) -> dict[str, Any]:
        """The control status of one arm: the fields DAM clients know, and the guard's own."""
        name = self.arm_or_only(arm)
        facts = self._board.facts(name)
        guard, embodiment = self._guard(name), self._embodiment(name)
        is_alive = self._board.is_fresh(facts.guard)
        reason = estop_reason(guard, embodiment, name)
        message = (guard.message if guard is not None else "") or reason or ""
        if not is_alive:
            message = f"The guard of arm {name!r} does not report; the arm holds. {message}".strip()
        return {
            "state": _state(guard, embodiment, is_alive=is_alive),
            "backend_state": _backend_state(embodiment, is_guard_alive=is_alive),
            "cycle_count": guard.cycle_count if guard is not None else 0,
            "error": message or None,
            "startup_error": None,
            "has_runtime": guard is not None and is_alive,
            "active_task": (guard.session_id or None)
            if guard is not None and guard.state == RUNNING
            else None,
            "active_boundaries": [],
            "control_frequency_hz": guard.control_rate_hz if guard is not None else 0.0,
            "available_tasks": [],
            "planned_task": (guard.session_id or None) if guard is not None else None,
            "planned_boundaries": [],
            "has_rust": False,
            "arm": name,
            "is_alive": is_alive,
            "estop_latched": reason is not None,
            "message": message,
            **_guard_details(guard),
        }

    def _has_settled(self, arm: str) -> bool:
        """The guard says that it is latched, and what its embodiment answered."""
        guard, embodiment = self._guard(arm), self._embodiment(arm)
        return guard is not None and guard.estop_latched and (embodiment is None or embodiment.is_stopped)

    def _is_latched(self, arm: str) -> bool:
        return estop_reason(self._guard(arm), self._embodiment(arm), arm) is not None

    def _guard(self, arm: str) -> GuardState | None:
        seen = self._board.facts(arm).guard
        return seen.value if seen is not None else None

    def _embodiment(self, arm: str) -> EmbodimentStatus | None:
        seen = self._board.facts(arm).embodiment
        return seen.value if seen is not None else None


def _state(guard: GuardState | None, embodiment: EmbodimentStatus | None, *, is_alive: bool) -> str:
    if (guard is not None and guard.estop_latched) or (embodiment is not None and embodiment.is_stopped):
        return EMERGENCY
    if guard is None:
        return IDLE
    # A guard that died while running runs no more.
    return STOPPED if guard.state in {RUNNING, PAUSED} and not is_alive else guard.state


def _backend_state(embodiment: EmbodimentStatus | None, *, is_guard_alive: bool) -> str:
    if embodiment is not None and embodiment.is_stopped:
        return "faulted"
    if embodiment is not None and not embodiment.is_connected:
        return "error"
    return "ready" if is_guard_alive else "loading"


def _guard_details(guard: GuardState | None) -> dict[str, Any]:
    known = guard if guard is not None else GuardState("")
    return {
        "session_id": known.session_id or None,
        "epoch": known.epoch,
        "unit": known.unit,
        "not_ready": list(known.not_ready),
        "sink": known.sink,
        "late_cycles": known.late_cycles,
        "commands_sent": known.commands_sent,
        "decisions": list(known.decisions),
        "holds": known.holds,
        "chunks_received": known.chunks_received,
        "chunks_dropped": known.chunks_dropped,
        "queue_steps": known.queue_steps,
        "queue_capacity": known.queue_capacity,
        "action_age_s": known.action_age_s,
        "joint_age_s": known.joint_age_s,
        "stages": stages_of(known.stages),
    }
