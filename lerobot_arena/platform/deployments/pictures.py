# SPDX-License-Identifier: Apache-2.0
"""Our end of the process that decodes a request's pictures."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.platform.catalog.limits import ChildLimits
from lerobot_arena.platform.catalog.sandbox import end_child, start_child

_CHILD = "lerobot_arena.platform.deployments.picture_child"
_START_TIMEOUT_S = 60.0
_MOST_LINE = 1 << 16
_LIMITS = replace(ChildLimits(), memory_bytes=2048 << 20, cpu_s=7 * 24 * 3600, written_bytes=1 << 20)

Sizes = Mapping[str, tuple[int, int]]
"""Camera name → height, width."""


class Pictures:
    """One confined process; answers one call at a time. Make it with `open_pictures`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        pipe: asyncio.BaseTransport,
        folder: Path,
        sizes: Sizes,
    ) -> None:
        self._process, self._reader, self._pipe = process, reader, pipe
        self._folder, self._sizes = folder, dict(sizes)
        self._has_ended = False

    @property
    def is_alive(self) -> bool:
        """The process runs."""
        return not self._has_ended and self._process.poll() is None

    async def decode(self, images: Mapping[str, str]) -> dict[str, NDArray[np.uint8]]:
        """Camera name → pixels height×width×3, rgb, of base64 texts, of which there is one for each camera.

        Raises InvalidInput for what is no such picture, Unavailable when the process is lost.
        """
        await self.tell(images)
        await self.heard()
        frames: dict[str, NDArray[np.uint8]] = {}
        for name, (height, width) in self._sizes.items():
            try:
                data = await self._reader.readexactly(height * width * 3)
            except asyncio.IncompleteReadError:
                raise self._lost() from None
            frames[name] = np.frombuffer(data, np.uint8).reshape(height, width, 3)
        return frames

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Write one line; in a thread, because the process may be slow to read it."""

        def write() -> None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps(dict(message)).encode() + b"\n")
                self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise self._lost() from error

        await asyncio.to_thread(write)

    async def heard(self) -> None:
        """Wait for the next answer's line. Raises what it says."""
        line = await self._reader.readline()
        if not line:
            raise self._lost()
        answer = json.loads(line)
        if not answer["ok"]:
            raise InvalidInput(str(answer["error"]))

    def _lost(self) -> Unavailable:
        self._has_ended = True
        return Unavailable("The process that decodes pictures has ended.")

    async def close(self) -> None:
        """End the process; its folder goes too."""
        self._pipe.close()
        await asyncio.to_thread(end_child, self._process)
        with suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, True)


async def open_pictures(sizes: Sizes) -> Pictures:
    """A process that is ready to decode pictures of these sizes. Raises Unavailable."""
    folder = Path(tempfile.mkdtemp(prefix="arena-pictures-"))
    ours, theirs = os.pipe()
    try:
        process = await asyncio.to_thread(start_child, _CHILD, theirs, folder)
    except BaseException:
        os.close(ours)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(theirs)
    reader = asyncio.StreamReader(limit=_MOST_LINE)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    pictures = Pictures(process, reader, pipe, folder, sizes)
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            asked = {"folder": str(folder), "limits": asdict(_LIMITS), "cameras": dict(sizes)}
            await pictures.tell(asked)
            await pictures.heard()
    except BaseException as error:
        await pictures.close()
        if isinstance(error, TimeoutError):
            raise Unavailable("The process that decodes pictures did not start.") from error
        raise
    return pictures
