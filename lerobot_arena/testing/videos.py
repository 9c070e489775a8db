# SPDX-License-Identifier: Apache-2.0
"""Small MP4s, and files that only look like them."""

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any


@contextmanager
def _written() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "film"


def mp4(
    *,
    frames: int = 20,
    fps: int = 20,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    container: str = "mp4",
    options: dict[str, str] | None = None,
    seed: int = 0,
) -> bytes:
    """A film of `frames` moving pictures, width×height."""
    import av
    import numpy as np

    with _written() as path, av.open(path, "w", format=container, options=options or {}) as film:
        stream: Any = film.add_stream(codec, rate=Fraction(fps))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(frames):
            pixels = np.full((size[1], size[0], 3), (seed * 40 + index * 5) % 255, np.uint8)
            pixels[index % size[1]] = 255
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
        film.close()  # moving the head to the front reads the file again
        content = path.read_bytes()
    return content


def sound_only() -> bytes:
    """An MP4 without a picture."""
    import av
    import numpy as np

    with _written() as path, av.open(path, "w", format="mp4") as film:
        stream: Any = film.add_stream("aac", rate=16_000)
        stream.layout = "mono"
        for index in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, index * 1024
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
        film.close()
        content = path.read_bytes()
    return content


def box(kind: bytes, content: bytes = b"") -> bytes:
    """One box of an MP4."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def hostile_videos() -> dict[str, bytes]:
    """Files that are no MP4 a person could play."""
    good = mp4(options={"movflags": "faststart"})
    head = box(b"ftyp", b"isom\0\0\2\0isommp41")
    return {
        "nothing like it": b"#!/bin/sh\n" * 100,
        "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "a concat list": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "a zip": b"PK\x03\x04" + bytes(1000),
        "QuickTime": mp4(container="mov"),
        "WebM": mp4(codec="libvpx", container="webm"),
        "cut short": good[:-200],
        "cut in its head": good[:100],
        "only a head": head,
        "an empty film": head + box(b"moov"),
        "a box without end": head + struct.pack(">I4sQ", 1, b"moov", 1 << 62),
        "boxes of no size": head + struct.pack(">I4s", 3, b"free") * 10,
        "ten thousand deep": head + _nested(10_000),
        "sound only": sound_only(),
        "more behind its end": good + b"MZ",
    }


def _nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        content = box(b"moov", content)
    return content
