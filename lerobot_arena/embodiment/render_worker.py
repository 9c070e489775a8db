# SPDX-License-Identifier: Apache-2.0
"""The process that draws the simulator's cameras: `python -m …render_worker REQUESTS REPLIES FRAMES` (open fds).

Frames go through a shared anonymous file, one slot per camera; requests and replies through pipes. The process ends
when the request pipe does, so it never outlives its parent.
"""

import json
import mmap
import os
import struct
import sys
import time
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.errors import ArenaError
from lerobot_arena.core.robot import CameraSpec

LENGTH = struct.Struct("<Q")
CAMERA = struct.Struct("<I")
FRAME = struct.Struct("<cIf")  # kind, camera, milliseconds it took
READY, DRAWN, FAILED = b"R", b"F", b"E"
_NICENESS = 5  # pictures must not delay joints or the guard's tick


@dataclass(frozen=True, slots=True)
class RenderJob:
    """What to draw: cameras, the length of a snapshot, the compiled model."""

    cameras: tuple[CameraSpec, ...]
    snapshot_size: int
    model: bytes

    def slots(self) -> list[slice]:
        """Where each camera's pixels are in the shared file."""
        ends = np.cumsum([0, *(camera.width * camera.height * 3 for camera in self.cameras)]).tolist()
        return [slice(begin, end) for begin, end in pairwise(ends)]

    def dump(self) -> bytes:
        """Two length-prefixed blocks: JSON, then the model."""
        head = json.dumps({
            "snapshot_size": self.snapshot_size,
            "cameras": [[c.name, c.width, c.height, c.rate_hz] for c in self.cameras],
        }).encode()  # fmt: skip
        return LENGTH.pack(len(head)) + head + LENGTH.pack(len(self.model)) + self.model


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes; ends the process when the parent is gone."""
    data = stream.read(size)
    if len(data) < size:
        raise SystemExit(0)
    return data


def _job(stream: BinaryIO) -> RenderJob:
    blocks = [_exactly(stream, LENGTH.unpack(_exactly(stream, LENGTH.size))[0]) for _ in range(2)]
    head = json.loads(blocks[0])
    return RenderJob(tuple(CameraSpec(*entry) for entry in head["cameras"]), head["snapshot_size"], blocks[1])


def _renderer(job: RenderJob) -> Any:
    from lerobot_arena.embodiment.simulation.engine import mujoco
    from lerobot_arena.embodiment.simulation.render import Renderer

    model = mujoco().MjModel.from_binary_path("scene.mjb", {"scene.mjb": job.model})
    return Renderer(model, job.cameras)


def _serve(job: RenderJob, requests: BinaryIO, replies: FileIO, pixels: NDArray[np.uint8]) -> None:
    slots = job.slots()
    with _renderer(job) as renderer:
        replies.write(FRAME.pack(READY, 0, 0.0))
        while True:
            camera = CAMERA.unpack(_exactly(requests, CAMERA.size))[0]
            snapshot = np.frombuffer(_exactly(requests, 8 * job.snapshot_size))
            begun = time.perf_counter()
            pixels[slots[camera]] = renderer.render(snapshot, job.cameras[camera].name).reshape(-1)
            replies.write(FRAME.pack(DRAWN, camera, (time.perf_counter() - begun) * 1e3))


def main(request_fd: int, reply_fd: int, frame_fd: int) -> int:
    """Serve until the parent closes the request pipe."""
    os.nice(_NICENESS)
    requests, replies = os.fdopen(request_fd, "rb"), FileIO(reply_fd, "w")
    job = _job(requests)
    pixels = np.frombuffer(mmap.mmap(frame_fd, job.slots()[-1].stop), dtype=np.uint8)
    try:
        _serve(job, requests, replies, pixels)
    except ArenaError as error:
        text = str(error).encode()
        replies.write(FRAME.pack(FAILED, 0, 0.0) + LENGTH.pack(len(text)) + text)
        return 2
    except BrokenPipeError:
        return 0  # the parent is gone
    return 0


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:4])))
