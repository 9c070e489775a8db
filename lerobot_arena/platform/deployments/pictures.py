# SPDX-License-Identifier: Apache-2.0
"""Our end of the process that decodes a request's pictures."""

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.catalog.sandbox import work_prefix
from lerobot_arena.platform.deployments.line_child import LineChild, open_line_child

_CHILD = "lerobot_arena.platform.deployments.picture_child"
_LOST = "The process that decodes pictures has ended."
_LIMITS = replace(ChildLimits(), memory_bytes=2048 << 20, cpu_s=7 * 24 * 3600, written_bytes=1 << 20)

Sizes = Mapping[str, tuple[int, int]]
"""Camera name → height, width."""


class Pictures:
    """One confined process; answers one call at a time. Make it with `open_pictures`."""

    def __init__(self, child: LineChild, sizes: Sizes) -> None:
        self._child, self._sizes = child, dict(sizes)

    @property
    def is_alive(self) -> bool:
        """The process runs."""
        return self._child.is_alive

    async def decode(self, images: Mapping[str, str]) -> dict[str, NDArray[np.uint8]]:
        """Camera name → pixels height×width×3, rgb, of base64 texts, of which there is one for each camera.

        Raises InvalidInput for what is no such picture, Unavailable when the process is lost.
        """
        await self._child.ask(images)
        frames: dict[str, NDArray[np.uint8]] = {}
        for name, (height, width) in self._sizes.items():
            data = await self._child.read(height * width * 3)
            frames[name] = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        return frames

    async def close(self) -> None:
        """End the process; its folder goes too."""
        await self._child.close()


async def open_pictures(sizes: Sizes) -> Pictures:
    """A process that is ready to decode pictures of these sizes. Raises Unavailable."""
    folder = Path(tempfile.mkdtemp(prefix=work_prefix("pictures-")))
    asked = {"folder": str(folder), "limits": asdict(_LIMITS), "cameras": dict(sizes)}
    return Pictures(await open_line_child(_CHILD, folder, asked, lost=_LOST), sizes)
