# SPDX-License-Identifier: Apache-2.0
"""What the watchers of one room see: the newest picture in the room's size and rate, or what stands in for a lost one.

Made once for all watchers, and only while there are any. Latest only: a picture that nobody took in time is skipped.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.rooms.recovery import Loss, Picture, RecoveryClock, fit, stand_in
from lerobot_arena.rooms.video_config import RecoveryConfig, VideoConfig

# A stand-in changes only its words.
_REPEAT_S = 0.2
_SLACK_S = 0.003


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture for watchers: I420 planes stacked as (H·3/2)×W, as encoders take it, and when, steady seconds."""

    planes: NDArray[np.uint8]
    width: int
    height: int
    at_s: float
    number: int


def to_planes(picture: Picture) -> NDArray[np.uint8]:
    """I420 of an rgb picture with even sides."""
    import cv2

    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)


class Stage:
    """Pictures in by `put`, out by `after`. Lives on one event loop; `on_loss` hears of each new stand-in."""

    def __init__(
        self, config: VideoConfig, recovery: RecoveryConfig, on_loss: Callable[[Loss], None]
    ) -> None:
        self.config, self.recovery = config, recovery
        self._on_loss = on_loss
        self._clock = RecoveryClock(recovery, time.monotonic())
        self._newest: Picture | None = None
        self._has_new = asyncio.Event()
        self._last: Picture | None = None
        self._shown: Shown | None = None
        self._changed = asyncio.Condition()
        self._had_picture = False
        self._number = 0
        self._due_s = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Somebody watches."""
        return self._task is not None

    def put(self, picture: Picture) -> None:
        """The room's newest picture, H×W×3 rgb."""
        self._clock.on_frame(time.monotonic())
        self._had_picture = True
        if self._task is not None:
            self._newest = picture
            self._has_new.set()

    def configure(self, config: VideoConfig, recovery: RecoveryConfig) -> None:
        """Send the next picture like this."""
        if recovery != self.recovery:
            self._clock = RecoveryClock(recovery, time.monotonic())
        self.config, self.recovery = config, recovery

    def run(self, is_wanted: bool) -> None:
        """Work from now on, or rest."""
        if is_wanted and self._task is None:
            self._task = asyncio.ensure_future(self._run())
        elif not is_wanted and self._task is not None:
            self._task.cancel()
            self._task = None
            self._newest = self._last = None

    async def after(self, number: int) -> Shown:
        """The newest picture, once it is newer than `number`."""
        async with self._changed:
            while self._shown is None or self._shown.number <= number:
                await self._changed.wait()
            return self._shown

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._has_new.wait(), self._patience_s())
            except TimeoutError:
                await self._show_loss()
                continue
            wait_s = self._due_s - time.monotonic()
            if wait_s > _SLACK_S:
                await asyncio.sleep(wait_s)
            picture = self._newest
            self._has_new.clear()
            if picture is not None:
                await self._show_new(picture)

    def _patience_s(self) -> float:
        return min(self._clock.timeout_s, _REPEAT_S)

    async def _show_new(self, picture: Picture) -> None:
        now = time.monotonic()
        # Keep the pace from the due time, so that 15 of 30 frames are every second one.
        period_s = 1.0 / self.config.framerate
        self._due_s = max(self._due_s + period_s, now + period_s / 2)
        width, height = self.size
        self._last = await asyncio.to_thread(fit, picture, width=width, height=height)
        await self._show(self._last)

    async def _show_loss(self) -> None:
        loss = self._clock.look(time.monotonic())
        if loss is None:
            return
        # Before the first picture nothing was lost; who watches sees that none comes.
        if loss.is_new and self._had_picture:
            self._on_loss(loss)
        width, height = self.size
        last = self._last
        if last is not None and last.shape != (height, width, 3):
            last = fit(last, width=width, height=height)
        await self._show(stand_in(loss, last, self.recovery, width=width, height=height))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, made even as encoders want them."""
        return self.config.width // 2 * 2, self.config.height // 2 * 2

    async def _show(self, picture: Picture) -> None:
        planes = await asyncio.to_thread(to_planes, picture)
        height, width = picture.shape[:2]
        self._number += 1
        shown = Shown(planes, width, height, time.monotonic(), self._number)
        async with self._changed:
            self._shown = shown
            self._changed.notify_all()
