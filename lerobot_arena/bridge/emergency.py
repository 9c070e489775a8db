# SPDX-License-Identifier: Apache-2.0
"""E-stop and reset over all arms: what was acknowledged, by whom, and nothing more."""

import asyncio
from typing import Any

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.control_status import shown_state
from lerobot_arena.bridge.errors import StillCaused
from lerobot_arena.bridge.ports import ArmsLink
from lerobot_arena.bridge.session_view import estop_reason
from lerobot_arena.bridge.settings import Settings
from lerobot_arena.core.errors import ArenaError, Conflict, NotAnswering, Unavailable
from lerobot_arena.core.session import EMERGENCY, PAUSED, RUNNING, STOPPED, EmbodimentStatus, GuardState

# GuardState.sink begins so until the embodiment has answered.
_ASKED = "asked"
# How long an acknowledged verb may take to show in the status before we answer anyway.
_SHOW_S = 0.5


class Emergency:
    """Never waits for a session's verbs: an e-stop goes out at once."""

    def __init__(self, board: Board, link: ArmsLink, settings: Settings) -> None:
        self._board, self._link, self._settings = board, link, settings

    async def stop(self, arm: str | None) -> dict[str, Any]:
        """E-stop one arm, or all at once. Raises Unavailable or NotAnswering when none acknowledged."""
        arms = [self._board.arm_or_only(arm)] if arm is not None else sorted(self._board.arms)
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

    async def reset(self, name: str) -> dict[str, Any]:
        """Release the latch of one arm, or end its `stopped`; nothing moves by it. On an idle arm nothing is done.

        Raises Conflict while it runs, StillCaused with what speaks against it, Unavailable or NotAnswering.
        """
        state = self._state(name)
        if state in {RUNNING, PAUSED}:
            raise Conflict(f"Arm {name!r} is {state}: stop it first. A reset is for a stopped arm.")
        message = "The arm is idle: there is nothing to reset."
        if self._is_latched(name):
            message = await self._release(name)
            await self._board.wait_for(lambda: not self._is_latched(name), _SHOW_S)
        elif state == STOPPED:
            # Nothing is latched, so that a guard that sees nothing to reset is right as well.
            message = (await self._call(name, "reset")).message
        return {"reset": True, "state": self._state(name), "arm": name, "message": message}

    async def _release(self, arm: str) -> str:
        guard = self._guard(arm)
        is_guards = guard is not None and (guard.estop_latched or guard.state == EMERGENCY)
        # Stopped while its guard was dead, an arm has no latch to release but the embodiment's own.
        answer = await self._call(arm, "reset" if is_guards else "clear_emergency")
        if not answer.success:
            guard = self._guard(arm)
            reason = answer.message or f"Arm {arm!r} refused the reset."
            raise StillCaused(reason, (guard.reset_refusals if guard is not None else ()) or (reason,))
        return answer.message

    def _state(self, arm: str) -> str:
        facts = self._board.facts(arm)
        return shown_state(
            self._guard(arm), self._embodiment(arm), is_alive=self._board.is_fresh(facts.guard)
        )

    async def _call(self, arm: str, verb: str) -> Any:
        return await self._link.call(arm, verb, timeout_s=self._settings.verb_timeout_s)

    def _has_settled(self, arm: str) -> bool:
        """The guard says that it is latched, and what its embodiment answered."""
        guard, embodiment = self._guard(arm), self._embodiment(arm)
        if guard is None or not guard.estop_latched:
            return False
        return embodiment is None or (embodiment.is_stopped and not guard.sink.startswith(_ASKED))

    def _is_latched(self, arm: str) -> bool:
        return estop_reason(self._guard(arm), self._embodiment(arm), arm) is not None

    def _guard(self, arm: str) -> GuardState | None:
        seen = self._board.facts(arm).guard
        return seen.value if seen is not None else None

    def _embodiment(self, arm: str) -> EmbodimentStatus | None:
        seen = self._board.facts(arm).embodiment
        return seen.value if seen is not None else None
