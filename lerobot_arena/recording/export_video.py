# SPDX-License-Identifier: Apache-2.0
"""A camera of a recording as an MP4 in real time: where pictures are missing, the last one stays."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from lerobot_arena.core.clock import NS
from lerobot_arena.core.errors import InvalidInput, NotFound, Unavailable
from lerobot_arena.recording.reader import Recording

LOWEST_FPS, HIGHEST_FPS = 1.0, 120.0


class _Sink(Protocol):
    def add(self, pixels: Any) -> None: ...

    def close(self) -> None: ...


def write_video(
    recording: Recording,
    camera: str,
    path: Path,
    *,
    fps: float = 30.0,
    start_ns: int = 0,
    end_ns: int = 2**63,
) -> int:
    """Write a new MP4 (H.264 with PyAV, which LeRobot brings; else MPEG-4 by OpenCV). Returns its frames.

    Raises InvalidInput for an unknown camera or frame rate, NotFound without pictures, Unavailable without an encoder.
    """
    if not LOWEST_FPS <= fps <= HIGHEST_FPS:
        raise InvalidInput(f"{fps:g} frames a second: choose {LOWEST_FPS:g} to {HIGHEST_FPS:g}.")
    sink: _Sink | None = None
    count = 0
    try:
        for pixels in _in_real_time(recording, camera, fps, start_ns, end_ns):
            height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
            sink = sink or _open_sink(path, fps, (height, width))
            sink.add(pixels[:height, :width])
            count += 1
    finally:
        if sink is not None:
            sink.close()
    if count == 0:
        raise NotFound(f"Camera {camera!r} has no pictures there.")
    return count


def _in_real_time(recording: Recording, camera: str, fps: float, start_ns: int, end_ns: int) -> Iterator[Any]:
    step_ns, due_ns, last = NS / fps, 0.0, None
    for frame in recording.frames([camera], start_ns=start_ns, end_ns=end_ns):
        if last is None:
            due_ns = float(frame.receipt_ns)
        else:
            while due_ns < frame.receipt_ns:
                yield last
                due_ns += step_ns
        if last is not None and frame.image.shape != last.shape:
            raise InvalidInput(
                f"Camera {camera!r} changed its size from {last.shape} to {frame.image.shape}."
            )
        last = frame.image
    if last is not None:
        yield last


def _open_sink(path: Path, fps: float, size: tuple[int, int]) -> _Sink:
    try:
        import av  # noqa: F401
    except ImportError:
        return _OpenCvSink(path, fps, size)
    return _AvSink(path, fps, size)


class _AvSink:
    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import av

        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": "20", "preset": "veryfast"}

    def add(self, pixels: Any) -> None:
        import av
        import numpy as np

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()


class _OpenCvSink:
    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import cv2

        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (size[1], size[0]))
        if not self._writer.isOpened():
            raise Unavailable("OpenCV has no MP4 encoder here: `pip install av`.")

    def add(self, pixels: Any) -> None:
        import numpy as np

        self._writer.write(np.ascontiguousarray(pixels[:, :, ::-1]))

    def close(self) -> None:
        self._writer.release()
