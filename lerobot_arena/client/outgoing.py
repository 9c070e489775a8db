# SPDX-License-Identifier: Apache-2.0
"""What waits to be said in a room: e-stops first, then control messages, then only the newest joints and picture.

Filled without ever waiting, so that a robot's loop never stands still because of its network; nothing in it grows.
"""

import asyncio
from collections import deque
from collections.abc import Mapping

from lerobot_arena.client import wire

MOST_CONTROLS = 64


class Outgoing:
    """On the event loop only."""

    def __init__(self) -> None:
        self._urgent: deque[str] = deque(maxlen=4)
        self._controls: deque[str] = deque()
        self._joints: dict[str, tuple[float, int]] = {}
        self._frame: tuple[bytes, int] | None = None
        self._filled = asyncio.Event()
        self.seq = 0
        self.base_s = 0.0
        """How long the shortest way to the server takes; part of what is told as age."""
        self.merged = 0

    def put_urgent(self, text: str) -> None:
        """Before everything."""
        self._urgent.append(text)
        self._filled.set()

    def put_control(self, text: str) -> bool:
        """In order; False when so many wait that this one is not said."""
        if len(self._controls) >= MOST_CONTROLS:
            return False
        self._controls.append(text)
        self._filled.set()
        return True

    def put_joints(self, joints: Mapping[str, float], stamp_ns: int) -> None:
        """Newer values replace those that wait; joints that are not named keep theirs, and their stamp."""
        self.merged += bool(self._joints)
        self._joints.update({name: (value, stamp_ns) for name, value in joints.items()})
        self._filled.set()

    def put_frame(self, jpeg: bytes, stamp_ns: int) -> None:
        """Replace the picture that waits."""
        self.merged += self._frame is not None
        self._frame = jpeg, stamp_ns
        self._filled.set()

    def forget(self) -> None:
        """The connection is gone: what was true then is not told later. An e-stop is."""
        self._controls.clear()
        self._joints.clear()
        self._frame = None

    async def take(self) -> str | bytes:
        """What goes next; waits until there is something."""
        while (found := self._next()) is None:
            self._filled.clear()
            await self._filled.wait()
        return found

    def _next(self) -> str | bytes | None:
        if self._urgent:
            return self._urgent.popleft()
        if self._controls:
            return self._controls.popleft()
        if self._joints:
            joints = {name: value for name, (value, _) in self._joints.items()}
            stamp_ns = min(stamp for _, stamp in self._joints.values())
            self._joints.clear()
            self.seq += 1
            return wire.joint_update(joints, seq=self.seq, stamp_ns=stamp_ns, age_s=self.base_s)
        if self._frame is not None:
            (jpeg, stamp_ns), self._frame = self._frame, None
            self.seq += 1
            return wire.pack_frame(jpeg, seq=self.seq, stamp_ns=stamp_ns, age_s=self.base_s)
        return None
