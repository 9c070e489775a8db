# SPDX-License-Identifier: Apache-2.0
"""Drives the demo over REST and the telemetry WebSocket, like any other client."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lerobot_arena.cli.demo.episodes import EpisodeLoop, Seen, Step
from lerobot_arena.client.answers import ControlStatus
from lerobot_arena.client.arena import AsyncArena
from lerobot_arena.client.telemetry import Cycle
from lerobot_arena.core.errors import ArenaError, Conflict, Unavailable

SESSION = "demo"
_LOOK_EVERY_S = 0.2
_EVENTS_HZ = 5
# For its command timeout after the last command the simulator counts as driven and refuses a new scene.
_DRIVEN_FOR_S = 0.3


class DemoClient:
    """One session on one arm. `tell` gets what a person may want to know."""

    def __init__(self, url: str, arm: str, tell: Callable[[str], None]) -> None:
        self.loop = EpisodeLoop()
        self.status: dict[str, Any] = {}
        """The session's latest answer, with its figures."""
        self._arena, self._arm, self._tell = AsyncArena(url), arm, tell
        self._task: dict[str, Any] = {}
        self._said = ""
        self._counted = 0

    async def prepare(self) -> None:
        """Make a new demo session; one that an earlier run left is replaced."""
        sessions = self._arena.sessions
        try:
            await sessions.create(SESSION, "demo", robot=self._arm)
        except Conflict:
            await sessions.delete(SESSION)
            await sessions.create(SESSION, "demo", robot=self._arm)

    async def run(self, is_done: Callable[[EpisodeLoop], bool]) -> None:
        """Play episodes until `is_done`. A bridge that restarts is waited for."""
        listening = asyncio.create_task(self._listen())
        try:
            while not is_done(self.loop):
                try:
                    await self._look_and_act()
                except Unavailable:
                    self._say("the bridge does not answer; the arm is not affected. Waiting for it.")
                except ArenaError as error:
                    self._say(str(error))
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def finish(self) -> None:
        """Stop the session and read its last figures."""
        with suppress(ArenaError):
            await self._verb(Step.STOP)
            self.status = dict(await self._arena.sessions.get(SESSION))

    async def close(self) -> None:
        """Let go of the connection."""
        await self._arena.close()

    async def _look_and_act(self) -> None:
        self.status = dict(await self._arena.sessions.get(SESSION))
        control = await self._arena.control.status(self._arm)
        seen = self._seen(self.status, control)
        step = self.loop.next(seen, time.monotonic())
        if self.loop.waiting_for:
            self._say(f"waiting: {self.loop.waiting_for}.")
        if step is Step.WAIT:
            return
        self._announce(step, seen)
        await self._verb(step)
        self.loop.answered(step, seen)
        if step is Step.STOP:
            await asyncio.sleep(_DRIVEN_FOR_S)

    def _announce(self, step: Step, seen: Seen) -> None:
        loop = self.loop
        if step is Step.START and seen.message:
            self._say(f"starting again after: {seen.message}")
        elif step is Step.STOP and loop.episodes != self._counted:
            self._counted = loop.episodes
            outcome = "success" if seen.is_success else "time over"
            self._say(f"episode {loop.episodes}: {outcome} ({loop.successes} of {loop.episodes}).")

    async def _verb(self, step: Step) -> None:
        if step is Step.RESET_SCENE:
            await self._arena.arms.reset_scene(self._arm)
        elif step is Step.START:
            await self._arena.sessions.start(SESSION)
        else:
            await self._arena.sessions.stop(SESSION)

    def _seen(self, status: dict[str, Any], control: ControlStatus) -> Seen:
        task = self._task
        return Seen(
            status=status["status"],
            message=status.get("error_message") or "",
            is_estopped=bool(control.get("estop_latched", control.get("state") == "emergency")),
            is_paused=control.get("state") == "paused",
            episode=int(task.get("episode", 0)),
            is_over=bool(task.get("is_over", False)),
            is_success=bool(task.get("is_success", False)),
        )

    async def _listen(self) -> None:
        """Keep the referee's latest word; reconnect as long as it takes."""
        while True:
            # Until the arm reports there is none to watch.
            with suppress(ArenaError):
                async for item in self._arena.telemetry.live(arm=self._arm, cameras=[], rate_hz=_EVENTS_HZ):
                    if isinstance(item, Cycle) and item.event.get("task") and not item.is_replay:
                        self._task = item.event["task"]
            await asyncio.sleep(0.5)

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._tell(text)
