# SPDX-License-Identifier: Apache-2.0
"""What passes between a worker and its parent: JSON over a socket pair, arrays through memory both have mapped.

Nothing is pickled. The memory is an anonymous file (memfd): it has no name, so a killed process leaves nothing behind,
and it does not count against a container's /dev/shm.
"""

import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.chunk import MAX_HORIZON
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.inference.manifest import PolicyManifest
from lerobot_arena.inference.policies.protocol import PolicyInput

MAX_MESSAGE_BYTES = 1_000_000
_ALIGN = 64


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Write one message. Raises OSError when the other end is gone."""
    body = json.dumps(message).encode()
    channel.sendall(struct.pack("<I", len(body)) + body)


def receive(channel: socket.socket) -> dict[str, Any]:
    """Read one message. Raises EOFError when the other end is gone, TimeoutError by the channel's timeout."""
    (size,) = struct.unpack("<I", _exactly(channel, 4))
    if size > MAX_MESSAGE_BYTES:
        raise EOFError(f"a message of {size} bytes was announced")
    message = json.loads(_exactly(channel, size))
    if not isinstance(message, dict):
        raise EOFError("a message was not an object")
    return message


def _exactly(channel: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(size - len(parts))
        if not part:
            raise EOFError("the channel was closed")
        parts += part
    return bytes(parts)


Slot = tuple[int, int, dict[str, tuple[int, tuple[int, int, int]]]]


class ObservationMemory:
    """`seats` times room for `n_obs_steps` observations and one chunk, laid out alike by both ends.

    A seat belongs to one session for the length of one call.
    """

    def __init__(self, manifest: PolicyManifest, fd: int | None = None, *, seats: int = 1) -> None:
        self._offset = 0
        self._joints = len(manifest.joint_names)
        self._seats = [
            (
                [self._slot(manifest) for _ in range(manifest.n_obs_steps)],
                self._take(MAX_HORIZON * max(1, self._joints) * 8),
            )
            for _ in range(seats)
        ]
        is_new = fd is None
        self.fd = os.memfd_create("arena-observation") if fd is None else fd
        if is_new:
            os.ftruncate(self.fd, self._offset)
        self._map = mmap.mmap(self.fd, self._offset)

    def _take(self, size: int) -> int:
        start = self._offset
        self._offset += -(-size // _ALIGN) * _ALIGN
        return start

    def _slot(self, manifest: PolicyManifest) -> Slot:
        state = self._take(8 * max(1, len(manifest.state_names)))
        frames = {
            c.name: (self._take(c.height * c.width * 3), (c.height, c.width, 3)) for c in manifest.cameras
        }
        return state, len(manifest.state_names), frames

    def write(self, history: Sequence[PolicyInput], *, seat: int = 0) -> None:
        """Copy observations in, oldest first. The shapes must be the manifest's."""
        for (state, size, frames), item in zip(self._seats[seat][0], history, strict=True):
            self._view(np.float64, state, (size,))[...] = item.state
            for name, (offset, shape) in frames.items():
                self._view(np.uint8, offset, shape)[...] = item.frames[name]

    def read(self, task: str, times_s: Sequence[float], *, seat: int = 0) -> list[PolicyInput]:
        """Views of what was written."""
        return [
            PolicyInput(
                self._view(np.float64, state, (size,)),
                {name: self._view(np.uint8, offset, shape) for name, (offset, shape) in frames.items()},
                task,
                time_s,
            )
            for (state, size, frames), time_s in zip(self._seats[seat][0], times_s, strict=True)
        ]

    def write_chunk(self, chunk: FloatArray, *, seat: int = 0) -> None:
        """Copy an H×D answer in. Raises ValueError when it does not fit."""
        if chunk.ndim != 2 or chunk.shape[1] != self._joints or not 0 < chunk.shape[0] <= MAX_HORIZON:
            raise ValueError(f"a chunk of shape {chunk.shape} does not fit {self._joints} joints")
        self._view(np.float64, self._seats[seat][1], chunk.shape)[...] = chunk

    def read_chunk(self, steps: int, *, seat: int = 0) -> FloatArray:
        """A copy of the H×D answer."""
        return self._view(np.float64, self._seats[seat][1], (steps, self._joints)).copy()

    def _view(self, kind: Any, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.ndarray(shape, kind, buffer=self._map, offset=offset)

    def close(self) -> None:
        """Free the file; views that are still held keep the pages."""
        os.close(self.fd)
