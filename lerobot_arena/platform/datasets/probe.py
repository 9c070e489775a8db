# SPDX-License-Identifier: Apache-2.0
"""Is a file a whole MP4 with a video in it? FFmpeg is asked in the catalog's child process, never in a server.

Boxes: ISO/IEC 14496-12, 4.2. The parent reads no byte of the file and checks what the child says.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.limits import ChildLimits, MiB
from lerobot_arena.platform.catalog.sandbox import Sandbox
from lerobot_arena.platform.datasets.record import VideoFacts

LONGEST_S, HIGHEST_FPS, MOST_PIXELS = 24 * 3600.0, 1000.0, 8192
CHILD = ChildLimits(memory_bytes=2048 * MiB, cpu_s=20, wall_s=40.0, written_bytes=MiB, answer_bytes=64 * 1024)
_MOST_BOXES = 200_000
_QUICKTIME = b"qt  "
_NO_MP4 = "it is no MP4 video"


class VideoProbe:
    """Asks a child process about one file at a time; safe from any thread."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox or Sandbox(CHILD)

    def ask(self, file: Path) -> VideoFacts:
        """What the file holds. Raises InvalidInput when it is no whole MP4 with a video, Unavailable without PyAV."""
        told = self._sandbox.ask("video", {}, files={"video": file})
        return _facts(told.get("video"))


def look(file: Path) -> dict[str, Any]:
    """What `VideoProbe` gets to hear. Raises InvalidInput. For the child only."""
    check_boxes(file)
    import av

    # The demuxer by name: others follow playlists to other files.
    options = {"enable_drefs": "0", "use_absolute_path": "0", "protocol_whitelist": "file"}
    try:
        container = av.open(str(file), "r", format="mp4", options=options)
        with closing(container):
            return _video_of(container, time_base=av.time_base)
    except av.FFmpegError as error:
        raise InvalidInput(f"{_NO_MP4}: {error.strerror or 'it cannot be read'}.") from error


def _video_of(container: Any, *, time_base: int) -> dict[str, Any]:
    if not container.streams.video:
        raise InvalidInput("it has no video stream.")
    stream = container.streams.video[0]
    packet = next(container.demux(stream), None)
    if packet is None or not packet.size:
        raise InvalidInput("its video stream is empty.")
    seconds = (container.duration or 0) / time_base
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    return {
        "duration_s": seconds,
        "fps": float(stream.average_rate or stream.base_rate or 0),
        "width": stream.codec_context.width,
        "height": stream.codec_context.height,
        "codec": stream.codec_context.name,
    }


def check_boxes(file: Path) -> None:
    """Raises InvalidInput unless the file is one box after the other up to its end, `ftyp` of MP4 first."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        kinds: set[bytes] = set()
        for count, (kind, body, end) in enumerate(_boxes(opened, size)):
            if count == 0 and (kind != b"ftyp" or body == _QUICKTIME):
                raise InvalidInput(f"{_NO_MP4}.")
            if end > size:
                raise InvalidInput("it is cut short or damaged: upload it again.")
            kinds.add(kind)
    if b"moov" not in kinds:
        raise InvalidInput(f"{_NO_MP4}, or its end is missing: it has no moov box.")


def _boxes(file: IO[bytes], size: int) -> Iterator[tuple[bytes, bytes, int]]:
    """(kind, first four bytes of the content, where it says that it ends) of each."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at == size:
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            raise InvalidInput("it is cut short or damaged: upload it again.")
        length, kind, body = int.from_bytes(head[:4], "big"), head[4:8], head[8:12]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            raise InvalidInput(f"{_NO_MP4}.")
        at += length
        yield kind, body, at
        if at > size:
            return
    raise InvalidInput(f"it has more than {_MOST_BOXES} boxes.")


def _facts(told: Any) -> VideoFacts:
    entry: Mapping[str, Any] = strict.mapping(told, "The probe's answer")
    codec = entry.get("codec")
    if not isinstance(codec, str) or not 1 <= len(codec) <= 40 or not codec.isascii():
        raise InvalidInput("its codec is unknown.")
    duration_s = strict.number(entry.get("duration_s"), "its duration in seconds", 0.0, LONGEST_S)
    if not duration_s:
        raise InvalidInput("it lasts no time.")
    return VideoFacts(
        duration_s,
        strict.number(entry.get("fps"), "its frame rate", 0.0, HIGHEST_FPS),
        strict.whole(entry.get("width"), "its width", 1, MOST_PIXELS),
        strict.whole(entry.get("height"), "its height", 1, MOST_PIXELS),
        codec,
    )
